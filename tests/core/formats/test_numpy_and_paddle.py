"""Archives of NumPy, and Paddle's pickles of its arrays."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from googlenet.weights.formats import read_weights_file

from .writers import BASE, check, example, refusal, write_npz


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
