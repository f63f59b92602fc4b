"""Networks as functions of a symbolic tensor, as in Keras's functional style."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from ..backend.spelling import Functions
from ..spec.layers import Shape
from .calls import call, docstring, loop_range, runs, shape_text, signature
from .names import is_unit, snake
from .printing import INDENT, Group, Part, lines
from .scope import Scope
from .tree import Block, Node, Use, kind

#: The variables and arguments of every function.
HERE: Final = frozenset({"x", "name", "images", "branches", "body", "shortcut"})


@dataclass(frozen=True)
class _Assignment:
    """A statement that gives `result` what `code` makes; its first line is number `start`."""

    start: int
    indent: str
    code: Group
    result: str
    comment: str

    def lines(self, before: str | None = None) -> list[str]:
        """The statement; with `before` in place of `result = `."""
        before = f"{self.result} = " if before is None else before
        return lines(self.code, self.indent, before=before, comment=self.comment)


@dataclass
class _Body:
    """A function while it is written: its lines, how it calls its layers' paths, the variables that
    it has, and the auxiliary outputs so far. `named` is the expression of its own path, "" for the
    network's.
    """

    named: str
    taken: set[str]
    indent: str = INDENT
    found: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    #: What `add` wrote last, and at which line it begins.
    last: _Assignment | None = None

    def add(self, code: Group, result: str, comment: str = "") -> None:
        """The statement that gives `result` what `code` makes."""
        self.last = _Assignment(len(self.found), self.indent, code, result, comment)
        self.found += self.last.lines()

    def returned(self, result: str) -> list[str]:
        """All lines, and at their end what returns `result` and the auxiliary outputs: the last
        statement, if that is what gives `x`, and there is nothing else to return.
        """
        last, values = self.last, ", ".join([result, *self.outputs])
        if last is not None and (last.indent, last.result, values) == (INDENT, "x", "x"):
            written = last.lines()
            ends = last.start + len(written) == len(self.found)
            # A comment on a shape in the same line belongs to x.
            if ends and not (len(written) == 1 and last.comment):
                return [*self.found[: last.start], *last.lines("return ")]
        return [*self.found, f"{INDENT}return {values}"]

    def path(self, inside: str) -> str:
        """The name of a layer `inside` the function, as source."""
        if not inside:
            return self.named
        path = f"{{{self.named}}}.{inside}" if self.named else inside
        return f'f"{path}"' if "{" in path else f'"{path}"'

    def counter(self) -> str:
        """A variable for a loop, free here and in the loops around: i, j, k, ..."""
        return next(each for each in _counters() if each not in self.taken)

    def variable(self, name: str) -> str:
        """A variable that is not taken, called `name` if that is free."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


class FunctionWriter:
    """Writes blocks as functions, which take the path of their layers as `name`; `blocks` are all
    that the file has.
    """

    def __init__(self, spelling: Functions, scope: Scope, blocks: Sequence[Block]) -> None:
        self._spelling = spelling
        self._scope = scope
        # What a function would hide: all that the file may use, and arguments of other functions.
        hidden = {*scope.reserved, *HERE, *(each.name for block in blocks for each in block.params)}
        self._functions: dict[str, str] = {}
        for block in blocks:
            named = snake(block.name)
            while named in hidden or named in self._functions.values():
                named += "_"
            self._functions[block.name] = named
        self._names = {*self._functions.values(), *(scope.reserved - {"i"})}

    def name(self, block: Block) -> str:
        """What the function of a block is called."""
        return self._functions[block.name]

    def block(self, block: Block) -> list[str]:
        """The function of a block: of a tensor, or for the network the one that makes the model."""
        if not block.first.path:
            return self._network(block)
        parts = (Part("x"), *signature(block), Part("*"), Part("name"))
        found = lines(Group(f"def {self.name(block)}(", parts, "):"))
        first = block.first
        if not is_unit(first):
            given, result = map(self._shape, (first.site.in_shape, first.site.out_shape))
            found += docstring(f"{given} → {result} in {first.path}.", INDENT)
        taken = {"x", "name", "branches", *(param.name for param in block.params), *self._names}
        body = _Body("name", taken)
        if kind(block.body) == "concat":
            self._join(block.body, body)
        else:
            result = self._sequence(block.body, "x", "x", "", body, shapes=block.count == 1)
            return [*found, *body.returned(result)]
        return [*found, *body.found]

    def instance(self, node: Node) -> tuple[list[str], str]:
        """The statements that apply a layer to an input of its own, and the variable that has what
        comes of it.
        """
        body = _Body("", {"x", *self._names}, indent="")
        body.found.append(f"x = {self._images(node.site.in_shape)}")
        self._layer(node, "x", "x", node.path, body, shapes=True)
        return body.found, body.outputs[0] if node.aux else "x"

    def _network(self, block: Block) -> list[str]:
        root = block.first
        named = self.name(block)
        body = _Body("", {"x", "images", *self._names})
        current = "images"
        for name, child in root.children.items():
            if child.children and not child.aux:
                body.found += ["", f"{INDENT}# {name}"]
            current = self._layer(child, current, "x", name, body, shapes=True)
        outputs = current
        if body.outputs:
            outputs = f"({', '.join([current, *body.outputs])})"
        made = self._spelling.model.format(images="images", outputs=outputs, name=f'"{named}"')
        made = self._scope.used_in(made)
        about = [self._shape(root.site.out_shape)]
        heads = {node.name: self._shape(node.site.out_shape) for node in root.below() if node.aux}
        if heads:
            about = [f"{shape} as {name}" for name, shape in {"logits": about[0], **heads}.items()]
        return [
            f"def {named}():",
            *docstring(f"{self._shape(root.site.in_shape)} → {', '.join(about)}.", INDENT),
            f"{INDENT}images = {self._images(root.site.in_shape)}",
            *body.found,
            "",
            f"{INDENT}return {made}",
        ]

    def _shape(self, shape: Shape) -> str:
        return shape_text(shape, channels_last=self._spelling.channels_last)

    def _images(self, shape: Shape) -> str:
        turned = (*shape[1:], shape[0]) if self._spelling.channels_last else shape
        return self._scope.used_in(self._spelling.images.format(shape=turned))

    def _layer(
        self, node: Node, given: str, result: str, path: str, body: _Body, *, shapes: bool = False
    ) -> str:
        """Statements for a layer from `given` to `result`; returns the variable that has its
        output, which is `given` for an identity and for an auxiliary head.
        """
        comment = self._shape(node.site.out_shape) if shapes else ""
        if node.aux:
            body.outputs.append(body.variable(node.name))
            result, kept = body.outputs[-1], given
        else:
            kept = result
        if node.block is not None:
            self._function(node.block, node, given, result, path, body, comment)
            return kept
        match kind(node):
            case "leaf":
                self._chain(node.uses, given, result, path, body, comment)
            case "residual":
                self._sum(node, given, result, path, body, comment)
            case _:
                found = self._sequence(node, given, result, path, body, shapes=shapes)
                if not node.aux:
                    return found
                if found != result:  # a head without layers
                    body.found.append(f"{body.indent}{result} = {found}")
        return kept

    def _function(
        self,
        block: Block,
        node: Node,
        given: str,
        result: str,
        path: str,
        body: _Body,
        comment: str,
    ) -> None:
        more = [body.variable(name) for name in node.outputs]
        body.outputs += more
        named = Part(f"name={body.path(path)}")
        code = call(self.name(block), node.uses[0], named, first=given)
        body.add(code, ", ".join([result, *more]), comment)

    def _chain(
        self, uses: Sequence[Use], given: str, result: str, path: str, body: _Body, comment: str
    ) -> None:
        for use in uses:
            last = use is uses[-1]
            named = path if last else f"{path}.{self._spelling.endings[use.target]}"
            code = call(self._scope.name(use.target), use, Part(f"name={body.path(named)}"))
            body.add(_applied(code, given), result, comment if last else "")
            given = result

    def _sum(
        self, node: Node, given: str, result: str, path: str, body: _Body, comment: str
    ) -> None:
        variable = body.variable("body")
        added = self._layer(node.children["body"], given, variable, f"{path}.body", body)
        shortcut = body.variable("shortcut")
        kept = self._layer(node.children["shortcut"], given, shortcut, f"{path}.shortcut", body)
        (use,) = node.uses
        target = self._scope.name(self._spelling.total)
        code = call(target, use, Part(f"name={body.path(path)}"))
        body.add(_applied(code, f"[{added}, {kept}]"), result, comment)
        body.taken -= {variable, shortcut}

    def _sequence(
        self, node: Node, given: str, result: str, path: str, body: _Body, *, shapes: bool = False
    ) -> str:
        children = list(node.inside.values())
        start = f"{path}." if path else ""
        for members, prefix in runs(children, [self._alone(child) for child in children]):
            if prefix:
                counter = body.counter()
                body.found.append(f"{body.indent}for {counter} in {loop_range(members, prefix)}:")
                if given != result:
                    body.found.insert(-1, f"{body.indent}{result} = {given}")
                inner = f"{start}{prefix}{{{counter}}}"
                body.indent += INDENT
                body.taken.add(counter)
                self._layer(members[0], result, result, inner, body, shapes=shapes)
                body.taken.remove(counter)
                body.indent = body.indent.removesuffix(INDENT)
                given = result
                continue
            (child,) = members
            given = self._layer(child, given, result, f"{start}{child.name}", body, shapes=shapes)
        return given

    def _alone(self, node: Node) -> str:
        """The statements of a layer whose path is left out: alike for alike layers."""
        body = _Body("name", {"x"})
        self._layer(node, "x", "x", "", body)
        return "\n".join(body.found)

    def _join(self, node: Node, body: _Body) -> None:
        """The branches of a function's body, and their concatenation."""
        results = []
        for name, branch in node.children.items():
            results.append(self._layer(branch, "x", body.variable(name), name, body))
        group = Group("[", tuple(map(Part, results)), "]")
        body.add(group, "branches")
        target = self._scope.name(self._spelling.concatenation)
        body.found.append(f"{body.indent}return {target}(name=name)(branches)")


def _counters() -> Iterator[str]:
    """i to z, and then as many as there may be."""
    yield from "ijklmnopqrstuvwyz"
    yield from (f"i{number}" for number in count(1))


def _applied(code: Group, to: str) -> Group:
    """The layer that `code` makes, called with `to`."""
    return Group(code.opening, code.parts, f"{code.closing}({to})", code.long)
