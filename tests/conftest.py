"""The framework under test is named from outside: `GOOGLENET_FRAMEWORK=torch pytest tests/backend tests/native/test_torch.py`."""

import os

import pytest

from googlenet import load


@pytest.fixture(scope="session")
def framework() -> str:
    return os.environ.get("GOOGLENET_FRAMEWORK", "numpy")


@pytest.fixture(scope="session")
def backend(framework):
    return load(framework)
