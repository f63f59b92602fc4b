"""MXNet's parameters, of every version."""

import struct

import numpy as np
import pytest

from googlenet.weights.formats import read_weights_file

from .writers import BASE, check, mxnet_array, mxnet_list, refusal


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
        (
            mxnet_list([mxnet_array(BASE)] * 2, ["arg:w", "aux:w"]),
            "arrays: 2, but different names: 1",
        ),
        (mxnet_list([mxnet_array(BASE)] * 2, ["w"]), "arrays: 2, but different names: 1"),
        (mxnet_list([mxnet_array(BASE)], ["w"]) + b"x", "after the last name"),
        (struct.pack("<QQQ", 0x112, 0, 2**60), "bytes expected at offset 24: 4, got 0"),
    ],
)
def test_mxnet_refusals(content, reason, file):
    assert reason in refusal(file(content))
