"""MXNet, with the arrays of `mx.nd` in half of the styles, and those of `mx.np` in the others."""

from __future__ import annotations

from collections.abc import Sequence

from .plan import SIDE, Op, Plan
from .styles import Words
from .words import Channels

OBJECTS = {
    "act relu": 'nn.Activation("relu")',
    "act leaky_relu": "nn.LeakyReLU(0.1)",
    "act relu6": "nn.Lambda(relu6)",
    "act elu": "nn.ELU()",
    "act sigmoid": 'nn.Activation("sigmoid")',
    "act tanh": 'nn.Activation("tanh")',
    "act silu": "nn.Swish()",
    "global avg": "nn.GlobalAvgPool2D()",
    "global max": "nn.GlobalMaxPool2D()",
    "global one": "nn.AvgPool2D(1)",
    "global window": f"nn.AvgPool2D({SIDE // 32})",
    "flatten": "nn.Flatten()",
    "conv_head": "nn.Conv2D({out}, 1)",
    "dropout": "nn.Dropout({rate})",
}
BOTH = {
    "act silu": "swish({x})",
    "global avg": "{x}.mean(axis=(2, 3), keepdims=True)",
    "flatten": "{x}.reshape({x}.shape[0], -1)",
}
CLASSIC = {
    **BOTH,
    "act relu": "nd.relu({x})",
    "act leaky_relu": 'nd.LeakyReLU({x}, act_type="leaky", slope=0.1)',
    "act relu6": "nd.clip({x}, 0, 6)",
    "act elu": 'nd.LeakyReLU({x}, act_type="elu", slope=1.0)',
    "act sigmoid": "nd.sigmoid({x})",
    "act tanh": "nd.tanh({x})",
    "global max": 'nd.Pooling({x}, kernel=(1, 1), global_pool=True, pool_type="max")',
    "global one": 'nd.Pooling({x}, kernel=(1, 1), pool_type="avg")',
    "global window": f'nd.Pooling({{x}}, kernel=({SIDE // 32}, {SIDE // 32}), pool_type="avg")',
    "softmax": "nd.softmax({x})",
    "dropout": "nd.Dropout({x}, p={rate})",
}
NUMPY = {
    **BOTH,
    "act relu": "npx.relu({x})",
    "act leaky_relu": 'npx.leaky_relu({x}, act_type="leaky", slope=0.1)',
    "act relu6": "np.clip({x}, 0, 6)",
    "act elu": 'npx.leaky_relu({x}, act_type="elu", slope=1.0)',
    "act sigmoid": "npx.sigmoid({x})",
    "act tanh": "np.tanh({x})",
    "global max": 'npx.pooling({x}, kernel=(1, 1), global_pool=True, pool_type="max")',
    "global one": 'npx.pooling({x}, kernel=(1, 1), pool_type="avg")',
    "global window": f'npx.pooling({{x}}, kernel=({SIDE // 32}, {SIDE // 32}), pool_type="avg")',
    "softmax": "npx.softmax({x})",
    "dropout": "npx.dropout({x}, p={rate})",
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
    STRIDE = "strides"
    NO_BIAS = ", use_bias=False"

    def write(self, plan: Plan, style: str) -> str:
        self._classic = style in ("functional", "helpers")
        self.CALLS = CLASSIC if self._classic else NUMPY
        softmax = "nd.softmax" if self._classic else "npx.softmax"
        self.OBJECTS = {**OBJECTS, "softmax": f"nn.Lambda({softmax})"}
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

    def conv(self, op: Op, channels: Channels, lazy: bool) -> list[str]:
        given = [str(op["out"]), f"kernel_size={op['kernel']}", *self.window(op), *self.spread(op)]
        return [*self._padded(op), f"nn.Conv2D({', '.join(given)}{self.without(op)})"]

    def norm(self, op: Op, channels: Channels, lazy: bool) -> str:
        return f"nn.BatchNorm(epsilon={op['eps']})"

    def pool(self, op: Op) -> list[str]:
        given = [f"pool_size={op['kernel']}", *self.pool_window(op)]
        return [*self._padded(op), f"nn.{op['name'].title()}Pool2D({', '.join(given)})"]

    def dense(self, op: Op, channels: Channels, lazy: bool) -> str:
        return f"nn.Dense({op['out']}{self.without(op)})"

    def _padded(self, op: Op) -> list[str]:
        pad = op["padding"]
        return [] if isinstance(pad, int) else [f"Pad({pad[0]}, {pad[1]})"]

    def _sides(self, op: Op, x: str) -> tuple[str, list[str]]:
        """What a function of windows is given, padded where it cannot, and its arguments."""
        pad = op["padding"]
        if not isinstance(pad, int):
            x, pad = f"{self._padded(op)[0]}({x})", 0
        sides = [("kernel", op["kernel"]), ("stride", op["stride"]), ("pad", pad)]
        sides += [("dilate", op["dilation"])] if op.values.get("dilation", 1) != 1 else []
        return x, [f"{what}=({side}, {side})" for what, side in sides]

    def pool_call(self, op: Op, x: str) -> str:
        x, given = self._sides(op, x)
        given += [f'pool_type="{op["name"]}"']
        given += ['pooling_convention="full"'] if op["ceil"] else []
        return f"{'nd.Pooling' if self._classic else 'npx.pooling'}({x}, {', '.join(given)})"

    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        return self._parameter(f"{name}_w", shape)

    def bias(self, name: str, size: int) -> str:
        return self._parameter(f"{name}_b", (size,), ', init="zeros"')

    def statistics(self, name: str, channels: int) -> list[str]:
        given = {
            "w": ', init="ones"',
            "b": ', init="zeros"',
            "mean": ', init="zeros", grad_req="null"',
            "var": ', init="ones", grad_req="null"',
        }
        return [
            self._parameter(f"{name}_{role}", (channels,), each) for role, each in given.items()
        ]

    def _parameter(self, name: str, shape: tuple[int, ...], given: str = "") -> str:
        return f'self.{name} = self.params.get("{name}", shape={shape}{given})'

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
        x, sides = self._sides(op, x)
        given = [x, w, *([b] if bias else ["no_bias=True"]), *sides]
        given += [f"num_filter={op['out']}"]
        given += [f"num_group={op['groups']}"] if op["groups"] != 1 else []
        return f"{own['conv']}({', '.join(given)})"

    def cat(self, parts: Sequence[str]) -> str:
        if self._classic:
            return f"nd.concat({', '.join(parts)}, dim=1)"
        return f"np.concatenate([{', '.join(parts)}], axis=1)"

    def cat_list(self, expression: str) -> str:
        return f"np.concatenate({expression}, axis=1)"

    def sequential(self, parts: Sequence[str]) -> str:
        return f"seq({', '.join(parts)})"


WORDS = MXNet
