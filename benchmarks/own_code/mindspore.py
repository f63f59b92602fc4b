"""MindSpore."""

from __future__ import annotations

from collections.abc import Sequence

from .plan import SIDE, Op, Plan
from .styles import Channels, Words

ACTS = {
    "relu": ("nn.ReLU()", "ops.relu({})"),
    "leaky_relu": ("nn.LeakyReLU(0.1)", "ops.leaky_relu({}, 0.1)"),
    "relu6": ("nn.ReLU6()", "ops.relu6({})"),
    "elu": ("nn.ELU()", "ops.elu({})"),
    "sigmoid": ("nn.Sigmoid()", "ops.sigmoid({})"),
    "tanh": ("nn.Tanh()", "ops.tanh({})"),
    "silu": ("nn.SiLU()", "ops.silu({})"),
}


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

    def objects(self, op: Op, channels: Channels, lazy: bool = False) -> list[str]:
        match op.kind:
            case "conv":
                arguments = [str(channels), str(op["out"]), f"kernel_size={op['kernel']}"]
                arguments += self._window(op) + self._rest(op, "group")
                arguments += ["has_bias=True"] if op["bias"] else []
                return [f"nn.Conv2d({', '.join(arguments)})"]
            case "norm":
                given = "" if op["eps"] == 1e-5 else f", eps={op['eps']}"
                return [f"nn.BatchNorm2d({channels}{given})"]
            case "act":
                return [ACTS[op["name"]][0]]
            case "pool":
                arguments = [f"kernel_size={op['kernel']}", *self._window(op, always=True)]
                arguments += ["ceil_mode=True"] if op["ceil"] else []
                return [f"nn.{op['name'].title()}Pool2d({', '.join(arguments)})"]
            case "global":
                return [
                    {
                        "avg": "nn.AdaptiveAvgPool2d((1, 1))",
                        "max": "nn.AdaptiveMaxPool2d((1, 1))",
                        "one": "nn.AvgPool2d(1)",
                        "window": f"nn.AvgPool2d({SIDE // 32}, {SIDE // 32})",
                    }[op["name"]]
                ]
            case "flatten":
                return ["nn.Flatten()"]
            case "dense":
                bias = "" if op["bias"] else ", has_bias=False"
                return [f"nn.Dense({op['inputs'] or channels}, {op['out']}{bias})"]
            case "conv_head":
                return [f"nn.Conv2d({channels}, {op['out']}, 1, has_bias=True)"]
            case "softmax":
                return ["nn.Softmax(axis=1)"]
            case "dropout":
                return [f"nn.Dropout(p={op['rate']})"]
        raise ValueError(op.kind)

    def _window(self, op: Op, always: bool = False) -> list[str]:
        found = [f"stride={op['stride']}"] if always or op["stride"] != 1 else []
        if not isinstance(op["padding"], int):
            return [*found, 'pad_mode="same"']
        if op["padding"]:
            return [*found, 'pad_mode="pad"', f"padding={op['padding']}"]
        return [*found, 'pad_mode="valid"']

    def _rest(self, op: Op, groups: str) -> list[str]:
        found = [f"dilation={op['dilation']}"] if op["dilation"] != 1 else []
        return found + ([f"{groups}={op['groups']}"] if op["groups"] != 1 else [])

    def call(self, op: Op, x: str) -> str:
        match op.kind:
            case "act":
                return ACTS[op["name"]][1].format(x)
            case "pool":
                # As layer objects do; ops.max_pool2d knows no SAME.
                if op["name"] == "avg" or not isinstance(op["padding"], int):
                    return f"{self.objects(op, 0)[0]}({x})"
                arguments = [x, str(op["kernel"]), str(op["stride"]), str(op["padding"])]
                arguments += ["ceil_mode=True"] if op["ceil"] else []
                return f"ops.max_pool2d({', '.join(arguments)})"
            case "softmax":
                return f"ops.softmax({x}, axis=1)"
            case "dropout":
                return f"ops.dropout({x}, p={op['rate']}, training=self.training)"
        return ""

    def whole(self, op: Op, x: str) -> str:
        match op.kind:
            case "global":
                return {
                    "avg": f"{x}.mean((2, 3), True)",
                    "max": f"ops.adaptive_max_pool2d({x}, (1, 1))",
                    "one": f"ops.avg_pool2d({x}, 1)",
                    "window": f"ops.avg_pool2d({x}, {SIDE // 32}, {SIDE // 32})",
                }[op["name"]]
            case "flatten":
                return f"{x}.reshape({x}.shape[0], -1)"
        return self.call(op, x)

    def raw(self, name: str, op: Op, channels: int) -> list[str]:
        match op.kind:
            case "conv" | "conv_head":
                side = op.values.get("kernel", 1)
                shape = (op["out"], channels // op.values.get("groups", 1), side, side)
                found = [f"self.{name}_w = drawn{shape}"]
            case "dense":
                found = [f"self.{name}_w = drawn({op['out']}, {op['inputs'] or channels})"]
            case "norm":
                return [
                    f"self.{name}_{role} = ms.Parameter(ops.{what}({channels}),"
                    f" requires_grad={role in 'wb'})"
                    for role, what in (
                        ("w", "ones"),
                        ("b", "zeros"),
                        ("mean", "zeros"),
                        ("var", "ones"),
                    )
                ]
        if op.values.get("bias", True):
            found.append(f"self.{name}_b = ms.Parameter(ops.zeros({op['out']}))")
        return found

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
        arguments = [x, w, *([f"bias=self.{name}_b"] if bias else []), *self._window(op)]
        return f"ops.conv2d({', '.join(arguments + self._rest(op, 'groups'))})"

    def cat(self, parts: Sequence[str]) -> str:
        return f"ops.cat([{', '.join(parts)}], axis=1)"

    def _one(self) -> str:
        return "[@]"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"nn.SequentialCell({', '.join(parts)})"


WORDS = MindSpore
