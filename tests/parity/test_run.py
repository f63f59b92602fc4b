"""Parity runs in worker processes: what passes, what fails, and that one framework's failure stays
its own.
"""

import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest

from googlenet import Loss, WeightsError, get_network, init_params, reference, version
from googlenet.data.images import ImageSet, load_image_set
from googlenet.proof.conformance.networks import probe
from googlenet.proof.parity import worker
from googlenet.proof.parity.compare import Yardsticks, measure
from googlenet.proof.parity.files import Question, load
from googlenet.proof.parity.problem import random_problem
from googlenet.proof.parity.rows import Comparison, Group, Row, differing
from googlenet.proof.parity.run import ParityOptions, run_parity
from googlenet.proof.parity.tolerance import StepYardstick
from googlenet.proof.parity.trajectory import StepStrays
from googlenet.weights.samples import random_images, random_labels, random_params

from ..core.test_jobs import gone

NETWORK = get_network("googlenet", input_shape=(1, 32, 32))
LAYER = "b3.inception_3b.branch_5x5.conv.relu"


@pytest.fixture(scope="module")
def images():
    return load_image_set(None, NETWORK.input_shape, 10, count=3)


def _run(frameworks, images, **settings):
    params = init_params(NETWORK, initializer="he_normal")
    return run_parity(
        NETWORK, frameworks, images, params, seed=0, options=ParityOptions(chunk=2, **settings)
    )


def test_the_reference_agrees_with_itself_in_float32(images):
    heard = []
    params = init_params(NETWORK, initializer="he_normal")
    report = run_parity(
        NETWORK,
        ["numpy"],
        images,
        params,
        seed=0,
        options=ParityOptions(chunk=2),
        progress=lambda *progress: heard.append(progress),
    )
    assert report.passed
    assert heard[0] == ("reference", "images", 0, 3)
    assert ("reference", "images", 3, 3) in heard
    (result,) = report.results
    assert result.versions["numpy"] == np.__version__
    assert (
        0 < result.comparison[Group.OUTPUTS][-1].error < result.comparison[Group.OUTPUTS][-1].limit
    )
    assert {row.name for row in result.comparison[Group.GRADIENTS]} == set(params)
    assert result.peak_memory_bytes > 10_000_000


def test_json_has_everything_in_whole_words(images):
    report = json.loads(json.dumps(_run(["numpy", "faulty"], images).to_json(), allow_nan=False))
    assert report["passed"] is True
    assert report["name"] == "googlenet"
    assert report["input_shape"] == [1, 32, 32]
    assert report["parameters"] == 5_977_530
    assert report["seed"] == 0
    for result in report["frameworks"]:
        assert list(result) == [
            "framework",
            "passed",
            "outcome",
            "error",
            "first_divergence",
            "compared",
            "verdicts",
            "not_proved",
            "largest_share_of_limit",
            "worst",
            "weights",
            "outputs",
            "step_outputs",
            "loss",
            "gradients",
            "statistics",
            "trajectory",
            "exact",
            "device",
            "precision",
            "versions",
            "threads",
            "seconds",
            "peak_memory_bytes",
        ]
        assert {"name", "error", "limit", "passed", "verdict"} == result["outputs"][0].keys()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "import",
            (
                "framework 'faulty': its backend googlenet_example.faulty cannot be imported:"
                " libmissing.so"
            ),
        ),
        ("crash", "was killed by SIGSEGV; last output: about to crash"),
        ("killed", "was killed by SIGKILL; out of memory?"),
        ("exit", "exited with code 7"),
        ("memory", "ran out of memory; give fewer images (`count`)"),
        ("raise", "RuntimeError: no kernel for this operation"),
    ],
)
def test_a_worker_that_fails_fails_its_row_alone(images, monkeypatch, fault, message):
    monkeypatch.setenv("GOOGLENET_EXAMPLE_FAULT", fault)
    report = _run(["faulty", "numpy"], images, gradients=False)
    faulty, numpy = report.results
    assert not report.passed
    assert message in faulty.error
    assert "\n" not in faulty.error
    assert numpy.passed


def test_a_worker_that_hangs_is_ended(images, monkeypatch):
    monkeypatch.setenv("GOOGLENET_EXAMPLE_FAULT", "hang")
    faulty, numpy = _run(["faulty", "numpy"], images, timeout=20.0, jobs=2, gradients=False).results
    assert faulty.error == (
        "stopped responding and was killed after 20 s without progress; if it only needs"
        " longer, give a larger `timeout`; last output: still waiting"
    )
    assert numpy.passed


def test_an_interpreter_that_cannot_be_started(images, tmp_path):
    text = tmp_path / "python"
    text.write_text("not a program")
    missing = str(tmp_path / "none")
    for interpreter, message in (
        (missing, "cannot be started (No such file or directory)"),
        (str(text), "cannot be started (Permission denied)"),
    ):
        (result,) = _run(["numpy"], images, interpreters={"numpy": interpreter}).results
        assert message in result.error


def test_an_interpreter_without_googlenet(images, tmp_path):
    # -I -S hides every installed package, as an empty environment would.
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    (result,) = _run(["numpy"], images, interpreters={"numpy": str(bare)}).results
    assert "exited with code 1" in result.error
    assert "No module named 'googlenet'" in result.error


def test_an_interpreter_with_an_older_version(images, tmp_path):
    """In which the worker may have another name: it is asked for its version all the same."""
    (tmp_path / "googlenet").mkdir()
    (tmp_path / "googlenet" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (tmp_path / "googlenet" / "jobs.py").touch()  # no package, so that nothing is found below it
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONSAFEPATH=1 PYTHONPATH={tmp_path} exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    (result,) = _run(["numpy"], images, interpreters={"numpy": str(python)}).results
    assert result.error == (
        f"its interpreter has googlenet 0.1.0, but this one has {version.__version__};"
        " install the same version in both"
    )


def other_checkout(folder):
    """An interpreter whose googlenet, in `folder`, is a copy of this one with a line more."""
    copy = shutil.copytree(pathlib.Path(version.__file__).parent, folder / "googlenet")
    with (copy / "errors.py").open("a") as file:
        file.write("# changed\n")
    python = folder / "python"
    python.write_text(
        f'#!/bin/sh\nPYTHONSAFEPATH=1 PYTHONPATH={folder} exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    return str(python), copy


def test_an_interpreter_with_other_code_of_the_same_version(images, tmp_path, monkeypatch):
    python, copy = other_checkout(tmp_path)
    (result,) = _run(["numpy"], images, interpreters={"numpy": python}, gradients=False).results
    ours = version.source_digest()
    monkeypatch.setattr(version, "__file__", str(copy / "version.py"))
    theirs = version.source_digest()
    assert ours != theirs
    assert result.error == (
        f"its googlenet {version.__version__} has different code (digest {theirs})"
        f" from the one here ({ours}); install the same checkout in both"
    )


def test_the_digest_is_of_names_and_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(version, "__file__", str(tmp_path / "version.py"))
    found = []
    for name, text in (
        ("version.py", ""),
        ("version.py", "x = 1"),
        ("tables/zoo.toml", ""),
        ("py.typed", "no code"),
        ("other.py", ""),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        found.append(version.source_digest())
    assert all(re.fullmatch("[0-9a-f]{12}", digest) for digest in found)
    assert found[2] == found[3]
    assert len(set(found)) == 4
    (tmp_path / "other.py").rename(tmp_path / "another.py")
    assert version.source_digest() not in found


def test_a_layer_that_is_a_ten_thousandth_off_is_named(images, monkeypatch):
    monkeypatch.setenv("GOOGLENET_EXAMPLE_FAULT", "layer")
    (result,) = _run(["faulty"], images).results
    assert result.comparison.first_divergence == f"output of {LAYER}"
    row = next(row for row in result.comparison[Group.OUTPUTS] if row.name == LAYER)
    assert 0.9e-4 < row.error < 1.1e-4


def test_nan_never_passes_and_is_null_in_json(images, monkeypatch):
    monkeypatch.setenv("GOOGLENET_EXAMPLE_FAULT", "nan")
    report = _run(["faulty"], images)
    (result,) = report.results
    assert result.comparison.first_divergence == "output of logits"
    tapped, plain = report.to_json()["frameworks"][0]["outputs"][-2:]
    assert tapped == {
        "name": "logits",
        "error": None,
        "limit": result.comparison[Group.OUTPUTS][-2].limit,
        "passed": False,
        "verdict": "different",
    }
    assert plain == {**tapped, "name": "logits without taps"}


def test_the_network_that_is_given_is_the_one_that_is_proved():
    """Not the published one of the same name: workers get the network itself."""
    network = replace(probe(), name="googlenet")
    images = ImageSet(random_images(network), random_labels(), "random numbers")
    report = run_parity(network, ["numpy"], images, random_params(network), seed=0)
    (result,) = report.results
    assert report.passed
    assert {row.name for row in result.comparison[Group.OUTPUTS]} >= {
        "stem.conv",
        "mixed",
        "aux1",
        "aux2",
        "logits",
    }


def test_what_failed_survives_json():
    found = Comparison(
        {
            Group.WEIGHTS: [differing("stem.weight")],
            Group.OUTPUTS: [Row("stem", 1e-9, 1e-6), Row("logits", math.inf, 1e-6)],
            Group.LOSS: [Row("loss", 1.0, 1e-6)],
        }
    )
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert values["weights"] == ["stem.weight"]
    assert values["gradients"] == []
    again = Comparison.from_json(values)
    assert again.rows == found.rows
    assert again[Group.WEIGHTS] == found[Group.WEIGHTS]
    assert again.first_divergence == "weights of stem.weight"


def test_a_question_comes_back_from_its_files(tmp_path):
    problem = replace(random_problem(probe()), loss=Loss(0.1, (0.5, 0.25)))
    steps = [StepStrays({"loss": 1e-7}), StepStrays({"loss": 2e-7}, {"b": np.ones(2)}, ["c"])]
    ties = {"a.relu": np.array([1e-7, np.inf]), "pool": np.zeros(3)}
    measured = Yardsticks({"logits": 1e-7}, StepYardstick({}, 1e-7, {}, {}, ties), steps)
    Question(problem, 5, measured).save(tmp_path)
    asked = load(tmp_path)
    assert asked.chunk == 5
    found = asked.yardsticks
    np.testing.assert_equal(asdict(found), asdict(measured))
    assert (asked.problem.network, asked.problem.loss) == (problem.network, problem.loss)
    np.testing.assert_array_equal(asked.problem.images, problem.images)
    np.testing.assert_array_equal(asked.problem.labels, problem.labels)
    for path, array in problem.params.items():
        np.testing.assert_array_equal(asked.problem.params[path], array)


def test_a_device_reaches_its_framework_only(images):
    """The reference has no GPU; each says in which precision it computed."""
    devices = {"numpy": "cuda:0", "faulty": "cpu"}
    numpy, faulty = _run(["numpy", "faulty"], images, gradients=False, devices=devices).results
    assert numpy.error == "device: 'cuda:0' cannot be used by numpy: it only runs on 'cpu'"
    assert (numpy.device, faulty.device) == ("cuda:0", "cpu")
    assert faulty.passed
    assert faulty.precision["NVIDIA_TF32_OVERRIDE"] == "0"


def test_the_hook_for_full_precision_is_called_before_a_model_is_built(tmp_path, monkeypatch):
    called = []
    backend = types.SimpleNamespace(**vars(reference), set_full_precision=lambda: {"tf32": "off"})

    def build(network, params, **settings):
        called.append(os.environ["NVIDIA_TF32_OVERRIDE"])
        return reference.build(network, params, **settings)

    backend.build = build
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setattr(worker, "get_backend", lambda framework: backend)
    problem = random_problem(probe())
    Question(problem, 5, measure(problem, gradients=False)).save(tmp_path)
    found = worker.answer("numpy", {}, tmp_path, lambda *progress: None)
    assert called == ["0"]
    assert found["precision"]["tf32"] == "off"
    assert found["precision"]["NVIDIA_TF32_OVERRIDE"] == "0"


def test_weights_that_do_not_fit_start_no_worker(images):
    with pytest.raises(WeightsError, match="is missing"):
        run_parity(NETWORK, ["numpy"], images, {}, seed=0)


def _hanging_run():
    """A parity run whose worker hangs, and the worker's process id."""
    command = [
        sys.executable,
        "-m",
        "googlenet",
        "parity",
        "--framework",
        "faulty",
        "--size",
        "32",
        "--count",
        "1",
        "--no-gradients",
    ]
    environment = {**os.environ, "GOOGLENET_EXAMPLE_FAULT": "hang"}
    parent = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs, and what they start, do not hear Ctrl-C: this one shall.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # The worker is started from a thread of the pool: look at all of them.
    threads = pathlib.Path(f"/proc/{parent.pid}/task")
    found = []
    while not found and parent.poll() is None:
        found = [
            word
            for thread in threads.iterdir()
            for word in (thread / "children").read_text().split()
        ]
        time.sleep(0.05)
    time.sleep(2)
    return parent, int(found[0])


def test_a_worker_ends_when_its_parent_is_killed():
    """The parent is ended with no chance to tidy up; its worker, which hangs, must not go on for
    ever.
    """
    parent, worker = _hanging_run()
    parent.kill()
    parent.communicate()
    assert gone(worker)


def test_ctrl_c_ends_the_workers_at_once():
    parent, worker = _hanging_run()
    parent.send_signal(signal.SIGINT)
    _, error = parent.communicate(timeout=30)
    assert parent.returncode == 130
    assert error == "googlenet: interrupted\n"
    assert gone(worker)


def _run_of_a_shell(tmp_path, **options):
    """A run whose worker is a shell that waits for a child which does not end; the ids of both."""
    python, started = tmp_path / "python", tmp_path / "started"
    python.write_text(f'#!/bin/sh\nsleep 600 &\necho $$ $! > "{started}"\nwait\n')
    python.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    arguments = ("--framework", "numpy", "--python", f"numpy={python}", "--size", "32")
    parent = subprocess.Popen(
        [sys.executable, "-m", "googlenet", "parity", *arguments, "--count", "1", "--no-gradients"],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    while not started.exists() or not started.read_text().endswith("\n"):
        assert parent.poll() is None, parent.stderr.read()
        time.sleep(0.05)
    assert list(temporary.rglob("*.safetensors"))
    return parent, [int(process) for process in started.read_text().split()], temporary


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGHUP,) * 2])
def test_a_signal_ends_the_workers_children_too_and_leaves_no_files(tmp_path, numbers):
    parent, workers, temporary = _run_of_a_shell(tmp_path)
    for number in numbers:
        parent.send_signal(number)
    output, error = parent.communicate(timeout=30)
    assert (parent.returncode, output, error) == (130, "", "googlenet: interrupted\n")
    assert all(map(gone, workers))
    assert list(temporary.iterdir()) == []


def test_a_hangup_that_is_ignored_ends_nothing(tmp_path):
    """As under nohup."""
    ignore = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    parent, workers, _ = _run_of_a_shell(tmp_path, preexec_fn=ignore)
    parent.send_signal(signal.SIGHUP)
    time.sleep(1)
    assert parent.poll() is None
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)
    assert all(map(gone, workers))
