"""The distributions as users get them: built as wheels, of one version, installed and run outside
the checkout.
"""

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = [ROOT, *sorted(path.parent for path in (ROOT / "backends").glob("*/pyproject.toml"))]


def _project(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    for project in PROJECTS:
        command = [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            str(folder),
            str(project),
        ]
        subprocess.run(command, check=True)
    return {re.split("-", path.name)[0]: path for path in folder.glob("*.whl")}


def test_one_version_for_all():
    version = re.search('__version__ = "(.+)"', (ROOT / "googlenet" / "version.py").read_text())[1]
    assert {_project(folder)["version"] for folder in PROJECTS} == {version}
    for folder in PROJECTS[1:]:
        assert f"googlenet=={version}" in _project(folder)["dependencies"]


def test_each_backend_registers_itself_under_the_name_of_its_folder():
    for folder in PROJECTS[1:]:
        points = _project(folder)["entry-points"]["googlenet.backends"]
        assert points == {folder.name: f"googlenet_{folder.name}"}


def test_the_tested_versions_satisfy_what_the_backends_require():
    for folder in PROJECTS[1:]:
        pinned = dict(
            line.split("==")
            for line in (ROOT / "constraints" / f"{folder.name}.txt").read_text().split()
            if "==" in line
        )
        framework = [
            line
            for line in _project(folder)["dependencies"]
            if not line.startswith(("googlenet", "numpy"))
        ]
        assert framework
        assert all(re.split("[<>=!~;]", line)[0].strip() in pinned for line in framework), folder


def test_the_wheels_hold_the_packages_and_no_tests(wheels):
    assert len(wheels) == len(PROJECTS)
    for name, path in wheels.items():
        names = zipfile.ZipFile(path).namelist()
        assert {entry.split("/")[0] for entry in names if ".dist-info" not in entry} == {name}
    core = zipfile.ZipFile(wheels["googlenet"]).namelist()
    assert "googlenet/py.typed" in core
    assert "googlenet/proof/conformance/suite.py" in core


def test_the_core_runs_outside_the_checkout(wheels, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = ROOT / "constraints" / "core.txt"
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "-c", constraints, wheels["googlenet"]],
        check=True,
        cwd=tmp_path,
    )
    command = tmp_path / "venv" / "bin" / "googlenet"
    done = subprocess.run(
        [command, "summary"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "5,977,530" in done.stdout
    done = subprocess.run(
        [command, "parity", "--size", "32", "--count", "2"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert "Only the NumPy reference was compared." in done.stdout
    done = subprocess.run(
        [command, "parity", "--framework", "torch"], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "pip install -c constraints/torch.txt . ./backends/torch" in done.stderr
