"""A writer of every format, byte by byte, and what a reading or a refusal must be."""

import io
import json
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


ONNX = {"f4": 1, "u1": 2, "i4": 6, "i8": 7, "b1": 9, "f2": 10, "f8": 11}


def onnx_tensor(name, array, *, place=8):
    dims = b"".join(field(1, size) for size in array.shape)
    return (
        dims + field(2, ONNX[code(array)]) + field(place, name.encode()) + field(9, array.tobytes())
    )


def onnx_model(graph):
    opset = field(1, b"") + field(2, 13)
    return field(1, 8) + field(2, b"tests") + field(7, graph) + field(8, opset)


def write_onnx(arrays):
    return onnx_model(b"".join(field(5, onnx_tensor(*each)) for each in arrays.items()))


def write_mindir(arrays):
    parameters = (onnx_tensor(f"1_net_2:{name}", array, place=7) for name, array in arrays.items())
    graph = b"".join(field(3, each) for each in parameters)
    return field(1, b"1.0") + field(2, b"MindSpore") + field(5, b"2.8.0") + field(7, graph)


def block(entries):
    """A block of a sorted table, and its trailer: no compression, a sum that nobody checks."""
    body = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    return body + struct.pack("<II", 0, 1), b"\0" + bytes(4)


def table(entries):
    """A sorted table, as TensorFlow's checkpoints are, in two blocks of entries."""
    content, index = b"", []
    entries = list(entries)
    for part in (entries[:2], entries[2:]):
        if part:
            body, trailer = block(part)
            index.append((part[-1][0], varint(len(content)) + varint(len(body))))
            content += body + trailer
    handles = b""
    for each in ([], index):
        body, trailer = block(each)
        handles += varint(len(content)) + varint(len(body))
        content += body + trailer
    return content + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


TENSORFLOW = {"f4": 1, "f8": 2, "i4": 3, "u1": 4, "i8": 9, "b1": 10, "f2": 19}


def tensorflow_shape(shape):
    return b"".join(field(2, field(1, size)) for size in shape)


def write_tensorflow_1(arrays, values=lambda array: field(4, array.tobytes())):
    """A checkpoint of version 1, with each array in one slice."""
    meta, slices = b"", []
    for name, array in arrays.items():
        extents = b"".join(field(1, b"") for _ in array.shape)
        kind = TENSORFLOW[code(array)]
        shape = tensorflow_shape(array.shape)
        meta += field(1, field(1, name.encode()) + field(2, shape) + field(3, kind))
        data = (
            field(1, name.encode()) + field(2, extents) + field(3, field(1, kind) + values(array))
        )
        slices.append((b"\1" + name.encode(), field(2, data)))
    return table([(b"", field(1, meta)), *sorted(slices)])


def write_tensorflow_2(arrays, extra=()):
    """The index and the only shard of a checkpoint of version 2."""
    entries, shard = [(b"", field(1, 1) + field(3, field(1, 1)))], b""
    for name, array in sorted(arrays.items()):
        place = field(4, len(shard)) + field(5, array.nbytes)
        kind = field(1, TENSORFLOW[code(array)]) + field(2, tensorflow_shape(array.shape))
        entries.append((name.encode(), kind + place))
        shard += array.tobytes()
    for name, content in extra:
        entry = field(1, 7) + field(4, len(shard)) + field(5, len(content))
        entries.append((name.encode(), entry))
        shard += content
    return table(sorted(entries)), shard


PADDLE = {"b1": 0, "i4": 2, "i8": 3, "f2": 4, "f4": 5, "f8": 6, "u1": 20}


def write_pdiparams(arrays):
    """A file of parameters without names, and the program that names them."""
    content = b""
    for _, array in sorted(arrays.items()):
        dims = b"".join(field(2, size) for size in array.shape)
        description = field(1, PADDLE[code(array)]) + dims
        content += bytes(16) + struct.pack("<i", len(description)) + description + array.tobytes()
    ops = [{"#": "p", "A": [0, 1, 1, name]} for name in arrays]
    program = {"base_code": {"magic": "pir"}, "program": {"regions": [{"ops": ops}]}}
    return content, json.dumps(program).encode()


def write_pdmodel(arrays):
    """The program as Paddle 2 writes it."""
    variables = b"".join(
        field(3, field(1, name.encode()) + field(2, field(1, 7)) + field(3, 1)) for name in arrays
    )
    reader = field(3, field(1, b"feed") + field(2, field(1, 9)) + field(3, 1))
    return field(1, field(1, 0) + field(2, 0) + reader + variables)


def write_tensorflow_js(arrays, quantized=None):
    """A model.json and its two shards."""
    weights = [
        {"name": name, "shape": list(array.shape), "dtype": "float32"} | (quantized or {})
        for name, array in arrays.items()
    ]
    content = b"".join(array.tobytes() for array in arrays.values())
    shards = {"group1-shard1of2.bin": content[:9], "group1-shard2of2.bin": content[9:]}
    manifest = [{"paths": list(shards), "weights": weights}]
    return json.dumps({"modelTopology": {}, "weightsManifest": manifest}).encode(), shards


def caffe_blob(array, *, legacy=False):
    if legacy:
        shape = (1,) * (4 - array.ndim) + array.shape
        dims = b"".join(field(place, size) for place, size in zip((1, 2, 3, 4), shape, strict=True))
    else:
        dims = field(7, field(1, b"".join(map(varint, array.shape))))
    return dims + field(5 if array.dtype == np.float32 else 8, array.tobytes())


def write_caffe(arrays, *, version=2, kinds=None):
    """A .caffemodel: layers with their blobs, whose names are `layer/0`, `layer/1`."""
    content = field(1, b"Net")
    name, kind, blobs, place = ((1, 2, 7, 100), (4, 5, 6, 2))[version == 1]
    grouped = {}
    for key, array in arrays.items():
        grouped.setdefault(key.rpartition("/")[0], []).append(array)
    for layer, held in grouped.items():
        is_map = held[0].ndim == 4
        which = (
            (4 if is_map else 14)
            if version == 1
            else (b"Convolution" if is_map else b"InnerProduct")
        )
        layer_blobs = b"".join(field(blobs, caffe_blob(each, legacy=version == 1)) for each in held)
        parts = sorted(((name, layer.encode()), (kind, which)))
        content += field(place, b"".join(field(*each) for each in parts) + layer_blobs)
    return content


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


# Flax: msgpack, object by object ------------------------------------------------------------------


def packed(value):
    """`value` as msgpack, with arrays as Flax has them, and sizes in as few bytes as they take."""

    def sized(count, fixed, most, marks):
        if fixed is not None and count <= most:
            return bytes([fixed | count])
        for mark, code in zip(marks, "BHI", strict=True):
            if mark and count < 256 ** struct.calcsize(f">{code}"):
                return bytes([mark]) + struct.pack(f">{code}", count)
        raise ValueError(count)

    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return struct.pack(">Bq", 0xD3, value) if not 0 <= value < 128 else bytes([value])
        case float():
            return struct.pack(">Bd", 0xCB, value)
        case str():
            raw = value.encode()
            return sized(len(raw), 0xA0, 31, (0xD9, 0xDA, 0xDB)) + raw
        case bytes():
            return sized(len(value), None, 0, (0xC4, 0xC5, 0xC6)) + value
        case tuple() | list():
            return sized(len(value), 0x90, 15, (0, 0xDC, 0xDD)) + b"".join(map(packed, value))
        case dict():
            pairs = (packed(key) + packed(item) for key, item in value.items())
            return sized(len(value), 0x80, 15, (0, 0xDE, 0xDF)) + b"".join(pairs)
        case np.ndarray():
            little = value.astype(value.dtype.newbyteorder("<"))
            inner = packed((value.shape, value.dtype.name, little.tobytes()))
            return sized(len(inner), None, 0, (0xC7, 0xC8, 0xC9)) + b"\x01" + inner
    raise TypeError(value)


def nested_by(arrays):
    """Arrays by paths with slashes as dictionaries in dictionaries."""
    tree = {}
    for name, array in arrays.items():
        *layers, last = name.split("/")
        inside = tree
        for layer in layers:
            inside = inside.setdefault(layer, {})
        inside[last] = array
    return tree


def write_flax(arrays):
    return packed({"params": nested_by(arrays)})


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
    "Flax parameters": write_flax,
    "ONNX model": write_onnx,
    "MindIR model": write_mindir,
    "TensorFlow checkpoint (version 1)": write_tensorflow_1,
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
