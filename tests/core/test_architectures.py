"""The networks and their dialects: published counts, maps and sizes, exactly; and one definition
for all dialects of a network.
"""

import dataclasses
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet import (
    ShapeError,
    SpecError,
    UnknownNameError,
    count_parameters,
    get_network,
    nodes,
    param_specs,
    smallest_input,
)
from googlenet.architectures import DIALECTS, NETWORKS, designators
from googlenet.spec.analysis import budget
from googlenet.spec.layers import BatchNorm, Conv, Scale
from googlenet.spec.traversal import output_shapes, walk

# Trainable parameters at the network's own input and classes: measured in the libraries, or
# published.
PARAMETERS = {
    "googlenet": 5_977_530,
    "googlenet_bn": 5_984_810,
    "googlenet_paper": 6_998_552,
    "torchvision:googlenet": 6_624_904,
    "gluoncv:googlenet": 6_624_904,
    "mindcv:googlenet": 6_991_272,
    "paddle:googlenet": 6_991_272,
    "bn_inception": 11_285_224,
    "caffe:bn_inception": 11_295_240,
    "inception_v3": 23_834_568,
    "torchvision:inception_v3": 23_834_568,
    "timm:inception_v3": 23_834_568,
    "gluon:inception_v3": 23_834_568,
    "gluoncv:inception_v3": 23_834_568,
    "keras:inception_v3": 23_817_352,
    "mindcv:inception_v3": 23_834_568,
    "paddle:inception_v3": 23_834_568,
    "inception_v4": 42_679_816,
    "timm:inception_v4": 42_679_816,
    "mindcv:inception_v4": 42_679_816,
    "paddleclas:inception_v4": 42_679_816,
    "inception_resnet_v1": 22_756_328,
    "facenet:inception_resnet_v1": 23_995_624,
    "inception_resnet_v2": 55_843_464,
    "timm:inception_resnet_v2": 55_843_464,
    "keras:inception_resnet_v2": 55_813_192,
    "alexnet": 46_764_746,
    "torchvision:alexnet": 61_100_840,
    "paddle:alexnet": 61_100_840,
    "vgg11": 128_806_154,
    "torchvision:vgg11": 132_863_336,
    "vgg11_small": 43_093_322,
    "vgg16": 134_300_362,  # 138,357,544 less two channels of the first convolution and 990 classes
    "torchvision:vgg16": 138_357_544,
    "nin": 1_992_166,
    "d2l_tensorflow:googlenet": 5_977_530,
    "slim:googlenet": 6_617_624,
    "slim:inception_v3": 23_817_352,
    "slim:inception_v4": 42_648_232,
    "slim:inception_resnet_v2": 55_813_192,
    "pytorch_fid:inception_v3": 23_834_568,
}
WITH_HEADS = {
    "googlenet_paper": 13_378_280,
    "torchvision:googlenet": 13_004_888,
    "gluoncv:googlenet": 13_004_888,
    "mindcv:googlenet": 13_370_744,
    "paddle:googlenet": 11_535_736,
    "inception_v3": 27_161_264,
    "torchvision:inception_v3": 27_161_264,
    "mindcv:inception_v3": 27_161_264,
}
HAVING_HEADS = ("googlenet_paper", "inception_v3")


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_published_counts(name, parameters):
    assert count_parameters(get_network(name)) == parameters


@pytest.mark.parametrize(("name", "parameters"), WITH_HEADS.items())
def test_published_counts_with_auxiliary_heads(name, parameters):
    assert count_parameters(get_network(name, aux=True)) == parameters


def test_no_designator_is_without_a_count():
    assert {get_network(name).name for name in PARAMETERS} == {
        get_network(name).name for name in designators()
    }


@pytest.mark.parametrize(
    ("name", "dense"),
    [
        ("alexnet", 43_040_778),
        ("vgg11", 119_586_826),
        ("nin", 0),
        ("googlenet", 10_250),
        ("inception_v3", 2_049_000),
    ],
)
def test_parameters_of_the_dense_layers(name, dense):
    assert budget(get_network(name)).dense_parameters == dense


@pytest.mark.parametrize(
    ("name", "aux", "values"),
    [
        ("googlenet_bn", False, 14_560),
        ("torchvision:googlenet", True, 15_072),
        ("torchvision:googlenet", False, 14_560),
        ("gluoncv:googlenet", False, 14_560),
        ("gluoncv:googlenet", True, 15_072),
        ("mindcv:googlenet", True, 0),
        ("paddle:googlenet", True, 0),
        ("torchvision:inception_v3", True, 36_224),
        ("torchvision:inception_v3", False, 34_432),
        ("keras:inception_v3", False, 34_432),
        ("mindcv:inception_v3", True, 36_224),
        ("timm:inception_v4", False, 63_168),
        ("timm:inception_resnet_v2", False, 60_544),
        ("keras:inception_resnet_v2", False, 60_544),
        ("alexnet", False, 0),
        ("vgg16", False, 0),
    ],
)
def test_running_statistics(name, aux, values):
    assert (
        sum(
            math.prod(each.shape)
            for each in param_specs(get_network(name, aux=aux)).values()
            if not each.trainable
        )
        == values
    )


@pytest.mark.parametrize(
    ("name", "missing"), [("inception_v3", 17_216), ("inception_resnet_v2", 30_272)]
)
def test_keras_has_no_gamma(name, missing):
    gammas = [
        each.shape[0]
        for each in param_specs(get_network(name)).values()
        if each.name == "weight" and isinstance(each.site.layer, BatchNorm)
    ]
    assert sum(gammas) == missing
    assert (
        count_parameters(get_network(name)) - count_parameters(get_network(name, dialect="keras"))
        == missing
    )


# Maps ---------------------------------------------------------------------------------------------

MAPS = {
    # arXiv:1512.00567, table 1
    "inception_v3": {
        "stem.conv_1a": (32, 149, 149),
        "stem.conv_2a": (32, 147, 147),
        "stem.conv_2b": (64, 147, 147),
        "stem.pool_3a": (64, 73, 73),
        "stem.conv_3b": (80, 73, 73),
        "stem.conv_4a": (192, 71, 71),
        "stem": (192, 35, 35),
        "mixed_5.mixed_5b": (256, 35, 35),
        "mixed_5": (288, 35, 35),
        "mixed_6.mixed_6a": (768, 17, 17),
        "mixed_6": (768, 17, 17),
        "mixed_7.mixed_7a": (1280, 8, 8),
        "mixed_7.mixed_7c": (2048, 8, 8),
        "mixed_7": (2048,),
        "head": (1000,),
    },
    # arXiv:1602.07261, figure 9
    "inception_v4": {
        "stem.mixed_3a": (160, 73, 73),
        "stem.mixed_4a": (192, 71, 71),
        "stem": (384, 35, 35),
        "inception_a": (384, 35, 35),
        "reduction_a": (1024, 17, 17),
        "inception_b": (1024, 17, 17),
        "reduction_b": (1536, 8, 8),
        "inception_c.block_3": (1536, 8, 8),
        "inception_c": (1536,),
        "head": (1000,),
    },
    # Figures 14 and 15
    "inception_resnet_v1": {
        "stem": (256, 35, 35),
        "resnet_a": (256, 35, 35),
        "reduction_a": (896, 17, 17),
        "resnet_b": (896, 17, 17),
        "reduction_b": (1792, 8, 8),
        "resnet_c.block_5": (1792, 8, 8),
        "resnet_c": (1792,),
    },
    "facenet:inception_resnet_v1": {
        "resnet_c.linear": (1792, 8, 8),
        "resnet_c": (1792, 1, 1),
        "head.embedding": (512, 1, 1),
    },
    "inception_resnet_v2": {
        "stem": (192, 35, 35),
        "mixed_5b": (320, 35, 35),
        "resnet_a": (320, 35, 35),
        "reduction_a": (1088, 17, 17),
        "resnet_b": (1088, 17, 17),
        "reduction_b": (2080, 8, 8),
        "resnet_c.linear": (2080, 8, 8),
        "resnet_c.conv_7b": (1536, 8, 8),
        "resnet_c": (1536,),
    },
    # arXiv:1502.03167, figure 5; where it prints 576 after 4c and 1024 after 4e, its own columns
    # add up to 608 and 1056
    "bn_inception": {
        "b1": (64, 56, 56),
        "b2": (192, 28, 28),
        "b3.inception_3a": (256, 28, 28),
        "b3.inception_3b": (320, 28, 28),
        "b3.inception_3c": (576, 14, 14),
        "b4.inception_4a": (576, 14, 14),
        "b4.inception_4b": (576, 14, 14),
        "b4.inception_4c": (608, 14, 14),
        "b4.inception_4d": (608, 14, 14),
        "b4.inception_4e": (1056, 7, 7),
        "b5.inception_5a": (1024, 7, 7),
        "b5.inception_5b": (1024, 7, 7),
    },
    "torchvision:googlenet": {
        "b1": (64, 56, 56),
        "b2": (192, 28, 28),
        "b3": (480, 14, 14),
        "b4": (832, 7, 7),
    },
    "mindcv:googlenet": {
        "b1": (64, 56, 56),
        "b2": (192, 28, 28),
        "b3": (480, 14, 14),
        "b4": (832, 7, 7),
    },
    "paddle:googlenet": {
        "b1": (64, 55, 55),
        "b2": (192, 27, 27),
        "b3": (480, 13, 13),
        "b4": (832, 6, 6),
    },
    # Dive into Deep Learning, sections 8.1 to 8.3
    "alexnet": {
        "b1.conv": (96, 54, 54),
        "b1": (96, 26, 26),
        "b2": (256, 12, 12),
        "b3": (256, 5, 5),
        "head.fc6": (4096,),
    },
    "torchvision:alexnet": {
        "b1.conv": (64, 55, 55),
        "b1": (64, 27, 27),
        "b2": (192, 13, 13),
        "b3": (256, 6, 6),
    },
    "vgg11": {
        "b1": (64, 112, 112),
        "b2": (128, 56, 56),
        "b3": (256, 28, 28),
        "b4": (512, 14, 14),
        "b5": (512, 7, 7),
    },
    "vgg11_small": {"b1": (16, 112, 112), "b5": (128, 7, 7)},
    "nin": {
        "b1": (96, 26, 26),
        "b2": (256, 12, 12),
        "b3": (384, 5, 5),
        "b4.second_1x1": (10, 5, 5),
        "b4": (10,),
    },
}


@pytest.mark.parametrize(("name", "maps"), MAPS.items())
def test_maps_at_the_published_size(name, maps):
    shapes = {site.path: site.out_shape for site in nodes(get_network(name))}
    assert {path: shapes[path] for path in maps} == maps


@pytest.mark.parametrize("name", ["inception_v4", "inception_resnet_v1", "inception_resnet_v2"])
def test_how_often_the_blocks_repeat(name):
    counts = {
        "inception_v4": {"inception_a": 4, "inception_b": 7, "inception_c": 3},
        "inception_resnet_v1": {"resnet_a": 5, "resnet_b": 10, "resnet_c": 5},
        "inception_resnet_v2": {"resnet_a": 10, "resnet_b": 20, "resnet_c": 9},
    }
    stages = dict(get_network(name).layers.children)
    found = {
        stage: sum(child.startswith("block_") for child, _ in stages[stage].children)
        for stage in counts[name]
    }
    assert found == counts[name]


def test_the_linear_block_has_neither_scale_nor_relu():
    residuals = {
        site.path: site.layer
        for site in nodes(get_network("inception_resnet_v2"))
        if site.path.endswith(".add")
    }
    assert {
        path.partition(".")[0]: layer.scale for path, layer in residuals.items() if "block_" in path
    } == {
        "resnet_a": 0.17,
        "resnet_b": 0.10,
        "resnet_c": 0.20,
    }
    assert residuals["resnet_c.linear.add"].scale == 1.0
    paths = {site.path for site in walk(get_network("inception_resnet_v2"))}
    assert "resnet_c.block_9.relu" in paths
    assert "resnet_c.linear.relu" not in paths


# Sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "aux", "side"),
    [
        ("torchvision:googlenet", False, 15),
        ("torchvision:googlenet", True, 15),
        ("mindcv:googlenet", False, 1),
        ("gluoncv:googlenet", False, 223),
        ("torchvision:inception_v3", False, 75),
        ("torchvision:inception_v3", True, 299),
        ("timm:inception_v3", False, 75),
        ("keras:inception_v3", False, 75),
        ("mindcv:inception_v3", False, 75),
        ("gluon:inception_v3", False, 299),
        ("timm:inception_v4", False, 75),
        ("mindcv:inception_v4", False, 75),
        ("timm:inception_resnet_v2", False, 75),
        ("keras:inception_resnet_v2", False, 75),
        ("googlenet", False, 1),
        ("nin", False, 67),
    ],
)
def test_the_smallest_side_that_runs_in_the_libraries(name, aux, side):
    assert smallest_input(get_network(name, aux=aux)) == side


@pytest.mark.parametrize(
    ("name", "aux", "sides"),
    [
        ("alexnet", False, (193, 224)),
        ("vgg11", False, (224, 255)),
        ("paddle:googlenet", True, (189, 236)),
        ("paddle:alexnet", False, (223, 254)),
    ],
)
def test_the_sides_that_published_weights_fit(name, aux, sides):
    """Dense layers on a map follow its size; the libraries', of a fixed size, run on these sides
    alone.
    """
    network = get_network(name, aux=aux)
    count = count_parameters(network)
    channels = network.input_shape[0]
    fitting = [
        side
        for side in range(sides[0] - 2, sides[1] + 3)
        if count_parameters(network.at((channels, side, side))) == count
    ]
    assert fitting == list(range(sides[0], sides[1] + 1))


def test_adaptive_pools_fit_published_weights_on_every_side():
    for name in ("torchvision:alexnet", "torchvision:vgg16"):
        network = get_network(name)
        assert count_parameters(network.at((3, 97, 300))) == PARAMETERS[name]


def test_an_image_that_is_too_small_is_answered_with_the_smallest():
    with pytest.raises(
        ShapeError,
        match=(
            r"network 'keras:inception_v3' at \(3, 74, 74\): .*; the smallest square image"
            r" that fits is 75×75"
        ),
    ):
        get_network("keras:inception_v3", input_shape=(3, 74, 74))


# Dialects -----------------------------------------------------------------------------------------

#: The leaves that a dialect may have more or fewer of than the network itself.
MAY_COME_AND_GO = {
    "googlenet": r"",
    "googlenet_paper": (
        r".*\.norm|.*\.relu|(head|b4\.aux\d)\.(dropout|scale)|b5\.pool(\.window|\.mean)?"
    ),
    "bn_inception": r"",
    "inception_v3": r"head\.(dropout|scale)|mixed_7\.pool(\.window|\.mean)?",
    "inception_v4": r"head\.(dropout|scale)",
    "inception_resnet_v1": r"resnet_c\.linear\..*|head\.embedding\..*|head\.flat",
    "inception_resnet_v2": r"head\.dropout",
    "alexnet": r"b3\.average|head\.fc[67]\.scale",
    "vgg11": r"b5\.average",
    "vgg16": r"b5\.average",
}
#: What may differ in a leaf that both have, as "kind.field", or "kind" for a leaf that is of
#: another kind altogether.
MAY_DIFFER = {
    "googlenet": {"Conv.padding", "MaxPool.padding"},
    "googlenet_paper": {
        "Conv.bias",
        "Conv.kernel_size",
        "Conv.padding",
        "MaxPool.kernel_size",
        "MaxPool.padding",
        "MaxPool.ceil_mode",
        "Dropout.rate",
        "AvgPool",
    },
    "bn_inception": {"Conv.bias"},
    "inception_v3": {
        "BatchNorm.eps",
        "BatchNorm.momentum",
        "BatchNorm.scale",
        "AvgPool.count_include_pad",
        "AvgPool",
        "Dropout.rate",
    },
    "inception_v4": {
        "BatchNorm.eps",
        "BatchNorm.momentum",
        "BatchNorm.scale",
        "Conv.out_channels",  # of 1×7 and 7×1, which the figures order otherwise
    },
    "inception_resnet_v1": {"GlobalAvgPool"},
    "inception_resnet_v2": {"BatchNorm.momentum", "BatchNorm.scale"},
    "alexnet": {"Conv.out_channels", "Conv.padding"},
    "vgg11": set(),
    "vgg16": set(),
}


def _leaves(name, dialect=None):
    default = get_network(name)
    network = get_network(
        name,
        num_classes=1000,
        input_shape=(3, *default.input_shape[1:]),
        aux=name in HAVING_HEADS,
        dialect=dialect,
    )
    return {site.path: site.layer for site in walk(network)}


@pytest.mark.parametrize(
    ("name", "dialect"),
    [(name, dialect) for name, dialects in DIALECTS.items() for dialect in dialects],
)
def test_dialects_share_one_definition(name, dialect):
    ours, theirs = _leaves(name), _leaves(name, dialect)
    changed = ours.keys() ^ theirs.keys()
    assert [path for path in changed if not re.fullmatch(MAY_COME_AND_GO[name], path)] == []
    differing = set()
    for path in ours.keys() & theirs.keys():
        before, after = ours[path], theirs[path]
        if type(before) is not type(after):
            differing.add(type(before).__name__)
        else:
            differing |= {
                f"{type(before).__name__}.{field.name}"
                for field in dataclasses.fields(before)
                if getattr(before, field.name) != getattr(after, field.name)
            }
    assert differing <= MAY_DIFFER[name]
    assert changed or differing


def test_only_the_third_branch_has_another_kernel():
    ours, theirs = _leaves("googlenet_paper"), _leaves("googlenet_paper", "torchvision")
    changed = [
        path
        for path, leaf in ours.items()
        if isinstance(leaf, Conv) and theirs[path].kernel_size != leaf.kernel_size
    ]
    assert len(changed) == 9
    assert all(
        path.endswith(".branch_5x5.conv.conv") and theirs[path].kernel_size == (3, 3)
        for path in changed
    )


def test_a_dropout_that_scales_in_evaluation():
    """PaddlePaddle's `downscale_in_infer`: × 0.6 in the head, × 0.3 in the heads of the sides, ×
    0.8 in Inception-v3, × 0.5 twice.
    """
    for name, aux, factors in (
        ("paddle:googlenet", True, [0.3, 0.3, 0.6]),
        ("paddle:inception_v3", False, [0.8]),
        ("paddle:alexnet", False, [0.5, 0.5]),
    ):
        scales = [
            site.layer for site in walk(get_network(name, aux=aux)) if isinstance(site.layer, Scale)
        ]
        assert [round(scale.factor, 12) for scale in scales] == factors
        assert {scale.when for scale in scales} == {"always"}


@pytest.mark.parametrize("name", designators())
def test_every_designator_builds_and_its_name_rebuilds_the_same(name):
    network = get_network(name)
    assert network.name == name
    assert get_network(network.name, num_classes=7) == get_network(name, num_classes=7)
    assert get_network(network.name) == network
    dialect, colon, plain = name.rpartition(":")
    assert get_network(plain, dialect=dialect if colon else None) == network
    assert output_shapes(network) == {"logits": (1000 if network.input_shape[0] == 3 else 10,)}
    assert (f"; as {dialect} has it" in network.source) == bool(colon)


def test_designators_are_the_networks_and_their_dialects():
    names = designators()
    assert len(names) == len(set(names)) == len(NETWORKS) + sum(map(len, DIALECTS.values()))
    assert [name for name in names if ":" not in name] == list(NETWORKS)


def test_googlenet_of_a_library_is_the_papers():
    for dialect in DIALECTS["googlenet_paper"]:
        named = get_network(f"{dialect}:googlenet")
        assert named.name == f"{dialect}:googlenet_paper"
        assert (
            named
            == get_network(f"{dialect}:googlenet_paper")
            == get_network("googlenet", dialect=dialect)
        )
    assert get_network("googlenet").name == "googlenet"


def test_one_dialect_given_twice_is_that_dialect():
    assert get_network("keras:inception_v3", dialect="keras") == get_network("keras:inception_v3")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "inception_v5"},
            (
                r"network: expected one of googlenet, .*, nin, got 'inception_v5'; did you mean"
                r" 'inception_v\d'\?"
            ),
        ),
        ({"name": "keras:inception_v5"}, r"network: expected one of .*, got 'inception_v5'"),
        (
            {"name": "inception_v3", "dialect": "tmm"},
            (
                r"dialect: expected one of torchvision, .* for network 'inception_v3', got 'tmm';"
                r" did you mean 'timm'\?"
            ),
        ),
        (
            {"name": "torch:inception_v3"},
            r"dialect: expected one of .* for network 'inception_v3', got 'torch'",
        ),
        (
            {"name": "keras:googlenet"},
            (
                r"dialect: expected one of torchvision, gluoncv, slim, mindcv, paddle for network"
                r" 'googlenet_paper', got 'keras'"
            ),
        ),
        (
            {"name": "torchvision:nin"},
            (
                r"dialect: network 'nin' has no dialect 'torchvision'; use one of googlenet_paper,"
                r" inception_v3, alexnet"
            ),
        ),
        (
            {"name": "nin", "dialect": "nowhere"},
            r"dialect: network 'nin' has no dialect 'nowhere'; leave it out",
        ),
        (
            {"name": "keras:inception_v3", "dialect": "timm"},
            (
                r"dialect: 'keras:inception_v3' already names a dialect, got 'timm' too; give only"
                r" one of them"
            ),
        ),
        (
            {"name": "googlenet", "aux": True},
            (
                r"aux: network 'googlenet' has no auxiliary heads; leave this out, or use one of"
                r" googlenet_paper, inception_v3$"
            ),
        ),
        (
            {"name": "timm:inception_v4", "aux": True},
            r"aux: network 'inception_v4' has no auxiliary heads; leave this out, or use one of",
        ),
    ],
)
def test_names_that_do_not_exist(arguments, message):
    with pytest.raises(UnknownNameError, match=message):
        get_network(**arguments)


def test_numbers_that_cannot_be():
    for name in designators():
        with pytest.raises(SpecError, match=r"Network\.input_shape"):
            get_network(name, input_shape=(0, 299, 299))
    for wrong in (0, -1, 2.5, True, "10"):
        with pytest.raises(
            SpecError, match=f"`num_classes`: expected an integer of at least 1, got {wrong!r}"
        ):
            get_network("nin", num_classes=wrong)
    assert get_network("nin", num_classes=np.int64(3)) == get_network("nin", num_classes=3)


@given(st.sampled_from(designators()), st.integers(1, 5000), st.integers(1, 9), st.booleans())
@settings(max_examples=60)
def test_any_number_of_classes_and_channels(name, num_classes, channels, aux):
    default = get_network(name)
    aux = aux and name.rpartition(":")[2] in HAVING_HEADS
    network = get_network(
        name, num_classes=num_classes, input_shape=(channels, *default.input_shape[1:]), aux=aux
    )
    assert output_shapes(network) == dict.fromkeys(network.outputs, (num_classes,))
    assert next(site.in_shape for site in walk(network)) == (channels, *default.input_shape[1:])
    assert len(network.outputs) == 1 + aux * {"googlenet_paper": 2, "inception_v3": 1}.get(
        name.rpartition(":")[2], 0
    )


def test_paddleclas_inception_v4_is_as_the_figures_draw_it():
    """Figures 3, 5 and 6: kernels and channels in order, and in each block average pools first."""
    network = get_network("paddleclas:inception_v4")
    drawn = {
        "stem.mixed_4a.branch_7x7.": [((1, 1), 64), ((7, 1), 64), ((1, 7), 64), ((3, 3), 96)],
        "inception_b.block_1.branch_double_7x7.": [
            ((1, 1), 192),
            ((1, 7), 192),
            ((7, 1), 224),
            ((1, 7), 224),
            ((7, 1), 256),
        ],
        "inception_c.block_1.branch_double_3x3.": [
            ((1, 1), 384),
            ((1, 3), 448),
            ((3, 1), 512),
            ((1, 3), 256),
            ((3, 1), 256),
        ],
    }
    convs = [site for site in walk(network) if isinstance(site.layer, Conv)]
    for place, expected in drawn.items():
        found = [each.layer for each in convs if each.path.startswith(place)]
        assert [(each.kernel_size, each.out_channels) for each in found] == expected, place
    paths = [site.path for site in walk(network)]
    for block in ("inception_a.block_1", "reduction_a", "inception_b.block_1", "reduction_b"):
        first = next(path for path in paths if path.startswith(f"{block}."))
        assert first.startswith(f"{block}.branch_pool."), first
