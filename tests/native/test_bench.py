"""`googlenet bench` with a user's own code of the network in this framework."""

import re

import numpy as np
import pytest

import googlenet
from googlenet.backend.protocols import capabilities
from googlenet.errors import DeviceError, ShapeError, WeightsError
from googlenet.timing import run
from googlenet.weights.initial import init_params
from googlenet.weights.samples import random_images

from ..frameworks.own_models import FILES
from ..named import skip_if_lacking

SHAPE = (1, 16, 15)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """One call a turn."""
    monkeypatch.setattr(run, "LEAST", 1e-9)
    monkeypatch.setattr(run, "SETTLE", 0.0)


@pytest.fixture
def subject(framework, backend, tmp_path):
    skip_if_lacking(framework, {"own"} - capabilities(backend))
    file = tmp_path / "mynet.py"
    file.write_text(FILES[framework])
    return f"{file}:Net"


def timed(network, framework, subject, **more):
    return googlenet.bench(
        *(network, [framework, "numpy"]),
        own={framework: subject},
        forms="native",
        batches=2,
        rounds=5,
        **more,
    )


def test_a_users_code_is_timed_beside_the_native_model_of_its_framework(framework, subject):
    network = googlenet.own_network(subject, input_shape=SHAPE).network
    found = timed(network, framework, subject)
    assert found.passed, [each.error for each in found.timed]
    rows = [(each.framework, each.case.form) for each in found.timed]
    assert rows == [(framework, "own"), (framework, "native"), ("numpy", "native")]
    own, native, elsewhere = found.timed
    assert found.ratio_to_own(elsewhere) is None
    assert own.share <= 1
    assert len(own.seconds) == 5
    assert found.ratio_to_own(own) is None
    ratio = found.ratio_to_own(native)
    assert ratio.median == pytest.approx(
        sorted(a / b for a, b in zip(own.seconds, native.seconds, strict=True))[2]
    )
    rows = found.to_json()["timed"]
    assert rows[0]["ratio_to_own"] is None
    assert rows[1]["ratio_to_own"]["median"] == ratio.median


def test_another_network_is_not_timed_with_it(framework, subject):
    found = timed(googlenet.get_network("nin", input_shape=(1, 67, 67)), framework, subject)
    own, native, _ = found.timed
    assert not found.passed
    assert native.seconds
    assert own.seconds == ()
    assert "is another network than nin" in own.error


@pytest.fixture
def file(framework, backend, tmp_path):
    skip_if_lacking(framework, {"files"} - capabilities(backend))
    return tmp_path / f"mynet{backend.file_suffix}"


def saved(backend, file, name, shape):
    network = googlenet.get_network(name, input_shape=shape)
    backend.save(backend.build(network, init_params(network, seed=7)), file)
    return network


def test_a_file_of_users_is_timed_with_its_own_weights(framework, backend, file):
    found = timed(saved(backend, file, "nin", (1, 67, 67)), framework, str(file))
    own, native, _ = found.timed
    assert found.passed, [each.error for each in found.timed]
    assert own.share <= 1
    assert found.ratio_to_own(native).median > 0


def test_a_file_of_another_network_is_not_timed(framework, backend, file):
    saved(backend, file, "nin", (1, 67, 67))
    found = timed(googlenet.get_network("nin", input_shape=(3, 67, 67)), framework, str(file))
    own, native, _ = found.timed
    assert not found.passed
    assert native.seconds
    assert own.error.startswith(f"{file}: ")


def test_a_file_runs_as_it_is(backend, framework, file):
    network = saved(backend, file, "nin", (1, 67, 67))
    images = random_images(network)
    expected = backend.forward(backend.build(network, init_params(network, seed=7)), images)
    (logits,) = backend.run_file(file)(images)
    assert np.array_equal(logits, expected["logits"])
    with pytest.raises(ShapeError, match=r"takes images of .+ got \(2, 1, 67, 68\)"):
        backend.run_file(file)(np.zeros((2, 1, 67, 68), np.float32))
    file.write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match=re.escape(f"{file}: ")):
        backend.run_file(file)
    with pytest.raises(DeviceError):
        backend.run_file(file, device="abacus")
