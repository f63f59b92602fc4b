"""Weight files of every framework, read without any of them: arrays by their native names, in their
native layouts.

No framework is imported, and nothing in a file is ever run: pickles may name a fixed table of
stand-ins (`pickles.py`), and configurations from which Keras would build objects are not read.

Other formats are read by readers that plugins register as entry points (`registered.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ...budget import limited
from ...errors import WeightsError
from ...paths import expect_file, open_file, read_file, why
from ..files import read_safetensors
from . import (
    archives,
    caffe,
    flax,
    keras,
    mindir,
    mindspore,
    mxnet,
    numpy,
    onnx,
    paddle,
    pdiparams,
    sorted_tables,
    tensorflow,
    tensorflowjs,
    torch,
)
from .common import UnsuitableError, WeightsFile
from .opcodes import end_of_pickle
from .places import located
from .recognised import HEAD, left_out, schema_of
from .registered import read_registered, reader_of, suffixes

__all__ = ["READABLE", "WeightsFile", "read_weights_file"]

READABLE = (
    "PyTorch checkpoints (.pt, .pth)",
    "Keras weights and models (.weights.h5, .h5, .keras)",
    "MXNet parameters (.params)",
    "Paddle parameters (.pdparams, .pdiparams)",
    "MindSpore checkpoints and MindIR (.ckpt, .mindir)",
    "TensorFlow checkpoints and SavedModels (.index, .ckpt, a folder)",
    "TensorFlow.js models (model.json)",
    "Flax parameters (.msgpack)",
    "Caffe models (.caffemodel)",
    "ONNX models (.onnx)",
    "safetensors",
    "NumPy archives (.npz)",
)
"""The formats that `read_weights_file` reads by itself, in words."""

_Reader = Callable[[Path], WeightsFile]

_MOST_REASON = 500  # characters of what a parser says, which may quote the file
_MOST_HEADER = 100_000_000  # bytes of a safetensors header, the limit of the format


def _in_zip(path: Path) -> tuple[str, _Reader] | None:
    """The format of a zip archive, by the names in it. Raises `BadZipFile` if it is incomplete."""
    with archives.opened(path) as archive:
        names = archive.namelist()
    if any(name.rpartition("/")[2] == "data.pkl" for name in names):
        return "PyTorch checkpoint", torch.read_zip
    if keras.MEMBER in names:
        return "Keras 3 model", keras.read_zip
    if not names or any(name.endswith(".npy") for name in names):
        return "NumPy archive", numpy.read_npz
    return None


def _is_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MOST_HEADER


def _is_text_pickle(path: Path, head: bytes) -> bool:
    """Whether the file is a pickle of protocol 0 or 1, which has no mark at its start, only that of
    a dictionary. Raises `WeightsError` for one that becomes too much.
    """
    if head[:1] not in (b"(", b"}", b"c"):
        return False
    try:
        end_of_pickle(read_file(path))
    except WeightsError:
        raise
    except Exception:  # other bytes can make the walk raise anything
        return False
    return True


_SCHEMAS: dict[str | None, tuple[str, _Reader]] = {
    "Caffe": ("Caffe model", caffe.read),
    "MindIR": ("MindIR model", mindir.read),
    "MindSpore": ("MindSpore checkpoint", mindspore.read),
    "ONNX": ("ONNX model", onnx.read),
}


def _ends_as_table(path: Path) -> bool:
    """Whether the file ends as a sorted table, which has no mark at its start."""
    with open_file(path) as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - len(sorted_tables.MAGIC)))
        return file.read(len(sorted_tables.MAGIC)) == sorted_tables.MAGIC


def _names_weights(path: Path) -> bool:
    """Whether JSON has a list of weights, perhaps far behind the model's layers."""
    return b'"weightsManifest"' in read_file(path)


def _identify(path: Path, head: bytes) -> tuple[str, _Reader] | None:
    """The format of a file in words, and its reader; None if it is unknown."""
    if _is_safetensors(
        head
    ):  # first, because it begins with a number, which may look like any other mark
        return "safetensors file", numpy.read_safetensors_file
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):  # the second, of an empty archive
        return _in_zip(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "Keras weights file", keras.read
    if head.startswith(mxnet.MAGIC):
        return "MXNet parameters file", mxnet.read
    if torch.LEGACY_MAGIC in head:
        return "PyTorch checkpoint", torch.read_legacy
    if head[0] == 0x80 and head[1:2] <= b"\x05":
        return "Paddle parameters file", paddle.read
    if head.startswith(mindspore.ENCRYPTED):
        return "MindSpore checkpoint", mindspore.read
    if pdiparams.begins(head):
        return "Paddle parameters file", pdiparams.read
    if flax.begins(head):
        return "Flax parameters file", flax.read
    if _ends_as_table(path):
        return "TensorFlow checkpoint", tensorflow.read
    if b'"weightsManifest"' in head or (head[:1] == b"{" and _names_weights(path)):
        return "TensorFlow.js model", tensorflowjs.read
    if left_out(path, head) is None and (schema := schema_of(head)) in _SCHEMAS:
        return _SCHEMAS[schema]
    return ("Paddle parameters file", paddle.read) if _is_text_pickle(path, head) else None


def _head(path: Path) -> bytes:
    """The first bytes of the file. Raises `WeightsError` unless there is a file, it may be read,
    and it is not empty."""
    expect_file(path, f"expected a weights file, one of {_readable()}", WeightsError)
    try:
        with open_file(path) as file:
            head = file.read(HEAD)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({why(error)})") from error
    if not head:
        raise WeightsError(f"{path}: is empty; expected a weights file; download or save it again")
    return head


def _readable() -> str:
    """All formats in words, the registered ones by their suffixes."""
    return ", ".join([*READABLE, *(f"a plugin's format (.{suffix})" for suffix in suffixes())])


def read_weights_file(path: str | os.PathLike[str]) -> WeightsFile:
    """All arrays of a weights file, under the names and in the layouts of the framework that wrote
    it. `path` may also be a SavedModel's folder, one with a single checkpoint, or what the names of
    a checkpoint's files begin with.

    The format is known by the content, whatever the file is called; a file in none of our formats,
    or that cannot be read as such, goes to the reader that a plugin has registered for the end of
    its name. Raises `WeightsError`, in one line and naming the file, if it is missing, empty,
    damaged or of an unknown format, holds no arrays or anything but plain arrays of numbers, or
    would run code.
    """
    path = located(Path(path))
    with limited(path, WeightsError):
        return _read(path)


def _read(path: Path) -> WeightsFile:
    head = _head(path)
    registered = reader_of(path)
    try:
        found = _read_own(path, head)
    except WeightsError:
        if registered is None:
            raise
        found = None
    if found is not None:
        return found
    if registered is not None:
        return read_registered(registered, path)
    # A safetensors file has its header's size first, and anything may look like that.
    header = path.suffix == ".safetensors" and head[8:9] == b"{"
    if (words := None if header else left_out(path, head)) is not None:
        raise WeightsError(f"{path}: is {words}")
    if path.suffix == ".safetensors":
        read_safetensors(path)  # says what is wrong with it
    raise WeightsError(
        f"{path}: unknown format, expected one of {_readable()}; save the weights in one of them"
    )


def _read_own(path: Path, head: bytes) -> WeightsFile | None:
    """What the file holds if it is of one of our formats, else None. Raises `WeightsError` if it is
    damaged.
    """
    kind = "weights file"
    try:
        found = _identify(path, head)
        if found is None:
            return None
        kind, read = found
        return read(path)
    except WeightsError:
        raise
    except UnsuitableError as error:
        raise WeightsError(f"{path}: {kind}: {error}") from error
    except Exception as error:  # parsers raise anything on damaged files, and it all means the same
        reason = " ".join(str(error).split())[:_MOST_REASON] or type(error).__name__
        raise WeightsError(
            f"{path}: cannot be read as a complete {kind} ({reason}); download or save it again"
        ) from error
