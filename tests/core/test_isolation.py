"""Import nothing that was not asked for, and prove it in a process of its own."""

import ast
import pkgutil
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
        assert install_command(name) == f"pip install -c constraints/{name}.txt . ./backends/{name}"


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


def _trees(but=()):
    """Each module of the core with its syntax tree, but those in the folders `but`."""
    core = ROOT / "googlenet"
    for path in sorted(core.rglob("*.py")):
        if not any(path.is_relative_to(core / folder) for folder in but):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def _imported(path, tree):
    """The modules of the core that the imports within `tree`, a part of the file `path`, name in
    full, and whatever else they name, as `googlenet.errors.DataError`.
    """
    package = ("googlenet", *path.relative_to(ROOT / "googlenet").parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_imports_are_read_in_full():
    path = ROOT / "googlenet" / "proof" / "parity" / "run.py"
    tree = ast.parse("import os.path\nfrom . import a\nfrom ...b.c import d\nfrom e import f")
    assert list(_imported(path, tree)) == [
        "os.path",
        "googlenet.proof.parity.a",
        "googlenet.b.c.d",
        "e.f",
    ]


def test_production_imports_nothing_of_the_conformance_suite():
    suite = "googlenet.proof.conformance"
    for path, tree in _trees(but=["proof/conformance"]):
        found = [name for name in _imported(path, tree) if f"{name}.".startswith(f"{suite}.")]
        assert not found, path


def test_no_circle_is_broken_by_an_import_inside_a_function():
    """Inside a function nothing of the core is imported, but by a command, which is to start fast;
    other libraries may be.
    """
    for path, tree in _trees(but=["cli"]):
        for function in ast.walk(tree):
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found = [name for name in _imported(path, function) if name.startswith("googlenet")]
                assert not found, f"{path}, {function.name}"


def test_no_function_has_the_name_of_a_module_beside_it():
    """`googlenet.proof.conformance.cases` would be a function or a module, whichever was imported
    last.
    """
    for path, tree in _trees():
        if path.name == "__init__.py":
            given = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            for node in tree.body:
                if isinstance(node, ast.ImportFrom) and node.module:
                    given |= {alias.asname or alias.name for alias in node.names}
            modules = {module.name for module in pkgutil.iter_modules([str(path.parent)])}
            assert not given & modules, path
