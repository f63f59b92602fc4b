"""What a file is, where its first bytes do not say it in a word: files in protobuf's wire format,
by their first fields; and what is no file of weights, or one that is not read, each with what to
do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal, TypeAlias

from .common import Cursor
from .protobuf import varint

Schema: TypeAlias = Literal[
    "ONNX",
    "Caffe",
    "MindIR",
    "MindSpore",
    "SavedModel",
    "frozen graph",
    "meta graph",
    "Core ML",
    "Paddle program",
]

#: How many bytes of a file decide what it is.
HEAD: Final = 4096

_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]*")

# Protobuf ----------------------------------------------------------------------------------------


def _fields(head: bytes | memoryview) -> list[tuple[int, int | bytes]]:
    """The first fields of a message, of which only a beginning is there: numbers, and integers or
    as many bytes as there are; no more than four. Empty if it is no message.
    """
    cursor = Cursor(head)
    found: list[tuple[int, int | bytes]] = []
    try:
        while cursor.left and len(found) < 4:
            number, wire = divmod(varint(cursor), 8)
            if wire == 0:
                found.append((number, varint(cursor)))
            elif wire == 2:
                size = varint(cursor)
                found.append((number, bytes(cursor.take(min(size, cursor.left)))))
            elif wire in (1, 5):
                cursor.take(8 if wire == 1 else 4)
                found.append((number, b""))
            else:
                break
    except ValueError:
        pass  # cut off, or none; what came before counts
    return found


def schema_of(head: bytes) -> Schema | None:
    """Which schema a file that begins with `head` follows, None if it is none that is known."""
    found = _fields(head)
    if not found:
        return None
    numbers = [number for number, _ in found]
    (first, value), rest = found[0], found[1:]
    follows = rest[0] if rest else (0, b"")
    if first == 1 and isinstance(value, int):
        return _by_version(value, follows, numbers)
    if first == 1 and isinstance(value, bytes):
        return _by_first_message(value, follows, rest)
    if first in (100, 2) and isinstance(value, bytes):  # a Caffe network without a name
        return "Caffe" if _is_caffe_layer(first, value) else None
    return None


def _by_version(
    version: int, follows: tuple[int, int | bytes], numbers: list[int]
) -> Schema | None:
    number, value = follows
    if number == 2 and isinstance(value, bytes) and value[:1] == b"\x0a":
        inner = dict(reversed(_fields(value))).get(1, b"")
        # Core ML describes a model's inputs by their names, a meta graph says what made it.
        return "Core ML" if isinstance(inner, bytes) and inner[:1] == b"\x0a" else "SavedModel"
    if 1 <= version < 1000 and number in (2, 3, 4, 5, 6, 7, 8, 14, 20) and max(numbers) <= 25:
        return "ONNX"
    return None


def _by_first_message(
    value: bytes, follows: tuple[int, int | bytes], rest: list[tuple[int, int | bytes]]
) -> Schema | None:
    number, other = follows
    if _PRINTABLE.fullmatch(value) and value[:1] != b"":
        if number == 2 and isinstance(other, bytes) and _PRINTABLE.fullmatch(other):
            return "MindIR"
        if number in (2, 100) and isinstance(other, bytes):
            return "Caffe" if _is_caffe_layer(number, other) else None
        if number == 7 and isinstance(other, bytes):
            return "MindIR"
        if number in (3, 4, 5, 6, 8) and not (number == 5 and isinstance(other, bytes)):
            return "Caffe"
    inside = _fields(value)
    kinds = [(place, type(each)) for place, each in inside[:2]]
    if kinds[:2] == [(1, int), (2, int)]:
        return "Paddle program"
    if kinds[:2] == [(1, bytes), (2, bytes)]:
        kind = inside[1][1]
        assert isinstance(kind, bytes)
        text = kind[:1].isalpha() and _PRINTABLE.fullmatch(kind)
        return "frozen graph" if text else "MindSpore"
    listed = inside[0][1] if inside else b""
    if kinds[:1] == [(2, bytes)] and isinstance(listed, bytes) and listed[:1] in (b"", b"\x0a"):
        return "meta graph"  # which begins with the list of its operations
    if kinds[:1] == [(3, bytes)] or kinds[:2] == [(1, bytes), (5, bytes)]:
        return "meta graph"
    return "MindSpore"  # damaged, perhaps: its reader says by what


def _is_caffe_layer(field: int, value: bytes) -> bool:
    inside = _fields(value)
    names = {1: (1, 2), 2: (2, 3, 4)}[2 if field == 2 else 1]
    return bool(inside) and inside[0][0] in names and isinstance(inside[0][1], bytes)


# What is not read ---------------------------------------------------------------------------------

_AGAIN: Final = "download the file itself"
#: What a file begins with, what it is, and what to do with it.
_MARKS: Final[tuple[tuple[bytes, str], ...]] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, which stands for a file and is not it; run `git lfs pull` where it was"
        " cloned, or download the file itself",
    ),
    (b"\x1f\x8b", "a gzip archive; unpack it first, with tar -xzf or gunzip"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\0", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard; unpack it first"),
    (b"GGUF", "a GGUF file of a language model, which no network here is"),
    (
        b"\x93NUMPY",
        "one array of NumPy; save all arrays by their names in one file, with numpy.savez",
    ),
    (
        b"MATLAB 5.0",
        "a MATLAB file, such as MatConvNet's models; load it with scipy.io.loadmat and save its"
        " arrays by name with numpy.savez",
    ),
    (b"%PDF", f"a PDF; {_AGAIN}"),
)
_HTML: Final = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|\?xml|body)", re.I
)
_TEXTS: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (
        re.compile(rb'\s*(?:all_)?model_checkpoint_path\s*:\s*"'),
        "a list of checkpoints of TensorFlow; give the .index of one of them",
    ),
    (
        re.compile(rb"(?:\s*#[^\n]*\n|\s)*(?:name\s*:\s*\"|layers?\s*\{|input\s*:\s*\")"),
        "the text that describes a Caffe network; its weights are in the .caffemodel",
    ),
    (
        re.compile(rb"\s*node\s*\{"),
        "the text of a TensorFlow graph; give a checkpoint (.index), a SavedModel or a Keras file",
    ),
)
#: What is shorter than this, and text, holds no weights of a network.
_SHORT: Final = 1024
_PROSE: Final = re.compile(rb"[\t\n\r\x20-\x7e]*[A-Za-z]{2} [A-Za-z]{2}[\t\n\r\x20-\x7e]*")
_JSON_BEGINS: Final = re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\[{\"\d])")
_JSON: Final[tuple[tuple[bytes, str], ...]] = (
    (b'"arg_nodes"', "an MXNet symbol, which has no weights; give the .params beside it"),
    (b'"class_name"', "a Keras model without its weights; give the .weights.h5, .h5 or .keras"),
)


def left_out(path: Path, head: bytes) -> str | None:
    """What a file that is not read is, and what to do; None if nothing is known of it."""
    for mark, words in _MARKS:
        if head.startswith(mark):
            return words
    if head[4:8] == b"TFL3":
        return (
            "a TensorFlow Lite model, whose weights may be quantized and have lost their names;"
            " save the Keras model that it was made of, or export that to ONNX"
        )
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first, with tar -xf"
    if _HTML.match(head):
        return f"a web page, saved in the place of what it offers; {_AGAIN}, not the page about it"
    for pattern, words in _TEXTS:
        if pattern.match(head):
            return words
    if _JSON_BEGINS.match(head):
        for mark, words in _JSON:
            if mark in head:
                return words
        return (
            "JSON without weights, or what a server said in the place of a file; give the file that"
            f" holds the arrays, or {_AGAIN}"
        )
    if len(head) < _SHORT and _PROSE.fullmatch(head):
        return f"a line of text, perhaps what a server said in the place of a file; {_AGAIN}"
    return {
        "frozen graph": (
            "a frozen graph of TensorFlow, in which weights are constants under the names of its"
            " operations; give the checkpoint that it was frozen from, or export it to ONNX with"
            " tf2onnx"
        ),
        "meta graph": (
            "the graph of a TensorFlow checkpoint (.meta), which has no weights; give the .index"
            " beside it"
        ),
        "Core ML": (
            "a Core ML model; give the model that it was converted from, or export that to ONNX"
        ),
        "Paddle program": (
            "a program of Paddle's (.pdmodel), which has no weights; give the .pdiparams beside it"
        ),
    }.get(schema_of(head) or "")
