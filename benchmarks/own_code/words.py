"""What a framework has for the code of its users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from .plan import Op

#: Channels as they stand in code: a number or a name.
Channels = int | str


class Vocabulary(ABC):
    """The layers and functions of a framework, as expressions; each one gives what is unlike."""

    #: The expression that makes the layer object of a kind of operation, `act relu` or `softmax`,
    #: with its attributes and {channels} in braces; the kinds of `objects` have methods.
    OBJECTS: ClassVar[Mapping[str, str]]
    #: The function of the framework instead, of {x}; without those that take parameters.
    CALLS: ClassVar[Mapping[str, str]]
    #: The names that windows and their rest have as arguments.
    STRIDE: ClassVar[str] = "stride"
    GROUPS: ClassVar[str] = "groups"
    NO_BIAS: ClassVar[str] = ", bias=False"

    @abstractmethod
    def conv(self, op: Op, channels: Channels, lazy: bool) -> list[str]:
        """The objects of a convolution, perhaps with one for its padding."""

    @abstractmethod
    def norm(self, op: Op, channels: Channels, lazy: bool) -> str:
        """The object of a batch norm."""

    @abstractmethod
    def pool(self, op: Op) -> list[str]:
        """The objects of a pool, perhaps with one for its padding."""

    @abstractmethod
    def dense(self, op: Op, channels: Channels, lazy: bool) -> str:
        """The object of a dense layer."""

    @abstractmethod
    def pool_call(self, op: Op, x: str) -> str:
        """A pool as a function."""

    @abstractmethod
    def weight(self, name: str, shape: tuple[int, ...]) -> str:
        """The statement that makes a weight, (O, I / groups, kh, kw) or (O, I), of `self`."""

    @abstractmethod
    def bias(self, name: str, size: int) -> str:
        """The same for a bias."""

    @abstractmethod
    def statistics(self, name: str, channels: int) -> list[str]:
        """The same for all that a batch norm has."""

    @abstractmethod
    def raw_call(self, name: str, op: Op, x: str) -> str:
        """The operation with these."""

    @abstractmethod
    def cat(self, parts: Sequence[str]) -> str:
        """Joined along the channels."""

    @abstractmethod
    def sequential(self, parts: Sequence[str]) -> str:
        """One object of several."""

    # What is alike in all -------------------------------------------------------------------------

    def objects(self, op: Op, channels: Channels, lazy: bool = False) -> list[str]:
        """The expressions that make the layer objects of an operation on so many channels."""
        match op.kind:
            case "conv":
                return self.conv(op, channels, lazy)
            case "norm":
                return [self.norm(op, channels, lazy)]
            case "pool":
                return self.pool(op)
            case "dense":
                return [self.dense(op, channels, lazy)]
        return [self.OBJECTS[spelled(op)].format(channels=channels, **op.values)]

    def call(self, op: Op, x: str) -> str:
        """An operation without parameters as a function or method of arrays."""
        if op.kind == "pool":
            return self.pool_call(op, x)
        return self.CALLS[spelled(op)].format(x=x, **op.values)

    def raw(self, name: str, op: Op, channels: int) -> list[str]:
        """The statements that make the parameters of an operation as attributes of `self`."""
        if op.kind == "norm":
            return self.statistics(name, channels)
        shape: tuple[int, ...] = (op["out"], op.values.get("inputs") or channels)
        if op.kind != "dense":
            side = op.values.get("kernel", 1)
            shape = (op["out"], channels // op.values.get("groups", 1), side, side)
        found = [self.weight(name, shape)]
        return found + ([self.bias(name, op["out"])] if op.values.get("bias", True) else [])

    def window(self, op: Op, always: bool = False) -> list[str]:
        """The arguments for stride and padding, where the padding is one number."""
        found = [f"{self.STRIDE}={op['stride']}"] if always or op["stride"] != 1 else []
        if isinstance(op["padding"], int) and op["padding"]:
            found.append(f"padding={op['padding']}")
        return found

    def pool_window(self, op: Op) -> list[str]:
        """The same for a pool, with its rounding."""
        return self.window(op, always=True) + (["ceil_mode=True"] if op["ceil"] else [])

    def spread(self, op: Op) -> list[str]:
        """The arguments for gaps and groups."""
        found = [f"dilation={op['dilation']}"] if op["dilation"] != 1 else []
        return found + ([f"{self.GROUPS}={op['groups']}"] if op["groups"] != 1 else [])

    def without(self, op: Op) -> str:
        """The argument of a layer without bias, behind others."""
        return "" if op["bias"] else self.NO_BIAS

    def cat_list(self, expression: str) -> str:
        """As `cat`, of an expression that gives a list."""
        return self.cat(["@"]).replace(self._one(), expression)

    def _one(self) -> str:
        """What `cat` makes of one part, called @."""
        return "[@]"


def spelled(op: Op) -> str:
    """The kind of an operation with its name, if there are several."""
    return f"{op.kind} {op['name']}" if "name" in op.values else op.kind
