"""The framework under test is named from outside: `GOOGLENET_FRAMEWORK=torch pytest tests/backend
tests/native/test_native.py tests/native/test_torch.py`.
"""

import pytest

from .named import named_framework


@pytest.fixture(scope="session")
def framework() -> str:
    return named_framework()


@pytest.fixture(scope="session")
def backend(framework):
    # Here, not above: tests/dist runs where nothing of the project is installed.
    import googlenet

    return googlenet.get_backend(framework)
