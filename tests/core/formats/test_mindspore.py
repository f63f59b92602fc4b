"""MindSpore's checkpoints, with their slices, scalars and checksums."""

import numpy as np
import pytest

from googlenet.weights.formats import read_weights_file

from .writers import (
    BASE,
    check,
    example,
    field,
    mindspore_value,
    refusal,
    with_crc,
    write_mindspore,
)


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
        (field(1, b"\x0a" + b"\xff" * 11), "more than ten bytes"),
    ],
)
def test_mindspore_refusals(content, reason, file):
    assert reason in refusal(file(content))
