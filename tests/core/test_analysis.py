"""The published numbers, counted from the spec (PEERS: parameters exactly, multiply-adds as the
papers round them).
"""

import numpy as np
import pytest
from hypothesis import given, settings

import googlenet.reference as reference
from googlenet import (
    Network,
    ShapeError,
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
from googlenet.architectures import designators
from googlenet.spec import blocks
from googlenet.spec.analysis import MINIMUM_RULES, Budget, budget, minimum_sizes
from googlenet.spec.traversal import walk

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
    assert (
        count_parameters(get_network("googlenet", num_classes=1000, input_shape=(3, 96, 96)))
        == 6_998_552
    )


def test_without_convolution_biases():
    """MindSpore's default has_bias=False: 7,280 fewer."""
    biases = sum(
        site.shape[0]
        for site in param_specs(get_network()).values()
        if site.name == "bias" and isinstance(site.site.layer, spec.Conv)
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
    assert shapes == {
        "b1": (64, 56, 56),
        "b2": (192, 28, 28),
        "b3": (480, 14, 14),
        "b4": (832, 7, 7),
        "b5": (1024,),
        "head": (1000,),
    }


def test_stages_add_up():
    network = get_network("googlenet_paper", aux=True)
    assert sum(stage.parameters for stage in stages(network)) == count_parameters(network)
    assert sum(stage.multiply_adds for stage in stages(network)) == count_multiply_adds(network)


@pytest.mark.parametrize(
    ("name", "aux", "side"),
    [("googlenet", False, 1), ("googlenet_paper", False, 31), ("googlenet_paper", True, 79)],
)
def test_smallest_input(name, aux, side):
    assert smallest_input(get_network(name, aux=aux)) == side


@given(networks())
@settings(max_examples=50)
def test_parameters_are_those_of_the_reference(network):
    held = reference.params_of(reference.build(network, init_params(network)))
    trainable = [path for path, each in param_specs(network).items() if each.trainable]
    assert sum(held[path].size for path in trainable) == count_parameters(network)


def test_receptive_field_is_the_reach_of_one_output():
    """Measured: the input pixels whose change moves the middle output of a stack of all-ones
    layers.
    """
    layers = blocks.sequential(
        conv=blocks.conv_layer(1, (7, 5), 2, (3, 2), bias=False),
        pool=blocks.avg_pool(3, 2, 1),
        mixed=blocks.concat(
            small=blocks.conv_layer(1, 1, bias=False),
            wide=blocks.conv_layer(1, (3, 5), 1, (1, 2), bias=False),
        ),
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
    """7×7 stride 2, then 3×3 stride 2: 7 + 2 · 2 = 11; a 3×3 convolution at step 4 adds 8, a 3×3
    pool another 8.
    """
    fields = receptive_fields(get_network())
    assert fields["b1"].size == (11, 11)
    assert fields["b1"].step == (4, 4)
    assert fields["b2"].size == (27, 27)


# Budgets ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", designators())
def test_a_budget_adds_up(name):
    network = get_network(name)
    costs = budget(network)
    assert (
        costs.convolution_parameters + costs.dense_parameters + costs.norm_parameters
        == costs.parameters
        == count_parameters(network)
    )
    assert costs.multiply_adds == count_multiply_adds(network)
    assert 0 < costs.largest_activation_bytes < costs.activation_bytes


def test_a_budget_by_hand():
    """8×6 pixels of 2 channels; bytes of each output in the comments."""
    aux = spec.Aux(
        blocks.sequential(pool=spec.GlobalAvgPool(), dense=spec.Dense(3, bias=False)), 0.3
    )
    layers = blocks.sequential(
        conv=blocks.conv(5, 3, 2, 1, norm=blocks.batch_norm()),  # (5, 4, 3): 240, three times
        aux1=aux,  # 20, 12
        mixed=blocks.concat(
            one=blocks.conv_layer(1, (1, 3), 1, (0, 1)), two=blocks.max_pool(3, 1, 1)
        ),  # 48, 240
        grouped=blocks.conv_layer(4, 1, groups=2),  # 192
        dense=spec.Dense(3, bias=True),  # 12
    )
    found = budget(Network("n", layers, (2, 8, 6), ""))
    assert found == Budget(
        convolution_parameters=5 * 2 * 9 + (5 * 3 + 1) + (4 * 3 + 4),
        dense_parameters=3 * 5 + (3 * 4 * 12 + 3),
        norm_parameters=2 * 5,
        multiply_adds=5 * 12 * 2 * 9 + 5 * 3 + 12 * 5 * 3 + 4 * 12 * 3 + 3 * 4 * 12,
        activation_bytes=3 * 240 + 20 + 12 + 48 + 240 + 192 + 12,
        largest_activation_bytes=240,
    )
    assert found.dense_share == found.dense_parameters / found.parameters


def test_a_network_without_parameters():
    costs = budget(Network("n", blocks.sequential(pool=spec.GlobalAvgPool()), (3, 4, 4), ""))
    assert costs == Budget(0, 0, 0, 0, 12, 12)
    assert costs.dense_share == 0


def test_where_the_books_networks_keep_their_parameters():
    """SEMANTICS 4: 92 % and 93 % in the dense layers."""
    assert [
        round(100 * budget(get_network(name)).dense_share) for name in ("alexnet", "vgg11", "nin")
    ] == [92, 93, 0]


# Minimum sizes ------------------------------------------------------------------------------------


def test_the_minimum_sizes_of_the_books_network():
    runs, wider, unpadded = minimum_sizes(get_network())
    assert (runs.side, runs.stage, runs.path, runs.because) == (1, None, None, None)
    assert (wider.side, wider.stage, wider.path) == (33, "b5", "b5.inception_5a.branch_1x1.conv")
    assert wider.because == "its input is 1×1"
    assert (unpadded.side, unpadded.stage, unpadded.path) == (
        129,
        "b5",
        "b5.inception_5a.branch_5x5.conv.conv",
    )
    assert unpadded.because == "its 5×5 kernel is larger than its 4×4 input"
    assert [size.rule for size in (runs, wider, unpadded)] == list(MINIMUM_RULES)


def test_a_side_beyond_the_limit_is_none():
    found = minimum_sizes(get_network(), limit=100)
    assert [size.side for size in found] == [1, 33, None]
    assert (found[2].stage, found[2].path, found[2].because) == (None, None, None)


def _holds(network, rule):
    """The rule looked up in the maps themselves."""
    try:
        sites = list(walk(network))
    except ShapeError:
        return False
    main = [site for site in sites if ".aux" not in f".{site.path}"]
    pool = next(
        i
        for i, site in enumerate(main)
        if isinstance(site.layer, (spec.GlobalAvgPool, spec.AdaptiveAvgPool, spec.Dense))
    )
    windowed = [
        site
        for site in main[:pool]
        if isinstance(site.layer, (spec.Conv, spec.MaxPool, spec.AvgPool))
    ]
    seeing = [site for site in windowed if not isinstance(site.layer, spec.AvgPool)] + [
        site
        for site in main[pool:][:1]
        if isinstance(site.layer, spec.Dense) and len(site.in_shape) == 3
    ]
    wide = all(site.in_shape[1] > 1 for site in seeing)
    fitting = all(
        size >= kernel
        for site in windowed
        for size, kernel in zip(site.in_shape[1:], site.layer.kernel_size, strict=True)
    )
    return {"runs": True, "wider_than_one_pixel": wide, "without_padding": wide and fitting}[rule]


@pytest.mark.parametrize("rule", MINIMUM_RULES)
@pytest.mark.parametrize(
    ("name", "aux"),
    [
        ("googlenet", False),
        ("googlenet_paper", True),
        ("torchvision:googlenet", False),
        ("mindcv:googlenet", False),
        ("paddle:googlenet", False),
        ("bn_inception", False),
        ("inception_v3", True),
        ("keras:inception_v3", False),
        ("inception_resnet_v1", False),
        ("alexnet", False),
        ("torchvision:alexnet", False),
        ("vgg11", False),
        ("nin", False),
    ],
)
def test_a_minimum_size_holds_and_one_pixel_less_does_not(name, aux, rule):
    network = get_network(name, aux=aux)
    (found,) = (size for size in minimum_sizes(network) if size.rule == rule)
    channels = network.input_shape[0]
    assert _holds(network.at((channels, found.side, found.side)), rule)
    if found.side == 1:
        assert found.path is None
        return
    assert not _holds(network.at((channels, found.side - 1, found.side - 1)), rule)
    assert found.stage == found.path.partition(".")[0]
    assert found.stage in dict(network.layers.children)
    if rule == "runs":
        assert found.side == smallest_input(network)
