"""TensorFlow and Keras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from .plan import SIDE, Op, Plan
from .styles import Words
from .words import Channels


class TensorFlow(Words):
    STYLES = ("book", "functional", "helpers", "graph")
    imports = (
        "import tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers"
    )
    base = "keras.Model"
    forward = "call"
    listing = "list"
    STRIDE = "strides"
    NO_BIAS = ", use_bias=False"
    OBJECTS: ClassVar = {
        "act relu": "layers.ReLU()",
        "act leaky_relu": "layers.LeakyReLU(negative_slope=0.1)",
        "act relu6": "layers.ReLU(max_value=6)",
        "act elu": "layers.ELU()",
        "act sigmoid": 'layers.Activation("sigmoid")',
        "act tanh": 'layers.Activation("tanh")',
        "act silu": 'layers.Activation("silu")',
        "global avg": "layers.GlobalAveragePooling2D(keepdims=True)",
        "global max": "layers.GlobalMaxPooling2D(keepdims=True)",
        "global one": "layers.AveragePooling2D(1)",
        "global window": f"layers.AveragePooling2D({SIDE // 32})",
        "flatten": "layers.Flatten()",
        "conv_head": "layers.Conv2D({out}, 1)",
        "softmax": "layers.Softmax()",
        "dropout": "layers.Dropout({rate})",
    }
    CALLS: ClassVar = {
        "act relu": "tf.nn.relu({x})",
        "act leaky_relu": "tf.nn.leaky_relu({x}, 0.1)",
        "act relu6": "tf.nn.relu6({x})",
        "act elu": "tf.nn.elu({x})",
        "act sigmoid": "tf.sigmoid({x})",
        "act tanh": "tf.tanh({x})",
        "act silu": "tf.nn.silu({x})",
        "global avg": "tf.reduce_mean({x}, axis=[1, 2], keepdims=True)",
        "global max": "tf.reduce_max({x}, axis=[1, 2], keepdims=True)",
        "global one": 'tf.nn.avg_pool2d({x}, 1, 1, "VALID")',
        "global window": 'tf.nn.avg_pool2d({x}, {x}.shape[1:3], 1, "VALID")',
        "flatten": "tf.reshape({x}, [-1, {x}.shape[1] * {x}.shape[2] * {x}.shape[3]])",
        "softmax": "tf.nn.softmax({x})",
        "dropout": "keras.layers.Dropout({rate})({x})",
    }
    last = f"net(tf.zeros((1, {SIDE}, {SIDE}, 1)))"

    def can(self, plan: Plan, style: str) -> bool:
        kinds = {item.kind for item in plan if isinstance(item, Op)}
        return not (style == "functional" and "dropout" in kinds)

    def write(self, plan: Plan, style: str) -> str:
        self.base, self.forward = "keras.Model", "call"
        if style == "functional":
            self.base, self.forward = "tf.Module", "__call__"
        return super().write(plan, style)

    def graph(self, plan: Plan) -> str:
        """Keras's functional style."""
        lines = [f"inputs = keras.Input(({SIDE}, {SIDE}, 1))", "x = inputs"]
        made: dict[str, list[str]] = {}
        count = 0

        def apply(ops: Sequence[Op], source: str, into: str, own: list[str]) -> None:
            nonlocal count
            for op in ops:
                if op.kind == "residual":
                    lines.append(f"{into}_kept = {source}")
                    apply(op.inside, source, into, own)
                    lines.append(f"{into} = layers.add([{into}_kept, {into}])")
                    source = into
                    continue
                for part in self.objects(op, 0):
                    if own and own[0] == "again":
                        part = own.pop(1)
                    elif own and own[0] == "keep":
                        count += 1
                        lines.append(f"layer_{count} = {part}")
                        part = f"layer_{count}"
                        own.append(part)
                    lines.append(f"{into} = {part}({source})")
                    source = into
            if not ops:
                lines.append(f"{into} = {source}")

        kept = {item.like for item in plan if not isinstance(item, Op)}
        for item in plan:
            if isinstance(item, Op):
                apply((item,), "x", "x", [])
                continue
            own = ["keep"] if item.name in kept else []
            own = ["again", *made[item.like]] if item.like else own
            for number in item.computed:
                apply(item.branches[number], "x", f"p{number + 1}", own)
            made[item.name] = own[1:]
            parts = ", ".join(f"p{number + 1}" for number in item.joined)
            joined = f"layers.concatenate([{parts}])"
            lines.append(f"x = {f'layers.add([x, {joined}])' if item.residual else joined}")
        return "\n".join([*lines, "net = keras.Model(inputs, x)"])

    def conv(self, op: Op, channels: Channels, lazy: bool) -> list[str]:
        before, given = self._windows(op)
        given = [str(op["out"]), str(op["kernel"]), *given]
        given += [f"dilation_rate={op['dilation']}"] if op["dilation"] != 1 else []
        given += [f"groups={op['groups']}"] if op["groups"] != 1 else []
        return [*before, f"layers.Conv2D({', '.join(given)}{self.without(op)})"]

    def norm(self, op: Op, channels: Channels, lazy: bool) -> str:
        return f"layers.BatchNormalization(epsilon={op['eps']})"

    def pool(self, op: Op) -> list[str]:
        before, given = self._windows(op, always=True)
        name = {"max": "MaxPool2D", "avg": "AveragePooling2D"}[op["name"]]
        return [*before, f"layers.{name}({', '.join([str(op['kernel']), *given])})"]

    def dense(self, op: Op, channels: Channels, lazy: bool) -> str:
        return f"layers.Dense({op['out']}{self.without(op)})"

    def _windows(self, op: Op, always: bool = False) -> tuple[list[str], list[str]]:
        """Layers for the padding, and what the layer itself is given."""
        arguments = [f"strides={op['stride']}"] if always or op["stride"] != 1 else []
        if self._is_same(op):
            return [], [*arguments, 'padding="same"']
        pad = op["padding"]
        if op.values.get("ceil"):
            return [f"layers.ZeroPadding2D((({pad}, {pad + 1}), ({pad}, {pad + 1})))"], arguments
        return ([f"layers.ZeroPadding2D({pad})"] if pad else []), arguments

    def _is_same(self, op: Op) -> bool:
        """Whether the framework's SAME is the padding that is wanted."""
        pad = op["padding"]
        reach = (op["kernel"] - 1) * op.values.get("dilation", 1)
        return not isinstance(pad, int) or (op["stride"] == 1 and pad > 0 and 2 * pad == reach)

    def _padded(self, op: Op, x: str) -> tuple[str, str]:
        if self._is_same(op):
            return x, '"SAME"'
        pad = op["padding"]
        more = f"[{pad}, {pad + bool(op.values.get('ceil'))}]"
        if pad or op.values.get("ceil"):
            x = f"tf.pad({x}, [[0, 0], {more}, {more}, [0, 0]])"
        return x, '"VALID"'

    def pool_call(self, op: Op, x: str) -> str:
        x, padding = self._padded(op, x)
        return f"tf.nn.{op['name']}_pool2d({x}, {op['kernel']}, {op['stride']}, {padding})"

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        given = [*shape[2:], *shape[1::-1]]
        scale = "0.03" if len(shape) == 2 else f"{(2 / math.prod(shape[1:])) ** 0.5:.5f}"
        return f"self.{name}_w = tf.Variable(tf.random.normal({given}, stddev={scale}))"

    def bias(self, name: str, size: int) -> str:
        return f"self.{name}_b = tf.Variable(tf.zeros([{size}]))"

    def statistics(self, name: str, channels: int) -> list[str]:
        return [
            f"self.{name}_w = tf.Variable(tf.ones([{channels}]))",
            f"self.{name}_b = tf.Variable(tf.zeros([{channels}]))",
            f"self.{name}_mean = tf.Variable(tf.zeros([{channels}]), trainable=False)",
            f"self.{name}_var = tf.Variable(tf.ones([{channels}]), trainable=False)",
        ]

    def raw_call(self, name: str, op: Op, x: str) -> str:
        w = f"self.{name}_w"
        match op.kind:
            case "norm":
                given = f"self.{name}_mean, self.{name}_var, self.{name}_b, {w}, {op['eps']}"
                return f"tf.nn.batch_normalization({x}, {given})"
            case "dense":
                return f"{x} @ {w}" + f" + self.{name}_b" * op["bias"]
            case "conv_head":
                return f'tf.nn.conv2d({x}, {w}, 1, "VALID") + self.{name}_b'
        x, padding = self._padded(op, x)
        dilation = f", dilations={op['dilation']}" if op["dilation"] != 1 else ""
        found = f"tf.nn.conv2d({x}, {w}, {op['stride']}, {padding}{dilation})"
        return f"tf.nn.bias_add({found}, self.{name}_b)" if op["bias"] else found

    def cat(self, parts: Sequence[str]) -> str:
        return f"tf.concat([{', '.join(parts)}], axis=-1)"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"keras.Sequential([{', '.join(parts)}])"


WORDS = TensorFlow
