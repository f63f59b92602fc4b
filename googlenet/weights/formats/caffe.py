"""Caffe's .caffemodel, of both versions of its layers, without Caffe.

Each layer's blobs are called by its name and their place in its list: `conv1/7x7_s2/0` is the
weight, `conv1/7x7_s2/1` the bias. Files from before 2014 give every blob four axes; the leading
ones that a layer of its kind has not are taken away. Schema: caffe/src/caffe/proto/caffe.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...paths import read_file
from .common import WeightsFile, plain_arrays
from .protobuf import Message

#: The fields of a network with its layers, of each version, and in those the name, kind and blobs.
_VERSIONS: Final = {100: (1, 2, 7), 2: (4, 5, 6)}
#: Kinds of layers, by the name of version 2 and the number of version 1.
_CONVOLUTIONS: Final = ("Convolution", "4", "Deconvolution", "39")
_DENSE: Final = ("InnerProduct", "14")


def read(path: Path) -> WeightsFile:
    """Read a .caffemodel file."""
    network = Message.of(read_file(path))
    arrays: dict[str, Array] = {}
    for field, (name, kind, blobs) in _VERSIONS.items():
        for layer in network.messages(field):
            called = layer.text(name)
            of_kind = str(layer.integer(kind)) if field == 2 else layer.text(kind)
            for place, blob in enumerate(layer.messages(blobs)):
                meter().take_names(1)
                key = f"{called}/{place}"
                if key in arrays:
                    raise ValueError(f"two layers are called '{called}'")
                arrays[key] = _array(key, blob, of_kind, place)
    if not arrays:
        raise ValueError("none of its layers has weights; it may be a solver's state")
    metadata = {"name": network.text(1)} if network.has(1) else {}
    return WeightsFile(path, "Caffe model", plain_arrays(arrays), metadata)


def _array(name: str, blob: Message, kind: str, place: int) -> Array:
    double = blob.has(8)
    values = blob.numbers(8, "<f8") if double else blob.numbers(5, "<f4")
    if blob.has(7):
        shape: Sequence[int] = blob.message(7).integers(1)
    else:
        shape = _without_ones([blob.integer(field, 1) for field in (1, 2, 3, 4)], kind, place)
    shape = bounded_shape(list(shape))
    size = 1
    for length in shape:
        size *= length
    if size != len(values):
        raise ValueError(f"'{name}' has {len(values)} values for shape {tuple(shape)}")
    return values.reshape(shape)


def _without_ones(shape: list[int], kind: str, place: int) -> Sequence[int]:
    """A blob's four axes as those that its layer has."""
    least = 4 if place == 0 and kind in _CONVOLUTIONS else 2 if place == 0 and kind in _DENSE else 1
    return tuple(_stripped(shape, least))


def _stripped(shape: Sequence[int], least: int) -> Iterator[int]:
    begun = False
    for place, length in enumerate(shape):
        begun = begun or length != 1 or len(shape) - place <= least
        if begun:
            yield length
