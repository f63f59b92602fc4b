"""Weight files of every framework, written here byte by byte, read whole; and whatever is wrong
with them, refused in one line.
"""

import contextlib
import io
import math
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet import WeightsError
from googlenet.weights.formats import paddle, read_weights_file, torch

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
    "numpy archive": write_npz,
    "safetensors file": safetensors.numpy.save,
}
ANY = pytest.mark.parametrize("format", FORMATS)


@pytest.fixture
def file(tmp_path):
    """Writes a file, whose name says nothing about its format."""

    def write(content):
        path = tmp_path / "weights"
        path.write_bytes(content)
        return path

    return write


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


# All formats --------------------------------------------------------------------------------------


@ANY
def test_the_format_is_told_by_the_content(format, file):
    path = file(FORMATS[format](example()))
    found = read_weights_file(str(path))
    # safetensors' own writer sorts; all other files keep the order.
    check(
        found,
        dict(sorted(example().items())) if format == "safetensors file" else example(),
        format,
    )
    assert found.path == path


@ANY
@settings(max_examples=25)
@given(data=st.data())
def test_every_bit_comes_back(format, data, tmp_path_factory):
    """Any shape without two axes alike, any dtype that all have, any bytes: infinities
    and NaN too.
    """
    axes = st.lists(st.integers(1, 6), max_size=4, unique=True).map(tuple)
    shapes = data.draw(st.lists(axes, min_size=1, max_size=3))
    arrays = {}
    for index, shape in enumerate(shapes):
        dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
        raw = data.draw(
            st.binary(
                min_size=math.prod(shape) * dtype.itemsize,
                max_size=math.prod(shape) * dtype.itemsize,
            )
        )
        values = np.frombuffer(raw, dtype if dtype.kind != "b" else np.uint8)
        arrays[f"layer{index}/0"] = (values % 2 == 1 if dtype.kind == "b" else values).reshape(
            shape
        )
    path = tmp_path_factory.mktemp("formats") / "weights"
    path.write_bytes(FORMATS[format](arrays))
    found = read_weights_file(path)
    check(found, {name: arrays[name] for name in found.arrays}, format)
    assert set(found.arrays) == set(arrays)


@ANY
def test_a_file_cut_anywhere_is_refused(format, file):
    content = FORMATS[format](example())
    boundaries = (
        {0, *np.cumsum([len(write_mindspore({name: array})) for name, array in example().items()])}
        if "Mind" in format
        else {0}
    )
    assert len(content) not in boundaries
    for end in {
        *range(0, len(content), max(1, len(content) // 500)),
        *range(70),
        *range(len(content) - 70, len(content)),
    } - boundaries:
        refusal(file(content[:end]))


@ANY
def test_a_damaged_byte_never_gives_another_exception(format, file):
    """It may go unnoticed inside the values, and must not inside the structure."""
    content = FORMATS[format](example())
    rng = np.random.default_rng(1)
    for position in rng.choice(len(content), 400):
        damaged = bytearray(content)
        damaged[position] ^= rng.integers(1, 256)
        with contextlib.suppress(WeightsError):
            read_weights_file(file(damaged))


@ANY
def test_no_arrays(format, file):
    assert "expected arrays by name, got none" in refusal(
        file(FORMATS[format]({}) or b"\x0a\x00")
    ) or format.startswith("Mind")


def test_no_file(tmp_path, file):
    assert "does not exist" in refusal(tmp_path / "none.pt")
    assert "is a folder" in refusal(tmp_path)
    assert "is empty" in refusal(file(b""))


@pytest.mark.parametrize(
    "content",
    [b"x", b"GIF89a", b"\x08\x07\x12\x07pytorch:", bytes(100), b"(", b"\x1f\x8b\x08" + bytes(50)],
)
def test_an_unknown_format_names_those_that_are_known(content, file):
    message = refusal(file(content))
    for known in (
        ".pth",
        ".weights.h5",
        ".keras",
        ".params",
        ".pdparams",
        ".ckpt",
        "safetensors",
        ".npz",
    ):
        assert known in message


def test_an_unknown_zip(file):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    assert "unknown format" in refusal(file(stream.getvalue()))


def test_reading_imports_nothing_but_what_the_format_needs(file):
    path = file(write_torch(example()))
    program = (
        "import sys, numpy\ndef names(): return {name.partition('.')[0] for name in sys.modules}"
        " - set(sys.stdlib_module_names)\nstart = names()\nimport"
        " googlenet.formats\nprint(*names() -"
        f" start)\ngooglenet.formats.read_weights_file({str(path)!r})\nprint(*names() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert before == after == {"googlenet"}


# Pickles that are programs ------------------------------------------------------------------------


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


CONTAINERS = {
    "bare": lambda program: program,
    "torch zip": lambda program: torch_zip(program, {}),
    "torch legacy": lambda program: torch_legacy(program, {}),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_and_named(container, protocol, file, tmp_path):
    trace = tmp_path / "trace"
    path = file(CONTAINERS[container](pickle.dumps({"weight": Attack(trace)}, protocol)))
    message = refusal(path)
    assert f"'{os.system.__module__}.system'" in message
    assert "before anything ran" in message
    assert not trace.exists()


def test_the_attack_above_works(tmp_path):
    pickle.loads(pickle.dumps(Attack(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "name",
    [
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("builtins", "tuple"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch", "Size.__class__"),
        ("collections", "OrderedDict.__reduce__"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("googlenet.weights.formats.torch", "pickles"),
        ("torchvision.models.googlenet", "GoogLeNet"),
    ],
    ids=".".join,
)
def test_other_names_are_refused(container, name, file):
    assert f"'{'.'.join(name)}'" in refusal(
        file(CONTAINERS[container](pickled({"weight": Global(*name)})))
    )


@pytest.mark.parametrize(
    ("container", "format"), [("bare", "Paddle parameters"), ("torch zip", "PyTorch checkpoint")]
)
def test_no_pickle_changes_how_the_next_is_read(container, format, file):
    """`BUILD` sets attributes of whatever is on the stack: of every name in the tables, it can set
    none.
    """
    table = {"bare": paddle._ALLOWED, "torch zip": torch._ALLOWED}[container]
    for name, allowed in table.items():
        before = repr(vars(allowed)) if hasattr(allowed, "__dict__") else repr(allowed)
        for state in (
            {"dtype": "<i4", "code": 1, "_call": 1},
            (None, {"dtype": "<i4", "_call": None, "__call__": 1, "array": 1}),
        ):
            refusal(
                file(CONTAINERS[container](b"\x80\x02" + emit(Global(*name)) + emit(state) + b"b."))
            )
        assert (repr(vars(allowed)) if hasattr(allowed, "__dict__") else repr(allowed)) == before
    check(read_weights_file(file(FORMATS[format](example()))), example(), format)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"\x80\x02\x82\x01.", "extension registry"),  # whose names are looked up past the table
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "names entry 2147483647"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "2147483647"),
        (b"\x80\x02" + b"(" * 9999 + b".", ""),
        (b"\x80\x04\x8c\x05os\n\nx\x8c\x06system\x93.", "'os x.system'"),
        (
            pickled({}) + b"more",
            {"bare": "after the end", "torch zip": "after the end", "torch legacy": ""},
        ),
    ],
)
def test_pickles_that_go_round_the_table_or_fill_the_memory(container, program, reason, file):
    assert (reason if isinstance(reason, str) else reason[container]) in refusal(
        file(CONTAINERS[container](program))
    )


def test_names_that_would_break_the_line(file):
    assert "'a b' has dtype" in refusal(file(write_npz({"a\nb": np.array(["text"])})))


def test_bytes_after_the_last_storage(file):
    assert "4 bytes after the last storage" in refusal(
        file(write_torch_legacy(example()) + b"more")
    )


def test_a_pickle_of_something_else(file):
    for content in (
        pickle.dumps([1, 2]),
        pickle.dumps("text"),
        torch_zip([1], {}),
        torch_zip(whole("0", np.ones(3)), {"0": bytes(24)}),
    ):
        assert "expected" in refusal(file(content))
    assert "got one tensor" in refusal(file(torch_zip(whole("0", np.ones(3)), {"0": bytes(24)})))


# PyTorch ------------------------------------------------------------------------------------------

BASE = np.arange(60, dtype=np.float32)
VIEWS = {
    "all": BASE.reshape(3, 4, 5),
    "transposed": BASE.reshape(3, 20).T,
    "channels_last": BASE.reshape(1, 3, 4, 5).transpose(0, 3, 1, 2),
    "rows": BASE.reshape(12, 5)[3:9:2],
    "column": BASE.reshape(12, 5)[:, 2],
    "one": BASE[38:39].reshape(()),
    "expanded": np.broadcast_to(BASE[4:9, None], (5, 7)),
    "none": BASE[9:9].reshape(0, 3),
}


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_views_of_one_storage(legacy, file):
    start = BASE.__array_interface__["data"][0]
    state = {}
    for name, view in VIEWS.items():
        offset = (view.__array_interface__["data"][0] - start) // 4 if view.size else 9
        strides = tuple(stride // 4 for stride in view.strides)
        state[name] = tensor(
            "7", "Float", 60, offset, view.shape, strides, view=(None,) if legacy else ()
        )
    content = (
        torch_legacy(state, {"7": (60, BASE.tobytes())})
        if legacy
        else torch_zip(state, {"7": BASE.tobytes()})
    )
    check(read_weights_file(file(content)), VIEWS)


def test_torch_storages_that_are_views_of_others(file):
    """Files of torch before 0.4 have them."""
    state = {"part": tensor("7", "Float", 60, 2, (3, 4), (4, 1), view=(("8", 10, 20),))}
    check(
        read_weights_file(file(torch_legacy(state, {"7": (60, BASE.tobytes())}))),
        {"part": BASE[12:24].reshape(3, 4)},
    )


def test_torch_big_endian_and_no_byte_order(file):
    arrays = {"w": BASE.reshape(12, 5)}
    big = torch_zip({"w": whole("0", arrays["w"])}, {"0": BASE.astype(">f4").tobytes()}, "big")
    check(read_weights_file(file(big)), arrays)
    check(
        read_weights_file(
            file(torch_zip({"w": whole("0", arrays["w"])}, {"0": BASE.tobytes()}, None))
        ),
        arrays,
    )


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "model_state"])
def test_torch_wrapped_state_dicts(wrapper, file):
    momentum = whole("0", BASE)
    inner = {
        "module.w": whole("0", BASE),
        "module.size": Call(Global("torch", "Size"), ((2, 3),)),
        "module.type": Global("torch", "float32"),
    }
    state = {
        "epoch": 3,
        wrapper: inner,
        "optimizer": {"state": {"w": momentum}},
        "best": 0.5,
        "name": None,
    }
    found = read_weights_file(file(torch_zip(state, {"0": BASE.tobytes()})))
    check(found, {"w": BASE})
    assert found.metadata == {"unwrapped": wrapper, "removed_prefix": "module."}


def test_torch_keeps_names_that_only_partly_have_the_prefix(file):
    state = {"module.w": whole("0", BASE), "head": whole("0", BASE), "epoch": 3}
    found = read_weights_file(file(torch_zip(state, {"0": BASE.tobytes()})))
    check(found, {"module.w": BASE, "head": BASE})
    assert found.metadata == {}


def test_torch_parameters_ordered_dicts_and_python_2(file):
    parameter = Call(
        Global("torch._utils", "_rebuild_parameter"),
        (whole("0", BASE), True, Call(Global("collections", "OrderedDict"), ())),
    )
    state = Call(
        Global("collections", "OrderedDict"),
        ([["w", parameter]],),
        {"_metadata": {"": {"version": 1}}},
    )
    check(read_weights_file(file(torch_zip(state, {"0": BASE.tobytes()}))), {"w": BASE})
    text = pickled({"w": whole("0", BASE)}).replace(
        emit("w"), b"U\x01w"
    )  # a string as Python 2 has it
    check(read_weights_file(file(torch_legacy(text, {"0": (60, BASE.tobytes())}))), {"w": BASE})


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (tensor("0", "Float", 60, 0, (61,), (1,)), "of a storage of 60 values"),
        (tensor("0", "Float", 60, 1, (60,), (1,)), "of a storage of 60 values"),
        (tensor("0", "Float", 60, 0, (3, 4), (20, 10)), "of a storage of 60 values"),
        (tensor("0", "Float", 60, -1, (3,), (1,)), "offset -1"),
        (tensor("0", "Float", 60, 9, (3,), (-1,)), "strides"),
        (tensor("0", "Float", 60, 0, (3, 4), (1,)), "strides"),
        (tensor("0", "Float", 60, 0, (2**40,), (0,)), "of a storage of 60 values"),
        (tensor("0", "Double", 60, 0, (3,), (1,)), "expected 60 values of 8 bytes"),
        (tensor("0", "Float", 60, 0, (3,), (1,), {"neg": True}), "negated"),
        (tensor("1", "Float", 60, 0, (3,), (1,)), "archive/data/1"),
        (tensor("0", "QInt8", 60, 0, (3,), (1,)), "torch.QInt8Storage"),
        (
            Call(Global("torch._utils", "_rebuild_tensor_v2"), (1, 0, (3,), (1,))),
            "without a storage",
        ),
        (Persistent(("module", 1, 2, 3, 4)), "'module'"),
    ],
)
def test_torch_tensors_that_reach_outside_or_mean_something_else(part, reason, file):
    assert reason in refusal(file(torch_zip({"w": part}, {"0": BASE.tobytes()})))


def test_torchscript_is_refused(file):
    assert "TorchScript" in refusal(
        file(torch_zip({"w": whole("0", BASE)}, {"0": BASE.tobytes()}, extra=["constants.pkl"]))
    )


# bfloat16 -----------------------------------------------------------------------------------------

BITS = np.array([[0x3F80, 0xC000, 0x0001], [0x7F80, 0xFF80, 0x3E20]], "<u2")
MEANT = {"w": np.array([[1.0, -2.0, 2.0**-133], [np.inf, -np.inf, 0.15625]], np.float32)}


def test_bfloat16_is_exact(file):
    raw = BITS.tobytes()
    header = (
        b'{"__metadata__":{"by":"hand"},"w":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}'
    )
    contents = [
        torch_zip({"w": tensor("0", "BFloat16", 6, 0, (2, 3), (3, 1))}, {"0": raw}),
        torch_legacy(
            {"w": tensor("0", "BFloat16", 6, 0, (2, 3), (3, 1), view=(None,))}, {"0": (6, raw)}
        ),
        mxnet_list([mxnet_array(BITS, flag=12)], ["w"]),
        mindspore_value("w", (2, 3), "BFloat16", raw),
        struct.pack("<Q", len(header)) + header + raw,
    ]
    for content in contents:
        check(read_weights_file(file(content)), MEANT)
    assert read_weights_file(file(contents[-1])).metadata == {"by": "hand"}
    keras = read_weights_file(file(write_keras3({"layer/0": BITS.view("V2")})))
    check(keras, {"layer/0": MEANT["w"]})


@pytest.mark.parametrize("size", [0x80, 0x280, 0x112, 0x110A])
def test_a_safetensors_header_as_long_as_the_marks_of_other_formats(size, file):
    header = b'{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}'.ljust(size)
    check(
        read_weights_file(file(struct.pack("<Q", size) + header + BASE[:3].tobytes())),
        {"w": BASE[:3]},
    )


def test_a_safetensors_dtype_that_nobody_has(file):
    header = b'{"w":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}'
    assert "not a whole safetensors file" in refusal(
        file(struct.pack("<Q", len(header)) + header + b"abc")
    )


# numpy and Paddle ---------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("core", ["numpy.core.", "numpy._core."])
def test_paddle_protocols_orders_and_scalars(protocol, core, file):
    arrays = {
        "fortran": np.asfortranarray(BASE.reshape(3, 4, 5)),
        "big": BASE.reshape(12, 5).astype(">f8"),
        "strided": BASE.reshape(12, 5)[::2, 1:],
        "permuted": BASE.reshape(3, 4, 5).transpose(1, 0, 2),
        "scalar": np.array(np.float32(3.5)),
    }
    content = pickle.dumps(
        {**arrays, "scalar": np.float32(3.5), "epoch": 3, "LR_Scheduler": {"last_lr": 0.1}},
        protocol,
    )
    if protocol < 4:  # names are lines there, and may change in length
        content = content.replace(b"cnumpy.core.", b"c" + core.encode()).replace(
            b"cnumpy._core.", b"c" + core.encode()
        )
    check(read_weights_file(file(content)), arrays)


def test_paddle_split_arrays_are_joined(file):
    parts = {f"w@@.{index}": BASE[20 * index : 20 * index + 20] for index in range(3)}
    table = {"w": {"OriginShape": (3, 4, 5), "slices": list(parts)}}
    content = pickle.dumps(
        {"b": BASE[:5], **parts, "UnpackBigParamInfor@@": table, "StructuredToParameterName@@": {}},
        2,
    )
    check(read_weights_file(file(content)), {"b": BASE[:5], "w": BASE.reshape(3, 4, 5)})


def test_objects_text_and_records_are_no_weights(file):
    unwanted = [
        np.array([None, "x"]),
        np.array(["text"]),
        np.array([b"x"]),
        np.zeros(2, [("a", "f4")]),
        np.array(["2020-01-01"], "M8[D]"),
    ]
    for array in unwanted:
        for content in (pickle.dumps({"w": array}, 4), write_npz({"w": array})):
            refusal(file(content))
    for write in (pickle.dumps, write_npz):
        assert "bject" in refusal(file(write({"w": unwanted[0]})))


def test_compressed_npz(file):
    check(read_weights_file(file(write_npz(example(), np.savez_compressed))), example())


def test_npz_with_another_member(file):
    content = io.BytesIO(write_npz(example()))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("notes.txt", "no array")
    assert "'notes.txt'" in refusal(file(content.getvalue()))


# MXNet --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0xF993FAC8, 0xF993FAC9, 0xF993FACA])
def test_mxnet_versions_prefixes_and_lists(version, file):
    arrays = [BASE.reshape(3, 4, 5), BASE[:7].astype(np.float16)]
    raw = [mxnet_array(array, version) for array in arrays]
    names = ["arg:conv_weight", "aux:arg:norm_mean"]
    check(
        read_weights_file(file(mxnet_list(raw, names))),
        dict(zip(["conv_weight", "arg:norm_mean"], arrays, strict=True)),
    )
    check(read_weights_file(file(mxnet_list(raw, []))), dict(zip("01", arrays, strict=True)))


def test_mxnet_before_version_1(file):
    raw = struct.pack("<IIIIiii", 3, 3, 4, 5, 1, 0, 0) + BASE.tobytes()
    check(read_weights_file(file(mxnet_list([raw], ["w"]))), {"w": BASE.reshape(3, 4, 5)})


def test_mxnet_scalars_are_scalars_under_numpys_rules_only(file):
    scalar = np.array(2.5, np.float32)
    check(read_weights_file(file(mxnet_list([mxnet_array(scalar)], ["w"]))), {"w": scalar})
    assert "without values" in refusal(file(mxnet_list([mxnet_array(scalar, 0xF993FAC9)], ["w"])))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (mxnet_list([struct.pack("<Ii", 0xF993FAC9, 1) + bytes(99)], ["w"]), "sparse"),
        (mxnet_list([struct.pack("<Ii", 0xF993FACA, 0) + struct.pack("<i", -1)], ["w"]), "-1 axes"),
        (mxnet_list([mxnet_array(BASE, flag=99)], ["w"]), "dtype number 99"),
        (mxnet_list([mxnet_array(BASE)] * 2, ["arg:w", "aux:w"]), "2 arrays under 1 names"),
        (mxnet_list([mxnet_array(BASE)] * 2, ["w"]), "2 arrays under 1 names"),
        (mxnet_list([mxnet_array(BASE)], ["w"]) + b"x", "after the last name"),
        (struct.pack("<QQQ", 0x112, 0, 2**60), "expected 4 more bytes"),
    ],
)
def test_mxnet_refusals(content, reason, file):
    assert reason in refusal(file(content))


# MindSpore ----------------------------------------------------------------------------------------


def test_mindspore_slices_scalars_and_text(file):
    slices = [
        mindspore_value("w", (3, 4, 5), "Float32", part.tobytes())
        for part in np.array_split(BASE, 7)
    ]
    number = np.float32(2.5)
    others = [
        mindspore_value("old_scalar", (0,), "Float32", number.tobytes()),
        mindspore_value("scalar", (), "Float32", number.tobytes()),
        mindspore_value("who", (0,), "str", "me".encode("utf-32-le")),
    ]
    for content in (b"".join(slices + others), with_crc(b"".join(slices + others))):
        found = read_weights_file(file(content))
        check(
            found,
            {
                "w": BASE.reshape(3, 4, 5),
                "old_scalar": np.array(number),
                "scalar": np.array(number),
            },
        )
        assert found.metadata == {"who": "me"}
    for missing in range(7):
        assert "shape (3, 4, 5)" in refusal(
            file(b"".join(slices[:missing] + slices[missing + 1 :]))
        )


def test_mindspore_cut_between_two_parameters_is_whole_by_itself(file):
    """As the module says: nothing in the file tells how many there should be, unless it was saved
    with a checksum.
    """
    first = {"conv2d_7/kernel": example()["conv2d_7/kernel"]}
    check(read_weights_file(file(write_mindspore(example())[: len(write_mindspore(first))])), first)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (with_crc(write_mindspore({"w": BASE}))[:-1] + b"\0", "checksum"),
        (b"\xd8\x5e\x3a\x7f" + bytes(90), "encrypted"),
        (b"\xd9\x5e\x3a\x7f" + bytes(90), "encrypted"),
        (b"\xda\x5e\x3a\x7f" + bytes(90), "encrypted"),
        (field(1, field(1, b"w") + field(3, field(1, b""))), "hash table"),
        (mindspore_value("w", (60,), "Int4", bytes(30)), "type Int4"),
        (mindspore_value("w", (2**64 - 1, 60), "Float32", BASE.tobytes()), "expected"),
        (
            mindspore_value("w", (60,), "Float32", BASE.tobytes())
            + mindspore_value("w", (5,), "Float32", bytes(20)),
            "two shapes",
        ),
        (field(1, field(1, b"w")), "without tag or tensor"),
        (field(1, field(2, field(2, b"Float32"))), "without type or content"),
        (field(1, b"") + field(2, b""), "without tag"),
        (b"\x0a" + b"\xff" * 11, "more than ten bytes"),
    ],
)
def test_mindspore_refusals(content, reason, file):
    assert reason in refusal(file(content))


# Keras --------------------------------------------------------------------------------------------


def test_keras3_names(file):
    """As Keras writes InceptionV3: groups count over `model.layers`, and hold layers of other
    numbers.
    """

    def fill(weights):
        for index, layer in ((0, "conv2d"), (1, "conv2d_4"), (2, "conv2d_8"), (10, "conv2d_1")):
            group = weights.create_group(f"layers/conv2d_{index}/vars".replace("_0", ""))
            group.attrs["name"] = layer
            group["0"] = np.full((1, 2, 3, 4), index, np.float32)
        norm = weights.create_group("layers/batch_normalization/vars")
        norm.attrs["name"] = "batch_normalization_94"
        full = weights.create_group("layers/batch_normalization_1/vars")
        full.attrs["name"] = "bn"
        bare = weights.create_group("layers/batch_normalization_2/vars")
        bare.attrs["name"] = "bare"
        for group, count in ((norm, 3), (full, 4), (bare, 2)):
            for variable in range(count):
                group[str(variable)] = np.full(4, variable, np.float32)
        other = weights.create_group("layers/separable_conv2d/vars")
        other.attrs["name"] = "sep"
        for variable in range(11):
            other[str(variable)] = np.full(3, variable, np.float32)
        quantised = weights.create_group("layers/dense/vars")
        quantised.attrs["name"] = "predictions"
        quantised["0"] = np.ones((2, 3), np.int8)
        quantised["1"] = np.ones(3, np.float32)
        nested = weights.create_group("layers/functional/layers/conv2d/vars")
        nested.attrs["name"] = "inner_conv"
        nested["0"] = np.ones((1, 2, 3, 4), np.float32)
        nested["1"] = np.ones(4, np.float32)
        weights.create_group("optimizer/vars")["0"] = np.zeros(3)
        weights.create_group("vars").attrs["name"] = "functional"

    found = read_weights_file(file(hdf5(fill)))
    norms = [
        "batch_normalization_94/0",
        "batch_normalization_94/moving_mean",
        "batch_normalization_94/moving_variance",
    ]
    norms += [
        "bn/gamma",
        "bn/beta",
        "bn/moving_mean",
        "bn/moving_variance",
        "bare/moving_mean",
        "bare/moving_variance",
    ]
    convs = ["conv2d/kernel", "conv2d_4/kernel", "conv2d_8/kernel", "conv2d_1/kernel"]
    dense = ["predictions/0", "predictions/1", "inner_conv/kernel", "inner_conv/bias"]
    assert list(found.arrays) == norms + convs + dense + [
        f"sep/{variable}" for variable in range(11)
    ]
    assert [found.arrays[name].flat[0] for name in convs] == [0, 1, 2, 10]
    assert [found.arrays[name].flat[0] for name in norms] == [0, 1, 2, 0, 1, 2, 3, 0, 1]
    assert [found.arrays[f"sep/{variable}"][0] for variable in range(11)] == list(range(11))


def test_keras3_without_or_with_doubtful_layer_names(file):
    def fill(weights):
        for group, layer in (
            ("layers/conv2d", None),
            ("layers/a/layers/dense", "twice"),
            ("layers/b/layers/dense", "twice"),
        ):
            variables = weights.create_group(f"{group}/vars")
            if layer:
                variables.attrs["name"] = layer
            variables["0"] = np.ones((2, 3), np.float32)

    names = ["layers/a/layers/dense/vars/0", "layers/b/layers/dense/vars/0", "layers/conv2d/vars/0"]
    assert list(read_weights_file(file(hdf5(fill))).arrays) == names


def test_keras_legacy_models_and_long_lists_of_layers(file):
    check(
        read_weights_file(file(write_keras_legacy_model(example()))),
        example(),
        "Keras legacy weights",
    )

    def fill(weights):
        fill_legacy(weights, example())
        names = list(weights.attrs["layer_names"])
        del weights.attrs["layer_names"]
        weights.attrs["layer_names0"], weights.attrs["layer_names1"] = names[:1], names[1:]

    check(read_weights_file(file(hdf5(fill))), example(), "Keras legacy weights")


def test_keras_legacy_names_inside_an_inner_model(file):
    def fill(weights):
        weights.attrs["layer_names"] = ["inner"]
        group = weights.create_group("inner")
        names = ["conv_a/kernel:0", "inner/conv_b/kernel:0", "model/inner/inner/x:0", "inner/x:1"]
        group.attrs["weight_names"] = names
        for name in names:
            group[name] = BASE

    assert list(read_weights_file(file(hdf5(fill))).arrays) == [
        "inner/conv_a/kernel",
        "inner/conv_b/kernel",
        "inner/x",
        "inner/inner/x:1",
    ]


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        ("external link", "is a link"),
        ("soft link", "is a link"),
        ("external values", "another file"),
        ("bomb", "declares 4398046511104 bytes"),
        ("text", "object dtype"),
    ],
)
def test_keras_files_that_reach_outside_or_fill_the_memory(legacy, trick, reason, file, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["x"] = BASE

    def fill(weights):
        weights["real"] = BASE
        group = weights.create_group("d/d" if legacy else "layers/dense/vars")
        if legacy:
            weights.attrs["layer_names"] = ["d"]
            weights["d"].attrs["weight_names"] = ["d/0"]
        match trick:
            case "external link":
                group["0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/x")
            case "soft link":
                group["0"] = h5py.SoftLink("/real")
            case "external values":
                group.create_dataset(
                    "0", (60,), "f4", external=[(str(tmp_path / "secret.h5"), 0, 240)]
                )
            case "bomb":
                group.create_dataset("0", (2**40,), "f4", chunks=(2**10,))
            case "text":
                group["0"] = ["text"]

    assert reason in refusal(file(hdf5(fill)))


def test_keras_needs_h5py(file, monkeypatch):
    path = file(write_keras3(example()))
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install h5py" in refusal(path)
