"""The small networks of the suite, and weights and images for them: no two axes alike, no weight
left at 0.
"""

from __future__ import annotations

from ...architectures import get_network
from ...architectures.alexnet import alexnet
from ...architectures.inception_resnet import inception_resnet_v1, inception_resnet_v2
from ...architectures.inception_v4 import inception_v4
from ...architectures.vgg import vgg11, vgg11_small, vgg16
from ...spec.blocks import (
    avg_pool,
    batch_norm,
    concat,
    conv,
    conv_layer,
    inception,
    local_response_norm,
    max_pool,
    residual,
    sequential,
)
from ...spec.layers import (
    SAME,
    AdaptiveAvgPool,
    Aux,
    BatchNorm,
    Dense,
    Dropout,
    GlobalAvgPool,
    Layer,
    Network,
    ReLU,
    Scale,
    Shape,
)
from ...spec.recipe import Recipe
from ...spec.traversal import walk
from ...weights.samples import BATCH, CLASSES

NORM_BATCH = 5
INPUT_SHAPE = (7, 11, 13)

LEAVES: dict[str, Layer] = {
    "conv": conv_layer(6, (3, 2), (2, 1), (1, 0)),
    "conv_grouped": conv_layer(4, 3, 1, 1, groups=2),
    "conv_without_bias": conv_layer(9, (1, 3), 1, (0, 1), bias=False),
    "conv_asymmetric": conv_layer(6, 3, 2, ((0, 1), (2, 0))),
    "conv_same_stride_2": conv_layer(6, 4, 2, SAME),
    "batch_norm": batch_norm(1e-3, 0.3),
    "batch_norm_without_scale": batch_norm(1e-5, 0.01, scale=False),
    "local_response_norm": local_response_norm(5, 1e-1, 0.75, 1.0),
    "local_response_norm_wide": local_response_norm(11, 0.3, 0.6, 2.0),
    "max_pool": max_pool(3, 2, 1),
    "max_pool_ceil": max_pool((2, 3), (3, 2), ceil_mode=True),
    "max_pool_same_stride_2": max_pool(3, 2, SAME),
    "max_pool_asymmetric": max_pool(3, 2, ((0, 1), (1, 0))),
    "max_pool_stride_1": max_pool(3, 1, 1),
    "avg_pool": avg_pool(3, 2, 1),
    "avg_pool_without_padding": avg_pool(3, 1, 1, count_include_pad=False),
    "avg_pool_ceil": avg_pool((3, 2), (2, 3), (1, 0), ceil_mode=True),
    "avg_pool_same_stride_2": avg_pool(3, 2, SAME, count_include_pad=False),
    "avg_pool_asymmetric": avg_pool(3, 2, ((1, 0), (0, 1))),
    "avg_pool_asymmetric_without_padding": avg_pool(
        3, 2, ((1, 0), (0, 1)), count_include_pad=False
    ),
    "avg_pool_asymmetric_ceil": avg_pool(3, 2, ((1, 0), (0, 1)), ceil_mode=True),
    "adaptive_avg_pool": AdaptiveAvgPool((4, 3)),
    "relu": ReLU(),
    "scale": Scale(0.7, "always"),
    "scale_in_training": Scale(0.7, "train"),
    "scale_in_evaluation": Scale(0.7, "eval"),
    "dropout": Dropout(0.6),
}

#: Pools that round up to their only window, which is higher than the map in `sandwich` with its
#: padding: some frameworks refuse such a kernel.
LARGE_POOLS: dict[str, Layer] = {
    "max_pool_larger_than_its_input": max_pool((14, 3), (4, 2), (1, 0), ceil_mode=True),
    "avg_pool_larger_than_its_input": avg_pool((12, 3), 2, ceil_mode=True),
    "avg_pool_asymmetric_larger_than_its_input": avg_pool(
        (13, 5), 4, ((0, 1), (2, 2)), ceil_mode=True, count_include_pad=False
    ),
}


def sandwich(name: str, layer: Layer, input_shape: Shape = INPUT_SHAPE) -> Network:
    """`layer` between a convolution, whose gradient must pass through it, and a dense layer on the
    map.
    """
    layers = sequential(before=conv_layer(8, 1), layer=layer, after=Dense(CLASSES, bias=True))
    return Network(name, layers, input_shape, "googlenet.proof.conformance")


def lone(name: str, layer: Layer, input_shape: Shape) -> Network:
    """Nothing but `layer`."""
    return Network(name, sequential(layer=layer), input_shape, "googlenet.proof.conformance")


def composites() -> dict[str, Network]:
    """One network for each composite and for what can go wrong where they meet."""
    norm = batch_norm(1e-3, 0.2)
    block = inception(5, 3, 6, 2, 4, 3)
    aux = Aux(
        sequential(pool=avg_pool(5, 3), conv=conv(4, 1), dense=Dense(CLASSES, bias=True)), 0.3
    )
    other = Aux(
        sequential(conv=conv(3, 1), pool=GlobalAvgPool(), dense=Dense(CLASSES, bias=False)), 0.2
    )
    end: dict[str, Layer] = {"pool": GlobalAvgPool(), "dense": Dense(CLASSES, bias=True)}
    shapes = {
        "inception": sequential(block=block, **end),
        "nested": sequential(
            block=concat(
                left=concat(inner=conv(2, 1), other=conv(3, 3, 1, 1)), right=max_pool(3, 1, 1)
            ),
            **end,
        ),
        "residual": sequential(
            block=residual(conv_layer(7, 3, 1, 1), scale=0.17), relu=ReLU(), **end
        ),
        "residual_projected": sequential(
            block=residual(conv(6, 3, 2, 1), conv_layer(6, 1, 2), scale=0.5), **end
        ),
        "auxiliary": sequential(
            trunk=sequential(
                first=conv(6, 3, 1, 1),
                aux1=aux,
                second=conv(8, 1),
                aux2=other,
                third=conv(5, 3, 2, 1),
            ),
            **end,
        ),
        "dense_on_vector": sequential(
            pool=GlobalAvgPool(),
            hidden=Dense(9, bias=True),
            relu=ReLU(),
            dense=Dense(CLASSES, bias=True),
        ),
        "local_response_norm_pool": sequential(
            conv=conv(8, 3, 1, 1),
            norm=local_response_norm(),
            pool=max_pool(3, 2, ceil_mode=True),
            dense=Dense(CLASSES, bias=True),
        ),
        "norm_residual": sequential(
            stem=conv(6, 3, 2, 1, norm=norm),
            block=residual(conv(6, 3, 1, 1, norm=norm), scale=0.3),
            relu=ReLU(),
            **end,
        ),
    }
    return {
        name: Network(name, layers, INPUT_SHAPE, "googlenet.proof.conformance")
        for name, layers in shapes.items()
    }


def architectures() -> dict[str, Network]:
    """The published networks, made small: fewer channels and classes, other sizes, narrow dense
    layers, and each kind of block once or twice.

    Where batch norm's last map would be a single pixel, float32 itself strays too far to prove
    much: sizes and batches avoid that.
    """
    return {
        "googlenet": get_network("googlenet", num_classes=7, input_shape=(2, 40, 33)),
        "googlenet_bn": get_network("googlenet_bn", num_classes=7, input_shape=(2, 65, 40)),
        "googlenet_paper": get_network(
            "googlenet_paper", num_classes=11, input_shape=(3, 79, 95), aux=True
        ),
        "torchvision-googlenet": get_network(
            "torchvision:googlenet_paper", num_classes=7, input_shape=(3, 65, 79), aux=True
        ),
        "mindcv-googlenet": get_network(
            "mindcv:googlenet_paper", num_classes=7, input_shape=(3, 98, 112), aux=True
        ),
        "paddle-googlenet": get_network(
            "paddle:googlenet_paper", num_classes=7, input_shape=(3, 111, 95), aux=True
        ),
        "bn_inception": get_network("bn_inception", num_classes=7, input_shape=(3, 64, 96)),
        "inception_v3": get_network("inception_v3", num_classes=7, input_shape=(3, 107, 91)),
        "inception_v4": inception_v4(num_classes=7, input_shape=(3, 107, 91), blocks=(1, 1, 1)),
        "inception_resnet_v1": inception_resnet_v1(
            num_classes=7, input_shape=(3, 107, 91), blocks=(1, 1, 1)
        ),
        "inception_resnet_v2": inception_resnet_v2(
            num_classes=7, input_shape=(3, 107, 91), blocks=(1, 1, 1)
        ),
        "alexnet": alexnet(num_classes=7, input_shape=(1, 67, 83), hidden_features=12),
        # At 33×67 the last map is one row high, and on one CPU TensorFlow's gradients in the head
        # stray twice as far as is allowed.
        "vgg11": vgg11(num_classes=7, input_shape=(1, 65, 67), hidden_features=12),
        "vgg11_small": vgg11_small(num_classes=7, input_shape=(1, 33, 67), hidden_features=12),
        "vgg16": vgg16(num_classes=7, input_shape=(1, 33, 67), hidden_features=12),
        "nin": get_network("nin", num_classes=7, input_shape=(1, 71, 93)),
    }


def forward_architectures() -> dict[str, Network]:
    """Networks that differ from `architectures` in a layer or two: compared only in evaluation
    mode.
    """
    return {
        "inception_v3-aux": get_network(
            "inception_v3", num_classes=7, input_shape=(3, 303, 299), aux=True
        ),
        "keras-inception_v3": get_network(
            "keras:inception_v3", num_classes=7, input_shape=(3, 75, 91)
        ),
        "paddle-inception_v3": get_network(
            "paddle:inception_v3", num_classes=7, input_shape=(3, 75, 91)
        ),
        "gluon-inception_v3": get_network(
            "gluon:inception_v3", num_classes=7, input_shape=(3, 303, 315)
        ),
        "caffe-bn_inception": get_network(
            "caffe:bn_inception", num_classes=7, input_shape=(3, 64, 96)
        ),
        "facenet-inception_resnet_v1": inception_resnet_v1(
            num_classes=7, input_shape=(3, 75, 91), blocks=(1, 1, 1), dialect="facenet"
        ),
        "torchvision-alexnet": alexnet(
            num_classes=7, input_shape=(3, 93, 67), hidden_features=12, dialect="torchvision"
        ),
        "paddle-alexnet": alexnet(
            num_classes=7, input_shape=(3, 93, 67), hidden_features=12, dialect="paddle"
        ),
        "torchvision-vgg11": vgg11(
            num_classes=7, input_shape=(3, 33, 67), hidden_features=12, dialect="torchvision"
        ),
    }


def batch_of(network: Network) -> int:
    """How many images a comparison takes: more for batch norm, which is better conditioned with
    more of them.
    """
    return NORM_BATCH if any(isinstance(site.layer, BatchNorm) for site in walk(network)) else BATCH


def norm_networks() -> dict[str, Network]:
    """Networks whose running statistics are followed over several steps."""
    norm = batch_norm(1e-3, 0.2)
    plain = sequential(
        conv=conv_layer(6, 3, 2, 1, bias=False),
        norm=batch_norm(1e-3, 0.3),
        other=batch_norm(1e-2, 0.05, scale=False),
    )
    mixed = sequential(
        stem=conv(6, 3, 2, 1, norm=norm),
        block=inception(5, 3, 6, 2, 4, 3, norm=norm),
        add=residual(conv(18, 3, 1, 1, norm=norm), scale=0.3),
        pool=GlobalAvgPool(),
        dense=Dense(CLASSES, bias=True),
    )
    shapes = {"plain": (plain, (3, 8, 9)), "mixed": (mixed, INPUT_SHAPE)}
    return {
        name: Network(f"batch-norm-{name}", layers, shape, "googlenet.proof.conformance")
        for name, (layers, shape) in shapes.items()
    }


def one_value_network() -> Network:
    """Batch norm on a map, and at `branches.deep.norm` on a 1×1 map: there a batch of one image has
    one value a channel, and cannot train.
    """
    norm = batch_norm(1e-3, 0.2)
    deep = conv(5, 3, 2, 1, norm=norm)
    layers = sequential(
        wide=conv(4, 3, 2, 1, norm=norm),
        branches=concat(pool=max_pool(3, 2, 1), deep=deep),
        dense=Dense(CLASSES, bias=True),
    )
    return Network("one-value", layers, (3, 3, 4), "googlenet.proof.conformance")


def trained_networks() -> dict[str, tuple[Network, Recipe]]:
    """Networks whose training is followed for some steps, and how: each schedule, and each setting
    of the recipe.
    """
    falling = Recipe(
        learning_rate=0.02,
        momentum=0.9,
        weight_decay=0.05,
        label_smoothing=0.1,
        aux_weights=(0.5, 0.2),
        epochs=1,
        schedule="cosine",
    )
    stepwise = Recipe(
        learning_rate=0.02,
        momentum=0.5,
        weight_decay=0.01,
        schedule="step",
        decay_epochs=1,
        decay_factor=0.1,
        epochs=3,
    )
    return {
        "plain": (composites()["inception"], Recipe(learning_rate=0.05, weight_decay=0.01)),
        "all-kinds-of-layers": (probe(), falling),
        "batch-norm": (norm_networks()["mixed"], stepwise),
        "batch-norm-unscaled": (
            Network(
                "unscaled",
                sequential(norm=batch_norm(1e-2, 0.05, scale=False), **_end()),
                INPUT_SHAPE,
                "googlenet.proof.conformance",
            ),
            stepwise,
        ),
    }


def _end() -> dict[str, Layer]:
    return {"conv": conv(5, 3, 1, 1), "pool": GlobalAvgPool(), "dense": Dense(CLASSES, bias=True)}


def probe() -> Network:
    """One small network with everything that a mutant can spoil."""
    block = inception(6, 4, 8, 3, 5, 4)
    aux = {
        name: Aux(
            sequential(pool=avg_pool(3, 2), conv=conv(4, 1), dense=Dense(CLASSES, bias=True)),
            weight,
        )
        for name, weight in (("aux1", 0.3), ("aux2", 0.2))
    }
    layers = sequential(
        stem=conv(8, 7, stride=2, padding=3),
        pool=max_pool(2, 2, ceil_mode=True),
        lrn=local_response_norm(5, 1e-2, 0.75, 1.0),
        reduce=conv(6, 1),
        normed=conv(10, 3, 1, 1, norm=batch_norm(1e-3, 0.1)),
        mixed=block,
        aux1=aux["aux1"],
        average=avg_pool(3, 2, 1),
        linear=residual(conv_layer(23, 3, 1, 1), scale=0.2),
        aux2=aux["aux2"],
        dropout=Dropout(0.4),
        hidden=Dense(12, bias=True),
        relu=ReLU(),
        dense=Dense(CLASSES, bias=True),
    )
    return Network("probe", layers, (2, 46, 38), "googlenet.proof.conformance")
