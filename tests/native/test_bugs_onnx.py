"""Bugs of ONNX 1.23, each in native code that shows what would be right; the adapter avoids them.
See docs/framework-bugs.md.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

from .bugs import bug


def model(op_type, shape, opset=17, **attributes):
    """A model of one operator from `x` to `y`, whose shape it does not say."""
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, axes)
        for name, axes in (("x", shape), ("y", [None] * len(shape)))
    ]
    node = helper.make_node(op_type, ["x"], ["y"], **attributes)
    graph = helper.make_graph([node], "graph", values[:1], values[1:])
    opset = helper.make_opsetid("", opset)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def run(model, x):
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    ).run(None, {"x": x})[0]


@bug("shape inference keeps a last window that begins beyond the input; onnxruntime has none")
def test_the_shape_of_windows_that_round_up_and_begin_beyond_the_input():
    settings = {"kernel_shape": (2, 2), "strides": (3, 3), "pads": (1, 1, 1, 1), "ceil_mode": 1}
    pool = model("MaxPool", (1, 1, 4, 4), **settings)
    inferred = onnx.shape_inference.infer_shapes(pool, strict_mode=True).graph.output[0]
    shape = tuple(axis.dim_value for axis in inferred.type.tensor_type.shape.dim)
    assert shape == run(pool, np.zeros((1, 1, 4, 4), np.float32)).shape


@bug("the reference evaluator's LRN is another function than the operator's definition")
def test_the_reference_evaluators_lrn():
    x = np.random.default_rng(0).standard_normal((2, 7, 3, 4)).astype(np.float32)
    settings = {"size": 5, "alpha": 0.1, "beta": 0.75, "bias": 1.0}
    padded = np.pad(x**2, ((0, 0), (2, 2), (0, 0), (0, 0)))
    sums = sum(padded[:, i : i + 7] for i in range(5))
    right = x / (1.0 + 0.1 / 5 * sums) ** 0.75
    (found,) = ReferenceEvaluator(model("LRN", x.shape, **settings)).run(None, {"x": x})
    np.testing.assert_allclose(run(model("LRN", x.shape, **settings), x), right, rtol=1e-5)
    assert np.allclose(found, right, rtol=1e-5)
