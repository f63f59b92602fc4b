"""Keras 3's files and the legacy ones: names, links and what would fill the memory."""

import io
import sys
import zipfile

import h5py
import numpy as np
import pytest

from googlenet.weights.formats import read_weights_file

from .writers import (
    BASE,
    check,
    example,
    fill_legacy,
    hdf5,
    refusal,
    write_keras3,
    write_keras_legacy_model,
)


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


@pytest.mark.parametrize("layer", ["Rescaling", "Normalization"])
def test_what_a_model_does_to_images_first_is_never_dropped(file, layer):
    """The network behind it would get other numbers."""
    config = f'{{"layers": [{{"class_name" : "{layer}", "config": {{}}}}{" " * 5000}]}}'
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", write_keras3(example()))
    words = f"a layer {layer}, which changes what the network gets"
    assert words in refusal(file(stream.getvalue()))

    def fill(weights):
        weights.attrs["model_config"] = config
        fill_legacy(weights.create_group("model_weights"), example())

    assert words in refusal(file(hdf5(fill)))
