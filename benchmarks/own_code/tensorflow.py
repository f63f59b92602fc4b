"""TensorFlow and Keras."""

from __future__ import annotations

from collections.abc import Sequence

from .plan import SIDE, Op, Plan
from .styles import Channels, Words

ACTS = {
    "relu": ("layers.ReLU()", "tf.nn.relu({})"),
    "leaky_relu": ("layers.LeakyReLU(negative_slope=0.1)", "tf.nn.leaky_relu({}, 0.1)"),
    "relu6": ("layers.ReLU(max_value=6)", "tf.nn.relu6({})"),
    "elu": ("layers.ELU()", "tf.nn.elu({})"),
    "sigmoid": ('layers.Activation("sigmoid")', "tf.sigmoid({})"),
    "tanh": ('layers.Activation("tanh")', "tf.tanh({})"),
    "silu": ('layers.Activation("silu")', "tf.nn.silu({})"),
}


class TensorFlow(Words):
    STYLES = ("book", "functional", "helpers", "graph")
    imports = (
        "import tensorflow as tf\nfrom tensorflow import keras\nfrom tensorflow.keras import layers"
    )
    base = "keras.Model"
    forward = "call"
    listing = "list"
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

    def objects(self, op: Op, channels: Channels, lazy: bool = False) -> list[str]:
        match op.kind:
            case "conv":
                before, arguments = self._window(op)
                arguments = [str(op["out"]), str(op["kernel"]), *arguments]
                if op["dilation"] != 1:
                    arguments.append(f"dilation_rate={op['dilation']}")
                if op["groups"] != 1:
                    arguments.append(f"groups={op['groups']}")
                arguments += [] if op["bias"] else ["use_bias=False"]
                return [*before, f"layers.Conv2D({', '.join(arguments)})"]
            case "norm":
                return [f"layers.BatchNormalization(epsilon={op['eps']})"]
            case "act":
                return [ACTS[op["name"]][0]]
            case "pool":
                before, arguments = self._window(op, always=True)
                name = {"max": "MaxPool2D", "avg": "AveragePooling2D"}[op["name"]]
                return [*before, f"layers.{name}({', '.join([str(op['kernel']), *arguments])})"]
            case "global":
                return [
                    {
                        "avg": "layers.GlobalAveragePooling2D(keepdims=True)",
                        "max": "layers.GlobalMaxPooling2D(keepdims=True)",
                        "one": "layers.AveragePooling2D(1)",
                        "window": f"layers.AveragePooling2D({SIDE // 32})",
                    }[op["name"]]
                ]
            case "flatten":
                return ["layers.Flatten()"]
            case "dense":
                bias = "" if op["bias"] else ", use_bias=False"
                return [f"layers.Dense({op['out']}{bias})"]
            case "conv_head":
                return [f"layers.Conv2D({op['out']}, 1)"]
            case "softmax":
                return ["layers.Softmax()"]
            case "dropout":
                return [f"layers.Dropout({op['rate']})"]
        raise ValueError(op.kind)

    def _window(self, op: Op, always: bool = False) -> tuple[list[str], list[str]]:
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

    def call(self, op: Op, x: str) -> str:
        match op.kind:
            case "act":
                return ACTS[op["name"]][1].format(x)
            case "softmax":
                return f"tf.nn.softmax({x})"
            case "pool":
                x, padding = self._padded(op, x)
                given = f"{op['kernel']}, {op['stride']}, {padding}"
                return f"tf.nn.{op['name']}_pool2d({x}, {given})"
        return ""

    def _padded(self, op: Op, x: str) -> tuple[str, str]:
        if self._is_same(op):
            return x, '"SAME"'
        pad = op["padding"]
        more = f"[{pad}, {pad + bool(op.values.get('ceil'))}]"
        if pad or op.values.get("ceil"):
            x = f"tf.pad({x}, [[0, 0], {more}, {more}, [0, 0]])"
        return x, '"VALID"'

    def whole(self, op: Op, x: str) -> str:
        match op.kind:
            case "global":
                return {
                    "avg": f"tf.reduce_mean({x}, axis=[1, 2], keepdims=True)",
                    "max": f"tf.reduce_max({x}, axis=[1, 2], keepdims=True)",
                    "one": f'tf.nn.avg_pool2d({x}, 1, 1, "VALID")',
                    "window": f'tf.nn.avg_pool2d({x}, {x}.shape[1:3], 1, "VALID")',
                }[op["name"]]
            case "flatten":
                return f"tf.reshape({x}, [-1, {x}.shape[1] * {x}.shape[2] * {x}.shape[3]])"
            case "dropout":
                return f"keras.layers.Dropout({op['rate']})({x})"
        return self.call(op, x)

    def raw(self, name: str, op: Op, channels: int) -> list[str]:
        match op.kind:
            case "conv" | "conv_head":
                side = op.values.get("kernel", 1)
                shape = [side, side, channels // op.values.get("groups", 1), op["out"]]
                scale = (2 / (shape[0] * shape[1] * shape[2])) ** 0.5
                found = [
                    f"self.{name}_w = tf.Variable(tf.random.normal({shape}, stddev={scale:.5f}))"
                ]
            case "dense":
                shape = [op["inputs"] or channels, op["out"]]
                found = [f"self.{name}_w = tf.Variable(tf.random.normal({shape}, stddev=0.03))"]
            case "norm":
                return [
                    f"self.{name}_w = tf.Variable(tf.ones([{channels}]))",
                    f"self.{name}_b = tf.Variable(tf.zeros([{channels}]))",
                    f"self.{name}_mean = tf.Variable(tf.zeros([{channels}]), trainable=False)",
                    f"self.{name}_var = tf.Variable(tf.ones([{channels}]), trainable=False)",
                ]
        if op.values.get("bias", True):
            found.append(f"self.{name}_b = tf.Variable(tf.zeros([{op['out']}]))")
        return found

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

    def _one(self) -> str:
        return "[@]"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"keras.Sequential([{', '.join(parts)}])"


WORDS = TensorFlow
