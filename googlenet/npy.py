"""Headers of .npy files, alone or in an .npz archive, read strictly.

NumPy hands a header to Python's own parser, which lets out half a dozen exceptions, and to
`numpy.dtype`, which knows far more than numbers. A header of numbers is simple enough to be read
sign by sign. Format: numpy/lib/format.py.
"""

from __future__ import annotations

import math
import re
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt

from .arrays import Array
from .budget import bounded_shape, meter
from .errors import GoogLeNetError

MAGIC = b"\x93NUMPY"
#: NumPy itself writes at most a few hundred bytes, and refuses to read more than this many.
MOST_HEADER = 10_000

#: Truth values, integers, floating and complex numbers.
KINDS = "biufc"

# A value is a text, a truth value, a shape, or anything else up to the next comma.
_PAIR = re.compile(
    r"""\s*(['"])(?P<key>\w{1,20})\1\s*:\s*
    (?: (['"])(?P<text>[<>|=]?[A-Za-z]\d{0,9})\3
      | (?P<truth>True|False)
      | \(\s*(?P<shape>(?:-?\d{1,20}L?\s*,\s*)*(?:-?\d{1,20}L?)?)\s*\) )\s*(?P<more>,?)""",
    re.ASCII | re.VERBOSE,
)


class Header(NamedTuple):
    """The shape, order and dtype of an array whose values follow."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[np.generic]

    @property
    def nbytes(self) -> int:
        """How many bytes the values take."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(file: IO[bytes]) -> Header:
    """The header at the start of `file`, which is left at the first value.

    Raises `ValueError`, saying what is wrong, unless it is that of an array of numbers, text or
    times; and what the meter raises for too many axes.
    """
    start = file.read(len(MAGIC) + 2)
    if start[: len(MAGIC)] != MAGIC or len(start) < len(MAGIC) + 2:
        raise ValueError("it does not begin as one")
    version = start[len(MAGIC)]
    if version not in (1, 2, 3):
        raise ValueError(f"its version is {version}, expected 1 to 3")
    width = 2 if version == 1 else 4
    size = int.from_bytes(_exactly(file, width), "little")
    if size > MOST_HEADER:
        raise ValueError(f"its header has {size} bytes, expected at most {MOST_HEADER}")
    return _parsed(_exactly(file, size).decode("utf-8" if version == 3 else "latin1"))


def _exactly(file: IO[bytes], count: int) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise ValueError("its header is cut off")
    return data


def _parsed(text: str) -> Header:
    """The header that `text` spells: a dictionary of `descr`, `fortran_order` and `shape`."""
    body = text.strip(" \n\0")
    found: dict[str, re.Match[str]] = {}
    if body[:1] == "{" and body[-1:] == "}":
        body, position = body[1:-1].rstrip(), 0
        while position < len(body):
            pair = _PAIR.match(body, position)
            if pair is None or (not pair["more"] and pair.end() < len(body)):
                break
            found[pair["key"]], position = pair, pair.end()
        else:
            if set(found) == {"descr", "fortran_order", "shape"}:
                return _header(found["descr"]["text"], found)
    if re.search(r"""descr['"]\s*:\s*(\[|['"]\|?O)""", text, re.ASCII):
        raise ValueError("its dtype is of Python objects or records, expected numbers")
    raise ValueError("its header is not one of 'descr', 'fortran_order' and 'shape'")


def _header(code: str | None, found: dict[str, re.Match[str]]) -> Header:
    sizes, truth = found["shape"]["shape"], found["fortran_order"]["truth"]
    if code is None or sizes is None or truth is None:
        raise ValueError("its header is not one of 'descr', 'fortran_order' and 'shape'")
    listed = [size.strip().removesuffix("L") for size in sizes.split(",")]
    if "" in listed[:-1] or (len(listed) == 1 and listed[0]):  # (3) is a number, not a shape
        raise ValueError(f"its shape is ({sizes[:60]})")
    if any(size.startswith("-") for size in listed):
        raise ValueError(f"its shape is ({sizes[:60]})")
    shape = bounded_shape([int(size) for size in listed if size])
    return Header(shape, truth == "True", _dtype(code))


def _dtype(code: str) -> np.dtype[np.generic]:
    if code.endswith("O"):
        raise ValueError("it has object dtype, expected numbers")
    try:
        found: np.dtype[np.generic] = np.dtype(code)
    except TypeError as error:
        raise ValueError(f"its dtype is {code}, which NumPy does not know") from error
    return found


def read_array(file: IO[bytes], held: int, what: str) -> Array:
    """The array in `file`, of `held` bytes with its header, charged to the budget before its values
    are read. Raises `ValueError`, naming `what`, if it is damaged or not of numbers.
    """
    try:
        header = read_header(file)
    except GoogLeNetError:
        raise
    except ValueError as error:
        raise ValueError(
            f"{what} is not an array of numbers in NumPy's format ({error})"
        ) from error
    if header.dtype.kind not in KINDS:
        raise ValueError(f"{what} has dtype {header.dtype}, expected numbers")
    left = held - file.tell()
    if header.nbytes != left:
        raise ValueError(f"{what}: its header says {header.nbytes} bytes, but it holds {left}")
    meter().take_bytes(header.nbytes)
    content = file.read(header.nbytes)
    if len(content) < header.nbytes:
        raise ValueError(f"{what} is cut off")
    if file.read(1):  # also lets a member of an archive check its sum
        raise ValueError(f"{what} is longer than its header says")
    flat: npt.NDArray[np.generic] = np.frombuffer(content, header.dtype)
    return flat.reshape(header.shape, order="F" if header.fortran else "C")
