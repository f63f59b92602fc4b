"""The framework named by `GOOGLENET_FRAMEWORK`, as its users write it, with the tests that are its
own; those of other frameworks are left out.
"""

from pathlib import Path

import pytest

from ..frameworks.native import PACKAGES
from ..named import named_framework
from .described import described

#: A test here may take a minute by itself: such tests start first, so that no core waits for one.
LONG = ("test_training.py", "test_parallel.py")

collect_ignore_glob = [f"test_*_{name}.py" for name in PACKAGES - {named_framework()}]
collect_ignore = [f"test_{name}.py" for name in PACKAGES - {named_framework()}]


@pytest.fixture(scope="session")
def native(framework):
    return described(framework)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: Path(item.fspath).name not in LONG)
