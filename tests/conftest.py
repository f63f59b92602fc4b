"""The framework under test is named from outside: `GOOGLENET_FRAMEWORK=torch pytest tests/backend
tests/native/test_native.py tests/native/test_torch.py`.
"""

import sys
from collections.abc import Iterator

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


@pytest.fixture(autouse=True)
def _compiled_code_is_freed(request: pytest.FixtureRequest) -> Iterator[None]:
    """JAX keeps what it compiled as long as the process lives, of whole networks 100 MB each."""
    yield
    if "jax" in sys.modules and ("network-" in request.node.name or "exact-" in request.node.name):
        sys.modules["jax"].clear_caches()
