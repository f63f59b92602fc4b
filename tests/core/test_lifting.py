"""A network whose layers have names of their own is the one here that computes the same."""

from dataclasses import replace

import numpy as np
import pytest

from googlenet import get_network, reference
from googlenet.spec.layers import Concat, Conv, MaxPool, Sequential
from googlenet.spec.params import param_specs
from googlenet.spec.rewrite import with_children
from googlenet.spec.traversal import fold
from googlenet.weights.samples import random_images, random_params
from googlenet.weights.zoo import lifted


def forward(network, params, images):
    return reference.forward(reference.build(network, params), images)["logits"]


def named_otherwise(network, change=lambda layer: layer):
    """The same layers, or changed ones, called x0, x1 and so on where names are free."""

    def compose(site, children):
        layer = site.layer
        if isinstance(layer, Sequential | Concat):
            children = {f"x{index}": each for index, each in enumerate(children.values())}
        return with_children(layer, children)

    return replace(
        network, name="mine", layers=fold(network, lambda site: change(site.layer), compose)
    )


SMALL = {
    "googlenet": (1, 64, 64),
    "googlenet_bn": (1, 64, 64),
    "torchvision:googlenet_paper": (3, 64, 64),
    "keras:inception_v3": (3, 75, 75),
}


@pytest.mark.parametrize("name", SMALL)
def test_weights_come_by_our_paths(name):
    network = get_network(name, num_classes=3, input_shape=SMALL[name])
    mine, images = named_otherwise(network), random_images(network)[:1]
    params = random_params(mine)
    assert not params.keys() & param_specs(network).keys()
    found = lifted(mine, params)
    assert name in (found.network.name, *found.others)
    assert list(found.params) == list(param_specs(found.network))
    assert found.left_over == []
    theirs = forward(mine, params, images)
    assert np.array_equal(forward(found.network, found.params, images), theirs)


def test_a_bias_before_a_norm_is_folded():
    network = get_network("torchvision:googlenet_paper", num_classes=3, input_shape=(3, 64, 64))
    assert not any("conv.bias" in path for path in param_specs(network))
    mine = named_otherwise(
        network, lambda layer: replace(layer, bias=True) if isinstance(layer, Conv) else layer
    )
    params, images = random_params(mine), random_images(mine)[:1]
    found = lifted(mine, params)
    theirs = forward(mine, params, images)
    ours = forward(found.network, found.params, images)
    assert np.abs(ours - theirs).max() <= 1e-5 * theirs.std()


def test_heads_are_left_out_and_named():
    network = get_network("googlenet_paper", aux=True, num_classes=3)
    mine = named_otherwise(network)
    params = random_params(mine)
    found = lifted(mine, params)
    assert found.network == get_network("googlenet_paper", num_classes=3)
    assert found.left_over
    assert len(found.left_over) + len(found.params) == len(params)


def test_another_function_is_none():
    network = get_network("googlenet", num_classes=3, input_shape=(1, 64, 64))

    def change(layer):
        if isinstance(layer, MaxPool) and layer.stride == (2, 2):
            return replace(layer, ceil_mode=not layer.ceil_mode)
        return layer

    same, other = (named_otherwise(network, each) for each in (lambda layer: layer, change))
    assert lifted(same, random_params(same)) is not None
    assert lifted(other, random_params(other)) is None
