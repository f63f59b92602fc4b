"""PyTorch checkpoints, .pt and .pth, without PyTorch: the zip format of torch 1.6 and later, and
the older one.

Both hold a pickle whose tensors are views (offset, shape, strides) of storages kept outside it: in
the zip, one member each; in the older format, raw after the pickle. Formats:
torch/serialization.py, `_save` and `_legacy_save`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...arrays import Array
from ...budget import bounded_shape, meter
from ...paths import read_file
from . import archives, nested, pickles
from .common import BFLOAT16, Cursor, UnsuitableError, WeightsFile, plain_arrays, widen_bfloat16
from .inert import INERT
from .numpys import NUMPY, is_array

LEGACY_MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The end of the pickled number with which a file of the older format begins, whatever its
protocol.
"""

ADVICE = "save only model.state_dict() with torch.save"
_HOW = {"encoding": "utf-8", "advice": ADVICE}

_STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "UntypedStorage": "|u1",
    "BoolStorage": "|b1",
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
_DTYPES = (
    *("float64", "double", "float32", "float", "float16", "half", "bfloat16", "complex64"),
    *("cfloat", "complex128", "cdouble", "int64", "long", "int32", "int", "int16", "short"),
    *("int8", "uint8", "bool"),
)
# A tensor made by `expand` repeats its values. Beyond this many, it is a small file that fills the
# memory.
_MOST_REPEATED = 2**24


class _StorageType(NamedTuple):
    """Stands in for a class such as torch.FloatStorage."""

    dtype: str


class _Storage(NamedTuple):
    """`size` values under `key`; this storage, which may itself be a view, begins at `start`."""

    key: str
    dtype: str
    size: int
    start: int


class _Tensor(NamedTuple):
    """A view: `offset` and `strides` count values, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild_tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
    /,
) -> _Tensor:
    """Stands in for torch._utils._rebuild_tensor_v2."""
    if metadata:
        raise ValueError("a tensor whose values are negated or conjugated lazily")
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without a storage")
    if not isinstance(strides, tuple) or len(strides) > len(bounded_shape(shape)):
        raise ValueError("a tensor with strides that do not go with its shape")
    return _Tensor(
        storage, _count(offset), bounded_shape(shape), tuple(_count(stride) for stride in strides)
    )


def _count(value: Any) -> int:
    """An integer of a pickle, which may be anything else."""
    if type(value) is not int:
        raise ValueError(f"expected an integer, got {type(value).__name__}")
    return value


def _rebuild_parameter(data: Any, requires_grad: Any = True, hooks: Any = None, /) -> Any:
    """Stands in for torch._utils._rebuild_parameter."""
    if not isinstance(data, _Tensor):  # and never what a pickle could change later
        raise ValueError("a parameter without a tensor")
    return data


def _size(shape: Any = (), /) -> tuple[int, ...]:
    """Stands in for torch.Size."""
    return bounded_shape(shape)


_ALLOWED: pickles.Allowed = {
    **INERT,
    **NUMPY,
    ("torch", "Size"): pickles.StandIn(_size),
    ("torch._utils", "_rebuild_tensor_v2"): pickles.StandIn(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): pickles.StandIn(_rebuild_parameter),
    **{
        (module, name): _StorageType(dtype)
        for module in ("torch", "torch.storage", "torch.cuda")
        for name, dtype in _STORAGES.items()
    },
    **{("torch", name): f"torch.{name}" for name in _DTYPES},
}


def _storage(pid: Any) -> _Storage:
    """The storage that a persistent id in either format names."""
    kind, storage_type, key, _location, count, *view = pid
    if kind != "storage" or not isinstance(storage_type, _StorageType):
        raise ValueError(f"a reference to {str(kind)[:60]!r}, expected one to a storage")
    if type(key) not in (str, int):
        raise ValueError(f"a storage under a {type(key).__name__}, expected a name")
    start = _count(view[0][1]) if view and view[0] else 0
    return _Storage(str(key), storage_type.dtype, _count(count), start)


# The two formats ----------------------------------------------------------------------------------


def read_zip(path: Path) -> WeightsFile:
    """Read a checkpoint of torch 1.6 or later. Raises `WeightsError` for a pickle with more than
    tensors in it.
    """
    with archives.opened(path) as archive:
        names = archive.namelist()
        pickled = next(name for name in names if name.rpartition("/")[2] == "data.pkl")
        root = pickled.removesuffix("data.pkl")
        if f"{root}constants.pkl" in names:
            raise UnsuitableError(
                f"is a TorchScript program, expected a state dict; load it in torch and {ADVICE}"
            )
        order = f"{root}byteorder"
        big = order in names and archives.member(archive, order).strip() == b"big"
        content = archives.member(archive, pickled)
        loaded = pickles.load(path, content, _ALLOWED, persistent_load=_storage, **_HOW)
        cache: dict[str, tuple[str, Array]] = {}

        def values(storage: _Storage) -> Array:
            if storage.key not in cache:
                content = archives.member(archive, f"{root}data/{storage.key}")
                cache[storage.key] = storage.dtype, _values(content, storage, big=big)
            dtype, found = cache[storage.key]
            if dtype != storage.dtype:
                raise ValueError(f"storage {storage.key} with two dtypes")
            return found

        return _weights_file(path, "PyTorch checkpoint", loaded, values)


def read_legacy(path: Path) -> WeightsFile:
    """Read a checkpoint of torch before 1.6. Raises `WeightsError` for a pickle with more than
    tensors in it.
    """
    data = read_file(path)
    position = 0
    dtypes: dict[str, str] = {}

    def persistent_load(pid: Any) -> _Storage:
        storage = _storage(pid)
        if dtypes.setdefault(storage.key, storage.dtype) != storage.dtype:
            raise ValueError(f"storage {storage.key} with two dtypes")
        return storage

    def following() -> Any:
        nonlocal position
        loaded, position = pickles.load_at(
            path, data, position, _ALLOWED, persistent_load=persistent_load, **_HOW
        )
        return loaded

    _magic, _protocol, _system, loaded, keys = (following() for _ in range(5))
    cursor, stored = Cursor(data), {}
    cursor.take(position)
    for key in keys if isinstance(keys, list) else ():
        dtype = dtypes[str(key)]
        count = cursor.integer(8)
        stored[str(key)] = _values(
            cursor.take(count * _numpy(dtype).itemsize),
            _Storage(str(key), dtype, count, 0),
            big=False,
        )
    if cursor.left:
        raise ValueError(f"bytes after the last storage: {cursor.left}")
    return _weights_file(
        path, "PyTorch checkpoint (before 1.6)", loaded, lambda storage: stored[storage.key]
    )


# Storages, views and names ------------------------------------------------------------------------


def _numpy(dtype: str) -> np.dtype[Any]:
    return np.dtype("<u2" if dtype == BFLOAT16 else dtype)


def _values(content: bytes | memoryview, storage: _Storage, *, big: bool) -> Array:
    """All values of a storage in one axis; bfloat16 is still bits."""
    dtype = _numpy(storage.dtype)
    if len(content) != storage.size * dtype.itemsize:
        raise ValueError(
            f"storage {storage.key}: bytes expected: {storage.size * dtype.itemsize}, got"
            f" {len(content)}"
        )
    return np.frombuffer(content, dtype.newbyteorder(">") if big else dtype)


def _view(values: Array, tensor: _Tensor) -> Array:
    """The values of `tensor` in its shape. Raises `ValueError` if it reaches
    outside its storage.
    """
    shape, strides, first = tensor.shape, tensor.strides, tensor.storage.start + tensor.offset
    if (
        len(shape) != len(strides)
        or min((first, tensor.storage.start, tensor.offset, *shape, *strides)) < 0
    ):
        raise ValueError(f"a tensor of shape {shape}, strides {strides} and offset {first}")
    count = math.prod(shape)
    last = first + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if count and (last >= len(values) or count > max(len(values), _MOST_REPEATED)):
        raise ValueError(
            f"a tensor of shape {shape} and strides {strides} at {first} of a storage of"
            f" {len(values)} values"
        )
    meter().check_time()
    at = values[first:] if count else values[:0]
    view = np.lib.stride_tricks.as_strided(
        at, shape, [stride * values.itemsize for stride in strides], writeable=False
    )
    return widen_bfloat16(view) if tensor.storage.dtype == BFLOAT16 else view


def _weights_file(
    path: Path, format: str, loaded: Any, values: Callable[[_Storage], Array]
) -> WeightsFile:
    def is_leaf(value: Any) -> bool:
        return isinstance(value, _Tensor) or is_array(value)

    found, metadata = nested.arrays_in(loaded, is_leaf, ADVICE)
    meter().take_names(len(found))
    arrays = {
        name: _view(values(value.storage), value) if isinstance(value, _Tensor) else value.array()
        for name, value in found.items()
    }
    if all(name.startswith("module.") for name in arrays):  # which DataParallel adds
        metadata["removed_prefix"] = "module."
        arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    return WeightsFile(path, format, plain_arrays(arrays), metadata)
