"""PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .plan import SIDE, Op
from .styles import Channels, Words

ACTS = {
    "relu": ("nn.ReLU()", "F.relu({})"),
    "leaky_relu": ("nn.LeakyReLU(0.1)", "F.leaky_relu({}, 0.1)"),
    "relu6": ("nn.ReLU6()", "F.relu6({})"),
    "elu": ("nn.ELU()", "F.elu({})"),
    "sigmoid": ("nn.Sigmoid()", "torch.sigmoid({})"),
    "tanh": ("nn.Tanh()", "torch.tanh({})"),
    "silu": ("nn.SiLU()", "F.silu({})"),
}


def pairs(padding: Any) -> tuple[int, int]:
    """What is padded before and behind."""
    return (padding, padding) if isinstance(padding, int) else padding


class Torch(Words):
    imports = "import torch\nimport torch.nn.functional as F\nfrom torch import nn"
    base = "nn.Module"
    listing = "nn.ModuleList"

    def objects(self, op: Op, channels: Channels, lazy: bool = False) -> list[str]:
        match op.kind:
            case "conv":
                name = "LazyConv2d" if lazy else "Conv2d"
                arguments = [] if lazy else [str(channels)]
                arguments += [str(op["out"]), f"kernel_size={op['kernel']}"]
                arguments += self._window(op) + self._rest(op)
                return [*self._padded(op), f"nn.{name}({', '.join(arguments)})"]
            case "norm":
                given = "" if op["eps"] == 1e-5 else f"eps={op['eps']}"
                made = ["nn.LazyBatchNorm2d("] if lazy else [f"nn.BatchNorm2d({channels}, "]
                return [f"{made[0]}{given})".replace(", )", ")")]
            case "act":
                return [ACTS[op["name"]][0]]
            case "pool":
                arguments = [f"kernel_size={op['kernel']}", *self._window(op, always=True)]
                arguments += ["ceil_mode=True"] if op["ceil"] else []
                name = "MaxPool2d" if op["name"] == "max" else "AvgPool2d"
                return [*self._padded(op), f"nn.{name}({', '.join(arguments)})"]
            case "global":
                return [
                    {
                        "avg": "nn.AdaptiveAvgPool2d((1, 1))",
                        "max": "nn.AdaptiveMaxPool2d((1, 1))",
                        "one": "nn.AvgPool2d(1)",
                        "window": f"nn.AvgPool2d({SIDE // 32})",
                    }[op["name"]]
                ]
            case "flatten":
                return ["nn.Flatten()"]
            case "dense":
                bias = "" if op["bias"] else ", bias=False"
                inputs = op["inputs"] or channels
                return [
                    f"nn.LazyLinear({op['out']}{bias})"
                    if lazy
                    else f"nn.Linear({inputs}, {op['out']}{bias})"
                ]
            case "conv_head":
                return [f"nn.Conv2d({channels}, {op['out']}, 1)"]
            case "softmax":
                return ["nn.Softmax(dim=1)"]
            case "dropout":
                return [f"nn.Dropout({op['rate']})"]
        raise ValueError(op.kind)

    def _window(self, op: Op, always: bool = False) -> list[str]:
        found = [f"stride={op['stride']}"] if always or op["stride"] != 1 else []
        if isinstance(op["padding"], int) and op["padding"]:
            found.append(f"padding={op['padding']}")
        return found

    def _rest(self, op: Op) -> list[str]:
        found = [f"{name}={op[name]}" for name in ("dilation", "groups") if op[name] != 1]
        return found + ([] if op["bias"] else ["bias=False"])

    def _padded(self, op: Op) -> list[str]:
        if isinstance(op["padding"], int):
            return []
        before, behind = op["padding"]
        return [f"nn.ZeroPad2d(({before}, {behind}, {before}, {behind}))"]

    def call(self, op: Op, x: str) -> str:
        match op.kind:
            case "act":
                return ACTS[op["name"]][1].format(x)
            case "pool":
                if not isinstance(op["padding"], int):
                    before, behind = op["padding"]
                    x = f"F.pad({x}, ({before}, {behind}, {before}, {behind}))"
                arguments = [x, str(op["kernel"]), *self._window(op, always=True)]
                arguments += ["ceil_mode=True"] if op["ceil"] else []
                return f"F.{op['name']}_pool2d({', '.join(arguments)})"
            case "softmax":
                return f"F.softmax({x}, dim=1)"
            case "dropout":
                return f"F.dropout({x}, {op['rate']}, self.training)"
        return ""

    def whole(self, op: Op, x: str) -> str:
        match op.kind:
            case "global":
                return {
                    "avg": f"{x}.mean(dim=(2, 3), keepdim=True)",
                    "max": f"F.adaptive_max_pool2d({x}, 1)",
                    "one": f"F.avg_pool2d({x}, 1)",
                    "window": f"F.avg_pool2d({x}, {x}.shape[2:])",
                }[op["name"]]
            case "flatten":
                return f"{x}.view({x}.size(0), -1)"
        return self.call(op, x)

    def raw(self, name: str, op: Op, channels: int) -> list[str]:
        match op.kind:
            case "conv" | "conv_head":
                groups = op.values.get("groups", 1)
                side = op.values.get("kernel", 1)
                shape = (op["out"], channels // groups, side, side)
                fan_in = channels // groups * side * side
                found = [
                    f"self.{name}_w = nn.Parameter(torch.randn{shape} * (2 / {fan_in}) ** 0.5)"
                ]
            case "dense":
                inputs = op["inputs"] or channels
                found = [f"self.{name}_w = nn.Parameter(torch.randn({op['out']}, {inputs}) * 0.03)"]
            case "norm":
                return [
                    f"self.{name}_w = nn.Parameter(torch.ones({channels}))",
                    f"self.{name}_b = nn.Parameter(torch.zeros({channels}))",
                    f"self.register_buffer('{name}_mean', torch.zeros({channels}))",
                    f"self.register_buffer('{name}_var', torch.ones({channels}))",
                ]
        if op.values.get("bias", True):
            found.append(f"self.{name}_b = nn.Parameter(torch.zeros({op['out']}))")
        return found

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
        if not isinstance(op["padding"], int):
            before, behind = op["padding"]
            x = f"F.pad({x}, ({before}, {behind}, {before}, {behind}))"
        arguments = [x, w, *([f"self.{name}_b"] if bias else []), *self._window(op)]
        arguments += [f"{each}={op[each]}" for each in ("dilation", "groups") if op[each] != 1]
        return f"F.conv2d({', '.join(arguments)})"

    def cat(self, parts: Sequence[str]) -> str:
        return f"torch.cat(({', '.join(parts)},), dim=1)"

    def _one(self) -> str:
        return "(@,)"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"nn.Sequential({', '.join(parts)})"


WORDS = Torch
