"""Users' own MXNet models, run and differentiated as they are."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, init, npx
from mxnet import np as mnp
from mxnet.gluon import nn

import googlenet
from googlenet import WeightsError
from googlenet.proof.parity.rows import Group

from .own_run import compared, named

SHAPE = (3, 16, 16)
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    # Gluon's own way to read a graph asks for types that it has not.
    pytest.mark.filterwarnings("ignore:.*Cannot decide type:UserWarning"),
]


class Classic(gluon.HybridBlock):
    """With arrays of `mx.nd`, one dropout as a layer and one as a function, and no initial
    weights.
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(6, kernel_size=3)
        self.norm = nn.BatchNorm(momentum=0.8, epsilon=1e-3)
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Dense(5)

    def hybrid_forward(self, F, x):
        x = F.Pooling(F.relu(self.norm(self.conv(x))), kernel=(2, 2), stride=(2, 2))
        return self.dense(F.Dropout(self.dropout(x), p=0.3))


class Numpy(nn.Block):
    """With arrays of `mx.np`, weights of its own, one of them unused, and a dropout only in
    training mode.
    """

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential()
        self.body.add(nn.Conv2D(6, kernel_size=3), nn.BatchNorm(), nn.Activation("relu"))
        self.w, self.b = mnp.random.normal(0, 0.1, (5, 6)), mnp.zeros(5)
        self.unused = mnp.ones(3)
        for each in (self.w, self.b, self.unused):
            each.attach_grad()

    def forward(self, x):
        x = self.body(x).mean(axis=(2, 3))
        if autograd.is_training():
            x = npx.dropout(x, p=0.5)
        return mnp.dot(x, self.w.T) + self.b


def function():
    conv, norm = nn.Conv2D(4, 3), nn.BatchNorm()
    w = mx.nd.random.normal(shape=(5, 4))
    w.attach_grad()
    for each in (conv, norm):
        each.initialize()
    return lambda x: mx.nd.dot(norm(conv(x)).mean(axis=(2, 3)), w, transpose_b=True)


def exported(folder):
    """A graph, with nothing left of the code that made it."""
    net = Classic()
    net.initialize(init.Xavier())
    net.hybridize()
    net(mx.nd.zeros((2, *SHAPE)))
    net.export(str(folder / "net"))
    return gluon.SymbolBlock.imports(
        str(folder / "net-symbol.json"), ["data"], str(folder / "net-0000.params")
    )


@pytest.fixture(autouse=True)
def semantics():
    """Each test begins with MXNet's classic semantics, and may turn on those of NumPy."""
    npx.reset_np()


def made(kind, folder):
    match kind:
        case "classic":
            return Classic()
        case "hybrid":
            model = Classic()
            model.initialize()
            model.hybridize()
            return model
        case "numpy":
            npx.set_np()
            model = Numpy()
            model.initialize()
            return model
        case "function":
            return function()
        case _:
            return exported(folder)


@pytest.mark.parametrize("kind", ["classic", "hybrid", "numpy", "function", "exported"])
def test_own_model_trains_as_its_network(kind, tmp_path):
    found = compared("mxnet", made(kind, tmp_path), SHAPE)
    assert found.first_divergence is None
    assert all(found[group] for group in Group if group is not Group.WEIGHTS)


@pytest.mark.parametrize("norm", [{"momentum": 0.1}, {"eps": 1e-5}])
def test_own_model_with_another_norm_is_told(norm):
    assert not compared("mxnet", Classic(), SHAPE, **norm).passed


def test_running_leaves_model_as_it_was():
    npx.set_np()
    model = Numpy()
    model.initialize()
    backend = googlenet.get_backend("mxnet")
    found = named(backend, model, SHAPE)
    own = backend.own(model, found.network, found.outputs)
    images = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)
    x = mnp.array(images)
    with autograd.record():
        own.outputs(images, train=True)
        assert autograd.is_recording()
        assert autograd.is_training()
        dropped = npx.dropout(x, p=0.5)
    assert (dropped.asnumpy() == 0).any()
    assert all(not array.grad.asnumpy().any() for array in (model.w, model.b))


def test_load_names_file_that_does_not_fit(tmp_path):
    backend, path = googlenet.get_backend("mxnet"), tmp_path / "net.params"
    model, other, wide = Classic(), Classic(), Classic()
    wide.dense = nn.Dense(7)
    for each in (model, other, wide):
        each.initialize(init.Xavier())
        each(mx.nd.zeros((2, *SHAPE)))
    other.save_parameters(str(path))
    backend.load(model, path)
    assert (model.conv.weight.data() == other.conv.weight.data()).asnumpy().all()
    whole = path.read_bytes()
    for write in (
        lambda: wide.save_parameters(str(path)),
        lambda: other.conv.save_parameters(str(path)),
        lambda: path.write_bytes(whole[: len(whole) // 2]),
        lambda: path.unlink(),
    ):
        write()
        with pytest.raises(WeightsError, match=r"net\.params"):
            backend.load(model, path)


def test_a_hybridized_model_is_timed_as_one():
    """The proof turns graph mode off to look inside; what is timed has it on."""
    model = Classic()
    model.initialize()
    model.hybridize()
    backend = googlenet.get_backend("mxnet")
    found = named(backend, model, SHAPE)
    own = backend.own(model, found.network, found.outputs)
    images = np.zeros((2, *SHAPE), np.float32)
    own.outputs(images, train=False)
    assert model._cached_op is None
    own.evaluation()(images)
    assert model._cached_op is not None
