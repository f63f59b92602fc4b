"""`compile`: what all backends share, and the reference's."""

import threading
import time

import numpy as np
import pytest

import googlenet
import googlenet.actions.predict as predicting
from googlenet.backend.compiling import SAMPLE, Compiled, prepared, sampled
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.reference import build, compile
from googlenet.reference.network import Pass
from googlenet.spec.traversal import walk
from googlenet.weights.samples import random_images, random_params

FLOAT32 = {"dtypes": ["float32"], "framework": "numpy"}


@pytest.fixture(scope="module")
def network():
    return googlenet.get_network("googlenet_bn", input_shape=(1, 32, 32), num_classes=3)


def is_right(found, network, params, images):
    """Whether logits are those of float64, by the derived limit."""
    run = Pass()
    build(network, params, dtype=np.float64).run(images, run)
    yardstick = forward_yardstick(Problem(network, params, images), chunk=8)
    return distance(found["logits"], run.outputs["logits"]) <= limit(yardstick["logits"])


def test_what_is_compiled_is_smaller_and_the_same_function(network):
    params, images = random_params(network), random_images(network)
    model = build(network, params)
    call = compile(model, input_shape=network.input_shape)
    assert len(list(walk(call.network))) < len(list(walk(network)))
    assert not [
        path
        for path in prepared(network, params, (1, 32, 32), "float32", **FLOAT32)[1]
        if "running" in path
    ]
    assert is_right(call(images), network, params, images)


def test_another_size_is_compiled_for_if_the_weights_are_the_same(network):
    model = build(network, random_params(network))
    call = compile(model, input_shape=(1, 48, 40))
    images = random_images(call.network)
    assert images.shape[1:] == (1, 48, 40)
    assert call(images)["logits"].shape == (len(images), 3)
    with pytest.raises(googlenet.ShapeError, match=r"expected \(N, 1, 48, 40\), for which"):
        call(random_images(network))


@pytest.mark.parametrize("shape", [96, (1, 32), (1, 0, 32), "1x32x32", None, (1.5, 32, 32)])
def test_an_input_shape_that_is_none_is_refused(network, shape):
    with pytest.raises(googlenet.SpecError, match="input_shape"):
        prepared(network, random_params(network), shape, "float32", **FLOAT32)


def test_a_shape_that_needs_other_weights_is_refused():
    network = googlenet.get_network("vgg11_small", input_shape=(1, 32, 32))
    params = {path: np.zeros(array.shape) for path, array in random_params(network).items()}
    with pytest.raises(
        googlenet.ShapeError, match=r"'.*\.weight' of network 'vgg11_small' must be"
    ):
        prepared(network, params, (1, 64, 64), "float32", **FLOAT32)
    with pytest.raises(googlenet.ShapeError, match="must be"):
        prepared(network, params, (3, 32, 32), "float32", **FLOAT32)


@pytest.mark.parametrize("dtype", ["float16", "", None, np.float32, "Float32"])
def test_a_dtype_that_is_not_compiled_for_is_refused(network, dtype):
    with pytest.raises(googlenet.UnknownNameError, match="numpy compiles for float32 here, got"):
        prepared(network, random_params(network), (1, 32, 32), dtype, **FLOAT32)


@pytest.mark.parametrize("change", ["in place", "replaced"])
def test_a_model_that_changed_is_told(network, change):
    model = build(network, random_params(network))
    call = compile(model, input_shape=network.input_shape)
    images = random_images(network)
    call(images)
    name = next(iter(model.params))
    if change == "in place":
        model.params[name] *= 2
    else:
        model.params[name] = model.params[name] * 2
    with pytest.raises(googlenet.BackendError, match="has changed since it was compiled"):
        call(images)


@pytest.mark.parametrize("size", [1, SAMPLE, SAMPLE + 1, 100_000])
def test_a_sample_sees_the_first_value_and_what_changes_all(size):
    array = np.arange(1, size + 1, dtype=np.float32)
    look = sampled([np.zeros(0, np.float32), array])
    before = look()
    assert look() == before
    assert len(before) <= 4 * SAMPLE
    array[0] += 1
    first = look()
    assert first != before
    array *= 2
    assert look() != first


def test_threads_take_turns(network):
    inside, most = [], []

    def run(images):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return [images[:, 0, 0, :3]]

    call = Compiled(network, "float32", run, lambda: None)
    images = random_images(network)
    threads = [threading.Thread(target=call, args=(images,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


def test_predict_compiles_for_many_images(network, monkeypatch, tmp_path):
    weights = tmp_path / "weights.npz"
    params, images = random_params(network), random_images(network)
    googlenet.reference.save(build(network, params), weights)
    made = []

    def counted(*arguments, **settings):
        made.append(compile(*arguments, **settings))
        return made[-1]

    monkeypatch.setattr(googlenet.reference, "compile", counted)
    name = {"model": "googlenet_bn"}
    plain = googlenet.predict(images, weights, **name)
    assert not made
    monkeypatch.setattr(predicting, "WORTH_COMPILING", 1)
    found = googlenet.predict(images, weights, **name)
    assert len(made) == 1
    assert is_right(found.outputs, network, params, images)
    assert not np.array_equal(found.outputs["logits"], plain.outputs["logits"])  # folded
    tapped = googlenet.predict(images, weights, taps="head", **name)
    assert len(made) == 1
    assert "head" in tapped.outputs

    def without_compiler(*arguments, **settings):
        raise googlenet.BackendError("no compiler")

    monkeypatch.setattr(googlenet.reference, "compile", without_compiler)
    again = googlenet.predict(images, weights, **name)
    assert np.array_equal(again.outputs["logits"], plain.outputs["logits"])
