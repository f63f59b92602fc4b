"""Import nothing that was not asked for, and prove it in a process of its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import googlenet
from googlenet.backend.discovery import (
    GROUP,
    SHIPPED,
    canonical_name,
    entry_points,
    install_command,
)

FRAMEWORKS = {
    "torch",
    "tensorflow",
    "keras",
    "mxnet",
    "paddle",
    "mindspore",
    "jax",
    "flax",
    "onnx",
    "onnxruntime",
}
ROOT = Path(__file__).parents[2]


def _modules(code):
    program = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_the_core_imports_numpy_and_nothing_else():
    ours = _modules("import googlenet") - _modules("import numpy")
    assert {name for name in ours if name not in sys.stdlib_module_names} == {"googlenet"}


@pytest.mark.parametrize("command", ["list", "summary"])
def test_looking_imports_no_framework(command):
    code = (
        f"sys.argv = ['googlenet', '{command}', '--json']\ntry:\n    from googlenet.cli import"
        " main\n    main()\nexcept SystemExit: pass"
    )
    found = _modules(code)
    assert not found & {*FRAMEWORKS, "sklearn", "PIL", "safetensors", "scipy"}


def test_discovery_imports_no_framework():
    assert (
        not _modules(
            "import googlenet.backend.discovery as d; d.entry_points(); d.canonical_name('torch');"
            " [d.framework_version(name) for name in d.backends()]"
        )
        & FRAMEWORKS
    )


def test_the_core_imports_no_framework():
    for path in (ROOT / "googlenet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert not {name.partition(".")[0] for name in names} & FRAMEWORKS, path


def test_a_backend_folder_does_not_shadow_its_framework():
    assert not list((ROOT / "backends").glob("*/__init__.py"))


def test_the_install_hint_knows_every_backend_of_the_checkout():
    assert sorted(
        path.parent.name for path in (ROOT / "backends").glob("*/pyproject.toml")
    ) == sorted(SHIPPED)
    for name in SHIPPED:
        assert (ROOT / "constraints" / f"{name}.txt").is_file()
        assert install_command(name) == (
            f"python3.11 -m venv {name}-env && {name}-env/bin/pip install"
            f" -c constraints/{name}.txt . ./backends/{name}"
        )


def test_backends_are_found_by_entry_point():
    found = entry_points()
    assert found["numpy"].value == "googlenet.reference"
    assert found["example"].group == GROUP


@pytest.mark.parametrize(
    ("alias", "name"),
    [("pytorch", "torch"), ("PyTorch", "torch"), ("tf", "tensorflow"), ("paddlepaddle", "paddle")],
)
def test_aliases(alias, name):
    assert canonical_name(alias) == name
    assert canonical_name("NumPy") == "numpy"
    assert googlenet.get_backend("NumPy") is googlenet.get_backend("numpy")


def test_a_missing_backend_says_how_to_install_it():
    with pytest.raises(
        googlenet.UnknownNameError, match=r"no backend 'caffe' \(installed: .*numpy.*\)"
    ):
        googlenet.get_backend("caffe")


def _is_ours(node):
    """Whether this is an import of something of the core."""
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or node.module.partition(".")[0] == "googlenet"
    return isinstance(node, ast.Import) and any(
        alias.name.partition(".")[0] == "googlenet" for alias in node.names
    )


#: What `import googlenet` would take too long for, and what must be imported where an interruption
#: is caught; no circle either.
LATE = {"from ..weights.zoo import load_weights", "from .cli import main as run"}


def test_no_import_inside_a_function_breaks_a_circle():
    """There only commands import from the core, so that they start fast; other libraries may be
    imported late anywhere.
    """
    core = ROOT / "googlenet"
    for path in core.rglob("*.py"):
        if path.is_relative_to(core / "cli"):
            continue
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                late = {ast.unparse(node) for node in ast.walk(function) if _is_ours(node)}
                assert not late - LATE, f"{path}, {function.name}"
