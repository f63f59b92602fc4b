"""The MXNet model is what a user of MXNet would have written."""

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon
from mxnet.gluon import nn

import googlenet
from googlenet.backend.call import Call
from googlenet.proof.conformance.networks import composites, lone, probe
from googlenet.proof.parity.compare import compare_forward, compare_step, compare_weights
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit, step_yardstick
from googlenet.spec.blocks import inception, sequential
from googlenet.spec.layers import Scale
from googlenet.spec.loss import Loss
from googlenet.weights.samples import random_images, random_labels, random_params

backend = googlenet.get_backend("mxnet")


def pickled(block):
    return pickle.loads(pickle.dumps(block))


NETWORK = googlenet.get_network("googlenet_paper", num_classes=7, input_shape=(3, 79, 95), aux=True)
NORMED = googlenet.get_network("googlenet_bn", num_classes=7, input_shape=(2, 65, 40))


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(NETWORK, framework="mxnet", weights=random_params(NETWORK))


@pytest.fixture(scope="module")
def images(model):
    return mx.np.array(random_images(NETWORK))


@pytest.fixture
def set_np():
    """NumPy semantics for a while, as a user turns them on."""
    mx.npx.set_np()
    yield
    mx.npx.reset_np()


def test_is_native(model):
    assert isinstance(model, gluon.HybridBlock)


@pytest.mark.parametrize(
    ("name", "aux", "parameters"),
    [
        ("googlenet", False, 5_977_530),
        ("googlenet_paper", False, 6_998_552),
        ("googlenet_paper", True, 13_378_280),
    ],
)
def test_parameters(name, aux, parameters):
    built = googlenet.get_model(name, framework="mxnet", aux=aux)
    assert sum(parameter.data().size for parameter in built.collect_params().values()) == parameters


def test_prints_readably_with_our_names(model):
    text = repr(model)
    assert "(inception_3a): Concatenation(" in text
    assert "(branch_5x5): HybridSequential(" in text
    assert "Conv2D(3 -> 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3))" in text


def test_parameter_names_are_ours(model):
    assert set(model.collect_params()) == set(googlenet.param_specs(NETWORK))


def test_batch_norm_keeps_gluons_names():
    network = composites()["norm_residual"]
    names = {
        name
        for name in backend.build(network, random_params(network)).collect_params()
        if name.startswith("stem.norm.")
    }
    assert names == {
        "stem.norm.gamma",
        "stem.norm.beta",
        "stem.norm.running_mean",
        "stem.norm.running_var",
    }


def test_returns_logits_and_aux(model, images):
    outputs = model(images)
    assert isinstance(outputs, tuple)
    assert [output.shape for output in outputs] == [(3, 7)] * 3


@pytest.mark.usefixtures("set_np")
def test_saves_and_loads_with_the_frameworks_own_tools(model, images, tmp_path):
    file = str(tmp_path / "model.params")
    model.save_parameters(file)
    assert set(mx.npx.load(file)) == set(googlenet.param_specs(NETWORK))
    other = googlenet.get_model(NETWORK, framework="mxnet", seed=1)
    other.load_parameters(file)
    assert (other(images)[0] == model(images)[0]).all()
    assert not compare_weights(backend, other, random_params(NETWORK))


@pytest.mark.usefixtures("set_np")
@pytest.mark.filterwarnings(
    "ignore:Cannot decide type:UserWarning"
)  # `imports` asks for a dtype that no argument of it can give
def test_exports_its_graph(model, images, tmp_path):
    exported = googlenet.get_model(NETWORK, framework="mxnet", weights=random_params(NETWORK))
    exported.hybridize()
    exported(images)
    exported.export(str(tmp_path / "model"))
    imported = gluon.SymbolBlock.imports(
        str(tmp_path / "model-symbol.json"), ["data"], str(tmp_path / "model-0000.params")
    )
    assert (imported(images)[0] == model(images)[0]).all()


def test_moves_to_a_device(model, images):
    moved = googlenet.get_model(
        NETWORK, framework="mxnet", weights=random_params(NETWORK), device="cpu(1)"
    )
    assert moved(images.as_in_ctx(mx.cpu(1)))[0].ctx == mx.cpu(1)
    moved.collect_params().reset_ctx(mx.cpu(0))
    assert (moved(images)[0] == model(images)[0]).all()


@pytest.mark.parametrize("device", ["no-such-device", "gpu(99)", "gpu:99"])
def test_unknown_device_is_refused(device):
    with pytest.raises(googlenet.GoogLeNetError) as caught:
        googlenet.get_model("googlenet", framework="mxnet", device=device)
    assert str(caught.value).startswith(f"device: '{device}' cannot be used by mxnet: ")


def test_importing_and_building_change_no_global_state():
    code = (
        "import googlenet, googlenet_mxnet, mxnet; googlenet.get_model('googlenet', 'mxnet',"
        " input_shape=(1, 32, 32)); raise SystemExit(mxnet.util.is_np_array() or"
        " mxnet.util.is_np_shape())"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode == 0


def test_classic_code_works_beside_a_model(model, images):
    """Arrays of `mx.nd` in the thread that built and called a model of ours."""
    model(images)
    dense, data = nn.Dense(2, in_units=3), mx.nd.ones((4, 3))
    dense.initialize()
    trainer = gluon.Trainer(dense.collect_params(), "sgd", {"learning_rate": 0.1})
    with autograd.record():
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(dense(data), mx.nd.ones(4))
    loss.backward()
    trainer.step(4)
    assert type(dense(data)) is mx.nd.NDArray


@pytest.mark.parametrize("semantics", [False, True])
@pytest.mark.parametrize("hybridized", [False, True])
@pytest.mark.parametrize("copied", [lambda block: block, copy.deepcopy, pickled])
def test_runs_whatever_the_threads_semantics_are(semantics, hybridized, copied, tmp_path):
    """A model and a block of it by itself, and their files."""
    network = composites()["auxiliary"]
    params, images = random_params(network), random_images(network)
    expected = backend.forward(backend.build(network, params), images)
    file, before = str(tmp_path / "model.params"), mx.util.is_np_array()
    with mx.util.np_shape(semantics), mx.util.np_array(semantics):
        backend.build(network, params).save_parameters(file)
        model = copied(backend.build(network, random_params(network, seed=1)))
        model.load_parameters(file)
        model.hybridize(hybridized)
        outputs = dict(zip(network.outputs, model(mx.np.array(images)), strict=True))
        assert model.trunk.first.conv(mx.np.array(images)).shape[:2] == (len(images), 6)
        assert mx.util.is_np_array() == semantics
    assert mx.util.is_np_array() == before
    for name, output in outputs.items():
        assert distance(output.asnumpy(), expected[name]) < 1e-5


def test_the_protocol_works_in_another_thread(model, images):
    """NumPy semantics are on for one thread at a time."""
    with ThreadPoolExecutor(1) as pool:
        outputs = pool.submit(backend.forward, model, images.asnumpy()).result()
    assert np.array_equal(outputs["logits"], model(images)[0].asnumpy())


def first(outputs):
    """The logits, which stand before those of auxiliary heads if there are any."""
    return outputs[0] if isinstance(outputs, tuple) else outputs


@pytest.mark.parametrize("network", [NETWORK, NORMED], ids=["googlenet_paper", "googlenet_bn"])
def test_runs_in_graph_mode(network):
    """A hybridized model gives the same outputs, with heads in a tuple, within the limit that holds
    for eager mode.
    """
    params, images = random_params(network), random_images(network)
    hybridized = googlenet.get_model(network, framework="mxnet", weights=params)
    hybridized.hybridize(static_alloc=True, static_shape=True)
    outputs = hybridized(mx.np.array(images))
    assert isinstance(outputs, tuple) == (network is NETWORK)
    exact = first(googlenet.get_backend("numpy").build(network, params, dtype=np.float64)(images))
    assert distance(first(outputs).asnumpy(), exact) <= limit(
        forward_yardstick(network, params, images, chunk=3)["logits"]
    )


def test_taps_reach_into_a_hybridized_model_and_leave_it_hybridized():
    network = composites()["inception"]
    params, images = random_params(network), random_images(network)
    hybridized = backend.build(network, params)
    hybridized.hybridize()
    hybridized(mx.np.array(images))
    tap = "block.branch_3x3.reduce.conv"
    tapped = backend.forward(hybridized, images, taps=[tap])[tap]
    assert np.array_equal(
        tapped, backend.forward(backend.build(network, params), images, taps=[tap])[tap]
    )
    seen = []
    hybridized.block.register_forward_hook(lambda block, args, output: seen.append(block))
    hybridized(mx.np.array(images))
    assert not seen, (
        "the graph made before the tap must still be there, and in it Gluon calls no hook"
    )


def test_scaling_follows_the_mode_in_graph_mode():
    model = backend.build(lone("scale", Scale(0.5, "eval"), (2, 3, 4)), {})
    model.hybridize()
    ones = mx.np.ones((1, 2, 3, 4))
    assert (model(ones) == 0.5).all()
    with autograd.train_mode():
        assert (model(ones) == 1).all()
    assert (model(ones) == 0.5).all()


def test_gradients_in_evaluation_mode():
    """There oneDNN's max pool, recorded as it stands, gives noise."""
    network = probe()
    params, images, labels = random_params(network), random_images(network), random_labels()
    yardstick = step_yardstick(network, params, images, labels, loss=Loss(), train=False)
    comparison = compare_step(
        backend, network, params, images, labels, yardstick, loss=Loss(), train=False
    )
    assert comparison.passed, comparison.first_divergence


def test_gradient_buffers_are_left_alone():
    """Those of a training in progress: `forward` moves the running statistics by a backward pass of
    its own.
    """
    network = composites()["norm_residual"]
    model = backend.build(network, random_params(network))
    model.stem.conv.weight.grad()[:] = 3
    backend.forward(model, random_images(network), train=True)
    backend.gradients(model, random_images(network), random_labels())
    assert (model.stem.conv.weight.grad() == 3).all()


@pytest.mark.usefixtures("set_np")
def test_trains_with_the_frameworks_own_optimiser():
    """The README's loop, on one batch: the loss falls."""
    model = googlenet.get_model("googlenet", framework="mxnet", input_shape=(1, 32, 32), seed=0)
    trainer = gluon.Trainer(model.collect_params(), "sgd", {"learning_rate": 0.05, "momentum": 0.9})
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    images, labels = mx.np.random.uniform(size=(4, 1, 32, 32)), mx.np.array([0, 3, 5, 9])
    losses = []
    for _ in range(12):
        with autograd.record():
            loss = cross_entropy(model(images), labels)
        loss.backward()
        trainer.step(len(images))
        losses.append(loss.mean().item())
    assert losses[-1] < losses[0]


def test_a_lone_inception_block():
    block = googlenet.Network(
        "block",
        sequential(inception_3a=inception(64, 96, 128, 16, 32, 32)),
        (192, 28, 20),
        "arXiv:1409.4842",
    )
    assert googlenet.get_model(block, framework="mxnet")(mx.np.zeros((2, 192, 28, 20))).shape == (
        2,
        256,
        28,
        20,
    )


def test_a_missing_relu_in_b2_is_caught(monkeypatch):
    """The book's MXNet tab once had none after the two convolutions of b2 (d2l-zh#521)."""
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    params, images = random_params(network), random_images(network)
    leaf = backend.leaves.leaf
    missing = ("b2.reduce.relu", "b2.conv.relu")
    monkeypatch.setattr(
        backend.leaves,
        "leaf",
        lambda site: (Call(nn.HybridSequential),) if site.path in missing else leaf(site),
    )
    model = backend.build(network, params)
    rows = compare_forward(
        backend,
        model,
        network,
        params,
        images,
        forward_yardstick(network, params, images, chunk=3),
        chunk=3,
    )
    assert next(row.name for row in rows if not row.passed) == "b2.reduce.relu"
