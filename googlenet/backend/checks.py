"""The checks that every backend makes first: images, labels and taps that a network accepts."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

import numpy as np

from ..arrays import Array
from ..errors import DataError, ShapeError, SpecError, UnknownNameError
from ..spec.analysis import norm_of_one_value
from ..spec.layers import Network
from ..spec.traversal import Site, fold, nodes, num_classes


def check_names(network: Network, framework: str, attributes: AbstractSet[str]) -> None:
    """Raises `SpecError` for the first layer whose name is one of `attributes`, which the layers of
    `framework` have themselves: one of the two would hide the other.
    """

    def check(site: Site, children: object = None) -> None:
        name = site.path.rpartition(".")[2]
        if name in attributes:
            raise SpecError(
                f"{site.path}: {framework} cannot have a layer called '{name}', since its own"
                " layers have an attribute of that name; rename it"
            )

    fold(network, check, check)


def check_images(
    network: Network, images: Array, *, train: bool = False, argument: str = "images"
) -> Array:
    """`images` as a contiguous float32 array (N, C, H, W) with N >= 1; errors call them
    `argument`.

    Raises `ShapeError` if their shape is not the network's, or if with `train`, for a pass in
    training mode, a batch norm would see one value a channel; `DataError` if they hold anything but
    finite real numbers.
    """
    images = np.asarray(images)
    expected = ("N", *network.input_shape)
    if images.ndim != 4 or images.shape[1:] != network.input_shape or images.shape[0] < 1:
        if images.ndim != 4:
            advice = "give them four axes"
        elif images.shape[1:] == network.input_shape:
            advice = "give at least one image"
        else:
            advice = "give images of that shape"
        raise ShapeError(
            f"{argument}: expected (N, channels, height, width) = ({', '.join(map(str, expected))})"
            f" with N at least 1 for network '{network.name}', got {images.shape}; {advice}"
        )
    if images.dtype.kind not in "fiu":
        raise DataError(f"{argument}: expected real numbers, got dtype {images.dtype}")
    images = np.ascontiguousarray(images, np.float32)
    if not np.isfinite(images).all():
        raise DataError(
            f"{argument}: contain NaN or infinity; expected finite numbers, usually in [0, 1]"
        )
    if train and len(images) == 1 and (norm := norm_of_one_value(network)) is not None:
        raise ShapeError(
            f"images: batch norm '{norm}' needs at least 2 values per channel in training mode, got"
            " 1 (one image, a 1×1 map), whose variance is 0; give at least 2 images, or larger ones"
        )
    return images


def check_labels(network: Network, labels: Array, count: int) -> Array:
    """`labels` as an int64 array (N,) of classes. Raises `DataError` for another shape, dtype or
    range.
    """
    labels, classes = np.asarray(labels), num_classes(network)
    if labels.shape != (count,):
        raise DataError(
            f"labels: expected shape ({count},), one for each image, got {labels.shape}"
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"labels: expected integers, got dtype {labels.dtype}")
    if labels.min() < 0 or labels.max() >= classes:
        advice = "correct them"
        if labels.min() >= 0:
            advice += f", or build the network with num_classes={labels.max() + 1}"
        raise DataError(
            f"labels: expected 0 to {classes - 1}, got {labels.min()} to {labels.max()}; {advice}"
        )
    return labels.astype(np.int64)


def check_form(framework: str, form: str, forms: Iterable[str]) -> str:
    """`form`. Raises `UnknownNameError` unless it is one of the compiled `forms` of `framework`."""
    if form not in forms:
        raise UnknownNameError(
            f"form: {framework} has no compiled form '{form}'; choose from {', '.join(forms)}"
        )
    return form


def check_taps(network: Network, taps: Iterable[str]) -> frozenset[str]:
    """`taps` as a set of paths that can be tapped. Raises `UnknownNameError` for the first one that
    cannot.
    """
    known = {site.path for site in nodes(network)}
    for tap in taps:
        if tap not in known:
            raise UnknownNameError(
                f"taps: network '{network.name}' has no layer '{tap}'; googlenet.nodes(network)"
                " lists its paths"
            )
    return frozenset(taps)
