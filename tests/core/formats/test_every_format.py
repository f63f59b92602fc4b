"""Weight files of every framework, written here byte by byte, read whole; and whatever is wrong
with them, refused in one line.
"""

import contextlib
import io
import math
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from googlenet import WeightsError
from googlenet.weights.formats import read_weights_file

from .writers import (
    ANY,
    BASE,
    DTYPES,
    FORMATS,
    check,
    example,
    mindspore_value,
    mxnet_array,
    mxnet_list,
    refusal,
    tensor,
    torch_legacy,
    torch_zip,
    write_keras3,
    write_mindspore,
    write_torch,
)

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
        *range(0, len(content), max(1, len(content) // 120)),
        *range(70),
        *range(len(content) - 70, len(content)),
    } - boundaries:
        refusal(file(content[:end]))


@ANY
def test_a_damaged_byte_never_gives_another_exception(format, file):
    """It may go unnoticed inside the values, and must not inside the structure."""
    content = FORMATS[format](example())
    rng = np.random.default_rng(1)
    for position in rng.choice(len(content), 150):
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
    [b"x", b"GIF89a", b"\x08\x07\x0f\x07pytorch:", bytes(100), b"("],
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


IMPORTED = """
import sys
import numpy

def names():
    return {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)

start = names()
import googlenet.weights.formats
print(*names() - start)
googlenet.weights.formats.read_weights_file(sys.argv[1])
print(*names() - start)
"""


def test_reading_imports_nothing_but_what_the_format_needs(file):
    path = file(write_torch(example()))
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, str(path)], capture_output=True, text=True, check=True
    )
    before, after = (set(line.split()) for line in done.stdout.splitlines())
    assert before == after == {"googlenet"}


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
    assert "is not a complete safetensors file" in refusal(
        file(struct.pack("<Q", len(header)) + header + b"abc")
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1\n",
            "a Git LFS pointer",
        ),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b'{"error":"Invalid username or password."}', "JSON without weights"),
    ],
)
def test_what_stands_for_a_safetensors_file_is_named(tmp_path, content, words):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        read_weights_file(path)
