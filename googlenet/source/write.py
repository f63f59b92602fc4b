"""A whole file of source, or that of one block."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from ..backend.protocols import Writes
from ..backend.spelling import Classes
from ..errors import UnknownNameError
from ..spec.analysis import count_parameters
from ..spec.layers import Composite, Network
from ..spec.outline import find
from .blocks import blocks_of, used_blocks
from .calls import shape_text
from .classes import ClassWriter
from .functions import FunctionWriter
from .printing import WIDTH, printed
from .scope import Scope
from .tree import Block, Node, tree


@dataclass(frozen=True)
class Written:
    """A file of source, and what it defines for its users: the class, or the function that makes
    the model. `arguments` are what that is called with, in words that the file itself understands.
    """

    text: str
    name: str
    arguments: str = ""


def write(network: Network, backend: Writes, *, block: str | None = None) -> Written:
    """`network` as stand-alone source in the idiom of a framework; with `block`, a path or its last
    name, only what that composite needs, and the line that makes it.

    The file holds no name of this project. Loaded with the weights that the backend saves, by the
    framework's own loader, it is the same function. Raises `SpecError` for a name that cannot be
    written, `UnknownNameError` for a block that does not exist or is not the only one of its name,
    `ShapeError` if the input does not fit.
    """
    path = None if block is None else block_path(network, block)
    spelling = backend.spelling
    scope = Scope(spelling.namespaces, spelling.modules, spelling.imports)
    root = tree(network, backend.spelling)
    reserved = scope.reserved | spelling.context.keys()
    blocks = blocks_of(root, network.name, reserved)
    writer = _writer(backend, scope, blocks)
    about = _about(network, channels_last=backend.spelling.channels_last)
    if path is None:
        text = _file(about, [writer.block(each) for each in blocks], backend, scope)
        given = ", ".join(f"{name}={spelling.context[name]}" for name in blocks[-1].handed)
        return Written(text, writer.name(blocks[-1]), given)
    node = next(each for each in root.below() if each.path == path)
    needed = list(dict.fromkeys(used_blocks(node)))
    parts = [writer.block(each) for each in blocks if each in needed]
    about = [*_comment(f"{path} of {network.name}: {network.source}."), _passage(node, backend)]
    instance, named = writer.instance(node)
    return Written(_file(about, [*parts, instance], backend, scope), named)


def block_path(network: Network, block: str) -> str:
    """The path of the composite that `block` names, by its path or its name.

    Raises `UnknownNameError` if there is none, or more than one, or only a single layer.
    """
    part = find(network, block)
    if not isinstance(part.site.layer, Composite):
        raise UnknownNameError(
            f"`block`: {network.name} has a single layer at '{part.path}', expected a block"
        )
    return part.path


def _writer(backend: Writes, scope: Scope, blocks: Sequence[Block]) -> ClassWriter | FunctionWriter:
    spelling = backend.spelling
    if isinstance(spelling, Classes):
        return ClassWriter(spelling, scope)
    return FunctionWriter(spelling, scope, blocks)


def _about(network: Network, *, channels_last: bool) -> list[str]:
    """What the file is, in comments."""
    axes = "height × width × channels" if channels_last else "channels × height × width"
    shape = shape_text(network.input_shape, channels_last=channels_last)
    said = f"{network.name}: {network.source}."
    numbers = f"Images of {shape} ({axes}); {count_parameters(network):,} parameters."
    return [line for text in (said, numbers) for line in _comment(text)]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(printed(text), WIDTH, initial_indent="# ", subsequent_indent="# ")


def _passage(node: Node, backend: Writes) -> str:
    last = backend.spelling.channels_last
    given, result = (
        shape_text(shape, channels_last=last) for shape in (node.site.in_shape, node.site.out_shape)
    )
    return f"# {given} → {result}"


def _file(about: list[str], parts: list[list[str]], backend: Writes, scope: Scope) -> str:
    spelling = backend.spelling
    code = [*scope.helpers, *("\n".join(part) for part in parts)]
    body = "\n\n\n".join(code)
    preamble = list(spelling.preamble)
    imports = scope.imports("\n".join([*preamble, body]))
    start = [*about, "", *imports, *(["", *preamble] if preamble else [])]
    return "\n".join(start) + f"\n\n\n{body}\n"
