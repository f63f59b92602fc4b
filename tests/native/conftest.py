"""The framework named by `GOOGLENET_FRAMEWORK`, as its users write it, with the tests that are its
own; those of other frameworks are left out.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..frameworks.native import PACKAGES
from ..named import LACKS, named_framework
from .described import described

#: A test here may take a minute by itself: such tests start first, so that no core waits for one.
LONG = ("test_training.py", "test_parallel.py")

collect_ignore_glob = [f"test_*_{name}.py" for name in PACKAGES - {named_framework()}]
#: What a framework must be able to do for the tests of a module.
NEEDS = {
    "test_check.py": "trace",
    "test_libraries.py": "save for others",
    "test_lines.py": "lines",
    "test_parallel.py": "parallel",
    "test_readme.py": "trainer",
    "test_trace.py": "trace",
    "test_training.py": "trainer",
    "test_translate.py": "adopt",
    "test_traps.py": "traps",
}

collect_ignore = [
    *(f"test_{name}.py" for name in PACKAGES - {named_framework()}),
    *(name for name, need in NEEDS.items() if need in (LACKS.get(named_framework()) or ())),
]


@pytest.fixture(scope="session")
def native(framework):
    return described(framework)


@pytest.fixture(autouse=True)
def _process_as_it_was(framework: str) -> Iterator[None]:
    """MXNet's semantics are those of the whole process: no test leaves others to the next one."""
    if framework != "mxnet":
        yield
        return
    mxnet = importlib.import_module("mxnet")
    before = mxnet.util.is_np_shape(), mxnet.util.is_np_array()
    yield
    mxnet.npx.set_np(*before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: Path(item.fspath).name not in LONG)
