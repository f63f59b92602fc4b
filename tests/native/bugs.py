"""How the bugs of the frameworks are written down: as tests of what is right, which fail."""

import signal
import subprocess
import sys

import pytest


def bug(what_happens):
    """A test of native code, without this project, that a bug of the framework fails. It is an
    error if it passes: an upgrade has mended the framework, and docs/framework-bugs.md is out of
    date.
    """
    return pytest.mark.xfail(reason=what_happens, raises=AssertionError, strict=True)


def in_its_own_process(code):
    """What `code` prints; "hangs", or the name of the signal that killed it. For bugs that spoil
    memory.
    """
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    if done.returncode:
        raise RuntimeError(done.stderr)  # not the bug: the code itself is wrong
    return done.stdout.strip()


def raised_by(function):
    """The error that `function` raises, None if it raises none."""
    try:
        function()
    except Exception as error:
        return error
    return None
