"""PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from .plan import SIDE, Op
from .styles import Words
from .words import Channels


class Torch(Words):
    imports = "import torch\nimport torch.nn.functional as F\nfrom torch import nn"
    base = "nn.Module"
    listing = "nn.ModuleList"
    OBJECTS: ClassVar = {
        "act relu": "nn.ReLU()",
        "act leaky_relu": "nn.LeakyReLU(0.1)",
        "act relu6": "nn.ReLU6()",
        "act elu": "nn.ELU()",
        "act sigmoid": "nn.Sigmoid()",
        "act tanh": "nn.Tanh()",
        "act silu": "nn.SiLU()",
        "global avg": "nn.AdaptiveAvgPool2d((1, 1))",
        "global max": "nn.AdaptiveMaxPool2d((1, 1))",
        "global one": "nn.AvgPool2d(1)",
        "global window": f"nn.AvgPool2d({SIDE // 32})",
        "flatten": "nn.Flatten()",
        "conv_head": "nn.Conv2d({channels}, {out}, 1)",
        "softmax": "nn.Softmax(dim=1)",
        "dropout": "nn.Dropout({rate})",
    }
    CALLS: ClassVar = {
        "act relu": "F.relu({x})",
        "act leaky_relu": "F.leaky_relu({x}, 0.1)",
        "act relu6": "F.relu6({x})",
        "act elu": "F.elu({x})",
        "act sigmoid": "torch.sigmoid({x})",
        "act tanh": "torch.tanh({x})",
        "act silu": "F.silu({x})",
        "global avg": "{x}.mean(dim=(2, 3), keepdim=True)",
        "global max": "F.adaptive_max_pool2d({x}, 1)",
        "global one": "F.avg_pool2d({x}, 1)",
        "global window": "F.avg_pool2d({x}, {x}.shape[2:])",
        "flatten": "{x}.view({x}.size(0), -1)",
        "softmax": "F.softmax({x}, dim=1)",
        "dropout": "F.dropout({x}, {rate}, self.training)",
    }

    def conv(self, op: Op, channels: Channels, lazy: bool) -> list[str]:
        given = [] if lazy else [str(channels)]
        given += [str(op["out"]), f"kernel_size={op['kernel']}", *self.window(op)]
        made = f"nn.{'LazyConv2d' if lazy else 'Conv2d'}({', '.join(given + self.spread(op))}"
        return [*self._padded(op), f"{made}{self.without(op)})"]

    def norm(self, op: Op, channels: Channels, lazy: bool) -> str:
        given = [] if lazy else [str(channels)]
        given += [] if op["eps"] == 1e-5 else [f"eps={op['eps']}"]
        return f"nn.{'LazyBatchNorm2d' if lazy else 'BatchNorm2d'}({', '.join(given)})"

    def pool(self, op: Op) -> list[str]:
        given = [f"kernel_size={op['kernel']}", *self.pool_window(op)]
        made = f"nn.{op['name'].title()}Pool2d({', '.join(given)})"
        return [*self._padded(op), made]

    def dense(self, op: Op, channels: Channels, lazy: bool) -> str:
        if lazy:
            return f"nn.LazyLinear({op['out']}{self.without(op)})"
        return f"nn.Linear({op['inputs'] or channels}, {op['out']}{self.without(op)})"

    def _padded(self, op: Op) -> list[str]:
        if isinstance(op["padding"], int):
            return []
        before, behind = op["padding"]
        return [f"nn.ZeroPad2d(({before}, {behind}, {before}, {behind}))"]

    def _padded_call(self, op: Op, x: str) -> str:
        if isinstance(op["padding"], int):
            return x
        before, behind = op["padding"]
        return f"F.pad({x}, ({before}, {behind}, {before}, {behind}))"

    def pool_call(self, op: Op, x: str) -> str:
        given = [self._padded_call(op, x), str(op["kernel"]), *self.pool_window(op)]
        return f"F.{op['name']}_pool2d({', '.join(given)})"

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        scale = "0.03" if len(shape) == 2 else f"(2 / {math.prod(shape[1:])}) ** 0.5"
        drawn = ", ".join(map(str, shape))
        return f"self.{name}_w = nn.Parameter(torch.randn({drawn}) * {scale})"

    def bias(self, name: str, size: int) -> str:
        return f"self.{name}_b = nn.Parameter(torch.zeros({size}))"

    def statistics(self, name: str, channels: int) -> list[str]:
        return [
            f"self.{name}_w = nn.Parameter(torch.ones({channels}))",
            f"self.{name}_b = nn.Parameter(torch.zeros({channels}))",
            f"self.register_buffer('{name}_mean', torch.zeros({channels}))",
            f"self.register_buffer('{name}_var', torch.ones({channels}))",
        ]

    def raw_call(self, name: str, op: Op, x: str) -> str:
        w = f"self.{name}_w"
        bias = op.values.get("bias", True)
        match op.kind:
            case "norm":
                given = f"{w}, self.{name}_b, self.training, eps={op['eps']}"
                return f"F.batch_norm({x}, self.{name}_mean, self.{name}_var, {given})"
            case "dense":
                return f"{x} @ {w}.t()" + f" + self.{name}_b" * bias
            case "conv_head":
                return f"F.conv2d({x}, {w}, self.{name}_b)"
        arguments = [
            self._padded_call(op, x),
            w,
            *([f"self.{name}_b"] if bias else []),
            *self.window(op),
        ]
        arguments += self.spread(op)
        return f"F.conv2d({', '.join(arguments)})"

    def cat(self, parts: Sequence[str]) -> str:
        return f"torch.cat(({', '.join(parts)},), dim=1)"

    def _one(self) -> str:
        return "(@,)"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"nn.Sequential({', '.join(parts)})"


WORDS = Torch
