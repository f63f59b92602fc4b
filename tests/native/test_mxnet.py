"""What is MXNet's own about its models."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

import googlenet
from googlenet.proof.conformance.networks import composites, lone, probe
from googlenet.proof.parity.compare import compare_step
from googlenet.proof.parity.problem import random_problem
from googlenet.proof.parity.tolerance import distance, step_yardstick
from googlenet.spec.layers import Scale
from googlenet.weights.samples import random_images, random_labels, random_params

from .networks import PAPER, first_divergence
from .threads import threads

backend = googlenet.get_backend("mxnet")


@pytest.fixture(autouse=True)
def numpy_semantics():
    """As a user of `mx.np` has them."""
    mx.npx.set_np()


@pytest.fixture(scope="module")
def model():
    return googlenet.get_model(PAPER, framework="mxnet", weights=random_params(PAPER))


@pytest.fixture(scope="module")
def images():
    return mx.np.array(random_images(PAPER))


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


def test_the_names_in_its_own_file_are_ours(model, tmp_path):
    file = str(tmp_path / "model.params")
    model.save_parameters(file)
    assert set(mx.npx.load(file)) == set(googlenet.param_specs(PAPER))


def test_moves_to_a_device(model, images):
    moved = googlenet.get_model(
        PAPER, framework="mxnet", weights=random_params(PAPER), device="cpu(1)"
    )
    assert moved(images.as_in_ctx(mx.cpu(1)))[0].ctx == mx.cpu(1)
    moved.collect_params().reset_ctx(mx.cpu(0))
    assert (moved(images)[0] == model(images)[0]).all()


def test_importing_the_backend_changes_no_global_state():
    code = (
        "import googlenet_mxnet, mxnet; raise SystemExit(mxnet.util.is_np_array() or"
        " mxnet.util.is_np_shape())"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode == 0


CLASSIC = """
import sys
from mxnet import autograd, gluon, nd

if sys.argv[1:]:
    import googlenet
    googlenet.get_model("googlenet", framework=sys.argv[1], input_shape=(1, 32, 32))
net = gluon.nn.HybridSequential()
with net.name_scope():
    net.add(gluon.nn.Conv2D(5, 3), gluon.nn.BatchNorm(), gluon.nn.Flatten(), gluon.nn.Dense(4))
net.initialize()
net.hybridize()
images, targets = nd.ones((2, 3, 8, 9)), nd.zeros((2, 4))
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
with autograd.record():
    loss = gluon.loss.L2Loss()(net(images), targets)
loss.backward()
trainer.step(2)
print(type(net(images)).__name__, type(net[0].weight.data()).__name__, net(images).shape)
"""


@pytest.mark.parametrize("before", [[], ["mxnet"]], ids=["alone", "after get_model"])
def test_classic_gluon_code_works_in_the_same_thread(before):
    """A user's `mx.nd`, without `npx.set_np()`, and no otherwise once a model of ours is there."""
    command = [sys.executable, "-W", "ignore", "-c", CLASSIC, *before]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "NDArray NDArray (2, 4)\n"


def pickled(block):
    return pickle.loads(pickle.dumps(block))


@pytest.mark.parametrize("semantics", [False, True], ids=["classic", "numpy"])
@pytest.mark.parametrize("hybridized", [False, True], ids=["eager", "hybridized"])
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled])
def test_runs_whatever_the_threads_semantics_are(semantics, hybridized, copied, tmp_path):
    """A model, one layer of it by itself, its copies, and their files."""
    network = composites()["auxiliary"]
    params, images = random_params(network), random_images(network)
    expected = backend.forward(backend.build(network, params), images)
    mx.npx.set_np(semantics, semantics)
    file, x = str(tmp_path / "model.params"), mx.np.array(images)
    backend.build(network, params).save_parameters(file)
    model = copied(backend.build(network, random_params(network, seed=1)))
    model.load_parameters(file)
    model.hybridize(hybridized)
    outputs = dict(zip(network.outputs, model(x), strict=True))
    assert model.trunk.first.conv(x).shape[:2] == (len(images), 6)
    if hybridized:
        model.export(str(tmp_path / "model"))
    assert (mx.util.is_np_array(), mx.util.is_np_shape()) == (semantics, semantics)
    for name, output in outputs.items():
        assert distance(output.asnumpy(), expected[name]) < 1e-6


THREADS = """
import os, googlenet, mxnet
backend = googlenet.get_backend("mxnet")
backend.set_threads(3)
count = len(os.listdir("/proc/self/task"))
model = googlenet.get_model("googlenet", "mxnet", input_shape=(1, 32, 32))
model(mxnet.np.ones((8, 1, 32, 32))).asnumpy()
raise SystemExit(len(os.listdir("/proc/self/task")) - count)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux lists them")
def test_threads_are_set_after_the_import():
    """MXNet's worker is one of them, and is there before."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", THREADS]
    assert subprocess.run(command, env=environment).returncode == 2


@pytest.mark.parametrize("ran", [False, True], ids=["as loaded", "in the order of oneDNN"])
def test_what_is_compiled_sees_each_array_that_changed(ran):
    """Wherever its values are: a pass of the native model puts them into another order."""
    network = composites()["inception"]
    model, images = backend.build(network, random_params(network)), random_images(network)
    compiled = backend.compile(model, input_shape=network.input_shape)
    expected = compiled(images)["logits"]
    for path, parameter in model.collect_params().items():
        if ran:
            backend.forward(model, images)
        kept = parameter.data().copy()
        parameter.data()[:] = kept * 2 + 1
        with pytest.raises(googlenet.BackendError, match="changed"):
            compiled(images)
        parameter.set_data(kept)
        assert np.array_equal(compiled(images)["logits"], expected), path


def test_what_is_compiled_sees_arrays_in_place_of_others():
    """A cast gives a model other arrays, of another size in memory."""
    network = composites()["inception"]
    model, images = backend.build(network, random_params(network)), random_images(network)
    compiled = backend.compile(model, input_shape=network.input_shape)
    kept = [each.list_data() for each in model.collect_params().values()]  # those stay as they are
    model.cast("float16")
    with pytest.raises(googlenet.BackendError, match="changed"):
        compiled(images)
    assert kept


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux lists them")
def test_all_cores_compute_where_nobody_says_how_many():
    """One thread of MXNet's own has the others beside it, and no thread of another's."""
    one = threads("mxnet", 1)
    assert threads("mxnet") == one + os.cpu_count() - 1
    assert threads("mxnet", 3) == one + 2


def test_the_protocol_works_in_another_thread(model, images):
    """NumPy semantics are on for one thread at a time."""
    with ThreadPoolExecutor(1) as pool:
        outputs = pool.submit(backend.forward, model, images.asnumpy()).result()
    assert np.array_equal(outputs["logits"], model(images)[0].asnumpy())


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
    problem = random_problem(probe())
    yardstick = step_yardstick(problem, train=False)
    comparison = compare_step(backend, problem, yardstick, train=False)
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


class MissingReLU(nn.Activation):
    def hybrid_forward(self, F, x):
        return x


def test_a_missing_relu_in_b2_is_caught():
    """The book's MXNet tab once had none after the two convolutions of b2 (d2l-zh#521)."""
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    model = backend.build(network, random_params(network))
    model.b2.reduce.relu = MissingReLU("relu")
    model.b2.conv.relu = MissingReLU("relu")
    assert first_divergence(backend, model, network) == "b2.reduce.relu"


def test_a_plain_layer_takes_a_layers_place():
    """As a user does who trains a head of their own."""
    network = composites()["inception"]
    model = backend.build(network, random_params(network))
    model.dense = nn.Dense(9)
    model.dense.initialize()
    assert model(mx.np.array(random_images(network))).shape == (3, 9)
    with pytest.raises(TypeError, match="Changing attribute type"):
        model.dense = nn.Flatten()
