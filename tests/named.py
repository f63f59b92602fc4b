"""The framework under test, named from outside."""

import os
from collections.abc import Iterable

import pytest

#: What a framework cannot do at all, by the names of capabilities; None for the reference, which
#: may lack anything. Any other that is missing has been lost, and tests that need it fail.
LACKS: dict[str, frozenset[str] | None] = {
    "numpy": None,
    **dict.fromkeys(
        ("torch", "tensorflow", "mxnet", "paddle", "mindspore"), frozenset({"quantise", "files"})
    ),
    "jax": frozenset({"quantise", "files", "trace", "own", "lines", "traps", "save for others"}),
    # A graph that only runs: nobody differentiates it, and nobody writes one by hand.
    "onnx": frozenset(
        {
            *("gradients", "trainer", "parallel"),
            *("trace", "own", "lines", "adopt", "traps", "save for others"),
        }
    ),
}


def named_framework() -> str:
    """What `GOOGLENET_FRAMEWORK` says. Without it the run ends: no framework is tested unasked."""
    framework = os.environ.get("GOOGLENET_FRAMEWORK")
    if not framework:
        pytest.exit(
            "GOOGLENET_FRAMEWORK is not set: name the framework to be tested, as in"
            " GOOGLENET_FRAMEWORK=torch (or tensorflow, mxnet, paddle, mindspore, jax, onnx,"
            " numpy)",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )
    return framework


def _has_int8() -> bool:
    """Whether the processor multiplies in int8; without that no framework is asked to."""
    # Here, not above: tests/dist runs where nothing of the project is installed.
    from googlenet.backend.processor import multiplies

    return multiplies("int8")


def skip_if_lacking(framework: str, missing: Iterable[str]) -> None:
    """Skip a test that needs what is `missing`, if the framework cannot have it."""
    lacking, missing = LACKS.get(framework, frozenset()), sorted(missing)
    if lacking is not None and not _has_int8():
        lacking |= {"quantise"}
    if missing and (lacking is None or lacking.issuperset(missing)):
        pytest.skip(f"{framework} has no {', '.join(missing)}")
