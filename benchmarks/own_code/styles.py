"""A plan written down as a user's code: four styles, in the words of a framework."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from textwrap import indent
from typing import ClassVar

from .plan import Block, Op, Plan, blocks, flat
from .words import Channels, Vocabulary


class Words(Vocabulary):
    """The styles of a framework are the methods `STYLES`."""

    STYLES: ClassVar[tuple[str, ...]] = ("book", "functional", "helpers", "lazy")
    base: ClassVar[str]
    forward: ClassVar[str] = "forward"
    listing: ClassVar[str]
    imports: ClassVar[str]
    #: Statements behind the last, with the model as `net`.
    last: ClassVar[str] = ""

    def __init__(self) -> None:
        self._sum = False

    # The styles -----------------------------------------------------------------------------------

    def write(self, plan: Plan, style: str) -> str:
        """The user's file; its model is `net`."""
        self._sum = False
        body = getattr(self, style)(plan)
        helper = self._residual() if self._sum else ""
        return f"{self.imports}\n\n{helper}{body}\n{self.last}"

    def can(self, plan: Plan, style: str) -> bool:
        """Whether the style has words for all of it."""
        return True

    def book(self, plan: Plan) -> str:
        """The book's: a class for the blocks, the rest in sequences of objects."""
        names, classes = self._classes(plan, self._attribute_class)
        stages: dict[str, list[str]] = {}
        shared: list[str] = []
        channels = 1
        for item in plan:
            stage = item.path.partition(".")[0]
            if isinstance(item, Block):
                parts = [self._block(item, names, channels, shared, plan)]
            else:
                parts = self._all_objects(item, channels)
            channels = after(item, channels)
            stages.setdefault(stage, []).extend(parts)
        lines = [*classes, *shared]
        for stage, parts in stages.items():
            lines.append(f"{stage} = {self.sequential(parts)}")
        lines.append(f"net = {self.sequential(list(stages))}")
        return "\n".join(lines)

    def functional(self, plan: Plan) -> str:
        """Raw parameters, and functions of them, line by line."""
        init: list[str] = []
        body: list[str] = []
        channels, count = 1, 0
        made: dict[str, list[str]] = {}

        def apply(ops: Sequence[Op], source: str, into: str, channels: int, own: list[str]) -> int:
            nonlocal count
            for op in ops:
                if op.kind == "residual":
                    body.append(f"{into}_kept = {source}")
                    channels = apply(op.inside, source, into, channels, own)
                    body.append(f"{into} = {into}_kept + {into}")
                elif op.kind in ("conv", "norm", "dense", "conv_head"):
                    if own and own[0] == "again":
                        name = own.pop(1)
                    else:
                        count += 1
                        name = f"{_NAMES[op.kind]}{count}"
                        init.extend(self.raw(name, op, channels))
                        own.append(name)
                    body.append(f"{into} = {self.raw_call(name, op, source)}")
                    channels = after(op, channels)
                else:
                    body.append(f"{into} = {self.call(op, source)}")
                source = into
            if not ops:
                body.append(f"{into} = {source}")
            return channels

        for item in plan:
            if isinstance(item, Op):
                channels = apply((item,), "x", "x", channels, [])
                continue
            own = ["again", *made[item.like]] if item.like else []
            for number in item.computed:
                apply(item.branches[number], "x", f"p{number + 1}", channels, own)
            made[item.name] = own
            joined = self.cat([f"p{number + 1}" for number in item.joined])
            body.append(f"x = {f'x + {joined}' if item.residual else joined}")
            channels = after(item, channels)
        return "\n".join(
            [
                f"class Net({self.base}):",
                "    def __init__(self):",
                "        super().__init__()",
                *(f"        {line}" for line in init),
                "",
                f"    def {self.forward}(self, x):",
                *(f"        {line}" for line in body),
                "        return x",
                "",
                "net = Net()",
            ]
        )

    def helpers(self, plan: Plan) -> str:
        """Small classes of the user's own, and one for the network."""
        names, classes = self._classes(plan, self._branches_class)
        init: list[str] = []
        body: list[str] = []
        shared: list[str] = []
        channels = 1
        stages: dict[str, list[str]] = {}
        for item in plan:
            stage = item.path.partition(".")[0]
            if isinstance(item, Block):
                if item.like:
                    body.append(f"x = self.block_{item.like}(x)")
                    continue
                init.append(f"self.block_{item.name} = {self._made(item, names, channels)}")
                call = f"self.block_{item.name}(x)"
                body.append(f"x = {f'x + {call}' if item.residual else call}")
            elif item.kind in ("conv", "norm", "dense", "conv_head", "residual"):
                members = stages.setdefault(stage, [])
                for part in self._all_objects(item, channels):
                    name = f"{stage}_{_NAMES.get(item.kind, 'part')}{len(members) + 1}"
                    members.append(name)
                    init.append(f"self.{name} = {part}")
                    body.append(f"x = self.{name}(x)")
            else:
                body.append(f"x = {self.call(item, 'x')}")
            channels = after(item, channels)
        return "\n".join(
            [
                *classes,
                *shared,
                f"class GoogLeNet({self.base}):",
                "    def __init__(self):",
                "        super().__init__()",
                *(indent(line, "        ") for line in init),
                "",
                f"    def {self.forward}(self, x):",
                *(f"        {line}" for line in body),
                "        return x",
                "",
                "net = GoogLeNet()",
            ]
        )

    def lazy(self, plan: Plan) -> str:
        """One list of objects, in which a list is a block; they find out their channels."""
        parts: list[str] = []
        shared: list[str] = []
        channels = 1
        again = {block.like for block in blocks(plan)}
        for item in plan:
            if isinstance(item, Op):
                parts += self._all_objects(item, channels, lazy=True)
            elif item.like:
                parts.append(f"block_{item.like}")
            else:
                branches = [
                    self.sequential(self._chain(item.branches[number], channels, lazy=True))
                    for number in item.joined
                ]
                inside = ",\n".join(branches)
                made = f"{self.listing}([\n{indent(inside, '    ')}\n])"
                if item.residual:
                    made = f"Around({made})"
                if item.name in again:
                    shared.append(f"block_{item.name} = {made}")
                    made = f"block_{item.name}"
                parts.append(made)
            channels = after(item, channels)
        around = [
            f"class Around({self.base}):",
            "    def __init__(self, branches):",
            "        super().__init__()",
            "        self.branches = branches",
            "",
            f"    def {self.forward}(self, x):",
            f"        return x + {self.cat_list('[branch(x) for branch in self.branches]')}",
            "",
        ]
        inside = ",\n".join(parts)
        return "\n".join(
            [
                *(around if any(block.residual for block in blocks(plan)) else ()),
                *shared,
                f"class Net({self.base}):",
                "    def __init__(self):",
                "        super().__init__()",
                f"        self.stages = {self.listing}([",
                indent(inside, "            "),
                "        ])",
                "",
                f"    def {self.forward}(self, x):",
                "        for stage in self.stages:",
                f"            if isinstance(stage, {self.listing}):",
                f"                x = {self.cat_list('[branch(x) for branch in stage]')}",
                "            else:",
                "                x = stage(x)",
                "        return x",
                "",
                "net = Net()",
            ]
        )

    def flat(self, plan: Plan, made: str) -> str:
        """All in one sequence, with `made` of the branches for a block, `around=True` behind them
        where it is summed with what it takes.
        """
        parts: list[str] = []
        shared: list[str] = []
        again = {block.like for block in blocks(plan)}
        channels: Channels = 1
        for item in plan:
            if isinstance(item, Op):
                parts += self._all_objects(item, channels)
            elif item.like:
                parts.append(f"block_{item.like}")
            else:
                branches = [
                    self.sequential(self._chain(item.branches[number], channels))
                    for number in item.joined
                ]
                block = made.format(", ".join(branches))
                if item.residual:
                    block = f"{block[:-1]}, around=True)"
                if item.name in again:
                    shared.append(f"block_{item.name} = {block}")
                    block = f"block_{item.name}"
                parts.append(block)
            channels = after(item, channels)
        return "\n".join([*shared, f"net = {self.sequential(parts)}"])

    # Parts ----------------------------------------------------------------------------------------

    def _all_objects(self, op: Op, channels: Channels, lazy: bool = False) -> list[str]:
        if op.kind != "residual":
            return self.objects(op, channels, lazy)
        self._sum = True
        return [f"Sum({self.sequential(self._chain(op.inside, channels, lazy))})"]

    def _chain(self, ops: Sequence[Op], channels: Channels, lazy: bool = False) -> list[str]:
        found: list[str] = []
        for op in ops:
            found += self._all_objects(op, channels, lazy)
            channels = after(op, channels)
        return found

    def _residual(self) -> str:
        return (
            f"class Sum({self.base}):\n"
            "    def __init__(self, inside):\n"
            "        super().__init__()\n"
            "        self.inside = inside\n\n"
            f"    def {self.forward}(self, x):\n"
            "        return x + self.inside(x)\n\n\n"
        )

    def _classes(self, plan: Plan, write: object) -> tuple[dict[str, str], list[str]]:
        """The name of each block's class, and a class for each definition among them."""
        known: dict[object, str] = {}
        names: dict[str, str] = {}
        lines: list[str] = []
        made = [block for block in blocks(plan) if not block.like]
        keys = [_definition(block) for block in made]
        # What most of the blocks are has the plain name.
        for key in sorted(set(map(str, keys)), key=lambda each: -list(map(str, keys)).count(each)):
            block = next(b for b, other in zip(made, keys, strict=True) if str(other) == key)
            name = "Inception" if not known else f"Inception{block.name.upper()}"
            known[key] = name
            lines.append(write(name, block))  # type: ignore[operator]
        for block, key in zip(made, keys, strict=True):
            names[block.name] = known[str(key)]
        return names, lines

    def _attribute_class(self, name: str, block: Block) -> str:
        """A layer object for all that has parameters, functions between them."""
        init: list[str] = []
        body: list[str] = []
        for number in block.computed:
            symbols = symbolic(block)[number]
            expression, channels = "x", "in_channels"
            for place, op in enumerate(symbols):
                if op.kind == "residual":
                    self._sum = True
                    body.append(f"y = {expression}")
                    init.append(
                        f"self.p{number + 1}_{place + 1} ="
                        f" {self.sequential(self._chain(op.inside, channels))}"
                    )
                    expression = f"(y + self.p{number + 1}_{place + 1}(y))"
                elif op.kind == "act":
                    expression = self.call(op, expression)
                else:
                    for part, made in enumerate(self.objects(op, channels)):
                        attribute = f"p{number + 1}_{place + 1}" + "b" * part
                        init.append(f"self.{attribute} = {made}")
                        expression = f"self.{attribute}({expression})"
                channels = after(op, channels)
            body.append(f"p{number + 1} = {expression}")
        joined = self.cat([f"p{number + 1}" for number in block.joined])
        body.append(f"return {f'x + {joined}' if block.residual else joined}")
        return self._class(name, block, init, body)

    def _branches_class(self, name: str, block: Block) -> str:
        """Each branch a sequence."""
        init: list[str] = []
        ops = symbolic(block)
        for number in block.computed:
            made = self.sequential(self._chain(ops[number], "in_channels"))
            init.append(f"self.branch_{number + 1} = {made}")
        joined = self.cat([f"self.branch_{number + 1}(x)" for number in block.joined])
        return self._class(name, block, init, [f"return {joined}"])

    def _class(self, name: str, block: Block, init: list[str], body: list[str]) -> str:
        arguments = ", ".join(f"c{number + 1}" for number, row in enumerate(block.row) if row)
        return "\n".join(
            [
                f"class {name}({self.base}):",
                f"    def __init__(self, in_channels, {arguments}):",
                "        super().__init__()",
                *(indent(line, "        ") for line in init),
                "",
                f"    def {self.forward}(self, x):",
                *(f"        {line}" for line in body),
                "",
                "",
            ]
        )

    def _made(self, block: Block, names: dict[str, str], channels: int) -> str:
        row = [each[0] if len(each) == 1 else each for each in block.row if each]
        return f"{names[block.name]}({channels}, {', '.join(map(str, row))})"

    def _block(
        self,
        block: Block,
        names: dict[str, str],
        channels: int,
        shared: list[str],
        plan: Plan,
    ) -> str:
        if block.like:
            return f"block_{block.like}"
        made = self._made(block, names, channels)
        if any(other.like == block.name for other in blocks(plan)):
            shared.append(f"block_{block.name} = {made}")
            return f"block_{block.name}"
        return made


_NAMES = {"conv": "conv", "norm": "norm", "dense": "fc", "conv_head": "conv"}


def after(item: Op | Block, channels: Channels) -> Channels:
    """The channels behind it."""
    if isinstance(item, Block):
        if item.like:
            return channels
        total = 0
        for number in item.joined:
            width: Channels = channels
            for op in item.branches[number]:
                width = after(op, width)
            total += int(width)
        return total
    if item.kind == "residual":
        for op in item.inside:
            channels = after(op, channels)
        return channels
    return item["out"] if item.kind in ("conv", "dense", "conv_head") else channels


def symbolic(block: Block) -> tuple[tuple[Op, ...], ...]:
    """The branches with the names of a class's arguments for their channels."""
    found = []
    for number, branch in enumerate(block.branches):
        count = sum(op.kind == "conv" for op in flat(branch))
        seen: Iterator[str] = iter(
            [f"c{number + 1}"] if count == 1 else [f"c{number + 1}[{i}]" for i in range(count)]
        )
        found.append(tuple(_named(op, seen) for op in branch))
    return tuple(found)


def _named(op: Op, names: Iterator[str]) -> Op:
    if op.kind == "residual":
        return replace(op, inside=tuple(_named(each, names) for each in op.inside))
    return op.given(out=next(names)) if op.kind == "conv" else op


def _definition(block: Block) -> object:
    """What two blocks have in common that are of one class."""
    return symbolic(block), block.joined, block.computed, block.residual
