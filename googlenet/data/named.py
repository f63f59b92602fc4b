"""Images by name, of which there may be millions in a small file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ..arrays import Array

if TYPE_CHECKING:
    from .decoding import Raw


class NamedImages(Sequence[tuple[str, Path | Array]]):
    """Each image of `raw`, which the path `path` means, not decoded yet, and its name: that of its
    file, or `FILE[3]`, counted from 0, if the file holds several. Nothing is made of an image that
    nobody asks for.
    """

    def __init__(self, path: Path, raw: Raw, places: range | None = None) -> None:
        self._path, self._raw = path, raw
        self._places = range(len(raw)) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> tuple[str, Path | Array]: ...
    @overload
    def __getitem__(self, index: slice) -> NamedImages: ...
    def __getitem__(self, index: int | slice) -> tuple[str, Path | Array] | NamedImages:
        if isinstance(index, slice):
            return NamedImages(self._path, self._raw, self._places[index])
        place = self._places[index]
        image = self._raw[place]
        if isinstance(image, Path):
            return str(image), image
        return (f"{self._path}[{place}]" if len(self._raw) > 1 else str(self._path)), image
