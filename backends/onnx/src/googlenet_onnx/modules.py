"""ONNX's operators as constructors, which ONNX itself has none of, and layers that it lacks. Each
can be copied out whole, with `Value` and `Operator`: it needs ONNX and NumPy, and nothing else.

An operator is made of its settings, by ONNX's own names, and of the shapes of its arrays; called on
a value it adds its nodes to the graph of that. Pads are (top, left, bottom, right). Maps are (N,
C, H, W) of float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Value:
    """What a node gives, or the images, by its name: (N, C, H, W) or (N, K). It carries the graph:
    the `shape` (C, H, W) of the images, all nodes so far, in the order of execution, and the shapes
    of their arrays by name.
    """

    name: str
    shape: tuple[int, int, int]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    arrays: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def add(self, op_type: str, inputs: list[str], name: str, **attributes: Any) -> Self:
        """What a new node gives, called like the node."""
        self.nodes.append(helper.make_node(op_type, inputs, [name], name=name, **attributes))
        return replace(self, name=name)

    def constant(self, name: str, value: Any) -> str:
        """The name of a number, or of an array, that is a setting and no weight."""
        tensor = numpy_helper.from_array(np.asarray(value), name)
        return self.add("Constant", [], name, value=tensor).name


class Operator:
    """An operator of ONNX with its attributes, and the shapes of the arrays that follow its input;
    they are called `name.weight` and so on.
    """

    def __init__(
        self,
        arrays: Mapping[str, tuple[int, ...]] | None = None,
        *,
        name: str = "",
        **attributes: Any,
    ) -> None:
        self.name, self.arrays, self.attributes = name, arrays or {}, attributes

    def __call__(self, x: Value) -> Value:
        held = {f"{self.name}.{last}": shape for last, shape in self.arrays.items()}
        x.arrays.update(held)
        return x.add(type(self).__name__, [x.name, *held], self.name, **self.attributes)


class Conv(Operator):
    """A convolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_shape: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        group: int = 1,
        bias: bool = True,
        *,
        name: str = "",
    ) -> None:
        arrays: dict[str, tuple[int, ...]] = {
            "weight": (out_channels, in_channels // group, *kernel_shape)
        }
        if bias:
            arrays["bias"] = (out_channels,)
        super().__init__(
            arrays, name=name, kernel_shape=kernel_shape, strides=strides, pads=pads, group=group
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
        super().__init__(arrays, name=name, epsilon=epsilon, momentum=momentum)
        self.scale = scale

    def __call__(self, x: Value) -> Value:
        y = super().__call__(x)
        if not self.scale:
            weight = f"{self.name}.weight"
            ones = np.ones(x.arrays.pop(weight), np.float32)
            x.constant(weight, ones)
            x.nodes.insert(-1, x.nodes.pop())  # before what takes it
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
        super().__init__(name=name, size=size, alpha=alpha, beta=beta, bias=bias)


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
            name=name, kernel_shape=kernel_shape, strides=strides, pads=pads, ceil_mode=ceil_mode
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
            name=name,
            kernel_shape=kernel_shape,
            strides=strides,
            pads=pads,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )


class GlobalAveragePool(Operator):
    """The mean over height and width, which stay as axes of size 1."""


class Relu(Operator):
    """max(x, 0)."""


class Identity(Operator):
    """x."""


class Flatten(Operator):
    """(N, C, H, W) → (N, C·H·W)."""


class Gemm(Operator):
    """A dense layer."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, name: str = ""
    ) -> None:
        arrays: dict[str, tuple[int, ...]] = {"weight": (out_features, in_features)}
        if bias:
            arrays["bias"] = (out_features,)
        super().__init__(arrays, name=name, transB=1)


class Concat:
    """Values joined along the channels, from a list."""

    def __init__(self, *, name: str = "") -> None:
        self.name = name

    def __call__(self, x: list[Value]) -> Value:
        return x[0].add("Concat", [each.name for each in x], self.name, axis=1)


class Dropout(Operator):
    """The identity; for those who train the graph, `ratio` of the elements become 0."""

    def __init__(self, ratio: float, *, name: str = "") -> None:
        super().__init__(name=name)
        self.ratio = ratio

    def __call__(self, x: Value) -> Value:
        ratio = x.constant(f"{self.name}.ratio", np.float32(self.ratio))
        return x.add("Dropout", [x.name, ratio], self.name)


class Mul(Operator):
    """`factor · x`."""

    def __init__(self, factor: float, *, name: str = "") -> None:
        super().__init__(name=name)
        self.factor = factor

    def __call__(self, x: Value) -> Value:
        factor = x.constant(f"{self.name}.factor", np.float32(self.factor))
        return x.add("Mul", [x.name, factor], self.name)


class Pad(Operator):
    """Zeros around a map; a negative number cuts off."""

    def __init__(self, pads: tuple[int, int, int, int], *, name: str = "") -> None:
        super().__init__(name=name)
        top, left, bottom, right = pads
        self.pads = (0, 0, top, left, 0, 0, bottom, right)

    def __call__(self, x: Value) -> Value:
        pads = x.constant(f"{self.name}.pads", np.array(self.pads, np.int64))
        return x.add("Pad", [x.name, pads], self.name)


class AdaptiveAveragePool(Operator):
    """The mean over `out_size` nearly equal windows of a map of `in_size`, (height, width)
    both: window i spans ⌊i·H/H'⌋ to ⌈(i+1)·H/H'⌉. The sums are products with matrices of 0 and 1.
    """

    def __init__(
        self, in_size: tuple[int, int], out_size: tuple[int, int], *, name: str = ""
    ) -> None:
        super().__init__(name=name)
        self.sizes = tuple(zip(in_size, out_size, strict=True))

    def __call__(self, x: Value) -> Value:
        rows, columns = (self.windows(*each) for each in self.sizes)
        name = self.name
        left = x.constant(f"{name}.rows", rows)
        x = x.add("MatMul", [left, x.name], f"{name}.summed_rows")
        right = x.constant(f"{name}.columns", columns.T)
        x = x.add("MatMul", [x.name, right], f"{name}.sums")
        counts = x.constant(f"{name}.counts", np.outer(rows.sum(1), columns.sum(1)))
        return x.add("Div", [x.name, counts], name)

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
        return body.add("Add", [shortcut.name, body.name], self.name)


def images_of(shape: tuple[int, int, int]) -> Value:
    """The images of a new graph: any number of `shape` (C, H, W)."""
    return Value(":images", shape)


def call_outputs(images: Value, outputs: Mapping[str, Value]) -> None:
    """Give the images and the `outputs` of a graph their names, and another one to whatever has
    such a name already.
    """
    named = {images.name: "images"}
    for name, value in outputs.items():
        if value.name in named:  # the images, or an output already
            value = images.add("Identity", [value.name], f":{name}")
        named[value.name] = name
    for node in images.nodes:
        for name in {"images", *outputs}.intersection(node.output) - named.keys():
            named[name] = f"{name}:0"
    for node in images.nodes:
        for names in (node.input, node.output):
            names[:] = [named.get(each, each) for each in names]


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
    every = outputs if isinstance(outputs, tuple) else (outputs,)
    names = names or ("logits", *(f"aux{i}" for i in range(1, len(every))))
    call_outputs(images, dict(zip(names, every, strict=True)))
    held = [
        arrays[path]
        if path in arrays
        else numpy_helper.from_array(np.zeros(shape, np.float32), path)
        for path, shape in images.arrays.items()
    ]
    number = onnx.TensorProto.FLOAT
    given = helper.make_tensor_value_info("images", number, ["N", *images.shape])
    # First with inputs in the place of the arrays: both of ONNX's tools take a copy of all.
    stand_ins = [helper.make_tensor_value_info(each.name, number, each.dims) for each in held]
    results = [helper.make_tensor_value_info(each, number, None) for each in names]
    # The oldest set of operators that has each one in the form used here, which every runtime in
    # use understands, and the version of the file format that came with it.
    model = helper.make_model(
        helper.make_graph(images.nodes, name, [given, *stand_ins], results),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    del model.graph.input[1:]
    model.graph.initializer.extend(held)
    return model
