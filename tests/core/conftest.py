"""Hypothesis without deadlines: how long an example takes says how busy the machine is, not whether
the code is right. And a place for plugins of a test's own.
"""

import os
import sys

import pytest
from hypothesis import HealthCheck, settings

from .plugins import ROOT, hide_installed, project

settings.register_profile("googlenet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("googlenet")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of distributions that hides all other backends but the reference, here and in
    workers.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    hide_installed(folder)
    project(folder, ROOT / "pyproject.toml")
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT), before]))
    monkeypatch.syspath_prepend(folder)
    loaded = set(sys.modules)
    yield folder
    for name in set(sys.modules) - loaded:
        if name.endswith("_plugin"):
            del sys.modules[name]
