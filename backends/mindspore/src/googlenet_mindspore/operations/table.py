"""What each of MindSpore's operations is in neutral terms, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from . import axes, elementwise, layers, parts, patterns, pools
from .calls import Call, Translated

KNOWN: Final[Mapping[str, Callable[[Call], Translated]]] = {
    **layers.KNOWN,
    **pools.KNOWN,
    **axes.KNOWN,
    **parts.KNOWN,
    **elementwise.KNOWN,
    **patterns.KNOWN,
}
