"""HDF5 files read member by member, within the budget, and never past the file itself.

HDF5 has links into other files, values in other files, several links to one group (also to one
above it), values that are filled in where none are stored, and filters that it loads as programs.
Frameworks use none of them for weights.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, BinaryIO

import numpy as np

from ...arrays import Array
from ...budget import meter
from ...npy import KINDS
from .archives import MOST_INFLATED
from .common import widen_bfloat16

# A dataset may declare more than it stores: what is missing is filled in. Beyond this, it is a
# small file that fills the memory.
_MOST_EXPANSION, _MOST_SMALL = 1000, 2**20
# The filters of HDF5 itself that a file of weights may have passed: deflate, shuffle, fletcher32.
_DEFLATE, _FILTERS = 1, (1, 2, 3)
_BLOCK = 1 << 20
_MOST_CHUNKS = 10_000
# Bytes. The library fills a heap of 4096 before it makes the next, and puts all names of one group
# into one.
_MOST_HEAP = 1 << 24
_NO_MORE = 1  # ends the list of what is free in a heap of names
# The library has texts twice while it reads them, and Python once more.
_COPIES = 3


class Guarded:
    """The bytes of an HDF5 file, looked at before the library sees them: for a damaged heap it
    would go round for ever, deaf to Ctrl-C. What reads through it also ends when the time is up.

    Raises `ValueError` if the file counts places in other than eight bytes, as nobody does.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._longest, self._count = 0, 0
        start = file.read(16)
        sizes = start[13:15] if start[8:9] in (b"\0", b"\1") else start[9:11]
        if sizes != b"\x08\x08":
            raise ValueError("it counts places in other than eight bytes")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from where the file is."""
        meter().check_time()
        place = self._file.tell()
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        match bytes(buffer[:4]):
            case b"GCOL":
                self._check_texts(place)
            case b"HEAP":
                self._check_names(place)
        return count

    def _check_names(self, place: int) -> None:
        """What is free in the heap with the names of a group is a list, in any order: no part of it
        comes twice, since together they have no more bytes than the heap.
        """
        size, free, names = self._integers(place + 8, 3)
        if size > _MOST_HEAP:
            raise ValueError(f"a heap of {size} bytes, expected at most {_MOST_HEAP}")
        left = size
        while free != _NO_MORE:
            if free > size - 16:
                raise ValueError(f"a damaged heap: free space at {free} of {size} bytes at {names}")
            following, held = self._integers(names + free, 2)
            if not 16 <= held <= left:
                raise ValueError(
                    f"a damaged heap: {held} free bytes at {names + free}, expected 16 to {left}"
                )
            free, left = following, left - held

    def _integers(self, place: int, count: int) -> list[int]:
        self._file.seek(place)
        data = self._file.read(8 * count)
        if len(data) < 8 * count:
            raise ValueError(f"a damaged heap: nothing at {place}")
        return [int.from_bytes(data[at : at + 8], "little") for at in range(0, 8 * count, 8)]

    def _check_texts(self, place: int) -> None:
        """Each object begins where the one before it ends, up to the end of the collection."""
        self._file.seek(place + 8)
        size = int.from_bytes(self._file.read(8), "little")
        if not 4096 <= size <= _MOST_HEAP:
            raise ValueError(f"a heap of {size} bytes, expected 4096 to {_MOST_HEAP}")
        heap, at = self._file.read(size - 16), 0
        while at + 16 <= len(heap):
            index = int.from_bytes(heap[at : at + 2], "little")
            held = int.from_bytes(heap[at + 8 : at + 16], "little")
            taken = 16 + -(-held // 8) * 8 if index else held  # what is free counts its header
            if not 16 <= taken <= len(heap) - at:
                raise ValueError(f"a damaged heap: an object of {held} bytes at {place + 16 + at}")
            self._longest = max(self._longest, held if index else 0)
            at += taken
        self._check_copies()

    @contextmanager
    def reading(self, count: int) -> Iterator[None]:
        """Inside the block `count` texts are read. Each of them may be the same one: raises what
        the meter raises if so many of the longest in a heap are too much.
        """
        self._count = count
        self._check_copies()
        try:
            yield
        finally:
            self._count = 0

    def _check_copies(self) -> None:
        meter().check_bytes(_COPIES * self._count * self._longest)


#: The file that is being read.
_GUARDED: ContextVar[Guarded] = ContextVar("guarded")


@contextmanager
def opened(stream: BinaryIO) -> Iterator[Any]:
    """The HDF5 file in `stream`, to read with the functions below. Raises as `Guarded` does, and
    what h5py raises for one that is damaged.
    """
    import h5py

    guarded = Guarded(stream)
    token = _GUARDED.set(guarded)
    try:
        with h5py.File(guarded, "r") as file:
            yield file
    finally:
        _GUARDED.reset(token)


def has(group: Any, name: str) -> bool:
    """Whether `group` has a link `name`, wherever it leads; it is not followed."""
    return _link(group, name) is not None


def _link(group: Any, name: str) -> Any:
    """What kind of link `name` is, and where it leads; None if there is none."""
    if name in ("", "."):
        return None
    try:
        return group.id.links.get_info(name.encode("utf-8", "surrogateescape"))
    except (KeyError, RuntimeError, OSError):
        return None


def child(group: Any, name: str) -> Any:
    """The member `name` of `group`. Raises `ValueError` for a link, which may lead into another
    file, before it is followed.
    """
    import h5py

    link = _link(group, name) if isinstance(group, h5py.Group) else None
    if link is None:
        raise ValueError(f"'{name}' is missing")
    if link.type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"'{name}' is a link, expected a group or dataset of this file")
    return group[name]


def members(group: Any) -> list[str]:
    """The names of what is in `group`, charged to the budget."""
    meter().take_names(len(group))
    return list(group)


class Visited:
    """The groups that a walk has seen. A group with two links is one of two by which a few bytes
    become a tree without end.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def enter(self, group: Any, path: tuple[str, ...]) -> None:
        """Raises `ValueError` for a group that was entered before, and what the meter raises if
        `path` is too deep.
        """
        import h5py

        meter().check_depth(len(path))
        if (place := int(h5py.h5o.get_info(group.id).addr)) in self._seen:
            raise ValueError(f"'{'/'.join(path)[:200]}' is a group that has another name too")
        self._seen.add(place)


def texts(group: Any, attribute: str) -> list[str]:
    """The texts in an attribute of `group`, charged to the budget as names."""
    found = _texts(group, attribute)
    names = [name.decode("utf-8") if isinstance(name, bytes) else name for name in found]
    for name in names:
        meter().check_name(name)
    return names


def document(group: Any, attribute: str) -> str:
    """The one long text in an attribute of `group`, which is no name; "" if there are none or
    several. Its bytes are in the file, and are charged to the budget.
    """
    found = _texts(group, attribute)
    meter().take_bytes(sum(map(len, found)))
    text = found[0] if len(found) == 1 else ""
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def _texts(group: Any, attribute: str) -> list[bytes | str]:
    found = group.attrs.get_id(attribute)
    count = math.prod(found.shape or ())
    taken = meter()
    taken.take_names(count)
    taken.take_bytes(count * found.dtype.itemsize)
    if count and not _is_text(found.dtype):  # an empty list is one of numbers
        raise ValueError(f"attribute '{attribute}' is not of text")
    with _GUARDED.get().reading(count):
        listed = np.asarray(group.attrs[attribute]).ravel().tolist()
    return [text if isinstance(text, bytes) else str(text) for text in listed]


def _is_text(dtype: np.dtype[Any]) -> bool:
    """Whether values of an attribute are text, and not, as it may be, lists or references."""
    import h5py

    return dtype.kind in "SU" or h5py.check_string_dtype(dtype) is not None


def text(group: Any, attribute: str) -> str:
    """The text in an attribute of `group`, "" if it has none. Raises `ValueError` for several."""
    if attribute not in group.attrs:
        return ""
    found = texts(group, attribute)
    if len(found) != 1:
        raise ValueError(f"attribute '{attribute}' has {len(found)} texts, expected one")
    return found[0]


def array(dataset: Any, name: str) -> Array:
    """The values of a dataset, charged to the budget before they are read. Raises `ValueError`
    unless they are numbers and in this file.
    """
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"'{name}' is a group, expected a dataset")
    taken, dtype = meter(), dataset.dtype
    if dtype.kind == "O":
        raise ValueError(f"'{name}' has object dtype, expected numbers")
    if dtype.kind not in KINDS and dtype != np.dtype("V2"):
        raise ValueError(f"'{name}' has dtype {str(dtype)[:60]}, expected numbers")
    if dataset.shape is None:
        raise ValueError(f"'{name}' has no values")
    taken.check_axes(len(dataset.shape))
    size = math.prod(dataset.shape) * dtype.itemsize
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"'{name}' has its values in another file")
    stored = dataset.id.get_storage_size()
    if size > max(_MOST_SMALL, _MOST_EXPANSION * stored):
        raise ValueError(f"'{name}' declares {size} bytes and stores {stored}")
    taken.take_bytes(size)
    if dataset.chunks is not None:
        _check_chunks(dataset, name)
    values: Array = np.asarray(dataset[()])
    # Two opaque bytes are bfloat16, which HDF5 lacks.
    return widen_bfloat16(values.view(np.uint16)) if values.dtype == np.dtype("V2") else values


def _check_chunks(dataset: Any, name: str) -> None:
    """Raises `ValueError` for a filter that frameworks do not use, or a chunk that unpacks to more
    than it should, and what the meter raises for chunks that are too large.
    """
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(index)[0] for index in range(settings.get_nfilters())]
    if any(each not in _FILTERS for each in filters) or len(set(filters)) < len(filters):
        raise ValueError(f"'{name}' is packed by the filters {filters}, expected gzip or none")
    size = math.prod(dataset.chunks) * dataset.dtype.itemsize
    taken = meter()
    taken.take_bytes(2 * size)  # the library unpacks one at a time
    count = dataset.id.get_num_chunks()
    if count > _MOST_CHUNKS:  # the library counts from the first to find each
        raise ValueError(f"'{name}' is in {count} chunks, expected at most {_MOST_CHUNKS}")
    for index in range(count):
        chunk = dataset.id.get_chunk_info(index)
        taken.check_time()
        # Packed, it may be a little longer than it is, and it has a sum.
        if chunk.size > size + size // 100 + 1024:
            raise ValueError(f"'{name}' has a chunk of {chunk.size} bytes, expected {size}")
        # The library unpacks whatever there is, and only then sees how much it was.
        if _DEFLATE not in filters or chunk.filter_mask or chunk.size * MOST_INFLATED <= _BLOCK:
            continue
        _, packed = dataset.id.read_direct_chunk(chunk.chunk_offset)
        if _inflated(packed, size + _BLOCK) > size + 4:
            raise ValueError(f"'{name}' has a chunk that unpacks to more than {size} bytes")


def _inflated(packed: bytes, most: int) -> int:
    """How many bytes `packed` unpacks to, counted no further than `most`."""
    unpacker, count = zlib.decompressobj(), 0
    while not unpacker.eof and count <= most:
        block = unpacker.decompress(packed, _BLOCK)
        packed = unpacker.unconsumed_tail
        count += len(block)
        if not block and not packed:
            break
    return count
