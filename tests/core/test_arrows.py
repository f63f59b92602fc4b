"""Imports of the core run one way: down the list of CONTRIBUTING.md."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "googlenet"
#: From the ground up. The modules at the root are ground too, but for the facade.
FLOORS = [
    "",
    "spec",
    "drawing",
    "architectures",
    "weights",
    "data",
    "backend",
    "jobs",
    "source",
    "reference",
    "tracing",
    "checking",
    "proof",
    "training",
    "timing",
    "actions",
    "cli",
]
FACADES = {ROOT / "__init__.py", ROOT / "__main__.py"}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path not in FACADES)


def package(path):
    parts = path.relative_to(ROOT).parts
    return parts[0] if len(parts) > 1 else ""


def imports(path):
    """The dotted names that a module imports, at its top or inside a function."""
    inside = ("googlenet", *path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


def imported(path):
    """The packages of the core that a module imports; "" for the modules at the root."""
    for name in imports(path):
        if name[0] == "googlenet":
            yield name[1] if (ROOT / name[1]).is_dir() else ""


def test_every_package_has_its_floor():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(FLOORS) - {""}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down(path):
    floor = FLOORS.index(package(path))
    above = {name for name in imported(path) if FLOORS.index(name) > floor}
    assert not above


def test_production_imports_nothing_of_the_conformance_suite():
    production = [path for path in MODULES if "conformance" not in path.parts]
    assert not [path for path in production for name in imports(path) if "conformance" in name]
