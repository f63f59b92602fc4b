"""MindSpore."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .plan import SIDE, Op, Plan
from .styles import Words
from .words import Channels


class MindSpore(Words):
    imports = (
        "import mindspore as ms\nimport numpy as np\nfrom mindspore import nn, ops\n\n\n"
        "def drawn(*shape):\n"
        "    scale = np.sqrt(2 / np.prod(shape[1:]))\n"
        "    return ms.Parameter(ms.Tensor((np.random.randn(*shape) * scale).astype(np.float32)))"
    )
    base = "nn.Cell"
    forward = "construct"
    listing = "nn.CellList"
    NO_BIAS = ", has_bias=False"
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
        "global window": f"nn.AvgPool2d({SIDE // 32}, {SIDE // 32})",
        "flatten": "nn.Flatten()",
        "conv_head": "nn.Conv2d({channels}, {out}, 1, has_bias=True)",
        "softmax": "nn.Softmax(axis=1)",
        "dropout": "nn.Dropout(p={rate})",
    }
    CALLS: ClassVar = {
        "act relu": "ops.relu({x})",
        "act leaky_relu": "ops.leaky_relu({x}, 0.1)",
        "act relu6": "ops.relu6({x})",
        "act elu": "ops.elu({x})",
        "act sigmoid": "ops.sigmoid({x})",
        "act tanh": "ops.tanh({x})",
        "act silu": "ops.silu({x})",
        "global avg": "{x}.mean((2, 3), True)",
        "global max": "ops.adaptive_max_pool2d({x}, (1, 1))",
        "global one": "ops.avg_pool2d({x}, 1)",
        "global window": f"ops.avg_pool2d({{x}}, {SIDE // 32}, {SIDE // 32})",
        "flatten": "{x}.reshape({x}.shape[0], -1)",
        "softmax": "ops.softmax({x}, axis=1)",
        "dropout": "ops.dropout({x}, p={rate}, training=self.training)",
    }

    def lazy(self, plan: Plan) -> str:
        """A cell of branches, all in one sequence: graph mode knows no `isinstance` of cells."""
        return "\n".join(
            [
                "class Branches(nn.Cell):",
                "    def __init__(self, branches, around=False):",
                "        super().__init__()",
                "        self.branches = nn.CellList(branches)",
                "        self.around = around",
                "",
                "    def construct(self, x):",
                "        found = []",
                "        for branch in self.branches:",
                "            found.append(branch(x))",
                "        y = ops.cat(found, axis=1)",
                "        return x + y if self.around else y",
                "",
                self.flat(plan, "Branches([{}])"),
            ]
        )

    def conv(self, op: Op, channels: Channels, lazy: bool) -> list[str]:
        given = [str(channels), str(op["out"]), f"kernel_size={op['kernel']}", *self.window(op)]
        # Layer objects have a `group` and no bias unless asked for one.
        given += [each.replace(self.GROUPS, "group") for each in self.spread(op)]
        given += ["has_bias=True"] if op["bias"] else []
        return [f"nn.Conv2d({', '.join(given)})"]

    def norm(self, op: Op, channels: Channels, lazy: bool) -> str:
        given = "" if op["eps"] == 1e-5 else f", eps={op['eps']}"
        return f"nn.BatchNorm2d({channels}{given})"

    def pool(self, op: Op) -> list[str]:
        given = [f"kernel_size={op['kernel']}", *self.pool_window(op)]
        return [f"nn.{op['name'].title()}Pool2d({', '.join(given)})"]

    def dense(self, op: Op, channels: Channels, lazy: bool) -> str:
        return f"nn.Dense({op['inputs'] or channels}, {op['out']}{self.without(op)})"

    def window(self, op: Op, always: bool = False) -> list[str]:
        found = [f"stride={op['stride']}"] if always or op["stride"] != 1 else []
        if not isinstance(op["padding"], int):
            return [*found, 'pad_mode="same"']
        if op["padding"]:
            return [*found, 'pad_mode="pad"', f"padding={op['padding']}"]
        return [*found, 'pad_mode="valid"']

    def pool_call(self, op: Op, x: str) -> str:
        # As layer objects do; ops.max_pool2d knows no SAME.
        if op["name"] == "avg" or not isinstance(op["padding"], int):
            return f"{self.pool(op)[0]}({x})"
        given = [x, str(op["kernel"]), str(op["stride"]), str(op["padding"])]
        given += ["ceil_mode=True"] if op["ceil"] else []
        return f"ops.max_pool2d({', '.join(given)})"

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        return f"self.{name}_w = drawn{shape}"

    def bias(self, name: str, size: int) -> str:
        return f"self.{name}_b = ms.Parameter(ops.zeros({size}))"

    def statistics(self, name: str, channels: int) -> list[str]:
        made = {"w": "ones", "b": "zeros", "mean": "zeros", "var": "ones"}
        return [
            f"self.{name}_{role} = ms.Parameter(ops.{what}({channels}),"
            f" requires_grad={role in 'wb'})"
            for role, what in made.items()
        ]

    def raw_call(self, name: str, op: Op, x: str) -> str:
        w = f"self.{name}_w"
        bias = op.values.get("bias", True)
        match op.kind:
            case "norm":
                given = f"{w}, self.{name}_b, training=self.training, eps={op['eps']}"
                return f"ops.batch_norm({x}, self.{name}_mean, self.{name}_var, {given})"
            case "dense":
                return f"ops.matmul({x}, {w}.T)" + f" + self.{name}_b" * bias
            case "conv_head":
                return f"ops.conv2d({x}, {w}, self.{name}_b)"
        arguments = [x, w, *([f"bias=self.{name}_b"] if bias else []), *self.window(op)]
        return f"ops.conv2d({', '.join(arguments + self.spread(op))})"

    def cat(self, parts: Sequence[str]) -> str:
        return f"ops.cat([{', '.join(parts)}], axis=1)"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"nn.SequentialCell({', '.join(parts)})"


WORDS = MindSpore
