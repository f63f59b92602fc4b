"""The framework under test is named from outside: `GOOGLENET_FRAMEWORK=torch pytest tests/backend
tests/native/test_torch.py`.
"""

import os

import pytest


@pytest.fixture(scope="session")
def framework() -> str:
    return os.environ.get("GOOGLENET_FRAMEWORK", "numpy")


@pytest.fixture(scope="session")
def backend(framework):
    # Here, not above: tests/dist runs where nothing of the project is installed.
    import googlenet

    return googlenet.get_backend(framework)
