"""A network of the spec as an ONNX graph, written as exporters do: with batch norm apart or folded,
with nested concatenations or flat ones, and with dense layers in three spellings.
"""

import struct
from collections import Counter

import numpy as np

from googlenet.spec.layers import (
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    LocalResponseNorm,
    MaxPool,
    ReLU,
    Residual,
    Scale,
    Sequential,
)
from googlenet.spec.traversal import child_path, walk

from .writers import field, onnx_model, onnx_tensor, varint


def attribute(name, value):
    if isinstance(value, float):
        kind = varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1)
    elif isinstance(value, int):
        kind = field(3, value) + field(20, 2)
    else:
        kind = b"".join(field(8, each) for each in value) + field(20, 7)
    return field(5, field(1, name.encode()) + kind)


def node(op, inputs, output, **attributes):
    content = b"".join(field(1, each.encode()) for each in inputs) + field(2, output.encode())
    content += field(3, output.encode()) + field(4, op.encode())
    return field(1, content + b"".join(attribute(*each) for each in attributes.items()))


def value(name, shape):
    """A value of the graph; a size of 0 is one that is not said."""
    axes = b"".join(field(1, field(1, size) if size else field(2, b"n")) for size in shape)
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, axes)))


class Writer:
    """Writes `network` with the arrays `params`; `folded` is whether batch norm becomes a part of
    its convolution, `flat` whether nested concatenations become one, `dense` how a dense layer is
    spelled, `last` whether images have their channels last, as TensorFlow's.
    """

    def __init__(
        self, network, params, *, folded=False, flat=False, dense="Gemm", last=False, training=False
    ):
        self.network, self.params, self.training = network, params, training
        self.folded, self.flat, self.dense, self.last = folded, flat, dense, last
        self.sites = {site.path: site for site in walk(network)}
        self.nodes, self.arrays, self.outputs = [], [], []
        self.counts = Counter()

    def whole(self):
        channels, height, width = self.network.input_shape
        shape = (0, height, width, channels) if self.last else (0, channels, height, width)
        images = "images"
        if self.last:
            images = self.add("Transpose", [images], perm=(0, 3, 1, 2))
        self.outputs.insert(0, self.layer(self.network.layers, "", images))
        graph = b"".join(self.nodes) + b"".join(self.arrays) + field(11, value("images", shape))
        outputs = (field(12, value(name, (0, 0))) for name in self.outputs)
        return onnx_model(graph + b"".join(outputs))

    def add(self, op, inputs, **attributes):
        self.counts[op] += 1
        output = f"{op}_{self.counts[op]}"
        self.nodes.append(node(op, inputs, output, **attributes))
        return output

    def array(self, array):
        """An initializer under a name that says nothing."""
        self.counts["array"] += 1
        name = f"onnx::Conv_{self.counts['array']}"
        self.arrays.append(field(5, onnx_tensor(name, np.ascontiguousarray(array))))
        return name

    def layer(self, layer, path, x):
        match layer:
            case Sequential():
                return self.sequential(layer, path, x)
            case Concat():
                return self.add("Concat", self.branches(layer, path, x), axis=1)
            case Residual(scale=scale):
                body = self.layer(layer.body, f"{path}.body", x)
                if scale != 1:
                    body = self.add("Mul", [body, self.array(np.float32(scale))])
                return self.add("Add", [self.layer(layer.shortcut, f"{path}.shortcut", x), body])
            case Aux():
                self.outputs.append(self.layer(layer.head, path, x))
                return x
            case _:
                return self.leaf(self.sites[path], x)

    def branches(self, layer, path, x):
        found = []
        for name, child in layer.children:
            inside = child_path(layer, path, name)
            *rest, (last, end) = child.children if isinstance(child, Sequential) else ("", (0, 0))
            if self.flat and isinstance(end, Concat):
                before = self.sequential(Sequential(tuple(rest)), inside, x)
                found += self.branches(end, f"{inside}.{last}", before)
            else:
                found.append(self.layer(child, inside, x))
        return found

    def sequential(self, layer, path, x):
        children = list(layer.children)
        while children:
            name, child = children.pop(0)
            inside = child_path(layer, path, name)
            if self.folded and isinstance(child, Conv) and children:
                follows, norm = children[0]
                if isinstance(norm, BatchNorm):
                    children.pop(0)
                    x = self.fold(inside, child_path(layer, path, follows), norm, x)
                    continue
            x = self.layer(child, inside, x)
        return x

    def of(self, path, *names):
        return [self.params.get(f"{path}.{name}") for name in names]

    def fold(self, conv, norm, layer, x):
        weight, bias = self.of(conv, "weight", "bias")
        gamma, beta, mean, var = self.of(norm, "weight", "bias", "running_mean", "running_var")
        factor = (1 if gamma is None else gamma) / np.sqrt(var + np.float32(layer.eps))
        shift = beta + ((0 if bias is None else bias) - mean) * factor
        return self.conv(self.sites[conv], x, weight * factor[:, None, None, None], shift)

    def conv(self, site, x, weight, bias):
        inputs = [x, self.array(weight)] + ([] if bias is None else [self.array(bias)])
        return self.add("Conv", inputs, **self.window(site.layer), group=site.layer.groups)

    def window(self, layer):
        (top, bottom), (left, right) = layer.padding
        return {
            "kernel_shape": layer.kernel_size,
            "strides": layer.stride,
            "pads": (top, left, bottom, right),
        }

    def leaf(self, site, x):
        layer, path = site.layer, site.path
        match layer:
            case Conv():
                return self.conv(site, x, *self.of(path, "weight", "bias"))
            case BatchNorm(eps=eps):
                names = ("weight", "bias", "running_mean", "running_var")
                gamma, *others = self.of(path, *names)
                gamma = np.ones_like(others[0]) if gamma is None else gamma
                arrays = [self.array(each) for each in (gamma, *others)]
                mode = {"training_mode": 1} if self.training else {}
                return self.add("BatchNormalization", [x, *arrays], epsilon=float(eps), **mode)
            case LocalResponseNorm(size=size, alpha=alpha, beta=beta, k=k):
                return self.add("LRN", [x], size=size, alpha=alpha, beta=beta, bias=k)
            case ReLU():
                return self.add("Relu", [x])
            case MaxPool(ceil_mode=ceil):
                return self.add("MaxPool", [x], **self.window(layer), ceil_mode=int(ceil))
            case AvgPool(ceil_mode=ceil, count_include_pad=counts):
                settings = {"ceil_mode": int(ceil), "count_include_pad": int(counts)}
                return self.add("AveragePool", [x], **self.window(layer), **settings)
            case GlobalAvgPool() | AdaptiveAvgPool(output_size=(1, 1)):
                return self.add("Flatten", [self.add("GlobalAveragePool", [x])], axis=1)
            case AdaptiveAvgPool():
                return x
            case Dropout():
                return x
            case Scale(factor=factor):
                return self.add("Mul", [x, self.array(np.float32(factor))])
            case Dense():
                return self.matrix(site, x)

    def matrix(self, site, x):
        weight, bias = self.of(site.path, "weight", "bias")
        matrix = weight.reshape(len(weight), -1)
        if len(site.in_shape) == 3:
            if self.last:
                x = self.add("Transpose", [x], perm=(0, 2, 3, 1))
                matrix = weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
            x = self.add("Flatten", [x], axis=1)
        if self.dense == "Gemm":
            return self.add("Gemm", [x, self.array(matrix), self.array(bias)], transB=1)
        product = self.add("MatMul", [x, self.array(matrix.T)])
        return self.add("Add", [product, self.array(bias)])
