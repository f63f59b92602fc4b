"""Third parties are equal: whatever backend is installed is found, named, asked and shown by what
its own distribution says, and nothing is imported for it that was not asked for.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import googlenet
from googlenet.backend.discovery import (
    SHIPPED,
    backends,
    canonical_name,
    framework_version,
    get_backend,
)
from googlenet.backend.threads import openmp_threads, thread_count, use_threads
from googlenet.data.prepared import save_data
from googlenet.data.sets import DataSet, Split
from googlenet.jobs.probe import probe
from googlenet.training.choice import default_trainer, entrants

from .plugins import FORWARD, ROOT, TRAINS, distribution, plugin


def imported():
    """The plugins that this process has imported."""
    return sorted(name for name in sys.modules if name.endswith("_plugin") and "." not in name)


# Names and versions -------------------------------------------------------------------------------


def test_the_hint_knows_the_aliases_that_the_plugins_register():
    for name, aliases in SHIPPED.items():
        text = (ROOT / "backends" / name / "pyproject.toml").read_text()
        points = tomllib.loads(text)["project"]["entry-points"]
        assert points.get("googlenet.aliases", {}) == dict.fromkeys(aliases, name)
        assert points["googlenet.frameworks"] == {name: name}


def test_a_plugin_registers_an_alias(site):
    assert canonical_name("Hl") == "hl"
    plugin(site, "halide", aliases={"hl": "halide"})
    assert canonical_name("Hl") == "halide"
    assert get_backend("HL").name == "halide"
    # Of what is not installed, only the install hint knows other names.
    assert canonical_name("pytorch") == "torch"
    with pytest.raises(googlenet.BackendError, match=r"pip install .* \./backends/torch$"):
        get_backend("pytorch")


def test_an_alias_never_hides_a_backend_and_has_one_meaning(site):
    plugin(site, "halide", aliases={"numpy": "halide", "hl": "halide"})
    assert canonical_name("numpy") == "numpy"
    plugin(site, "other", aliases={"hl": "other"})
    with pytest.raises(
        googlenet.BackendError, match=r"aliases 'hl': registered twice, by halide and other"
    ):
        canonical_name("hl")


def test_the_version_is_that_of_the_declared_framework(site, monkeypatch):
    assert framework_version("numpy") == np.__version__
    plugin(site, "halide", version="9.9", frameworks={"halide": "halidelib"})
    assert framework_version("halide") == "unknown"
    distribution(site, "a-halide-addon", "1.1", top_level="halidelib")
    distribution(site, "halidelib-cpu", "2.2", top_level="halidelib")
    assert framework_version("halide") == "2.2"
    distribution(site, "halidelib", "3.3", top_level="halidelib")

    def slow():
        raise AssertionError("every installed file was looked at")

    monkeypatch.setattr(importlib.metadata, "packages_distributions", slow)
    assert framework_version("halide") == "3.3"
    assert imported() == []


def test_a_plugin_that_declares_nothing_shows_its_own_version(site):
    plugin(site, "halide", version="9.9")
    plugin(site, "other", frameworks={"halide": "numpy"})  # it speaks for itself alone
    assert framework_version("halide") == "9.9"
    assert framework_version("other") == "1.0"
    assert backends() == ("halide", "numpy", "other")


def test_the_list_shows_a_third_party_as_it_shows_ours(site):
    plugin(site, "halide", version="9.9")
    done = googlenet_command("list", "--json", cwd=site)
    rows = {row["name"]: row for row in json.loads(done.stdout)["frameworks"]}
    assert rows["halide"] == {
        "name": "halide",
        "installed": True,
        "version": "9.9",
        "install": None,
    }
    assert rows["numpy"]["version"] == np.__version__
    assert {name for name, row in rows.items() if not row["installed"]} == set(SHIPPED)


def test_whatever_an_import_raises_is_one_line(site):
    plugin(site, "halide", "raise AttributeError('numpy has no bool\\nand more')")
    with pytest.raises(
        googlenet.BackendError,
        match=r"halide_plugin cannot be imported: AttributeError: numpy has no bool$",
    ):
        get_backend("halide")


# Which one trains ---------------------------------------------------------------------------------


def test_what_a_backend_can_do_is_asked_elsewhere(site):
    plugin(site, "halide", "print('a banner')\n" + TRAINS + "def set_threads(count): ...\n")
    assert probe("halide") == {"trainer", "threads"}
    assert imported() == []


@pytest.mark.parametrize(
    ("code", "timeout", "message"),
    [
        ("raise ImportError('libhalide.so')", 300.0, "cannot be imported: libhalide.so"),
        ("import os; os._exit(7)", 300.0, "exited with code 7"),
        ("import os; os._exit(0)", 300.0, "exited with code 0"),
        ("import time; time.sleep(900)", 3.0, "killed after 3 s"),
    ],
)
def test_a_backend_that_cannot_be_asked(site, code, timeout, message):
    plugin(site, "halide", code)
    with pytest.raises(googlenet.BackendError, match=r"^framework 'halide': .*" + message):
        probe("halide", timeout=timeout)


def test_without_any_other_the_reference_trains(site):
    assert default_trainer() == "numpy"


def test_a_single_candidate_is_imported_here(site):
    plugin(site, "zeta", TRAINS)
    assert default_trainer() == "zeta"
    assert imported() == ["zeta_plugin"]


SLOW = "no framework that can train is installed, so the NumPy reference is used, which is slow"


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        (FORWARD, []),
        (
            "raise ImportError('libzeta.so')",
            ["skipped: framework 'zeta': its backend zeta_plugin cannot be imported: libzeta.so"],
        ),
    ],
)
def test_a_single_candidate_that_does_not_train(site, code, lines):
    plugin(site, "zeta", code)
    heard = []
    assert default_trainer(tell=heard.append) == "numpy"
    assert heard[:-1] == lines
    assert heard[-1].startswith(SLOW)


def test_the_first_by_alphabet_that_trains(site, tmp_path):
    plugin(site, "alpha", "raise ImportError('libalpha.so')")
    plugin(site, "beta", FORWARD)
    plugin(site, "gamma", TRAINS)
    plugin(site, "omega", f"open({str(tmp_path / 'asked')!r}, 'w')\n" + TRAINS)
    heard = []
    assert default_trainer(tell=heard.append) == "gamma"
    assert heard == [
        "skipped: framework 'alpha': its backend alpha_plugin cannot be imported: libalpha.so"
    ]
    assert imported() == []
    assert not (tmp_path / "asked").exists()


def test_where_no_candidate_trains_the_reference_does(site):
    plugin(site, "beta", FORWARD)
    plugin(site, "omega", "import os; os._exit(7)")
    heard = []
    assert default_trainer(tell=heard.append) == "numpy"
    assert len(heard) == 2
    assert "omega" in heard[0]
    assert heard[1].startswith(SLOW)


def test_a_candidate_that_hangs_is_left_out_after_its_time(site):
    for name in ("alpha", "beta"):
        plugin(site, name, "import time; time.sleep(900)")
    heard = []
    assert default_trainer(tell=heard.append, timeout=2.0) == "numpy"
    assert ["killed after 2 s" in line for line in heard] == [True, True, False]


def test_a_race_leaves_out_what_has_no_trainer(site):
    plugin(site, "alpha", "raise ImportError('libalpha.so')")
    plugin(site, "beta", FORWARD)
    plugin(site, "gamma", TRAINS)
    heard = []
    # What cannot be imported stays, and fails where everyone sees it.
    assert entrants(None, tell=heard.append) == ["alpha", "gamma"]
    assert heard == ["skipped: framework 'beta': its backend has no trainer"]
    assert entrants(["numpy", "beta", "gamma"]) == ["numpy", "gamma"]
    with pytest.raises(
        googlenet.BackendError, match=r"no backend with a trainer among beta; name a framework"
    ):
        entrants(["beta"])


def test_where_nothing_else_trains_the_reference_races(site):
    plugin(site, "beta", FORWARD)
    assert entrants(None) == ["numpy"]


# The command --------------------------------------------------------------------------------------

SMALL = ("googlenet", "--size", "8", "--batch-size", "8", "--epochs", "1", "--num-classes", "2")


def googlenet_command(*arguments, cwd, **environment):
    command = [sys.executable, "-m", "googlenet", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200", **environment},
        cwd=cwd,
        timeout=300,
    )


@pytest.fixture
def shades(tmp_path):
    rng = np.random.default_rng(0)

    def split(count):
        return Split(rng.integers(0, 255, (count, 1, 8, 8), dtype=np.uint8), np.arange(count) % 2)

    save_data(tmp_path / "shades", DataSet("shades", "two shades", ("a", "b"), split(8), split(4)))
    return tmp_path / "shades"


def test_train_takes_the_first_that_trains(site, shades, tmp_path):
    plugin(site, "alpha", "raise ImportError('libalpha.so')")
    plugin(site, "gamma", TRAINS)
    done = googlenet_command("train", *SMALL, "--data", shades, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("googlenet at 1×8×8 in gamma, on 8 images")
    assert done.stderr.splitlines()[0] == (
        "googlenet: skipped: framework 'alpha': its backend alpha_plugin cannot be imported:"
        " libalpha.so"
    )


def test_race_says_what_it_leaves_out(site, shades, tmp_path):
    plugin(site, "beta", FORWARD)
    plugin(site, "gamma", TRAINS)
    done = googlenet_command(
        "race", *SMALL, "--data", shades, "--out", "race", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert [row["framework"] for row in json.loads(done.stdout)["frameworks"]] == ["gamma"]
    line = "googlenet: skipped: framework 'beta': its backend has no trainer"
    assert line in done.stderr.splitlines()


@pytest.mark.parametrize(
    ("alias", "name", "more"),
    [("pytorch", "torch", ()), ("tf", "tensorflow", ("--framework", "tf"))],
)
def test_a_race_takes_an_interpreter_by_any_name(site, shades, tmp_path, alias, name, more):
    """The framework is only there, so the race is run only if its interpreter is found."""
    there = tmp_path / "there"
    there.mkdir()
    plugin(there, name, TRAINS)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{there}:$PYTHONPATH" exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    arguments = ("--data", shades, "--python", f"{alias}={python}", *more, "--out", "race")
    done = googlenet_command("race", *SMALL, *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [row["framework"] for row in json.loads(done.stdout)["frameworks"]] == [name]
    assert (tmp_path / "race" / f"{name}-seed0" / "weights.safetensors").exists()


# Threads ------------------------------------------------------------------------------------------

#: Notes what it is asked for, in order.
NOTES = """
import googlenet.reference as reference
from googlenet.reference import forward, gradients, params_of, trainer, unbiased_running_variance
name = __name__.removesuffix("_plugin")

def note(what):
    with open("notes.txt", "a") as file:
        print(what, file=file)

def set_threads(count):
    note(f"threads {count}")

def build(network, params, *, device=None):
    note("build")
    return reference.build(network, params, device=device)
"""


def test_train_sets_threads_before_it_builds(site, shades, tmp_path):
    plugin(site, "zeta", NOTES)
    arguments = ("train", *SMALL, "--data", shades, "--framework", "zeta")
    done = googlenet_command(*arguments, "--out", "a", "--threads", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes.txt").read_text().split("\n")[:2] == ["threads 3", "build"]
    (tmp_path / "notes.txt").unlink()
    done = googlenet_command(*arguments, "--out", "b", cwd=tmp_path, OMP_NUM_THREADS="5")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "notes.txt").read_text().split("\n")[:2] == ["threads 5", "build"]


def test_workers_set_threads_before_they_build(site, shades, tmp_path):
    plugin(site, "zeta", NOTES)
    race = ("race", *SMALL, "--data", shades, "--out", "race")
    parity = ("parity", "googlenet", "--size", "8", "--count", "2", "--framework", "zeta")
    for arguments in (race, parity):
        done = googlenet_command(*arguments, "--threads", "3", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        notes = (tmp_path / "notes.txt").read_text().split("\n")
        assert notes[:2] == ["threads 3", "build"]
        assert notes.count("threads 3") == 1
        (tmp_path / "notes.txt").unlink()


@pytest.mark.parametrize(
    ("value", "count"),
    [("3", 3), ("3,2", 3), (" 4 ", 4), ("0", None), ("", None), ("many", None), ("-1", None)],
)
def test_the_environment_says_how_many_threads(monkeypatch, value, count):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert thread_count() == (os.cpu_count() if count is None else count)


def test_a_backend_without_the_hook_is_left_alone(site):
    plugin(site, "halide", FORWARD)
    use_threads(get_backend("halide"), 2)


# What frameworks print ----------------------------------------------------------------------------

#: As TensorFlow does: from C++ too, so past `sys.stderr`.
LOUD = """
import os, sys
os.write(2, b"a line of C++\\n")
print("a line of Python", file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["summary", "train"])
def test_what_a_framework_prints_as_it_is_imported_is_held_back(site, shades, tmp_path, command):
    plugin(site, "halide", LOUD + TRAINS)
    arguments = {
        "summary": ("googlenet", "--framework", "halide", "--size", "8"),
        "train": (*SMALL, "--data", shades),  # the only one, so it is imported to be asked
    }
    done = googlenet_command(command, *arguments[command], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "line of" not in done.stderr + done.stdout


def test_it_is_printed_where_the_import_fails(site):
    plugin(site, "halide", LOUD + "raise ImportError('libhalide.so')")
    done = googlenet_command("summary", "--framework", "halide", cwd=site)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "a line of C++",
        "a line of Python",
        "googlenet: framework 'halide': its backend halide_plugin cannot be imported: libhalide.so",
    ]


@pytest.mark.parametrize("before", [None, "7"])
def test_a_framework_is_imported_with_threads_of_its_own(before, monkeypatch):
    """The environment is as it was after it, even if the import fails."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if before is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", before)
    with openmp_threads("imported_never", 3) as first:
        assert first
        assert os.environ["OMP_NUM_THREADS"] == "3"
    assert os.environ.get("OMP_NUM_THREADS") == before
    with pytest.raises(ImportError), openmp_threads("imported_never", 3):
        raise ImportError
    assert os.environ.get("OMP_NUM_THREADS") == before
    with openmp_threads("os", 3) as first:  # its user has imported it
        assert not first
        assert os.environ.get("OMP_NUM_THREADS") == before
