"""Headers of .npy files: those of NumPy and of others are read, and damaged ones are refused."""

import io
import random
import struct

import numpy as np
import pytest

from googlenet.data.decoding import map_npy
from googlenet.errors import DataError
from googlenet.npy import read_array, read_header


def saved(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


def of(text, version=1):
    header = text if isinstance(text, bytes) else text.encode("latin1")
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("dtype", ["?", "u1", "<i8", ">u2", "<f2", ">f8", "<c16"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 0, 5)])
def test_arrays_of_numpy_come_back(version, dtype, shape):
    array = (np.arange(np.prod(shape, dtype=int)) % 2).reshape(shape).astype(dtype)
    for each in (array, np.asfortranarray(array)):
        data = saved(each, version)
        found = read_array(io.BytesIO(data), len(data), "it")
        assert (found.shape, found.dtype) == (each.shape, each.dtype)
        assert found.tobytes() == each.tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'shape': (2L, 3L), 'fortran_order': False, 'descr': '<f4'}",
        '{"descr":"<f4","fortran_order":False,"shape":(2,3)}   \n',
    ],
)
def test_headers_of_other_writers(text):
    assert read_header(io.BytesIO(of(text))) == ((2, 3), False, np.dtype("<f4"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "does not begin as one"),
        (b"\x93NUMPY\1", "does not begin as one"),
        (b"\x93NUMPY\2\0($", "cut off"),
        (of("", version=4), "version is 4"),
        (of("(" * 9000), "not one of"),
        (of("-" * 9000 + "1"), "not one of"),
        (of("[1, 2]"), "not one of"),
        (of("{'descr': '<f4', 'fortran_order': False}"), "not one of"),
        (of("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}"), "not one of"),
        (of("{'descr': '<f4', 'fortran_order': False, 'shape': (3)}"), "shape is (3)"),
        (of("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}"), "shape is (-3,)"),
        (of("{'descr': '<f4', 'fortran_order': False, 'shape': (1e3,)}"), "not one of"),
        (of(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**19},)}}"), "2^63"),
        (of("{'descr': '<z4', 'fortran_order': False, 'shape': (3,)}"), "<z4"),
        (of("{'descr': '<f3', 'fortran_order': False, 'shape': (3,)}"), "<f3"),
        (of("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}"), "object dtype"),
        (of("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}"), "records"),
        (of(" " * 10_001), "has 10001 bytes"),
        (of(b"\xff", version=3), "utf-8"),
    ],
)
def test_other_headers_are_refused(content, reason):
    with pytest.raises(ValueError) as raised:  # noqa: PT011  (the message is compared below)
        read_header(io.BytesIO(content))
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_more_axes_than_an_array_can_have():
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s)}" % ("1," * 80)
    with pytest.raises(DataError, match="an array of 80 axes, expected at most 32"):
        read_header(io.BytesIO(of(text)))


def test_no_damaged_header_lets_an_error_out(tmp_path):
    whole, rng = saved(np.arange(24, dtype=np.float32).reshape(2, 3, 4)), random.Random(0)
    path, outcomes = tmp_path / "x.npy", {"read": 0, "refused": 0}
    messages = set()
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(128)
            match rng.randrange(4):
                case 0:
                    data[at] ^= 1 << rng.randrange(8)
                case 1:
                    data[at] = rng.choice(b"0123456789(){}[],:'\"-.LxO<>|= \n\0#\\")
                case 2:
                    data[at:at] = rng.choice((b"(", b"'", b"9" * 30, b"-", b"\xff"))
                case _:
                    del data[at : at + rng.randint(1, 4)]
        path.write_bytes(data)
        try:
            map_npy(path).sum()
            outcomes["read"] += 1
        except DataError as error:
            outcomes["refused"] += 1
            messages.add(str(error))
    assert min(outcomes.values()) > 20, outcomes
    assert all(text.startswith(str(path)) and "\n" not in text for text in messages)
