"""A layer of the spec in words, with all that it is given: what a report sets beside the user's."""

from __future__ import annotations

from ..spec.layers import (
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    ExplicitPadding,
    LocalResponseNorm,
    MaxPool,
    Residual,
)
from ..spec.outline import words_of
from ..spec.traversal import CompositeSite, LeafSite
from .phrases import sides


def described(site: LeafSite) -> str:
    """3×3 convolution, 96 → 128 channels, padding 1."""
    return ", ".join([words_of(site.layer), *_more(site)])


def joined(site: CompositeSite) -> str:
    """What a composite does with the results of its parts; empty for a sequence."""
    names = [name for name, _ in site.layer.children]
    match site.layer:
        case Concat():
            return f"concatenation of {', '.join(names)}"
        case Residual():
            return f"sum of {' and '.join(names)}"
        case _:
            return ""


def _more(site: LeafSite) -> list[str]:
    before, after = site.in_shape[0], site.out_shape[0]
    match site.layer:
        case Conv(padding=padding, bias=bias):
            assert not isinstance(padding, str)
            return [
                f"{before} → {after} channels",
                *_padding(padding),
                *([] if bias else ["no bias"]),
            ]
        case Dense(out_features=features, bias=bias):
            count = 1
            for size in site.in_shape:
                count *= size
            return [f"{count} → {features}", *([] if bias else ["no bias"])]
        case MaxPool(padding=padding, ceil_mode=ceil) | AvgPool(padding=padding, ceil_mode=ceil):
            assert not isinstance(padding, str)
            counted = getattr(site.layer, "count_include_pad", False) and any(map(any, padding))
            return [
                *_padding(padding),
                *(["sizes rounded up"] if ceil else []),
                *(["padding counted"] if counted else []),
            ]
        case BatchNorm(eps=eps, scale=scale):
            return [f"eps {eps:g}", *([] if scale else ["no weight to multiply by"])]
        case LocalResponseNorm(size, alpha, beta, k):
            return [f"size {size}", f"alpha {alpha:g}", f"beta {beta:g}", f"k {k:g}"]
        case _:
            return []


def _padding(padding: ExplicitPadding) -> list[str]:
    return [f"padding {sides(padding)}"] if any(map(any, padding)) else []
