"""A writer of every format, byte by byte, and what a reading or a refusal must be."""

import io
import pickle
import struct
import zipfile
import zlib
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
import safetensors.numpy

from googlenet import WeightsError
from googlenet.weights.formats import read_weights_file

# Pickles, opcode by opcode: pickle itself writes no name of a module that is not installed --------


class Global(NamedTuple):
    module: str
    name: str


class Call(NamedTuple):
    function: Any
    args: tuple
    state: Any = None


class Persistent(NamedTuple):
    pid: tuple


def emit(value):
    match value:
        case Global(module, name):
            return f"c{module}\n{name}\n".encode()
        case Call(function, args, state):
            return (
                emit(function) + emit(args) + b"R" + (b"" if state is None else emit(state) + b"b")
            )
        case Persistent(pid):
            return emit(pid) + b"Q"
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            raw = pickle.encode_long(value)
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
        case tuple():
            return b"(" + b"".join(map(emit, value)) + b"t"
        case list():
            return b"](" + b"".join(map(emit, value)) + b"e"
        case dict():
            return b"}(" + b"".join(emit(key) + emit(item) for key, item in value.items()) + b"u"
    raise TypeError(value)


def pickled(value):
    return b"\x80\x02" + emit(value) + b"."


# One writer a format ------------------------------------------------------------------------------

STORAGES = {
    "f8": "Double",
    "f4": "Float",
    "f2": "Half",
    "i8": "Long",
    "i4": "Int",
    "u1": "Byte",
    "b1": "Bool",
    "bf16": "BFloat16",
}
MXNET = {"f4": 0, "f8": 1, "f2": 2, "u1": 3, "i4": 4, "i8": 6, "b1": 7}
MINDSPORE = {
    "f4": "Float32",
    "f8": "Float64",
    "f2": "Float16",
    "u1": "UInt8",
    "i4": "Int32",
    "i8": "Int64",
    "b1": "Bool",
}
DTYPES = sorted(MXNET)


def code(array):
    return array.dtype.str[1:]


def tensor(key, kind, count, offset, shape, strides, *extra, view=()):
    storage = Persistent(("storage", Global("torch", f"{kind}Storage"), key, "cpu", count, *view))
    hooks = Call(Global("collections", "OrderedDict"), ())
    return Call(
        Global("torch._utils", "_rebuild_tensor_v2"),
        (storage, offset, shape, strides, False, hooks, *extra),
    )


def whole(key, array, view=()):
    strides = tuple(
        stride // array.itemsize
        for stride in np.ascontiguousarray(array).reshape(array.shape).strides
    )
    return tensor(key, STORAGES[code(array)], array.size, 0, array.shape, strides, view=view)


def torch_zip(state, storages, order="little", extra=()):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", state if isinstance(state, bytes) else pickled(state))
        if order:
            archive.writestr("archive/byteorder", order)
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
        for name in extra:
            archive.writestr(f"archive/{name}", b"")
    return stream.getvalue()


def torch_legacy(state, storages):
    """`storages`: key → (count, bytes)."""
    keys = sorted(storages)
    parts = [pickled(part) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    parts += [state if isinstance(state, bytes) else pickled(state), pickled(keys)]
    parts += [struct.pack("<q", storages[key][0]) + storages[key][1] for key in keys]
    return b"".join(parts)


def write_torch(arrays):
    state = {name: whole(str(key), array) for key, (name, array) in enumerate(arrays.items())}
    return torch_zip(
        state, {str(key): array.tobytes() for key, array in enumerate(arrays.values())}
    )


def write_torch_legacy(arrays):
    state = {
        name: whole(str(key), array, view=(None,))
        for key, (name, array) in enumerate(arrays.items())
    }
    return torch_legacy(
        state,
        {str(key): (array.size, array.tobytes()) for key, array in enumerate(arrays.values())},
    )


def write_paddle(arrays, protocol=4):
    return pickle.dumps(
        {**arrays, "StructuredToParameterName@@": dict.fromkeys(arrays, "linear_0.w_0")}, protocol
    )


def mxnet_array(array, version=0xF993FACA, flag=None):
    head = struct.pack("<I", version) + struct.pack("<i", 0) * (version != 0xF993FAC8)
    shape = struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape)
    return (
        head
        + shape
        + struct.pack("<iii", 1, 0, MXNET[code(array)] if flag is None else flag)
        + array.tobytes()
    )


def mxnet_list(arrays, names):
    texts = b"".join(struct.pack("<Q", len(name)) + name.encode() for name in names)
    head = struct.pack("<QQQ", 0x112, 0, len(arrays))
    return head + b"".join(arrays) + struct.pack("<Q", len(names)) + texts


def write_mxnet(arrays):
    return mxnet_list([mxnet_array(array) for array in arrays.values()], list(arrays))


def varint(value):
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def mindspore_value(tag, dims, kind, content):
    message = (
        b"".join(field(1, size) for size in dims) + field(2, kind.encode()) + field(3, content)
    )
    return field(1, field(1, tag.encode()) + field(2, message))


def write_mindspore(arrays):
    return b"".join(
        mindspore_value(name, array.shape, MINDSPORE[code(array)], array.tobytes())
        for name, array in arrays.items()
    )


def with_crc(content):
    return content + b"crc_num" + zlib.crc32(content).to_bytes(10, "big")


def write_mindspore_crc(arrays):
    return with_crc(write_mindspore(arrays))


def layers(arrays):
    grouped = {}
    for name, array in arrays.items():
        layer, _, variable = name.rpartition("/")
        grouped.setdefault(layer, {})[variable] = array
    return grouped


def hdf5(fill):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        fill(file)
    return stream.getvalue()


CLASSES = {"conv2d_7": "conv2d", "predictions": "dense"}


def write_keras3(arrays):
    def fill(file):
        for layer, variables in layers(arrays).items():
            group = file.create_group(f"layers/{CLASSES.get(layer, layer)}/vars")
            group.attrs["name"] = layer
            for index, array in enumerate(variables.values()):
                group[str(index)] = array

    return hdf5(fill)


def write_keras_zip(arrays):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("config.json", '{"class_name": "Lambda"}')
        archive.writestr("model.weights.h5", write_keras3(arrays))
    return stream.getvalue()


def fill_legacy(file, arrays, suffix=":0", prefix=""):
    grouped = layers(arrays)
    file.attrs["layer_names"] = [name.encode() for name in ("input_1", *grouped)]
    file.create_group("input_1").attrs["weight_names"] = []
    for layer, variables in grouped.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = [
            f"{prefix}{layer}/{name}{suffix}".encode() for name in variables
        ]
        for name, array in variables.items():
            group[f"{prefix}{layer}/{name}{suffix}"] = array


def write_keras_legacy(arrays):
    return hdf5(lambda file: fill_legacy(file, arrays))


def write_keras_legacy_model(arrays):
    return hdf5(
        lambda file: fill_legacy(
            file.create_group("model_weights"), arrays, suffix="", prefix="model/"
        )
    )


def write_npz(arrays, save=np.savez):
    stream = io.BytesIO()
    save(stream, **arrays)
    return stream.getvalue()


FORMATS = {
    "PyTorch checkpoint": write_torch,
    "PyTorch checkpoint (before 1.6)": write_torch_legacy,
    "Paddle parameters": write_paddle,
    "MXNet parameters": write_mxnet,
    "MindSpore checkpoint": write_mindspore_crc,
    "Keras 3 weights": write_keras3,
    "Keras 3 model": write_keras_zip,
    "Keras legacy weights": write_keras_legacy,
    "NumPy archive": write_npz,
    "safetensors file": safetensors.numpy.save,
}
ANY = pytest.mark.parametrize("format", FORMATS)


def example():
    rng = np.random.default_rng(0)
    shapes = {
        "conv2d_7/kernel": (3, 2, 4, 5),
        "conv2d_7/bias": (5,),
        "predictions/kernel": (5, 7),
        "predictions/bias": (7,),
    }
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def check(found, expected, format=None):
    assert format in (None, found.format)
    assert list(found.arrays) == list(expected)
    for name, array in expected.items():
        assert found.arrays[name].shape == array.shape, name
        assert found.arrays[name].dtype == array.dtype.newbyteorder("="), name
        assert found.arrays[name].flags.c_contiguous
        assert (
            found.arrays[name].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()
        ), name


def refusal(path):
    with pytest.raises(WeightsError) as raised:
        read_weights_file(path)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


BASE = np.arange(60, dtype=np.float32)
