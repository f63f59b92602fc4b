"""The published numbers, counted from the spec (PEERS: parameters exactly, multiply-adds as the papers round them)."""

import numpy as np
import pytest
from hypothesis import given, settings

import googlenet.reference as reference
from googlenet import (
    Network,
    blocks,
    count_multiply_adds,
    count_parameters,
    get_network,
    init_params,
    param_specs,
    receptive_fields,
    smallest_input,
    spec,
    stages,
)

from .networks import networks


@pytest.mark.parametrize(
    ("name", "aux", "parameters", "multiply_adds"),
    [
        ("googlenet", False, 5_977_530, 276.1e6),
        ("googlenet_paper", False, 6_998_552, 1_582.7e6),
        ("googlenet_paper", True, 13_378_280, 1_591.0e6),
    ],
)
def test_golden_numbers(name, aux, parameters, multiply_adds):
    network = get_network(name, aux=aux)
    assert count_parameters(network) == parameters
    assert round(count_multiply_adds(network) / 1e6, 1) == round(multiply_adds / 1e6, 1)


def test_three_channels_and_a_thousand_classes_are_the_papers_count():
    assert count_parameters(get_network("googlenet", num_classes=1000, input_shape=(3, 96, 96))) == 6_998_552


def test_without_convolution_biases():
    """MindSpore's default has_bias=False: 7,280 fewer."""
    biases = sum(
        site.shape[0] for site in param_specs(get_network()).values() if site.name == "bias" and isinstance(site.site.layer, spec.Conv)
    )
    assert biases == 7_280
    assert count_parameters(get_network()) - biases == 5_970_250


def test_the_walk_of_the_book():
    """Section 8.4 prints these shapes at 96×96."""
    assert [(stage.name, stage.output_shape) for stage in stages(get_network())] == [
        ("b1", (64, 24, 24)),
        ("b2", (192, 12, 12)),
        ("b3", (480, 6, 6)),
        ("b4", (832, 3, 3)),
        ("b5", (1024,)),
        ("head", (10,)),
    ]


def test_the_papers_table():
    """arXiv:1409.4842, table 1, output sizes at 224×224."""
    shapes = {stage.name: stage.output_shape for stage in stages(get_network("googlenet_paper"))}
    assert shapes == {"b1": (64, 56, 56), "b2": (192, 28, 28), "b3": (480, 14, 14), "b4": (832, 7, 7), "b5": (1024,), "head": (1000,)}


def test_stages_add_up():
    network = get_network("googlenet_paper", aux=True)
    assert sum(stage.parameters for stage in stages(network)) == count_parameters(network)
    assert sum(stage.multiply_adds for stage in stages(network)) == count_multiply_adds(network)


@pytest.mark.parametrize(("name", "aux", "side"), [("googlenet", False, 1), ("googlenet_paper", False, 31), ("googlenet_paper", True, 79)])
def test_smallest_input(name, aux, side):
    assert smallest_input(get_network(name, aux=aux)) == side


@given(networks())
@settings(max_examples=50)
def test_parameters_are_those_of_the_reference(network):
    held = reference.params_of(reference.build(network, init_params(network)))
    trainable = [path for path, each in param_specs(network).items() if each.trainable]
    assert sum(held[path].size for path in trainable) == count_parameters(network)


def test_receptive_field_is_the_reach_of_one_output():
    """Measured: the input pixels whose change moves the middle output of a stack of all-ones layers."""
    layers = blocks.sequential(
        conv=blocks.conv_layer(1, (7, 5), 2, (3, 2), bias=False),
        pool=blocks.avg_pool(3, 2, 1),
        mixed=blocks.concat(small=blocks.conv_layer(1, 1, bias=False), wide=blocks.conv_layer(1, (3, 5), 1, (1, 2), bias=False)),
    )
    network = Network("reach", layers, (1, 65, 67), "")
    params = {path: np.ones(each.shape, np.float32) for path, each in param_specs(network).items()}
    model = reference.build(network, params, dtype=np.float64)
    image = np.zeros((1, 1, 65, 67), np.float32)
    base = model(image)[0, :, 8, 8].sum()
    reached = np.zeros((65, 67), bool)
    for row in range(65):
        for column in range(67):
            image[0, 0, row, column] = 1
            reached[row, column] = model(image)[0, :, 8, 8].sum() != base
            image[0, 0, row, column] = 0
    size = tuple(int(np.ptp(np.flatnonzero(reached.any(axis)))) + 1 for axis in (1, 0))
    assert receptive_fields(network)["mixed"].size == size


def test_receptive_field_of_the_stem_by_hand():
    """7×7 stride 2, then 3×3 stride 2: 7 + 2 · 2 = 11; a 3×3 convolution at step 4 adds 8, a 3×3 pool another 8."""
    fields = receptive_fields(get_network())
    assert fields["b1"].size == (11, 11)
    assert fields["b1"].step == (4, 4)
    assert fields["b2"].size == (27, 27)
