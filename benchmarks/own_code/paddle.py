"""PaddlePaddle."""

from __future__ import annotations

from collections.abc import Sequence

from .plan import SIDE, Op
from .styles import Channels, Words

ACTS = {
    "relu": ("nn.ReLU()", "F.relu({})"),
    "leaky_relu": ("nn.LeakyReLU(0.1)", "F.leaky_relu({}, 0.1)"),
    "relu6": ("nn.ReLU6()", "F.relu6({})"),
    "elu": ("nn.ELU()", "F.elu({})"),
    "sigmoid": ("nn.Sigmoid()", "F.sigmoid({})"),
    "tanh": ("nn.Tanh()", "paddle.tanh({})"),
    "silu": ("nn.Silu()", "F.silu({})"),
}


class Paddle(Words):
    imports = "import paddle\nimport paddle.nn.functional as F\nfrom paddle import nn"
    base = "nn.Layer"
    listing = "nn.LayerList"

    def objects(self, op: Op, channels: Channels, lazy: bool = False) -> list[str]:
        match op.kind:
            case "conv":
                arguments = [str(channels), str(op["out"]), f"kernel_size={op['kernel']}"]
                arguments += self._window(op) + self._rest(op)
                arguments += [] if op["bias"] else ["bias_attr=False"]
                return [f"nn.Conv2D({', '.join(arguments)})"]
            case "norm":
                given = "" if op["eps"] == 1e-5 else f", epsilon={op['eps']}"
                return [f"nn.BatchNorm2D({channels}{given})"]
            case "act":
                return [ACTS[op["name"]][0]]
            case "pool":
                arguments = [f"kernel_size={op['kernel']}", *self._window(op, always=True)]
                arguments += ["ceil_mode=True"] if op["ceil"] else []
                return [f"nn.{op['name'].title()}Pool2D({', '.join(arguments)})"]
            case "global":
                return [
                    {
                        "avg": "nn.AdaptiveAvgPool2D((1, 1))",
                        "max": "nn.AdaptiveMaxPool2D((1, 1))",
                        "one": "nn.AvgPool2D(1)",
                        "window": f"nn.AvgPool2D({SIDE // 32})",
                    }[op["name"]]
                ]
            case "flatten":
                return ["nn.Flatten()"]
            case "dense":
                bias = "" if op["bias"] else ", bias_attr=False"
                return [f"nn.Linear({op['inputs'] or channels}, {op['out']}{bias})"]
            case "conv_head":
                return [f"nn.Conv2D({channels}, {op['out']}, 1)"]
            case "softmax":
                return ["nn.Softmax(axis=1)"]
            case "dropout":
                return [f"nn.Dropout({op['rate']})"]
        raise ValueError(op.kind)

    def _window(self, op: Op, always: bool = False) -> list[str]:
        found = [f"stride={op['stride']}"] if always or op["stride"] != 1 else []
        if not isinstance(op["padding"], int):
            return [*found, "padding='SAME'"]
        return found + ([f"padding={op['padding']}"] if op["padding"] else [])

    def _rest(self, op: Op) -> list[str]:
        return [f"{name}={op[name]}" for name in ("dilation", "groups") if op[name] != 1]

    def call(self, op: Op, x: str) -> str:
        match op.kind:
            case "act":
                return ACTS[op["name"]][1].format(x)
            case "pool":
                arguments = [x, str(op["kernel"]), *self._window(op, always=True)]
                arguments += ["ceil_mode=True"] if op["ceil"] else []
                return f"F.{op['name']}_pool2d({', '.join(arguments)})"
            case "softmax":
                return f"F.softmax({x}, axis=1)"
            case "dropout":
                return f"F.dropout({x}, {op['rate']}, training=self.training)"
        return ""

    def whole(self, op: Op, x: str) -> str:
        match op.kind:
            case "global":
                return {
                    "avg": f"{x}.mean(axis=[2, 3], keepdim=True)",
                    "max": f"F.adaptive_max_pool2d({x}, 1)",
                    "one": f"F.avg_pool2d({x}, 1)",
                    "window": f"F.avg_pool2d({x}, {x}.shape[2:])",
                }[op["name"]]
            case "flatten":
                return f"{x}.reshape([{x}.shape[0], -1])"
        return self.call(op, x)

    def raw(self, name: str, op: Op, channels: int) -> list[str]:
        match op.kind:
            case "conv" | "conv_head":
                side = op.values.get("kernel", 1)
                shape = [op["out"], channels // op.values.get("groups", 1), side, side]
                found = [f"self.{name}_w = self.create_parameter({shape})"]
            case "dense":
                shape = [op["inputs"] or channels, op["out"]]
                found = [f"self.{name}_w = self.create_parameter({shape})"]
            case "norm":
                return [
                    f"self.{name}_w = self.create_parameter([{channels}],"
                    " default_initializer=nn.initializer.Constant(1.0))",
                    f"self.{name}_b = self.create_parameter([{channels}], is_bias=True)",
                    f"self.register_buffer('{name}_mean', paddle.zeros([{channels}]))",
                    f"self.register_buffer('{name}_var', paddle.ones([{channels}]))",
                ]
        if op.values.get("bias", True):
            found.append(f"self.{name}_b = self.create_parameter([{op['out']}], is_bias=True)")
        return found

    def raw_call(self, name: str, op: Op, x: str) -> str:
        w = f"self.{name}_w"
        bias = op.values.get("bias", True)
        match op.kind:
            case "norm":
                given = f"{w}, self.{name}_b, training=self.training, epsilon={op['eps']}"
                return f"F.batch_norm({x}, self.{name}_mean, self.{name}_var, {given})"
            case "dense":
                return f"paddle.matmul({x}, {w})" + f" + self.{name}_b" * bias
            case "conv_head":
                return f"F.conv2d({x}, {w}, self.{name}_b)"
        arguments = [x, w, *([f"self.{name}_b"] if bias else []), *self._window(op)]
        return f"F.conv2d({', '.join(arguments + self._rest(op))})"

    def cat(self, parts: Sequence[str]) -> str:
        return f"paddle.concat([{', '.join(parts)}], axis=1)"

    def _one(self) -> str:
        return "[@]"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"nn.Sequential({', '.join(parts)})"


WORDS = Paddle
