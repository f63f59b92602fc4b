"""MXNet, with the arrays of `mx.nd` in half of the styles, and those of `mx.np` in the others."""

from __future__ import annotations

from collections.abc import Sequence

from .plan import SIDE, Op, Plan
from .styles import Channels, Words

OBJECTS = {
    "relu": 'nn.Activation("relu")',
    "leaky_relu": "nn.LeakyReLU(0.1)",
    "relu6": "nn.Lambda(relu6)",
    "elu": "nn.ELU()",
    "sigmoid": 'nn.Activation("sigmoid")',
    "tanh": 'nn.Activation("tanh")',
    "silu": "nn.Swish()",
}
CLASSIC = {
    "relu": "nd.relu({})",
    "leaky_relu": 'nd.LeakyReLU({}, act_type="leaky", slope=0.1)',
    "relu6": "nd.clip({}, 0, 6)",
    "elu": 'nd.LeakyReLU({}, act_type="elu", slope=1.0)',
    "sigmoid": "nd.sigmoid({})",
    "tanh": "nd.tanh({})",
    "silu": "swish({})",
}
NUMPY = {
    "relu": "npx.relu({})",
    "leaky_relu": 'npx.leaky_relu({}, act_type="leaky", slope=0.1)',
    "relu6": "np.clip({}, 0, 6)",
    "elu": 'npx.leaky_relu({}, act_type="elu", slope=1.0)',
    "sigmoid": "npx.sigmoid({})",
    "tanh": "np.tanh({})",
    "silu": "swish({})",
}
HELPERS = """

def seq(*parts):
    net = nn.Sequential()
    net.add(*parts)
    return net


def swish(x):
    return x * {sigmoid}(x)


def relu6(x):
    return {clip}(x, 0, 6)


class Pad(nn.Block):
    def __init__(self, before, behind):
        super().__init__()
        self.sides = (0, 0, 0, 0, before, behind, before, behind)

    def forward(self, x):
        return {pad}
"""
CLASSIC_IMPORTS = (
    "import mxnet as mx\nfrom mxnet import gluon, nd, autograd\nfrom mxnet.gluon import nn"
)
NUMPY_IMPORTS = (
    "import mxnet as mx\nfrom mxnet import gluon, np, npx, autograd\nfrom mxnet.gluon import nn\n\n"
    "npx.set_np()"
)


class MXNet(Words):
    base = "nn.Block"
    listing = "list"

    def write(self, plan: Plan, style: str) -> str:
        self._classic = style in ("functional", "helpers")
        self._acts = CLASSIC if self._classic else NUMPY
        zeros = "nd.zeros" if self._classic else "np.zeros"
        self.last = f"net.initialize(mx.init.Xavier())\nnet({zeros}((1, 1, {SIDE}, {SIDE})))"
        sides = "self.sides"
        self.imports = (CLASSIC_IMPORTS if self._classic else NUMPY_IMPORTS) + HELPERS.format(
            sigmoid="nd.sigmoid" if self._classic else "npx.sigmoid",
            clip="nd.clip" if self._classic else "np.clip",
            pad=f'nd.pad(x, mode="constant", pad_width={sides}, constant_value=0)'
            if self._classic
            else f"np.pad(x, tuple(zip({sides}[::2], {sides}[1::2])))",
        )
        return super().write(plan, style)

    def lazy(self, plan: Plan) -> str:
        """Blocks of branches from a class of the framework's kind; all in one sequence."""
        return "\n".join(
            [
                "class Branches(nn.Block):",
                "    def __init__(self, *branches, around=False):",
                "        super().__init__()",
                "        self.around = around",
                "        for branch in branches:",
                "            self.register_child(branch)",
                "",
                "    def forward(self, x):",
                f"        y = {self.cat_list('[each(x) for each in self._children.values()]')}",
                "        return x + y if self.around else y",
                "",
                self.flat(plan, "Branches({})"),
            ]
        )

    def objects(self, op: Op, channels: Channels, lazy: bool = False) -> list[str]:
        match op.kind:
            case "conv":
                arguments = [str(op["out"]), f"kernel_size={op['kernel']}", *self._window(op)]
                arguments += [
                    f"{name}={op[name]}" for name in ("dilation", "groups") if op[name] != 1
                ]
                arguments += [] if op["bias"] else ["use_bias=False"]
                return [*self._padded(op), f"nn.Conv2D({', '.join(arguments)})"]
            case "norm":
                return [f"nn.BatchNorm(epsilon={op['eps']})"]
            case "act":
                return [OBJECTS[op["name"]]]
            case "pool":
                arguments = [f"pool_size={op['kernel']}", *self._window(op, always=True)]
                arguments += ["ceil_mode=True"] if op["ceil"] else []
                return [
                    *self._padded(op), f"nn.{op['name'].title()}Pool2D({', '.join(arguments)})"
                ]  # fmt: skip
            case "global":
                return [
                    {
                        "avg": "nn.GlobalAvgPool2D()",
                        "max": "nn.GlobalMaxPool2D()",
                        "one": "nn.AvgPool2D(1)",
                        "window": f"nn.AvgPool2D({SIDE // 32})",
                    }[op["name"]]
                ]
            case "flatten":
                return ["nn.Flatten()"]
            case "dense":
                bias = "" if op["bias"] else ", use_bias=False"
                return [f"nn.Dense({op['out']}{bias})"]
            case "conv_head":
                return [f"nn.Conv2D({op['out']}, 1)"]
            case "softmax":
                return ["nn.Lambda(nd.softmax)" if self._classic else "nn.Lambda(npx.softmax)"]
            case "dropout":
                return [f"nn.Dropout({op['rate']})"]
        raise ValueError(op.kind)

    def _window(self, op: Op, always: bool = False) -> list[str]:
        found = [f"strides={op['stride']}"] if always or op["stride"] != 1 else []
        if isinstance(op["padding"], int) and op["padding"]:
            found.append(f"padding={op['padding']}")
        return found

    def _padded(self, op: Op) -> list[str]:
        pad = op["padding"]
        return [] if isinstance(pad, int) else [f"Pad({pad[0]}, {pad[1]})"]

    def call(self, op: Op, x: str) -> str:
        own = "nd" if self._classic else "npx"
        match op.kind:
            case "act":
                return self._acts[op["name"]].format(x)
            case "softmax":
                return f"{own}.softmax({x})"
            case "dropout":
                name = "nd.Dropout" if self._classic else "npx.dropout"
                return f"{name}({x}, p={op['rate']})"
            case "pool":
                pad = op["padding"]
                if not isinstance(pad, int):
                    x, pad = f"Pad({pad[0]}, {pad[1]})({x})", 0
                name = "nd.Pooling" if self._classic else "npx.pooling"
                sides = [("kernel", op["kernel"]), ("stride", op["stride"]), ("pad", pad)]
                given = [f"{what}=({side}, {side})" for what, side in sides]
                given += [f'pool_type="{op["name"]}"']
                given += ['pooling_convention="full"'] if op["ceil"] else []
                return f"{name}({x}, {', '.join(given)})"
        return ""

    def whole(self, op: Op, x: str) -> str:
        match op.kind:
            case "global":
                name = "nd.Pooling" if self._classic else "npx.pooling"
                side = SIDE // 32
                return {
                    "avg": f"{x}.mean(axis=(2, 3), keepdims=True)",
                    "max": f'{name}({x}, kernel=(1, 1), global_pool=True, pool_type="max")',
                    "one": f'{name}({x}, kernel=(1, 1), pool_type="avg")',
                    "window": f'{name}({x}, kernel=({side}, {side}), pool_type="avg")',
                }[op["name"]]
            case "flatten":
                return f"{x}.reshape({x}.shape[0], -1)"
        return self.call(op, x)

    def raw(self, name: str, op: Op, channels: int) -> list[str]:
        def parameter(role: str, shape: Sequence[int], given: str = "") -> str:
            inside = f'"{name}_{role}", shape={tuple(shape)}{given}'
            return f"self.{name}_{role} = self.params.get({inside})"

        match op.kind:
            case "conv" | "conv_head":
                side = op.values.get("kernel", 1)
                shape = (op["out"], channels // op.values.get("groups", 1), side, side)
                found = [parameter("w", shape)]
            case "dense":
                found = [parameter("w", (op["out"], op["inputs"] or channels))]
            case "norm":
                return [
                    parameter("w", (channels,), ', init="ones"'),
                    parameter("b", (channels,), ', init="zeros"'),
                    parameter("mean", (channels,), ', init="zeros", grad_req="null"'),
                    parameter("var", (channels,), ', init="ones", grad_req="null"'),
                ]
        if op.values.get("bias", True):
            found.append(parameter("b", (op["out"],), ', init="zeros"'))
        return found

    def raw_call(self, name: str, op: Op, x: str) -> str:
        w, b = f"self.{name}_w.data()", f"self.{name}_b.data()"
        bias = op.values.get("bias", True)
        own = {
            "conv": "nd.Convolution" if self._classic else "npx.convolution",
            "dense": "nd.FullyConnected" if self._classic else "npx.fully_connected",
            "norm": "nd.BatchNorm" if self._classic else "npx.batch_norm",
        }
        match op.kind:
            case "norm":
                moving = f"self.{name}_mean.data(), self.{name}_var.data()"
                return f"{own['norm']}({x}, {w}, {b}, {moving}, eps={op['eps']}, fix_gamma=False)"
            case "dense":
                given = [x, w, *([b] if bias else ["no_bias=True"]), f"num_hidden={op['out']}"]
                return f"{own['dense']}({', '.join(given)})"
            case "conv_head":
                return f"{own['conv']}({x}, {w}, {b}, kernel=(1, 1), num_filter={op['out']})"
        pad = op["padding"]
        if not isinstance(pad, int):
            x, pad = f"Pad({pad[0]}, {pad[1]})({x})", 0
        sides = [("kernel", op["kernel"]), ("stride", op["stride"]), ("pad", pad)]
        sides += [("dilate", op["dilation"])] if op["dilation"] != 1 else []
        given = [x, w, *([b] if bias else ["no_bias=True"])]
        given += [f"{what}=({side}, {side})" for what, side in sides]
        given += [f"num_filter={op['out']}"]
        given += [f"num_group={op['groups']}"] if op["groups"] != 1 else []
        return f"{own['conv']}({', '.join(given)})"

    def cat(self, parts: Sequence[str]) -> str:
        if self._classic:
            return f"nd.concat({', '.join(parts)}, dim=1)"
        return f"np.concatenate([{', '.join(parts)}], axis=1)"

    def cat_list(self, expression: str) -> str:
        return f"np.concatenate({expression}, axis=1)"

    def _one(self) -> str:
        return "[@]"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"seq({', '.join(parts)})"


WORDS = MXNet
