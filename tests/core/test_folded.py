"""Networks in their form for evaluation, and `convert --fold`, which makes weights of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from googlenet import UnknownNameError, WeightsError, convert, get_network, init_params
from googlenet.architectures import designators
from googlenet.cli import app
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.spec.layers import BatchNorm, Dropout
from googlenet.spec.params import param_specs
from googlenet.spec.simplify import folded, simplified
from googlenet.spec.traversal import walk
from googlenet.weights.files import read_safetensors, save_params
from googlenet.weights.samples import random_params

from .test_simplify import chained, drawn, outputs


@given(network=chained())
@settings(max_examples=60, deadline=None)
def test_the_structure_is_that_of_any_weights(network):
    assert folded(network) == simplified(network, drawn(network))[0]


@pytest.mark.parametrize("name", designators())
def test_every_network_has_a_form_without_batch_norm_and_dropout(name):
    network = get_network(f"folded:{name}")
    assert network.name == f"folded:{get_network(name).name}"
    left = [type(site.layer) for site in walk(network)]
    assert BatchNorm not in left
    assert Dropout not in left


def test_a_folded_network_is_asked_for_like_any_other():
    one = get_network(
        "folded:inception_v3", dialect="keras", num_classes=7, input_shape=(1, 107, 99)
    )
    assert one == get_network("folded:keras:inception_v3", num_classes=7, input_shape=(1, 107, 99))
    assert get_network("folded:folded:nin") == get_network("folded:nin")
    assert get_network("folded:inception_v3", aux=True).outputs == ("logits", "aux")


@pytest.mark.parametrize("name", ["folded:nine", "folded:", "folded:keras:nin"])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(UnknownNameError):
        get_network(name)


@pytest.fixture
def whole(tmp_path):
    """A file of `googlenet_bn` at 64×64, with three classes, and what is in it."""
    network = get_network("googlenet_bn", num_classes=3, input_shape=(1, 64, 64))
    params = random_params(network)
    save_params(tmp_path / "whole.safetensors", network, params, extra={"classes": '["a","b","c"]'})
    return tmp_path / "whole.safetensors", network, params


def test_converted_weights_compute_the_same(whole, tmp_path):
    source, network, params = whole
    target = tmp_path / "folded.safetensors"
    found = convert(source, target, fold=True)
    assert found.network == get_network(
        "folded:googlenet_bn", num_classes=3, input_shape=network.input_shape
    )
    images = np.random.default_rng(0).random((3, *network.input_shape))
    arrays, metadata = read_safetensors(target)
    assert arrays.keys() == param_specs(found.network).keys()
    assert metadata["network"] == "folded:googlenet_bn"
    assert metadata["classes"] == '["a","b","c"]'
    expected = outputs(network, params, images)["logits"]
    # The folded weights were rounded to float32 once, each: less than float32 itself strays.
    problem = Problem(network, params, images.astype(np.float32))
    yardstick = forward_yardstick(problem, chunk=8)["logits"]
    assert distance(outputs(found.network, arrays, images)["logits"], expected) <= limit(yardstick)


def test_what_is_folded_is_read_and_folded_again_as_it_is(whole, tmp_path):
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    convert(whole[0], one, fold=True)
    convert(one, two, fold=True)
    assert one.read_bytes() == two.read_bytes()


def test_weights_that_would_not_be_finite_are_refused(whole, tmp_path):
    source, network, params = whole
    params = {path: array.copy() for path, array in params.items()}
    norm = next(site.path for site in walk(network) if isinstance(site.layer, BatchNorm))
    params[f"{norm}.weight"][0] = 3e38
    params[f"{norm}.running_var"][0] = 0
    save_params(source, network, params)
    target = tmp_path / "folded.safetensors"
    target.write_text("mine")
    with pytest.raises(WeightsError, match=f"cannot be folded; beside '{norm}"):
        convert(source, target, fold=True)
    assert target.read_text() == "mine"


def test_a_librarys_file_is_not_folded(whole, tmp_path):
    with pytest.raises(UnknownNameError, match="`fold`: a library's model has no folded form"):
        convert(whole[0], tmp_path / "x.pth", fold=True, library="torchvision:googlenet")


def test_the_command_folds(tmp_path):
    network = get_network("nin", input_shape=(1, 67, 67))
    source, target = tmp_path / "nin.safetensors", tmp_path / "folded.safetensors"
    save_params(source, network, init_params(network))
    done = CliRunner().invoke(app, ["convert", str(source), str(target), "--fold"])
    assert done.exit_code == 0, done.output
    assert "folded:nin at 1×67×67" in done.output
