"""PaddlePaddle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .plan import SIDE, Op
from .styles import Words
from .words import Channels


class Paddle(Words):
    imports = "import paddle\nimport paddle.nn.functional as F\nfrom paddle import nn"
    base = "nn.Layer"
    listing = "nn.LayerList"
    NO_BIAS = ", bias_attr=False"
    OBJECTS: ClassVar = {
        "act relu": "nn.ReLU()",
        "act leaky_relu": "nn.LeakyReLU(0.1)",
        "act relu6": "nn.ReLU6()",
        "act elu": "nn.ELU()",
        "act sigmoid": "nn.Sigmoid()",
        "act tanh": "nn.Tanh()",
        "act silu": "nn.Silu()",
        "global avg": "nn.AdaptiveAvgPool2D((1, 1))",
        "global max": "nn.AdaptiveMaxPool2D((1, 1))",
        "global one": "nn.AvgPool2D(1)",
        "global window": f"nn.AvgPool2D({SIDE // 32})",
        "flatten": "nn.Flatten()",
        "conv_head": "nn.Conv2D({channels}, {out}, 1)",
        "softmax": "nn.Softmax(axis=1)",
        "dropout": "nn.Dropout({rate})",
    }
    CALLS: ClassVar = {
        "act relu": "F.relu({x})",
        "act leaky_relu": "F.leaky_relu({x}, 0.1)",
        "act relu6": "F.relu6({x})",
        "act elu": "F.elu({x})",
        "act sigmoid": "F.sigmoid({x})",
        "act tanh": "paddle.tanh({x})",
        "act silu": "F.silu({x})",
        "global avg": "{x}.mean(axis=[2, 3], keepdim=True)",
        "global max": "F.adaptive_max_pool2d({x}, 1)",
        "global one": "F.avg_pool2d({x}, 1)",
        "global window": "F.avg_pool2d({x}, {x}.shape[2:])",
        "flatten": "{x}.reshape([{x}.shape[0], -1])",
        "softmax": "F.softmax({x}, axis=1)",
        "dropout": "F.dropout({x}, {rate}, training=self.training)",
    }

    def conv(self, op: Op, channels: Channels, lazy: bool) -> list[str]:
        given = [str(channels), str(op["out"]), f"kernel_size={op['kernel']}", *self.window(op)]
        return [f"nn.Conv2D({', '.join(given + self.spread(op))}{self.without(op)})"]

    def norm(self, op: Op, channels: Channels, lazy: bool) -> str:
        given = "" if op["eps"] == 1e-5 else f", epsilon={op['eps']}"
        return f"nn.BatchNorm2D({channels}{given})"

    def pool(self, op: Op) -> list[str]:
        given = [f"kernel_size={op['kernel']}", *self.pool_window(op)]
        return [f"nn.{op['name'].title()}Pool2D({', '.join(given)})"]

    def dense(self, op: Op, channels: Channels, lazy: bool) -> str:
        return f"nn.Linear({op['inputs'] or channels}, {op['out']}{self.without(op)})"

    def window(self, op: Op, always: bool = False) -> list[str]:
        same = [] if isinstance(op["padding"], int) else ["padding='SAME'"]
        return super().window(op, always) + same

    def pool_call(self, op: Op, x: str) -> str:
        given = [x, str(op["kernel"]), *self.pool_window(op)]
        return f"F.{op['name']}_pool2d({', '.join(given)})"

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        given = list(shape if len(shape) == 4 else shape[::-1])
        return f"self.{name}_w = self.create_parameter({given})"

    def bias(self, name: str, size: int) -> str:
        return f"self.{name}_b = self.create_parameter([{size}], is_bias=True)"

    def statistics(self, name: str, channels: int) -> list[str]:
        return [
            f"self.{name}_w = self.create_parameter([{channels}],"
            " default_initializer=nn.initializer.Constant(1.0))",
            f"self.{name}_b = self.create_parameter([{channels}], is_bias=True)",
            f"self.register_buffer('{name}_mean', paddle.zeros([{channels}]))",
            f"self.register_buffer('{name}_var', paddle.ones([{channels}]))",
        ]

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
        arguments = [x, w, *([f"self.{name}_b"] if bias else []), *self.window(op)]
        return f"F.conv2d({', '.join(arguments + self.spread(op))})"

    def cat(self, parts: Sequence[str]) -> str:
        return f"paddle.concat([{', '.join(parts)}], axis=1)"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"nn.Sequential({', '.join(parts)})"


WORDS = Paddle
