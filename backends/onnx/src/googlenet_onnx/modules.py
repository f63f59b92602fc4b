"""ONNX's operators as constructors, which ONNX itself has none of, and layers that it lacks. Each
can be copied out whole, with `Graph`, `Value` and `Operator`: it needs ONNX and NumPy, and nothing
else.

An operator is made of its settings, by ONNX's own names, and of the shapes of its arrays; called on
a value it adds its nodes to that value's graph. Pads are (top, left, bottom, right). Maps are (N,
C, H, W) of float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

#: The oldest set of operators with all that is needed in its present form, which every runtime
#: that is in use understands, and the version of the file format that came with it.
OPSET, IR_VERSION = 17, 8


@dataclass
class Graph:
    """The `shape` (C, H, W) of its images, its nodes so far, in the order of execution, and the
    shapes of their arrays by name.
    """

    shape: tuple[int, int, int]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)
    #: What its values are called in the end, where that is not as they are made.
    renamed: dict[str, str] = field(default_factory=lambda: {":images": "images"})

    def add(self, op_type: str, inputs: list[str], name: str, **attributes: Any) -> Value:
        """What a new node gives, called like the node."""
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return Value(name, self)

    def constant(self, name: str, value: Any) -> str:
        """The name of a number, or of an array, that is a setting and no weight."""
        tensor = numpy_helper.from_array(np.asarray(value), name)
        return self.add("Constant", [], name, value=tensor).name

    def call_outputs(self, outputs: Mapping[str, Value]) -> None:
        """Give `outputs` their names, and another one to what has such a name already."""
        for name, value in outputs.items():
            if value.name in self.renamed:  # the images, or an output already
                value = self.add("Identity", [value.name], f":{name}")
            self.renamed[value.name] = name
        taken = {"images", *outputs}
        for node in self.nodes:
            for each in taken.intersection(node.output) - self.renamed.keys():
                self.renamed[each] = f"{each}:0"
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [self.renamed.get(each, each) for each in names]


@dataclass(frozen=True)
class Value:
    """What a node of a graph gives, or the images: (N, C, H, W) or (N, K)."""

    name: str
    graph: Graph


class Operator:
    """An operator of ONNX with its attributes, and the shapes of the arrays that follow its input;
    they are called `name.weight` and so on.
    """

    def __init__(
        self, name: str, arrays: Mapping[str, tuple[int, ...]] = {}, **attributes: Any
    ) -> None:
        self.name, self.arrays, self.attributes = name, arrays, attributes

    def __call__(self, x: Value) -> Value:
        held = {f"{self.name}.{last}": shape for last, shape in self.arrays.items()}
        x.graph.arrays.update(held)
        return x.graph.add(type(self).__name__, [x.name, *held], self.name, **self.attributes)


class Conv(Operator):
    """A convolution with a weight of shape (O, I / group, H, W)."""

    def __init__(
        self,
        weight: tuple[int, int, int, int],
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        group: int = 1,
        bias: bool = True,
        *,
        name: str = "",
    ) -> None:
        arrays = {"weight": weight, "bias": weight[:1]} if bias else {"weight": weight}
        super().__init__(
            name, arrays, kernel_shape=weight[2:], strides=strides, pads=pads, group=group
        )


class BatchNormalization(Operator):
    """Batch normalisation of `channels`, with a weight of 1 unless it has a `scale`; `momentum` is
    the weight of the old statistics.
    """

    def __init__(
        self,
        channels: int,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        scale: bool = True,
        *,
        name: str = "",
    ) -> None:
        names = ("weight", "bias", "running_mean", "running_var")
        arrays = dict.fromkeys(names, (channels,))
        super().__init__(name, arrays, epsilon=epsilon, momentum=momentum)
        self.scale = scale

    def __call__(self, x: Value) -> Value:
        y = super().__call__(x)
        if not self.scale:
            weight = f"{self.name}.weight"
            ones = np.ones(x.graph.arrays.pop(weight), np.float32)
            x.graph.constant(weight, ones)
            x.graph.nodes.insert(-1, x.graph.nodes.pop())  # before what takes it
        return y


class LRN(Operator):
    """Local response normalisation: x / (bias + alpha / size · Σ x²)^beta."""

    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        bias: float = 1.0,
        *,
        name: str = "",
    ) -> None:
        super().__init__(name, size=size, alpha=alpha, beta=beta, bias=bias)


class MaxPool(Operator):
    """The maximum over each window."""

    def __init__(
        self,
        kernel_shape: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        ceil_mode: int = 0,
        *,
        name: str = "",
    ) -> None:
        super().__init__(
            name, kernel_shape=kernel_shape, strides=strides, pads=pads, ceil_mode=ceil_mode
        )


class AveragePool(Operator):
    """The mean over each window."""

    def __init__(
        self,
        kernel_shape: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        ceil_mode: int = 0,
        count_include_pad: int = 0,
        *,
        name: str = "",
    ) -> None:
        super().__init__(
            name,
            kernel_shape=kernel_shape,
            strides=strides,
            pads=pads,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )


class GlobalAveragePool(Operator):
    """The mean over height and width, which stay as axes of size 1."""

    def __init__(self, *, name: str = "") -> None:
        super().__init__(name)


class Relu(Operator):
    """max(x, 0)."""

    def __init__(self, *, name: str = "") -> None:
        super().__init__(name)


class Identity(Operator):
    """x."""

    def __init__(self, *, name: str = "") -> None:
        super().__init__(name)


class Flatten(Operator):
    """(N, C, H, W) → (N, C·H·W)."""

    def __init__(self, *, name: str = "") -> None:
        super().__init__(name, axis=1)


class Gemm(Operator):
    """A dense layer with a weight of shape (O, I)."""

    def __init__(self, weight: tuple[int, int], bias: bool = True, *, name: str = "") -> None:
        arrays = {"weight": weight, "bias": weight[:1]} if bias else {"weight": weight}
        super().__init__(name, arrays, transB=1)


class Concat:
    """Values joined along the channels, from a list."""

    def __init__(self, *, name: str = "") -> None:
        self.name = name

    def __call__(self, x: list[Value]) -> Value:
        return x[0].graph.add("Concat", [each.name for each in x], self.name, axis=1)


class Dropout(Operator):
    """The identity; for those who train the graph, `ratio` of the elements become 0."""

    def __init__(self, ratio: float, *, name: str = "") -> None:
        super().__init__(name)
        self.ratio = ratio

    def __call__(self, x: Value) -> Value:
        ratio = x.graph.constant(f"{self.name}.ratio", np.float32(self.ratio))
        return x.graph.add("Dropout", [x.name, ratio], self.name)


class Mul(Operator):
    """`factor · x`."""

    def __init__(self, factor: float, *, name: str = "") -> None:
        super().__init__(name)
        self.factor = factor

    def __call__(self, x: Value) -> Value:
        factor = x.graph.constant(f"{self.name}.factor", np.float32(self.factor))
        return x.graph.add("Mul", [x.name, factor], self.name)


class Pad(Operator):
    """Zeros around a map; a negative number cuts off."""

    def __init__(self, pads: tuple[int, int, int, int], *, name: str = "") -> None:
        super().__init__(name)
        top, left, bottom, right = pads
        self.pads = (0, 0, top, left, 0, 0, bottom, right)

    def __call__(self, x: Value) -> Value:
        pads = x.graph.constant(f"{self.name}.pads", np.array(self.pads, np.int64))
        return x.graph.add("Pad", [x.name, pads], self.name)


class AdaptiveAveragePool(Operator):
    """The mean over `output_size` nearly equal windows of a map of `input_size`, (height, width)
    both: window i spans ⌊i·H/H'⌋ to ⌈(i+1)·H/H'⌉. The sums are products with matrices of 0 and 1.
    """

    def __init__(
        self, input_size: tuple[int, int], output_size: tuple[int, int], *, name: str = ""
    ) -> None:
        super().__init__(name)
        self.sizes = tuple(zip(input_size, output_size, strict=True))

    def __call__(self, x: Value) -> Value:
        rows, columns = (self.windows(*each) for each in self.sizes)
        graph, name = x.graph, self.name
        left = graph.constant(f"{name}.rows", rows)
        x = graph.add("MatMul", [left, x.name], f"{name}.summed_rows")
        right = graph.constant(f"{name}.columns", columns.T)
        x = graph.add("MatMul", [x.name, right], f"{name}.sums")
        counts = graph.constant(f"{name}.counts", np.outer(rows.sum(1), columns.sum(1)))
        return graph.add("Div", [x.name, counts], name)

    @staticmethod
    def windows(size: int, count: int) -> npt.NDArray[np.float32]:
        """(count, size): 1 where a window has a row or column."""
        pixel, window = np.arange(size), np.arange(count)[:, None]
        inside = (pixel >= window * size // count) & (pixel < -(-(window + 1) * size // count))
        return inside.astype(np.float32)


class ResidualSum:
    """`shortcut + scale · body` from the list [body, shortcut]."""

    def __init__(self, scale: float, *, name: str = "") -> None:
        self.name, self.scale = name, scale

    def __call__(self, x: list[Value]) -> Value:
        body, shortcut = x
        if self.scale != 1:
            body = Mul(self.scale, name=f"{self.name}.scaled")(body)
        return body.graph.add("Add", [shortcut.name, body.name], self.name)


def images_of(shape: tuple[int, int, int]) -> Value:
    """The images of a new graph: any number of `shape` (C, H, W)."""
    return Value(":images", Graph(shape))


def to_model(
    images: Value,
    outputs: tuple[Value, ...] | Value,
    *,
    name: str,
    names: tuple[str, ...] = (),
    arrays: Mapping[str, onnx.TensorProto] = {},
) -> onnx.ModelProto:
    """The model from `images` to `outputs`, by default called logits, aux1, aux2 and so on;
    `arrays` are its weights, by default zeros.

    It has passed ONNX's strict checker and shape inference, and says the shape of every value.
    """
    graph, every = images.graph, outputs if isinstance(outputs, tuple) else (outputs,)
    names = names or ("logits", *(f"aux{i}" for i in range(1, len(every))))
    graph.call_outputs(dict(zip(names, every, strict=True)))
    held = [
        arrays[path]
        if path in arrays
        else numpy_helper.from_array(np.zeros(shape, np.float32), path)
        for path, shape in graph.arrays.items()
    ]
    number = onnx.TensorProto.FLOAT
    given = helper.make_tensor_value_info("images", number, ["N", *graph.shape])
    # First with inputs in the place of the arrays: both of ONNX's tools take a copy of all.
    stand_ins = [helper.make_tensor_value_info(each.name, number, each.dims) for each in held]
    results = [helper.make_tensor_value_info(each, number, None) for each in names]
    model = helper.make_model(
        helper.make_graph(graph.nodes, name, [given, *stand_ins], results),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    del model.graph.input[1:]
    model.graph.initializer.extend(held)
    return model
