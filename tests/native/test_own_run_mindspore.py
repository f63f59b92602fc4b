"""Users' own MindSpore models, run and differentiated as they are."""

import os

import mindspore as ms
import numpy as np
import pytest
from mindspore import mint, nn, ops

import googlenet
from googlenet import WeightsError
from googlenet.proof.parity.rows import Group

from .own_run import compared, named

SHAPE = (3, 16, 16)


class Net(nn.Cell):
    """One dropout as a layer, and one as a function."""

    def __init__(self, classes=5):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, pad_mode="valid", has_bias=True)
        self.norm = nn.BatchNorm2d(6, momentum=0.8, eps=1e-3)
        self.pool = nn.MaxPool2d(2, 2)
        self.dropout = nn.Dropout(p=0.5)
        self.dense = nn.Dense(6 * 7 * 7, classes)

    def construct(self, x):
        x = self.pool(ops.relu(self.norm(self.conv(x)))).flatten(start_dim=1)
        return self.dense(ops.dropout(self.dropout(x), p=0.3, training=self.training))


class Listed(nn.Cell):
    """With weights in a list, and other dropouts, one of them only in training mode."""

    def __init__(self):
        super().__init__()
        self.body = nn.SequentialCell(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        numbers = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
        self.held = [ms.Parameter(ms.Tensor(each)) for each in (numbers, numbers[:, 0])]
        self.dropout = mint.nn.Dropout(0.5)

    def construct(self, x):
        x = self.dropout(self.body(x).mean(axis=(2, 3)))
        if self.training:
            x = mint.nn.functional.dropout(x, 0.3)
        return ops.matmul(x, self.held[0].T) + self.held[1]


class Compiled(Net):
    @ms.jit
    def construct(self, x):
        return super().construct(x)


def function():
    conv, norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    w = ms.Parameter(ms.Tensor(np.random.default_rng(0).standard_normal((4, 5)), ms.float32))
    return lambda x: ops.matmul(norm(conv(x)).mean(axis=(2, 3)), w)


@pytest.mark.parametrize("make", [Net, Listed, Compiled, function])
def test_own_model_trains_as_its_network(make):
    found = compared("mindspore", make(), SHAPE)
    assert found.first_divergence is None
    assert all(found[group] for group in Group if group is not Group.WEIGHTS)


@pytest.mark.parametrize("norm", [{"momentum": 0.1}, {"eps": 1e-5}])
def test_own_model_with_another_norm_is_told(norm):
    assert not compared("mindspore", Net(), SHAPE, **norm).passed


def test_running_leaves_model_as_it_was():
    model, backend = Net(), googlenet.get_backend("mindspore")
    found = named(backend, model, SHAPE)
    model.norm.set_train(True)
    own = backend.own(model, found.network, found.outputs)
    images = np.random.default_rng(0).standard_normal((4, *SHAPE)).astype(np.float32)
    own.outputs(images, train=True)
    assert [model.training, model.norm.training, model.dropout.training] == [False, True, False]
    model.dropout.set_train(True)
    for each in (model.dropout, lambda x: ops.dropout(x, p=0.5)):
        assert (each(ms.Tensor(images)).asnumpy() == 0).any()


def test_load_names_file_that_does_not_fit(tmp_path):
    backend, path = googlenet.get_backend("mindspore"), tmp_path / "net.ckpt"
    model, other = Net(), Net()
    ms.save_checkpoint(other, str(path))
    backend.load(model, path)
    assert (model.conv.weight == other.conv.weight).asnumpy().all()
    whole = path.read_bytes()
    for write in (
        lambda: ms.save_checkpoint(Net(7), str(path)),
        lambda: ms.save_checkpoint(nn.SequentialCell(other.conv), str(path)),
        lambda: path.write_bytes(whole[: len(whole) // 2]),
        lambda: path.chmod(0o600) or path.unlink(),
    ):
        write()
        with pytest.raises(WeightsError, match=r"net\.ckpt"):
            backend.load(model, path)


def test_graphs_are_on_when_a_model_is_timed(monkeypatch):
    """The proof turns them off to look inside."""
    modes = []

    class Asks(Net):
        def construct(self, x):
            modes.append((os.environ.get("MS_JIT"), self.training))
            return super().construct(x)

    model = Asks()
    backend = googlenet.get_backend("mindspore")
    found = named(backend, Net(), SHAPE)
    own = backend.own(model, found.network, found.outputs)
    images = np.zeros((2, *SHAPE), np.float32)
    monkeypatch.delenv("MS_JIT", raising=False)
    model.set_train()
    own.outputs(images, train=False)
    own.evaluation()(images)
    assert modes == [("0", False), (None, False)]
