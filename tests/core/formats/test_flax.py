"""What Flax's users save, written here byte by byte: collections, training states, pieces."""

import numpy as np
import pytest

from googlenet import WeightsError
from googlenet.weights.formats import read_weights_file

from .writers import check, nested_by, packed, refusal

CONV = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
MEAN = np.arange(4, dtype=np.float32)
EXPECTED = {"net/conv/kernel": CONV, "net/norm/mean": MEAN}
PARAMS, STATISTICS = {"net": {"conv": {"kernel": CONV}}}, {"net": {"norm": {"mean": MEAN}}}


def test_the_collections_of_linen_are_one_set_of_weights(file):
    tree = {"params": PARAMS, "batch_stats": STATISTICS}
    found = read_weights_file(file(packed(tree)))
    check(found, EXPECTED, "Flax parameters")
    assert found.metadata == {"unwrapped": "params"}


@pytest.mark.parametrize("variables", [True, False])
def test_of_a_training_state_only_the_weights_are_read(file, variables):
    moments = {"0": {"trace": {"net": {"conv": {"kernel": CONV + 1}}}}}
    weights = {"params": PARAMS, "batch_stats": STATISTICS}
    state = {"step": 300, "params": weights, "opt_state": moments}
    if not variables:
        state = {"step": -1, **weights, "opt_state": moments}
    check(read_weights_file(file(packed(state))), EXPECTED, "Flax parameters")


def test_a_state_of_nnx_by_itself_and_with_values_inside(file):
    arrays = {"b1/conv/kernel": CONV, "b1/conv/bias": MEAN}
    check(read_weights_file(file(packed(nested_by(arrays)))), arrays)
    inside = {f"{name}/value": array for name, array in arrays.items()}
    check(read_weights_file(file(packed(nested_by(inside)))), arrays)


def test_other_values_are_passed_over(file):
    tree = {"net": {"kernel": CONV, "rate": 0.5, "on": True, "name": "x", "none": None, "n": 300}}
    check(read_weights_file(file(packed(tree))), {"net/kernel": CONV})


def test_an_array_in_pieces_is_joined(file):
    flat = CONV.reshape(-1)
    pieces = {
        "__msgpack_chunked_array__": True,
        "shape": {"0": 2, "1": 12},
        "chunks": {"0": flat[:20], "1": flat[20:]},
    }
    check(
        read_weights_file(file(packed({"net": {"kernel": pieces}}))),
        {"net/kernel": flat.reshape(2, 12)},
    )
    pieces["shape"]["1"] = 13
    assert "bytes expected for shape (2, 13)" in refusal(file(packed({"net": {"kernel": pieces}})))


def test_bfloat16_is_widened(file):
    bits = (CONV.view(np.uint32) >> 16).astype("<u2")
    inner = packed((CONV.shape, "bfloat16", bits.tobytes()))
    content = packed({"a": {"w": 0}})[:-1] + b"\xc7" + bytes([len(inner), 1]) + inner
    check(read_weights_file(file(content)), {"a/w": CONV})


def extension(kind, inner):
    return b"\x81\xa1a\x81\xa1w\xc7" + bytes([len(inner), kind]) + inner


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (extension(1, packed(((2,), "float8_e4m3fn", b"ab"))), "dtype 'float8_e4m3fn', expected"),
        (extension(1, packed(((3,), "int8", b"ab"))), "bytes expected for shape (3,): 3, got 2"),
        (extension(1, packed(((2,), "int8", b"ab")) + b"\0"), "not a shape, a dtype and values"),
        (extension(1, packed(((2,), "int8"))), "not a shape, a dtype and values"),
        (extension(1, packed(((2.0,), "int8", b"ab"))), "a shape of integers"),
        (extension(7, b"ab"), "extension 7"),
        (packed({"a": {"w": CONV}}) + b"\0", "bytes after the last value: 1"),
        (packed({"a": {"w": CONV}})[:-1], "bytes expected"),
        (b"\x81\xa1a\x81\xa1w\xc1", "0xc1 at offset 6"),
        (b"\x81\xa1a\x82\xa1w\xc0\xa1w\xc0", "two values called 'w'"),
        (b"\x81\xa1a\x81\xc0\xc0", "a map by NoneType"),
        (b"\x81\xa1a\x80", "expected arrays by name, got none"),
        (packed({"a": {"w": CONV}, "a/w": CONV}), "two arrays called 'a/w'"),
    ],
)
def test_what_is_wrong_is_said(content, words, file):
    assert words in refusal(file(content))


def test_every_beginning_of_a_file_is_refused(file):
    content = packed({"params": nested_by(EXPECTED)})
    for size in range(1, len(content)):
        with pytest.raises(WeightsError):
            read_weights_file(file(content[:size]))
