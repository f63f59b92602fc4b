"""Networks as functions of a symbolic tensor, as in Keras's functional style."""

from __future__ import annotations

from ..backend.spelling import Functions
from .scope import Scope
from .tree import Block, Node


class FunctionWriter:
    """Writes blocks as functions."""

    def __init__(self, spelling: Functions, scope: Scope) -> None:
        self._spelling = spelling
        self._scope = scope

    def name(self, block: Block) -> str:
        return block.name

    def block(self, block: Block) -> list[str]:
        return []

    def instance(self, node: Node) -> list[str]:
        return []
