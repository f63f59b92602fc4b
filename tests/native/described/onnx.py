"""ONNX, run by onnxruntime: a graph that was built does not train."""

import copy
import os
import pickle
import sys
from typing import Any, Protocol, runtime_checkable

import onnx
import onnxruntime


@runtime_checkable
class _Model(Protocol):
    """What the backend has: ONNX's own class cannot be run, and onnxruntime's has no weights."""

    proto: onnx.ModelProto
    session: onnxruntime.InferenceSession
    network: Any


MODEL = _Model

PRINTED = [
    "googlenet_paper (float[N,3,79,95] images) => (float[N,7] logits, float[N,7] aux1",
    "b3.inception_3a.branch_5x5.conv.conv",
    "Conv <group: int = 1, kernel_shape: ints = [7, 7], pads: ints = [3, 3, 3, 3]",
]
UNKNOWN_DEVICES = ["no-such-device", "cuda", "CUDAExecutionProvider", "cpu:1", "CPU"]
SAVE = "onnx.save_model"
COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda model: pickle.loads(pickle.dumps(model))}

_LEVELS = onnxruntime.GraphOptimizationLevel
#: What several nodes make of one layer: the last of them, and the others.
_OWN = {"Div": "AdaptiveAveragePool", "Add": "ResidualSum"}
_INNER = ("MatMul", "Constant")


class _Run:
    """A graph in a session, called as a model of the backend is."""

    def __init__(self, proto, level=_LEVELS.ORT_ENABLE_ALL):
        self.proto = proto
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        # As many as the backend takes: sums are in another order with another number of threads.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
        self._session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, images):
        outputs = tuple(self._session.run(None, {"images": images}))
        return outputs if len(outputs) > 1 else outputs[0]


GRAPHS = {
    "ORT_ENABLE_BASIC": lambda model: _Run(model.proto, _LEVELS.ORT_ENABLE_BASIC),
    "ORT_DISABLE_ALL": lambda model: _Run(model.proto, _LEVELS.ORT_DISABLE_ALL),
}


def _save(model, images, folder):
    onnx.save_model(model.proto, folder / "model.onnx")
    return _Run(onnx.load(folder / "model.onnx"))


def _save_beside(model, images, folder):
    onnx.save_model(model.proto, folder / "model.onnx", save_as_external_data=True)
    return _Run(onnx.load(folder / "model.onnx"))


EXPORTS = {"onnx.save_model": _save, "with its arrays in another file": _save_beside}


def tensor(images):
    return images


def array(output):
    return output


def shape(batch, channels, height, width):
    return (batch, channels, height, width)


def evaluating(model):
    return _Run(model) if isinstance(model, onnx.ModelProto) else model


def layers(model):
    """An object for each layer, of a class that is called as its operator; of ours, if ONNX has
    none.
    """
    ours = sys.modules["googlenet_onnx.modules"]
    found = []
    for node in model.proto.graph.node:
        if node.op_type in _INNER or node.name.endswith(".scaled"):
            continue
        if node.op_type in _OWN:
            found.append(object.__new__(getattr(ours, _OWN[node.op_type])))
        else:
            found.append(type(node.op_type, (), {"__module__": "onnx"})())
    return found


def printed(model):
    return repr(model)


def _trained(model):
    return [
        each
        for each in model.proto.graph.initializer
        if not each.name.endswith((".running_mean", ".running_var"))
    ]


def count(model):
    return sum(onnx.numpy_helper.to_array(each).size for each in _trained(model))


def names(model):
    return [each.name for each in _trained(model)]


def trained(model):
    return [onnx.numpy_helper.to_array(each) for each in _trained(model)]


def save(model, file):
    onnx.save_model(model.proto, file)


def train(model, images, labels, steps):
    raise NotImplementedError("a graph of ONNX does not train")
