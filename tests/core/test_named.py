"""The framework under test must be named: without a name nothing is tested in its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(path, *, framework):
    environment = {k: v for k, v in os.environ.items() if k != "GOOGLENET_FRAMEWORK"}
    if framework is not None:
        environment["GOOGLENET_FRAMEWORK"] = framework
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("framework", [None, ""], ids=["unset", "empty"])
@pytest.mark.parametrize(
    "path", ["tests/backend/test_conformance.py", "tests/native/test_formats.py"]
)
def test_no_framework_named_is_an_error(path, framework):
    done = run(path, framework=framework)
    assert done.returncode != 0
    assert "GOOGLENET_FRAMEWORK is not set" in done.stdout + done.stderr
    assert "passed" not in done.stdout


def test_the_reference_is_tested_where_it_is_named():
    done = run("tests/native/test_formats.py", framework="numpy")
    assert done.returncode == 0, done.stdout
