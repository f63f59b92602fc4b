"""ONNX models of the networks here: which network a graph is, and its weights, by what it computes.

Small networks with every kind of layer stand for the large ones: `get_network` gives them instead.
"""

import numpy as np
import pytest

from googlenet import Network, WeightsError, get_backend, init_params, spec
from googlenet.spec import blocks
from googlenet.spec.params import param_specs
from googlenet.weights.formats import read_weights_file
from googlenet.weights.zoo import graphs, reopen_weights
from googlenet.weights.zoo.following import Follower
from googlenet.weights.zoo.found_layers import Differs

from .graphs import Writer
from .writers import field, onnx_model, onnx_tensor, refusal, varint

NORM = blocks.batch_norm(1e-3, 0.1)


def small(*, classes=7, norm=NORM, pad=True, factor=0.25, lrn=1e-4, head_relu=True, size=(13, 11)):
    unit = {"norm": norm, "bias": False}
    split = blocks.concat(
        row=blocks.conv(3, (1, 3), padding=(0, 1), **unit),
        column=blocks.conv(2, (3, 1), padding=(1, 0), **unit),
    )
    block = blocks.concat(
        first=blocks.conv(4, 1, **unit),
        second=blocks.sequential(reduce=blocks.conv(3, 1, **unit), split=split),
        pool=blocks.sequential(
            pool=blocks.avg_pool(3, stride=1, padding=1, count_include_pad=pad),
            project=blocks.conv(2, 1, **unit),
        ),
    )
    add = blocks.residual(
        blocks.sequential(
            branches=blocks.concat(
                a=blocks.conv(2, 1, **unit), b=blocks.conv(3, 3, padding=1, **unit)
            ),
            up=blocks.conv_layer(11, 1, bias=True),
        ),
        scale=factor,
    )
    head = blocks.sequential(
        pool=blocks.avg_pool(3, stride=2),
        conv=blocks.conv(5, 1, **unit),
        hidden=spec.Dense(6, bias=True),
        **({"relu": spec.ReLU()} if head_relu else {}),
        dense=spec.Dense(classes, bias=True),
    )
    layers = blocks.sequential(
        conv=blocks.conv(6, 3, stride=2, padding=1, **unit),
        norm=blocks.local_response_norm(alpha=lrn),
        pool=blocks.max_pool(3, stride=2, ceil_mode=True),
        block=block,
        aux=spec.Aux(head, 0.3),
        residual=blocks.sequential(add=add, relu=spec.ReLU()),
        mean=spec.GlobalAvgPool(),
        **blocks.dropout(0.2, upscales=False),
        dense=spec.Dense(classes, bias=True),
    )
    return Network("small", layers, (3, *size), "drawn for these tests")


def drawn(network):
    """Arrays none of which is trivial."""
    rng = np.random.default_rng(0)
    return {
        path: (
            rng.uniform(0.5, 1.5, each.shape)
            if each.name in ("running_var",) or (each.name == "weight" and len(each.shape) == 1)
            else rng.standard_normal(each.shape)
        ).astype(np.float32)
        for path, each in param_specs(network).items()
    }


def outputs(network, params):
    backend = get_backend("numpy")
    images = np.random.default_rng(1).random((2, *network.input_shape), dtype=np.float32)
    return backend.forward(backend.build(network, params), images)


SPELLINGS = [
    {},
    {"folded": True},
    {"folded": True, "flat": True},
    {"dense": "MatMul"},
    {"folded": True, "dense": "MatMul", "last": True},
    {"training": True},
]


@pytest.mark.parametrize("spelling", SPELLINGS, ids=str)
@pytest.mark.parametrize("scale", [True, False])
def test_the_weights_of_a_graph_compute_the_same(spelling, scale, file, monkeypatch):
    network = small(norm=blocks.batch_norm(1e-3, 0.1, scale=scale))
    params = drawn(network)
    path = file(Writer(network, params, **spelling).whole())
    monkeypatch.setattr(graphs, "_names", lambda graph: ["small"])
    monkeypatch.setattr(graphs, "get_network", lambda name, **sizes: network)
    imported = reopen_weights(read_weights_file(path))
    assert imported.left_over == []
    if not spelling.get("folded"):
        for name, array in params.items():
            np.testing.assert_array_equal(imported.params[name], array, err_msg=name)
    expected = outputs(network, params)
    for name, found in outputs(network, imported.params).items():
        error = np.abs(found - expected[name]).max() / expected[name].std()
        assert error < 1e-4, name


#: Other functions with the same weights, and what a refusal must say.
OTHERS = {
    "eps": ({"norm": blocks.batch_norm(1e-5, 0.1)}, "has eps 0.001, expected 1e-05"),
    "pool's border": ({"pad": False}, "counts the border's zeros"),
    "residual's factor": ({"factor": 0.5}, "multiplies by 0.25, expected 0.5"),
    "normalisation": ({"lrn": 2e-4}, "has alpha 0.0001, expected 0.0002"),
    "a ReLU less": ({"head_relu": False}, "should be a dense layer, got Relu"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_function_is_refused(other, file):
    network = small()
    graph = read_weights_file(file(Writer(network, drawn(network)).whole())).graph
    settings, reason = OTHERS[other]
    with pytest.raises(Differs, match=reason.replace("(", ".")):
        Follower(graph, small(**settings)).whole()
    Follower(graph, network).whole()


@pytest.mark.parametrize("pads", [(0, 0, 1, 1), (1, 1, 0, 0)])
def test_padding_on_the_other_side_is_refused(pads, file):
    """SAME at stride 2 and a padding on both sides give the same shapes."""
    network = small(size=(12, 12))
    writer = Writer(network, drawn(network))
    plain = writer.window
    first = network.layers.children[0][1].children[0][1]
    writer.window = lambda layer: plain(layer) | ({"pads": pads} if layer is first else {})
    graph = read_weights_file(file(writer.whole())).graph
    if pads == (1, 1, 0, 0):
        Follower(graph, network).whole()  # the same windows: the last ones end at the border
        return
    with pytest.raises(Differs, match="other strides or padding"):
        Follower(graph, network).whole()


def test_a_graph_that_is_none_of_the_networks(file):
    path = file(Writer(small(), drawn(small())).whole())
    with pytest.raises(WeightsError, match="its graph is none of the networks here") as raised:
        reopen_weights(read_weights_file(path))
    assert "\n" not in str(raised.value)


def test_one_of_the_networks_is_found(file):
    network = graphs.get_network("alexnet", num_classes=10)
    params = init_params(network, seed=0)
    path = file(Writer(network, params, last=True).whole())
    imported = reopen_weights(read_weights_file(path))
    assert (imported.network.name, imported.network.input_shape) == ("alexnet", (1, 224, 224))
    for name, array in params.items():
        np.testing.assert_array_equal(imported.params[name], array)


# Arrays -------------------------------------------------------------------------------------------

VALUES = np.array([[1.5, -2.0, 0.25]], np.float32)


def tensor(kind, *parts, shape=(1, 3)):
    dims = b"".join(field(1, size) for size in shape)
    return dims + field(2, kind) + field(8, b"w") + b"".join(parts)


def packed(numbers):
    return b"".join(map(varint, numbers))


@pytest.mark.parametrize(
    "content",
    [
        tensor(1, field(4, VALUES.tobytes())),
        tensor(1, *(varint(4 << 3 | 5) + each.tobytes() for each in VALUES[0])),
        tensor(11, field(10, VALUES.astype("<f8").tobytes())),
        tensor(10, field(5, packed(VALUES.astype("<f2").view("<u2")[0].tolist()))),
        tensor(10, field(9, VALUES.astype("<f2").tobytes())),
        tensor(16, field(5, packed((VALUES.view("<u4")[0] >> 16).tolist()))),
    ],
)
def test_values_in_every_way_of_the_schema(content, file):
    found = read_weights_file(file(onnx_model(field(5, content))))
    np.testing.assert_array_equal(found.arrays["w"], VALUES)


def test_integers_with_signs(file):
    numbers = [2**64 - 5, 7, 300]
    for number, kind in ((7, 7), (5, 6)):
        found = read_weights_file(
            file(onnx_model(field(5, tensor(kind, field(number, packed(numbers))))))
        )
        assert found.arrays["w"].tolist() == [[-5, 7, 300]]


def external(location, offset=4, length=12):
    said = {"location": location, "offset": str(offset), "length": str(length)}
    entries = (field(13, field(1, k.encode()) + field(2, v.encode())) for k, v in said.items())
    return onnx_model(field(5, tensor(1, *entries, field(14, 1))))


def test_arrays_in_a_file_beside_it(file):
    path = file(external("model.data"))
    path.with_name("model.data").write_bytes(b"....." + VALUES.tobytes())
    np.testing.assert_array_equal(
        read_weights_file(file(external("model.data", 5))).arrays["w"], VALUES
    )
    assert "has bytes 6 to 18" in refusal(file(external("model.data", 6)))


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "folder/file", "..", "", "C:\\x", "a\0b"]
)
def test_a_model_may_not_say_which_other_file_is_opened(location, file):
    assert "expected one in its own folder" in refusal(file(external(location)))


def test_a_file_that_is_not_beside_it(file):
    assert "model.data, which is not beside it" in refusal(file(external("model.data")))


def test_two_arrays_of_one_name(file):
    twice = 2 * field(5, onnx_tensor("w", VALUES))
    assert "two arrays are called 'w'" in refusal(file(onnx_model(twice)))
