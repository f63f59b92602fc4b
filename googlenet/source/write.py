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
from ..spec.traversal import Site, nodes
from .blocks import blocks_of, used_blocks
from .calls import shape_text
from .classes import ClassWriter
from .functions import FunctionWriter
from .printing import WIDTH
from .scope import Scope
from .tree import Block, Node, tree


@dataclass(frozen=True)
class Written:
    """A file of source, and what it defines for its users: the class, or the function that makes
    the model.
    """

    text: str
    name: str


def write(network: Network, backend: Writes, *, block: str | None = None) -> Written:
    """`network` as stand-alone source in the idiom of a framework; with `block`, a path or its last
    name, only what that composite needs, and the line that makes it.

    The file holds no name of this project. Loaded with the weights that the backend saves, by the
    framework's own loader, it is the same function. Raises `SpecError` for a name that cannot be
    written, `UnknownNameError` for a block that does not exist or is not the only one of its name,
    `ShapeError` if the input does not fit.
    """
    path = None if block is None else block_path(network, block)
    scope = Scope(backend.spelling)
    root = tree(network, backend.spelling)
    blocks = blocks_of(root, network.name, scope.reserved)
    writer = _writer(backend, scope, blocks)
    about = _about(network, channels_last=backend.spelling.channels_last)
    if path is None:
        text = _file(about, [writer.block(each) for each in blocks], backend, scope)
        return Written(text, writer.name(blocks[-1]))
    node = next(each for each in root.below() if each.path == path)
    needed = list(dict.fromkeys(used_blocks(node)))
    parts = [writer.block(each) for each in blocks if each in needed]
    about = [*_comment(f"{path} of {network.name}: {network.source}."), _passage(node, backend)]
    text = _file(about, [*parts, writer.instance(node)], backend, scope)
    return Written(text, node.name)


def block_path(network: Network, block: str) -> str:
    """The path of the composite that `block` names, by its whole path or by its last name.

    Raises `UnknownNameError` if there is none, or more than one.
    """
    paths = [site.path for site in nodes(network)]
    blocks = [site.path for site in nodes(network) if isinstance(site.layer, Composite)]
    if block in blocks:
        return block
    found = [path for path in blocks if path.rpartition(".")[2] == block]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownNameError(
            f"`block`: '{block}' is the name of {len(found)} blocks of {network.name}; give the"
            f" path of one: {_listed(found)}"
        )
    what = f"has no block '{block}'"
    if block in paths:
        what = f"has a single layer at '{block}', expected a block"
    raise UnknownNameError(
        f"`block`: {network.name} {what}; choose from {_listed(_worth_naming(network))}, or a"
        " block inside one of these"
    )


#: How many blocks an error names.
MOST = 30


def _worth_naming(network: Network) -> list[str]:
    """The stages of a network, and what is called something in them, in their order."""
    every = [site for site in nodes(network) if isinstance(site.layer, Composite)]
    first = {name: i for i, (name, _) in enumerate(network.layers.children)}
    named = [site.path for site in every if site.path.count(".") <= 1 and _holds_blocks(site)]
    return sorted(named, key=lambda path: (first[path.partition(".")[0]], path.count(".")))


def _holds_blocks(site: Site) -> bool:
    stage = "." not in site.path
    return isinstance(site.layer, Composite) and (
        stage or any(isinstance(child, Composite) for _, child in site.layer.children)
    )


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - MOST} more" if len(paths) > MOST else ""
    return ", ".join(paths[:MOST]) + more


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
    """`text` in lines of comments; what cannot be printed is escaped, since a line of source may
    not have all of it.
    """
    spaced = " ".join(text.split())
    text = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in spaced
    )
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


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
