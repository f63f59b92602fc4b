"""Formats of several files, or with schemas of their own: TensorFlow's checkpoints, SavedModels,
TensorFlow.js, Caffe, Paddle's programs; and files that are named and not read.
"""

import gzip
import json
import struct

import numpy as np
import pytest

from googlenet import WeightsError
from googlenet.weights.formats import read_weights_file

from .writers import (
    BASE,
    caffe_blob,
    check,
    example,
    field,
    refusal,
    table,
    tensorflow_shape,
    varint,
    write_caffe,
    write_mindspore,
    write_pdiparams,
    write_pdmodel,
    write_tensorflow_1,
    write_tensorflow_2,
    write_tensorflow_js,
)

ARRAYS = {**example(), "global_step": np.array(7)}


def ordered(arrays):
    return dict(sorted(arrays.items()))


# TensorFlow ---------------------------------------------------------------------------------------


def write_2(folder, arrays, name="model.ckpt", extra=()):
    folder.mkdir(parents=True, exist_ok=True)
    index, shard = write_tensorflow_2(arrays, extra)
    (folder / f"{name}.index").write_bytes(index)
    (folder / f"{name}.data-00000-of-00001").write_bytes(shard)
    return folder


@pytest.mark.parametrize(
    "named", ["model.ckpt.index", "model.ckpt", "model.ckpt.data-00000-of-00001", ""]
)
def test_a_checkpoint_by_any_of_its_names(named, tmp_path):
    write_2(tmp_path, ARRAYS)
    found = read_weights_file(tmp_path / named)
    check(found, ordered(ARRAYS), "TensorFlow checkpoint (version 2)")


def test_a_folder_of_several_checkpoints(tmp_path):
    for name in ("one", "two"):
        write_2(tmp_path, ARRAYS, name)
    assert "give one: one.index, two.index" in refusal(tmp_path)


def test_parts_of_a_checkpoint_that_are_missing(tmp_path):
    write_2(tmp_path, ARRAYS)
    (tmp_path / "model.ckpt.index").rename(tmp_path / "other.index")
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    assert "model.ckpt.index, and that is not beside it" in refusal(shard)
    assert "other.data-00000-of-00001, which is not beside" in refusal(tmp_path / "other.index")


def test_a_shard_that_was_cut(tmp_path):
    write_2(tmp_path, ARRAYS)
    shard = tmp_path / "model.ckpt.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "but its shard has" in refusal(tmp_path / "model.ckpt.index")


def test_a_compressed_table(tmp_path):
    write_2(tmp_path, ARRAYS)
    path = tmp_path / "model.ckpt.index"
    content = bytearray(path.read_bytes())
    handle = content[-48:]
    (offset, size), _ = _handle(handle, 0), None
    content[offset + size] = 1
    path.write_bytes(content)
    message = refusal(path)
    assert "compressed with Snappy" in message
    assert "download" not in message


def _handle(data, place):
    """The second of two handles, which is the index's."""
    numbers, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append(value)
            value = shift = 0
        if len(numbers) == 4:
            break
    return numbers[2], numbers[3]


def graph(names):
    """An object graph of a checkpoint: a node for each variable, with its full name and its key."""
    nodes = b"".join(
        field(1, field(2, field(1, b"VALUE") + field(2, full.encode()) + field(3, key.encode())))
        for key, full in names.items()
    )
    return varint(len(nodes)) + bytes(4) + nodes


def test_full_names_of_an_object_based_checkpoint(tmp_path):
    end = "/.ATTRIBUTES/VARIABLE_VALUE"
    arrays = {f"_layers/{index}{end}": array for index, array in enumerate(example().values())}
    names = dict(zip(arrays, example(), strict=True))
    write_2(tmp_path, arrays, extra=[("_CHECKPOINTABLE_OBJECT_GRAPH", graph(names))])
    check(read_weights_file(tmp_path), dict(zip(names.values(), arrays.values(), strict=True)))
    # Names that do not tell arrays apart are none.
    same = dict.fromkeys(arrays, "kernel")
    write_2(tmp_path, arrays, extra=[("_CHECKPOINTABLE_OBJECT_GRAPH", graph(same))])
    assert list(read_weights_file(tmp_path).arrays) == [f"_layers/{index}" for index in range(4)]


def test_a_saved_model(tmp_path):
    write_2(tmp_path / "variables", ARRAYS, "variables")
    (tmp_path / "saved_model.pb").write_bytes(field(1, 1) + field(2, field(1, field(2, b""))))
    for path in (tmp_path, tmp_path / "saved_model.pb"):
        check(read_weights_file(path), ordered(ARRAYS))
    (tmp_path / "variables" / "variables.index").unlink()
    assert "its weights are constants of its graph" in refusal(tmp_path)


def test_version_1_has_values_one_by_one(file):
    values = np.array([1.5, -2.0, 0.25])
    for dtype, written in (
        (np.float32, lambda array: field(5, array.tobytes())),
        (np.float64, lambda array: field(6, array.tobytes())),
        (np.float16, lambda array: field(13, b"".join(map(varint, array.view("<u2").tolist())))),
        (np.int64, lambda array: field(10, b"".join(varint(x % 2**64) for x in array.tolist()))),
    ):
        array = values.astype(dtype)
        found = read_weights_file(file(write_tensorflow_1({"w": array}, written)))
        check(found, {"w": array}, "TensorFlow checkpoint (version 1)")


def test_version_1_in_slices_and_with_one_missing(file):
    whole = np.arange(12, dtype=np.float32).reshape(4, 3)
    meta = field(1, field(1, b"w") + field(2, tensorflow_shape((4, 3))) + field(3, 1))
    slices = []
    for start in (0, 2):
        extent = field(1, field(1, start) + field(2, 2)) + field(1, b"")
        content = field(5, whole[start : start + 2].tobytes())
        data = field(1, b"w") + field(2, extent) + field(3, field(1, 1) + content)
        slices.append((b"w%d" % start, field(2, data)))
    head = (b"", field(1, meta))
    check(read_weights_file(file(table([head, *slices]))), {"w": whole})
    assert "has 6 of 12 values" in refusal(file(table([head, slices[0]])))


# TensorFlow.js ------------------------------------------------------------------------------------


def write_js(folder, arrays, **options):
    model, shards = write_tensorflow_js(arrays, **options)
    (folder / "model.json").write_bytes(model)
    for name, content in shards.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_layers_model(tmp_path):
    write_js(tmp_path, example())
    for path in (tmp_path, tmp_path / "model.json"):
        check(read_weights_file(path), example(), "TensorFlow.js model")


@pytest.mark.parametrize(
    ("dtype", "quantization"),
    [
        ("uint8", {"min": -1.5, "scale": 0.25}),
        ("uint16", {"min": 2.0, "scale": 0.5}),
        ("float16", {}),
    ],
)
def test_quantized_weights(dtype, quantization, tmp_path):
    stored = np.arange(12, dtype=dtype).reshape(3, 4)
    said = {"quantization": {"dtype": dtype, **quantization}}
    write_js(tmp_path, {"w": stored}, quantized=said)
    expected = stored * quantization.get("scale", 1) + quantization.get("min", 0)
    check(read_weights_file(tmp_path), {"w": expected.astype(np.float32)})


def test_shards_that_are_missing_or_elsewhere(tmp_path):
    write_js(tmp_path, example())
    (tmp_path / "group1-shard2of2.bin").unlink()
    path = tmp_path / "model.json"
    assert "group1-shard2of2.bin, which is not beside it" in refusal(path)
    model = json.loads(path.read_text())
    model["weightsManifest"][0]["paths"] = ["../../etc/passwd"]
    path.write_text(json.dumps(model))
    assert "expected one in its own folder" in refusal(path)


# Paddle -------------------------------------------------------------------------------------------

PROGRAM = {
    "conv2d_1.w_0": np.arange(6, dtype=np.float32).reshape(3, 2, 1, 1),
    "conv2d_10.w_0": np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1),
    "batch_norm2d_0.w_1": np.arange(3, dtype=np.float64),
}


@pytest.mark.parametrize("named", ["net.pdiparams", "net", "net.json", "net.pdmodel"])
@pytest.mark.parametrize("program", [".json", ".pdmodel"])
def test_parameters_for_inference(named, program, tmp_path):
    content, description = write_pdiparams(PROGRAM)
    if program == ".pdmodel":
        description = write_pdmodel(PROGRAM)
    (tmp_path / "net.pdiparams").write_bytes(content)
    (tmp_path / f"net{program}").write_bytes(description)
    path = tmp_path / named
    if path.suffix in (".json", ".pdmodel") and path.suffix != program:
        assert "does not exist" in refusal(path)
        return
    check(read_weights_file(path), ordered(PROGRAM), "Paddle inference parameters")


def test_parameters_without_their_program_or_with_another(tmp_path):
    content, _ = write_pdiparams(PROGRAM)
    path = tmp_path / "net.pdiparams"
    path.write_bytes(content)
    assert "which are in net.json or net.pdmodel, and neither is beside it" in refusal(path)
    _, other = write_pdiparams({"w": BASE})
    (tmp_path / "net.json").write_bytes(other)
    assert "has 3 arrays, but net.json beside it names 1" in refusal(path)


# Caffe --------------------------------------------------------------------------------------------

LAYERS = {
    "conv1/7x7_s2/0": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv1/7x7_s2/1": np.arange(2, dtype=np.float32),
    "loss3/classifier/0": np.arange(15, dtype=np.float32).reshape(3, 5),
    "loss3/classifier/1": np.arange(3, dtype=np.float32),
}


@pytest.mark.parametrize("version", [1, 2])
def test_a_caffemodel(version, file):
    check(read_weights_file(file(write_caffe(LAYERS, version=version))), LAYERS, "Caffe model")


def test_a_caffemodel_in_double_precision_and_without_a_name(file):
    arrays = {name: array.astype(np.float64) for name, array in LAYERS.items()}
    content = write_caffe(arrays)
    check(read_weights_file(file(content)), arrays)
    check(read_weights_file(file(content[len(field(1, b"Net")) :])), arrays)


def test_blobs_of_another_size_and_layers_of_one_name(file):
    layer = field(1, b"a") + field(2, b"InnerProduct") + field(7, caffe_blob(BASE)[:-4])
    assert refusal(file(field(1, b"Net") + field(100, layer)))
    once = field(100, field(1, b"a") + field(2, b"InnerProduct") + field(7, caffe_blob(BASE)))
    assert "two layers are called 'a'" in refusal(file(field(1, b"Net") + 2 * once))


# What is named and not read -----------------------------------------------------------------------

NAMED = {
    "frozen graph": (
        field(1, field(1, b"conv/weights") + field(2, b"Const") + field(5, b"")),
        "frozen graph of TensorFlow",
    ),
    "meta graph": (field(1, field(2, field(1, b"")) + field(5, b"1.15")) + field(2, b""), ".meta"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + bytes(60), "TensorFlow Lite"),
    "Core ML": (field(1, 4) + field(2, field(1, field(1, b"image"))), "Core ML"),
    "a Paddle program": (write_pdmodel(PROGRAM), ".pdmodel"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html>\n<html><head>", "web page"),
    "a web page in capitals": (b"<HTML><BODY>404", "web page"),
    "gzip": (gzip.compress(b"x" * 99), "unpack it first"),
    "tar": (b"inception_v3.ckpt".ljust(257, b"\0") + b"ustar" + bytes(300), "unpack it first"),
    "one array": (b"\x93NUMPY\x01\0", "numpy.savez"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "scipy.io.loadmat"),
    "prototxt": (b'name: "GoogleNet"\nlayer {\n', ".caffemodel"),
    "checkpoint": (b'model_checkpoint_path: "model.ckpt-9"\n', ".index"),
    "MXNet symbol": (b'{\n  "nodes": [], \n  "arg_nodes": []}', ".params"),
    "Keras architecture": (b'{"class_name": "Functional", "config": {}}', "without its weights"),
    "JSON": (b'{"architectures": ["x"]}', "JSON without weights"),
    "what a server said": (b"Entry not found", "download the file itself"),
    "what it said in JSON": (b'{"error":"Not found"}', "download the file itself"),
}


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", NAMED)
def test_what_is_not_read_is_named_with_its_own_remedy(name, ending, file):
    content, words = NAMED[name]
    message = refusal(file(content, ending))
    assert words in message
    assert "download or save it again" not in message
    assert "MindSpore" not in message


def test_a_mindspore_checkpoint_is_still_one(file):
    for name in ("Const", "conv1.weight", "a b", "ü"):
        arrays = {name: BASE}
        check(read_weights_file(file(write_mindspore(arrays))), arrays, "MindSpore checkpoint")


def test_fields_without_an_end_ask_for_no_memory(file):
    for content in (field(1, 8) + b"\x3a" + b"\xff" * 9 + b"\x01", field(1, 8) + b"\x3a\xff\xff"):
        with pytest.raises(WeightsError):
            read_weights_file(file(content + struct.pack("<I", 0)))
