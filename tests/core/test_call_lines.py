"""The user's line among the calls that lead to an operation."""

import os
import sysconfig

import pytest

import googlenet
from googlenet.backend.lines import closed, innermost

OTHERS = closed("/packages/frame/__init__.py", "/plugins/adapter/tracing.py")
CONTAINERS = (os.path.join("nn", "container.py"),)
CONV, CONTAINER = ("/packages/frame/nn/conv.py", 5), ("/packages/frame/nn/container.py", 9)
MINE, LIBRARY = ("/models/mine.py", 12), ("/packages/other/layers.py", 3)


@pytest.mark.parametrize(
    ("frames", "line"),
    [
        ([CONV, MINE], MINE),
        ([CONV, LIBRARY, MINE, ("/models/main.py", 1)], MINE),
        ([CONV, CONTAINER, MINE], None),
        ([CONV, MINE, CONTAINER, ("/models/main.py", 1)], MINE),
        ([("/models/nn/container.py", 4), MINE], ("/models/nn/container.py", 4)),
        ([CONV], None),
        ([], None),
    ],
)
def test_the_innermost_line_of_the_user(frames, line):
    assert innermost(frames, OTHERS, CONTAINERS) == line


@pytest.mark.parametrize(
    "file",
    [
        "<string>",
        googlenet.__file__,
        os.path.join(sysconfig.get_path("stdlib"), "functools.py"),
        "/plugins/adapter/mindir.py",
        "/packages/frame.py",
    ],
)
def test_what_is_not_the_users(file):
    assert innermost([(file, 1)], OTHERS, CONTAINERS) is None
