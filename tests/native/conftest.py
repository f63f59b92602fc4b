"""The framework named by `GOOGLENET_FRAMEWORK`, as its users write it."""

import pytest

from .described import described


@pytest.fixture(scope="session")
def native(framework):
    return described(framework)
