"""Networks as classes that hold their layers, as in PyTorch, Paddle, MindSpore and Gluon."""

from __future__ import annotations

from collections.abc import Sequence

from ..backend.spelling import Classes
from ..errors import BackendError
from .calls import call, docstring, loop_range, runs, shape_text, signature, value_text
from .names import is_unit
from .printing import INDENT, WIDTH, Code, Group, Part, flat, lines
from .scope import Scope
from .tree import Block, Node, handed, kind

#: A layer that is passed through by at most so many others is written as f(g(h(x))).
NESTED = 3


class ClassWriter:
    """Writes blocks as classes."""

    def __init__(self, spelling: Classes, scope: Scope) -> None:
        self._spelling = spelling
        self._scope = scope

    def name(self, block: Block) -> str:
        """What the class of a block is called."""
        return block.name

    def block(self, block: Block) -> list[str]:
        """The class of a block."""
        body, once = block.body, block.count == 1
        found = [f"class {block.name}({self._spelling.base}):"]
        about = self._about(block)
        if about:
            found += [*docstring(about, INDENT), ""]
        parts = (Part("self"), *signature(block))
        found += lines(Group("def __init__(", parts, "):"), INDENT)
        found.append(f"{INDENT * 2}super().__init__()")
        for name, child in body.children.items():
            found += self._attribute(name, child, once=once)
        found += ["", f"{INDENT}def {self._spelling.method}:"]
        return [*found, *(f"{INDENT * 2}{line}" if line else "" for line in self._run(body))]

    def instance(self, node: Node) -> tuple[list[str], str]:
        """A statement that makes a single layer, and the variable that holds it."""
        named = node.name or "network"
        while named in self._scope.reserved:
            named += "_"
        given = self._spelling.context
        before = [f"{name} = {given[name]}" for name in handed(node)]
        return [*before, *lines(self._made(node, shapes=True), before=f"{named} = ")], named

    def _about(self, block: Block) -> str:
        """What a class does to shapes, for those that are more than a unit."""
        first = block.first
        given, result = map(self._shape, (first.site.in_shape, first.site.out_shape))
        if first.path:
            return "" if is_unit(first) else f"{given} → {result} in {first.path}."
        heads = {node.name: self._shape(node.site.out_shape) for node in first.below() if node.aux}
        several = [f"{shape} as {name}" for name, shape in {"logits": result, **heads}.items()]
        return f"{given} → {', '.join(several) if heads else result}."

    def _shape(self, shape: tuple[int, ...]) -> str:
        return shape_text(shape, channels_last=self._spelling.channels_last)

    def _attribute(self, name: str, child: Node, *, once: bool) -> list[str]:
        code = self._made(child, shapes=once)
        shaped = once and not _has_comments(code)
        comment = self._shape(child.site.out_shape) if shaped else ""
        return lines(code, INDENT * 2, before=f"self.{name} = ", comment=comment)

    def _made(self, node: Node, *, shapes: bool = False) -> Code:
        """The layer of a node: a call, or what it holds in place, with `shapes` in comments."""
        if node.block is not None or kind(node) == "leaf":
            if len(node.uses) != 1:
                raise BackendError(f"{node.path}: a layer of several calls cannot be an attribute")
            (use,) = node.uses
            return call(self._scope.name(use.target), use)
        if kind(node) == "residual":
            (scale,) = node.uses[0].items
            parts = [
                Part(f"{name}=", self._made(child), comment=_identity(child))
                for name, child in node.children.items()
            ]
            parts.append(Part(f"scale={value_text(scale.value)}"))
            return Group(f"{self._scope.name(self._spelling.total)}(", tuple(parts), ")", True)
        return self._sequence(node, shapes=shapes)

    def _sequence(self, node: Node, *, shapes: bool) -> Group:
        made = [self._made(child, shapes=shapes) for child in node.children.values()]
        code = dict(zip(node.children, made, strict=True))
        parts: list[Part] = []
        for members, prefix in runs(list(node.children.values()), [flat(each) for each in made]):
            first = code[members[0].name]
            comment = self._shape(members[0].site.out_shape) if shapes else ""
            if _has_comments(first):
                comment = ""
            if prefix:
                name, repeated = f'f"{prefix}{{i}}"', flat(first)
                loop = f"**{{{name}: {repeated} for i in {loop_range(members, prefix)}}}"
                if len(loop) < WIDTH - 4 * len(INDENT):
                    parts.append(Part(loop, comment=comment))
                    continue
            parts.extend(Part(f"{each.name}=", code[each.name], comment) for each in members)
        opening = f"{self._scope.name(self._spelling.sequence)}("
        return Group(opening, tuple(parts), ")", len(node.children) > 1)

    def _run(self, body: Node) -> list[str]:
        if kind(body) == "concat":
            return self._joined(body)
        names = list(body.children)
        if not body.is_trunk and len(names) <= NESTED:
            code = "x"
            for name in names:
                code = f"self.{name}({code})"
            return [f"return {code}"]
        found: list[str] = []
        outputs: list[str] = []
        *before, last = body.children.values()
        for child in before:
            found.append(self._step(child, outputs))
        if last.aux or last.is_trunk:
            found.append(self._step(last, outputs))
            return [*found, f"return {', '.join(['x', *outputs])}"]
        return [*found, f"return {', '.join([f'self.{last.name}(x)', *outputs])}"]

    def _step(self, child: Node, outputs: list[str]) -> str:
        """One layer run on `x`; the names of auxiliary outputs are added to `outputs`."""
        if child.aux:
            outputs.append(_local(child.name, outputs))
            return f"{outputs[-1]} = self.{child.name}(x)"
        more: list[str] = []
        for name in child.outputs:
            more.append(_local(name, [*outputs, *more]))
        outputs.extend(more)
        return f"{', '.join(['x', *more])} = self.{child.name}(x)"

    def _joined(self, body: Node) -> list[str]:
        calls = tuple(Part(f"self.{name}(x)") for name in body.children)
        joined = self._spelling.concatenation.format(branches="branches")
        room = lines(Group("[", calls, "]"), INDENT * 2, before="branches = ")
        return [*(line.removeprefix(INDENT * 2) for line in room), f"return {joined}"]


def _has_comments(code: Code) -> bool:
    """Whether the layers inside are followed by their shapes."""
    return isinstance(code, Group) and any(
        part.comment or _has_comments(part.code) for part in code.parts
    )


def _identity(child: Node) -> str:
    return "the identity" if kind(child) == "sequence" and not child.children else ""


def _local(name: str, outputs: Sequence[str]) -> str:
    """A local variable for the output of an auxiliary head, besides those of `outputs`."""
    while name in ("x", "self", "F", *outputs):
        name += "_"
    return name
