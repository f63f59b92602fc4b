"""The framework under test, named from outside."""

import os

import pytest


def named_framework() -> str:
    """What `GOOGLENET_FRAMEWORK` says. Without it the run ends: no framework is tested unasked."""
    framework = os.environ.get("GOOGLENET_FRAMEWORK")
    if not framework:
        pytest.exit(
            "GOOGLENET_FRAMEWORK is not set: name the framework to be tested, as in"
            " GOOGLENET_FRAMEWORK=torch (or tensorflow, mxnet, paddle, mindspore, jax, numpy)",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )
    return framework
