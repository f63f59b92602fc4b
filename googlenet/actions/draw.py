"""The architecture of a network as a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..drawing.architecture import architecture, save_picture
from ..drawing.scene import Box, Scene, to_svg
from ..spec.layers import Network, Shape
from ..spec.outline import Ratio, Reduction, ratios, reductions
from .arguments import path_of
from .own import Progress, network_or_own


@dataclass(frozen=True)
class Drawing:
    """A picture of a network, or of its part `block`: lengths are in points, from the top left.

    `boxes` stand for layers, and for what blocks give: each has the `path` of its layer, its
    `channels`, and its place; of those with the same rank of shape, widths are in proportion to
    channels. `alt` is what the picture shows in a sentence, `description` in full, layer by layer.
    `ratios` and `reductions` are those of the part, or of all blocks of the network.
    """

    network: Network
    block: str | None  # its path
    scene: Scene
    alt: str
    ratios: tuple[Ratio, ...]
    reductions: tuple[Reduction, ...]

    @property
    def title(self) -> str:
        """What it is a picture of."""
        return self.scene.title

    @property
    def description(self) -> str:
        """All that it shows, in words."""
        return self.scene.description

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The boxes of layers, in the order of reading."""
        return tuple(each for each in self.scene.root.walk() if isinstance(each, Box) and each.path)

    @property
    def svg(self) -> str:
        """The picture as an SVG document: its text is text, and a screen reader finds lists of
        stages, blocks, branches and layers in it.
        """
        return to_svg(self.scene)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to `path`, which ends in .svg, .png (2,500 pixels wide) or .pdf. Raises
        `DataError` for another ending, or a file that cannot be written.
        """
        save_picture(path_of("path", path), self.scene)

    def to_json(self) -> dict[str, Any]:
        """Everything but the picture itself, with whole words as keys."""
        return {
            "name": self.network.name,
            "input_shape": list(self.network.input_shape),
            "block": self.block,
            "title": self.title,
            "alt": self.alt,
            "description": self.description,
            "width": self.scene.width,
            "height": self.scene.height,
            "ratios": [ratio.to_json() for ratio in self.ratios],
            "reductions": [reduction.to_json() for reduction in self.reductions],
            "boxes": [
                {
                    "path": box.path,
                    "channels": box.channels,
                    "x": box.x,
                    "y": box.y,
                    "width": box.width,
                    "height": box.height,
                }
                for box in self.boxes
            ],
        }


def draw(
    network: str | Network = "googlenet",
    *,
    block: str | None = None,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    own_framework: str | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    timeout: float = 300.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Drawing:
    """A picture of `network`, a name, a `Network` or FILE:NAME as for `own_network`: its stages in
    a row, each with its layers and blocks; or with `block`, a path or a block's name, that part
    with its branches side by side and every layer.

    A box is as wide as its layer has channels. A part of several blocks that would be longer than a
    sheet of A4 is drawn as the network is. Equal blocks that follow each other are drawn once.

    Raises `UnknownNameError`, `SpecError` or `ShapeError`, and what `own_network` raises.
    """
    spec, _ = network_or_own(
        network,
        own_framework=own_framework,
        num_classes=num_classes,
        input_shape=input_shape,
        aux=aux,
        dialect=dialect,
        interpreters=interpreters,
        timeout=timeout,
        progress=progress,
    )
    found = architecture(spec, block)
    path = None if block is None else found.part.path
    return Drawing(spec, path, found.scene, found.alt, ratios(found.part), reductions(found.part))
