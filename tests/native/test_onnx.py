"""What is ONNX's own about its models."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import onnx
import onnxruntime
import pytest

import googlenet
from googlenet.backend.protocols import capabilities
from googlenet.errors import DeviceError, SpecError, WeightsError
from googlenet.proof.conformance.networks import LEAVES, architectures, composites, lone, sandwich
from googlenet.proof.parity.tolerance import distance
from googlenet.reference.quantised import Quantised
from googlenet.spec.blocks import avg_pool, conv, max_pool, sequential
from googlenet.spec.layers import AdaptiveAvgPool, Aux, Dense, GlobalAvgPool
from googlenet.spec.simplify import simplified
from googlenet.weights.formats import read_weights_file
from googlenet.weights.samples import random_images, random_params
from googlenet.weights.zoo.load import load_weights
from googlenet.weights.zoo.reopen import reopen_weights
from googlenet_onnx import compiling

from ..named import skip_if_lacking
from .lower import check_refused, example
from .networks import NETWORKS, PAPER, as_tuple
from .test_readme import run

backend = googlenet.get_backend("onnx")
SMALL = composites()["norm_residual"]


def built(network, seed=0):
    return backend.build(network, random_params(network, seed=seed))


def saved(network, folder, seed=0):
    path = folder / "model.onnx"
    backend.save(built(network, seed), path)
    return path


def same(found, expected):
    assert list(found) == list(expected)
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array, err_msg=path)


# The graph ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_file_is_a_model_by_onnx_itself(network, tmp_path):
    """It passes ONNX's checks as a whole, and runs with nothing of this project."""
    path = saved(network, tmp_path)
    onnx.checker.check_model(path, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    assert inferred == onnx.load(path)  # it has every shape already
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["images"]
    assert tuple(each.name for each in session.get_outputs()) == network.outputs
    model = built(network)
    for batch in (1, 2, 5):
        images = random_images(network, seed=batch, batch=batch)
        found = session.run(None, {"images": images})
        for output, expected in zip(found, as_tuple(model(images)), strict=True):
            assert output.shape == expected.shape == (batch, output.shape[1])
            assert distance(output, expected) < 1e-6


def test_its_names_are_ours():
    graph = built(PAPER).proto.graph
    paths = {site.path for site in googlenet.walk(PAPER)}
    assert {each.name for each in graph.initializer} == set(googlenet.param_specs(PAPER))
    assert paths <= {node.name for node in graph.node}
    assert graph.name == PAPER.name
    assert graph.doc_string == PAPER.source
    said = {each.key: each.value for each in built(PAPER).proto.metadata_props}
    assert (said["network"], said["outputs"]) == (PAPER.name, "logits,aux1,aux2")
    (batch, *shape) = graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "N"
    assert tuple(each.dim_value for each in shape) == PAPER.input_shape


def test_layers_may_be_called_as_inputs_and_outputs_are(tmp_path):
    head = sequential(pool=GlobalAvgPool(), last=Dense(5, bias=True))
    layers = sequential(
        images=conv(4, 3, 1, 1),
        aux1=max_pool(2, 2),
        inner=sequential(logits=conv(3, 1), aux1=Aux(sequential(), 0.3)),
        aux2=avg_pool(2, 2),
        nested=sequential(aux2=Aux(head, 0.2)),
        pool=GlobalAvgPool(),
    )
    network = googlenet.Network("names", layers, (2, 9, 8), "this test")
    params, images = random_params(network), random_images(network)
    reference = googlenet.get_backend("numpy").build(network, params)
    taps = {site.path for site in googlenet.nodes(network)} - {*network.outputs}
    expected = googlenet.get_backend("numpy").forward(reference, images, taps=taps)
    found = backend.forward(built(network), images, taps=taps)
    assert set(found) >= set(expected)
    for path, array in expected.items():
        np.testing.assert_allclose(found[path], array, rtol=1e-5, atol=1e-6, err_msg=path)
    onnx.checker.check_model(saved(network, tmp_path), full_check=True)


@pytest.mark.parametrize("size", [(7, 9), (8, 6), (3, 2)])
@pytest.mark.parametrize("window", [(1, 2, 0), (2, 3, 1), (3, 3, 1), (2, 4, 1)])
def test_windows_that_round_up_are_those_of_onnxs_own_shape_inference(size, window):
    """Also where one begins beyond the input, on which ONNX and onnxruntime do not agree."""
    kernel, stride, padding = window
    layers = [max_pool(kernel, stride, padding, ceil_mode=True)]
    layers += [
        avg_pool(kernel, stride, padding, ceil_mode=True, count_include_pad=counts)
        for counts in (False, True)
    ]
    for layer in layers:
        network = lone("pool", layer, (2, *size))
        images = random_images(network)
        expected = googlenet.get_model(network, "numpy")(images)
        model = built(network)
        np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-6)
        shape = model.proto.graph.output[0].type.tensor_type.shape.dim
        assert tuple(each.dim_value for each in shape)[1:] == expected.shape[1:]


# Running it ---------------------------------------------------------------------------------------


def test_a_copy_of_the_graph_does_not_change_the_model():
    model, images = built(SMALL), random_images(SMALL)
    before = model(images)
    proto = model.proto
    proto.graph.initializer[0].raw_data = bytes(len(proto.graph.initializer[0].raw_data))
    np.testing.assert_array_equal(model(images), before)
    same(backend.params_of(model), random_params(SMALL))
    model.proto = proto
    assert not np.array_equal(model(images), before)
    first = next(iter(random_params(SMALL)))
    assert not backend.params_of(model)[first].any()


def test_another_graph_is_refused():
    model, other = built(SMALL), built(composites()["inception"]).proto
    with pytest.raises(WeightsError, match="is not the graph of network 'norm_residual'") as caught:
        model.proto = other
    assert "\n" not in str(caught.value)
    broken = model.proto
    broken.graph.initializer[0].raw_data = np.full(
        tuple(broken.graph.initializer[0].dims), np.nan, np.float32
    ).tobytes()
    with pytest.raises(WeightsError, match="contains NaN"):
        model.proto = broken
    broken.graph.initializer[0].raw_data = b"...."
    with pytest.raises(WeightsError, match="its initializers cannot be read"):
        model.proto = broken
    with pytest.raises(WeightsError, match=r"expected an onnx\.ModelProto, got bytes"):
        model.proto = b"model"
    later = model.proto
    later.opset_import[0].version += 1
    with pytest.raises(WeightsError, match="is not the graph of network"):
        model.proto = later


def test_threads_may_share_it():
    model = built(SMALL)
    batches = [random_images(SMALL, seed=seed) for seed in range(8)]
    taps = [site.path for site in googlenet.nodes(SMALL)]
    (call,) = (backend.compiled(model, form) for form in backend.compiled_forms)
    found = {}

    def once(i):  # every other one with other taps, for which another session is made
        tapped = backend.forward(model, batches[i], taps=taps[: 1 + i % 2])
        return tapped, call(batches[i])

    def run(i):
        for _ in range(10):
            found[i] = once(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(len(batches)):
        for outputs, expected in zip(found[i], once(i), strict=True):
            same(outputs, expected)


def test_devices_by_either_name():
    params = random_params(SMALL)
    for device in ("cpu", "CPUExecutionProvider"):
        model = backend.build(SMALL, params, device=device)
        assert model.session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(DeviceError, match="; it has cpu"):
        backend.build(SMALL, params, device="TensorrtExecutionProvider")


def test_a_network_beyond_two_gigabytes_is_refused(monkeypatch):
    monkeypatch.setattr(backend.model, "_MOST_BYTES", 1000)
    with pytest.raises(SpecError, match="more than a file of ONNX can hold") as caught:
        built(SMALL)
    assert "\n" not in str(caught.value)


# Read back ----------------------------------------------------------------------------------------

BACK = [
    *("googlenet", "torchvision:googlenet_paper", "paddle:googlenet_paper", "caffe:bn_inception"),
    *("keras:inception_v3", "facenet:inception_resnet_v1", "nin"),
]


@pytest.mark.parametrize("name", BACK)
def test_a_file_is_the_network_that_it_was_made_of(name, tmp_path):
    """Also where others compute the same of the same arrays."""
    heads = "googlenet_paper" in name
    network = googlenet.get_network(name, num_classes=7, aux=heads)
    found = reopen_weights(read_weights_file(saved(network, tmp_path)))
    assert found.network == network
    assert (found.left_over, found.others) == ([], ())
    same(found.params, random_params(network))


OWN = {
    **{f"leaf {name}": sandwich(name, layer) for name, layer in LEAVES.items()},
    **composites(),
    "own layers": NETWORKS["own layers"],
    "fitted": sandwich("fitted", AdaptiveAvgPool((3, 5)), (2, 7, 11)),
    "fitted to more": sandwich("more", AdaptiveAvgPool((5, 4)), (2, 3, 6)),
    "inception_v4": architectures()["inception_v4"],
}


@pytest.mark.parametrize("network", OWN.values(), ids=OWN)
def test_a_network_without_a_known_name_is_read_where_it_is_given(network, tmp_path):
    path = saved(network, tmp_path)
    same(load_weights(path, network), random_params(network))
    model = googlenet.get_model(network, "onnx", weights=path)
    same(backend.params_of(model), random_params(network))


def edited(network, folder, change):
    path = saved(network, folder)
    proto = onnx.load(path)
    change(proto.graph)
    onnx.save_model(proto, path)
    return path


def leaky(graph):
    node = next(each for each in graph.node if each.op_type == "Relu")
    node.op_type = "LeakyRelu"


def softened(graph):
    node = next(each for each in graph.node if each.op_type == "MaxPool")
    node.op_type = "AveragePool"


CHANGES = {
    "an operator beyond the spec": (leaky, "should be a ReLU, got LeakyRelu"),
    "another pool": (softened, "should be a max pool"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_graph_is_not_what_it_says(change, tmp_path):
    """The names in the file are not believed: the graph is followed."""
    edit, reason = CHANGES[change]
    network = googlenet.get_network("googlenet", num_classes=7)
    path = edited(network, tmp_path, edit)
    with pytest.raises(WeightsError, match=reason) as caught:
        reopen_weights(read_weights_file(path))
    assert str(caught.value).startswith(f"{path}: says that it is googlenet, but '")
    assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match=reason):
        googlenet.get_model(network, "onnx", weights=path)


@pytest.mark.parametrize("said", ["inception_v3", "no network of ours", "googlenet_paper"])
def test_a_file_that_says_that_it_is_another_network_is_what_its_graph_is(said, tmp_path):
    network = googlenet.get_network("googlenet", num_classes=7)
    path = saved(network, tmp_path)
    proto = onnx.load(path)
    (entry,) = [each for each in proto.metadata_props if each.key == "network"]
    entry.value = said
    onnx.save_model(proto, path)
    found = reopen_weights(read_weights_file(path))
    assert found.network == network
    same(found.params, random_params(network))


def test_other_windows_than_those_of_an_adaptive_average_are_refused(tmp_path):
    network = OWN["fitted"]

    def change(graph):
        (node,) = [each for each in graph.node if each.name == "layer.rows"]
        rows = onnx.numpy_helper.to_array(node.attribute[0].t)
        node.attribute[0].t.raw_data = rows[::-1].tobytes()

    with pytest.raises(WeightsError, match="other matrices than those of its windows"):
        load_weights(edited(network, tmp_path, change), network)


def test_convert_reads_back_what_it_wrote(tmp_path):
    network = googlenet.get_network("torchvision:googlenet_paper", num_classes=7, aux=True)
    files = [tmp_path / name for name in ("a.safetensors", "b.onnx", "c.safetensors")]
    googlenet.save_params(files[0], network, random_params(network))
    for command in (["--to", "onnx"], []):
        given = files[:2] if command else files[1:]
        done = subprocess.run(
            [sys.executable, "-m", "googlenet", "convert", *map(str, given), *command, "--json"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["name"] == network.name
    same(googlenet.load_params(files[2], network), random_params(network))


def test_training_is_refused_in_one_line(tmp_path):
    command = [sys.executable, "-m", "googlenet", "train", "--framework", "onnx"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "run")], capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "onnx" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_code_of_the_page(tmp_path):
    printed = run("docs/frameworks.md", "graph", tmp_path)
    shape, _, difference = printed.strip().rpartition(" ")
    assert shape == "(8, 10)"
    assert float(difference) < 1e-6
    assert os.listdir(tmp_path).count("googlenet.onnx") == 1


def test_an_identity_at_the_start_shares_no_memory_with_the_images():
    head = sequential(pool=GlobalAvgPool(), last=Dense(5, bias=True))
    layers = sequential(start=sequential(aux1=Aux(head, 0.3)), pool=GlobalAvgPool())
    network = googlenet.Network("identity", layers, (5, 4, 3), "this test")
    images = random_images(network)
    found = backend.forward(built(network), images, taps=["start"])["start"]
    np.testing.assert_array_equal(found, images)
    assert not np.shares_memory(found, images)


# int8 ---------------------------------------------------------------------------------------------


@pytest.fixture
def in_int8(monkeypatch):
    """What was compiled in int8, and its graph."""
    skip_if_lacking("onnx", {"quantise"} - capabilities(backend))
    problem, right = example()
    network = problem.network
    graphs = []
    made = compiling.quantised
    monkeypatch.setattr(
        compiling, "quantised", lambda *given: graphs.append(made(*given)) or graphs[-1]
    )
    few = random_images(network, seed=1, batch=8)
    model = googlenet.get_model(network, "onnx", weights=problem.params)
    call = backend.compile(model, input_shape=network.input_shape, dtype="int8", calibration=few)
    (graph,) = (onnx.ModelProto.FromString(each).graph for each in graphs)
    return problem, few, right, call, graph


def test_the_graph_of_int8_has_eight_bits(in_int8):
    """Each weight of a convolution and of the dense layer, with one scale for each channel."""
    *_, call, graph = in_int8
    arrays = {each.name: each for each in graph.initializer}
    sources = {each.output[0]: each for each in graph.node}
    weighted = [each for each in graph.node if each.op_type in ("Conv", "Gemm")]
    assert len(weighted) == 58
    for node in weighted:
        before = [sources[each] for each in node.input[:2]]
        assert [each.op_type for each in before] == ["DequantizeLinear"] * 2
        assert sources[before[0].input[0]].op_type == "QuantizeLinear"
        weight, scale = (onnx.numpy_helper.to_array(arrays[each]) for each in before[1].input[:2])
        assert weight.dtype == np.int8
        assert scale.shape == (weight.shape[0],)
        assert np.abs(weight).reshape(len(weight), -1).max(axis=1).tolist() == [127] * len(weight)
    assert call.dtype == "int8"


def test_int8_is_the_references(in_int8):
    """What onnxruntime rounds, the reference rounds, to the same numbers but for a few ties: both
    are much nearer to each other than to float64.
    """
    problem, few, right, call, _ = in_int8
    found = call(problem.images)["logits"]
    network, params = simplified(problem.network, problem.params)
    expected = Quantised(network, params, few)(problem.images)["logits"]
    assert distance(found, expected) < distance(found, right) / 4


def test_int8_is_refused_where_the_processor_lacks_it(monkeypatch):
    few = np.zeros((1, 1, 96, 96), np.float32)
    check_refused("onnx", monkeypatch, "int8", calibration=few)


def test_int8_is_quiet(in_int8, caplog, capfd):
    """Nothing is advised about a graph that the user did not make."""
    assert caplog.text == ""
    assert capfd.readouterr().err == ""
