"""Every table of every zoo, held against what the zoos themselves gave; files that fit, and one
line for those that do not.
"""

import dataclasses
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from googlenet import (
    UnknownNameError,
    WeightsError,
    get_network,
    init_params,
    load_params,
    param_specs,
    save_params,
)
from googlenet.weights.files import read_safetensors
from googlenet.weights.formats import WeightsFile, read_weights_file
from googlenet.weights.zoo import (
    entries,
    find_model,
    import_weights,
    looks_like,
    network_of,
    reopen_weights,
    zoo_models,
)
from googlenet.weights.zoo.models import namings
from googlenet.weights.zoo.names import renumbered

CLASSES = 7

# What each zoo's own model of 7 classes lists, auxiliary heads included, num_batches_tracked and
# gluoncv's second name of the head left out: how many arrays, and the start of the SHA-256 of the
# sorted lines "NAME SHAPE". From the versions that the tables name. Then the same of "NAME PATH",
# as it was when the logits of the zoo's model and of ours agreed to 1e-5.
NATIVE = {
    "caffe:googlenet": (128, "8589b7c88ccf0454", "bbabdb2000f45336"),
    "d2l:googlenet": (116, "fa4653a8521fa27d", "43076308d6ce3246"),
    "d2l_tensorflow:googlenet": (116, "e1cf4436ec071641", "756bc46152747771"),
    "d2l_tensorflow:googlenet_padded": (116, "e1cf4436ec071641", "756bc46152747771"),
    "facenet_pytorch:inception_resnet_v1": (604, "eac853532d590a6a", "d79862fbc07c27c7"),
    "paddleclas:googlenet": (69, "607afd6ded7853a3", "7c2ea5de59871a7b"),
    "paddleclas:inception_v3": (472, "ae4514712a873138", "3fc2aa51e585918a"),
    "paddleclas:inception_v4": (747, "ec53ccd41ebd4258", "7d6b6ed6a6fe1a69"),
    "pretrainedmodels:bn_inception": (416, "0e2014f694b72807", "c856845a451e779f"),
    "pretrainedmodels:inception_v4": (747, "3e49d7c5a0aefc56", "bb07fe8458aa1319"),
    "pretrainedmodels:inception_resnet_v2": (1102, "f3a0589dc3da4e4b", "2625f0cf097227f0"),
    "gluon:inception_v3": (472, "ec23c15e6723c644", "ec227cfcee3a9bf2"),
    "gluoncv:googlenet": (305, "7f99dd7b9156193f", "1346f88b60731912"),
    "gluoncv:inception_v3": (472, "ec23c15e6723c644", "ec227cfcee3a9bf2"),
    "keras:inception_v3": (378, "8623b33abef0f51a", "9525e7f55f4e0c30"),
    "keras:inception_resnet_v2": (898, "2f7c5bf72a19750b", "18a3e3b77f777ddb"),
    "mindcv:googlenet": (69, "834c1c44548b140d", "485bf7202f88ae8f"),
    "mindcv:inception_v3": (484, "3d2c00675368ea8d", "8b4f6dfe39b944f4"),
    "mindcv:inception_v4": (747, "f8ffbdf01551db23", "8271c3a233343e00"),
    "paddle:googlenet": (69, "607afd6ded7853a3", "7c2ea5de59871a7b"),
    "paddle:inception_v3": (472, "9e0e27b98c226a94", "0bd497868d1745d0"),
    "paddle:alexnet": (16, "f3dc3ba6a9bd06e4", "9a5f8976a47ee3f7"),
    "slim:googlenet": (230, "8149293eed4eded1", "319c1cb144fb203e"),
    "slim:inception_v3": (388, "4c3d555616faa96c", "14bd01e68c1a6218"),
    "slim:inception_v4": (598, "1422c55a398158ef", "efaf6fe2bdefa854"),
    "slim:inception_resnet_v2": (898, "2c5ff4451e18dcb5", "c969aae4651cf2c2"),
    "timm:inception_v3": (
        484,
        "7d21aabc17287c01",
        "da7efef1282a293e",
    ),  # as torchvision's; timm itself has aux_logits=False
    "timm:inception_v4": (747, "3e49d7c5a0aefc56", "bb07fe8458aa1319"),
    "timm:inception_resnet_v2": (1102, "121484a078580d13", "48fad822f8b2f6ff"),
    "torchvision:googlenet": (305, "4ffaa8569b682069", "eafcfadd58d5df4b"),
    "torchvision:inception_v3": (484, "7d21aabc17287c01", "da7efef1282a293e"),
    "torchvision:alexnet": (16, "36ff5c6f9518bdda", "1449f060505f2abe"),
    "torchvision:vgg11": (22, "efe5bca9b722139a", "b3343eb9a77a3f41"),
    "torchvision:vgg16": (32, "e9638b84165a72d5", "107a0467747d150d"),
}
WITH_HEADS = [
    "caffe:googlenet",
    "gluoncv:googlenet",
    "mindcv:googlenet",
    "mindcv:inception_v3",
    "paddle:googlenet",
    "paddleclas:googlenet",
    "slim:inception_v3",
    "timm:inception_v3",
    "torchvision:googlenet",
    "torchvision:inception_v3",
]
BOTH = [
    (name, aux) for name in NATIVE for aux in ((False, True) if name in WITH_HEADS else (False,))
]

# Pairs that shapes alone cannot tell, as the sources of the zoos have them.
SPOTS = [
    (
        "torchvision:googlenet",
        "inception3a.branch3.1.bn.weight",
        "b3.inception_3a.branch_5x5.conv.norm.weight",
    ),
    ("torchvision:googlenet", "aux2.fc1.weight", "b4.aux2.hidden.weight"),
    (
        "torchvision:inception_v3",
        "Mixed_6e.branch7x7dbl_4.conv.weight",
        "mixed_6.mixed_6e.branch_double_7x7.second_7x1.conv.weight",
    ),
    (
        "torchvision:inception_v3",
        "Mixed_7c.branch3x3dbl_3a.conv.weight",
        "mixed_7.mixed_7c.branch_double_3x3.split.conv_1x3.conv.weight",
    ),
    (
        "timm:inception_v4",
        "features.9.branch2.0.bn.running_var",
        "inception_a.block_4.branch_double_3x3.reduce.norm.running_var",
    ),
    ("timm:inception_resnet_v2", "repeat_1.19.conv2d.bias", "resnet_b.block_20.add.body.up.bias"),
    (
        "timm:inception_resnet_v2",
        "mixed_7a.branch1.0.conv.weight",
        "reduction_b.branch_3x3_narrow.reduce.conv.weight",
    ),
    ("keras:inception_v3", "conv2d_13/kernel", "mixed_5.mixed_5c.branch_5x5.reduce.conv.weight"),
    (
        "keras:inception_v3",
        "batch_normalization_93/beta",
        "mixed_7.mixed_7c.branch_pool.project.norm.bias",
    ),
    ("keras:inception_resnet_v2", "block8_10_conv/kernel", "resnet_c.linear.add.body.up.weight"),
    ("keras:inception_resnet_v2", "conv_7b_bn/moving_mean", "resnet_c.conv_7b.norm.running_mean"),
    (
        "paddle:googlenet",
        "_ince4e._conv5r._conv.weight",
        "b4.inception_4e.branch_5x5.reduce.conv.weight",
    ),
    ("paddle:googlenet", "_out1.bias", "b4.aux1.dense.bias"),
    (
        "paddle:inception_v3",
        "inception_block_list.8.branch7x7x3_2.1._mean",
        "mixed_7.mixed_7a.branch_7x7.conv_1x7.norm.running_mean",
    ),
    (
        "gluon:inception_v3",
        "features.16.2.1.1.0.0.weight",
        "mixed_7.mixed_7b.branch_double_3x3.split.conv_3x1.conv.weight",
    ),
    ("gluoncv:googlenet", "aux1.6.bias", "b4.aux1.dense.bias"),
    ("mindcv:inception_v3", "aux.conv1.bn.moving_variance", "mixed_6.aux.conv.norm.running_var"),
    (
        "paddleclas:inception_v4",
        "_inceptionB_3._conv4_4._conv.weight",
        "inception_b.block_3.branch_double_7x7.second_1x7.conv.weight",
    ),
    (
        "mindcv:inception_v4",
        "features.14.branch_2_2.conv.weight",
        "inception_c.block_1.branch_double_3x3.split.conv_3x1.conv.weight",
    ),
]


def entries_of(name, *, aux=False, **sizes):
    model = find_model(name)
    return entries(model, network_of(model, aux=aux, **({"num_classes": CLASSES} | sizes)))


def native_arrays(name, *, aux=False, **sizes):
    """Arrays of the native names and shapes, each with values of its own, and what the zoos write
    besides.
    """
    source = np.random.default_rng(0).uniform(0.1, 1, 100_003).astype(np.float32)
    arrays = {}
    for index, entry in enumerate(entries_of(name, aux=aux, **sizes)):
        arrays[entry.names[0]] = np.resize(source[index:], math.prod(entry.shape)).reshape(
            entry.shape
        )
        if entry.names[0].startswith("output.") and name == "gluoncv:googlenet":
            arrays[entry.names[1]] = arrays[entry.names[0]]
        if name.startswith(("torchvision", "timm")) and entry.names[0].endswith(".running_var"):
            arrays[entry.names[0].replace("running_var", "num_batches_tracked")] = np.array(
                3, np.int64
            )
    return arrays


def weights_file(arrays, path="weights.pt", metadata=None):
    return WeightsFile(Path(path), "PyTorch checkpoint", dict(arrays), metadata or {})


def in_our_layout(zoo, native, shape):
    """A second hand at layouts: `native` with the axes and shape of ours."""
    if native.ndim == 4:
        return (
            np.einsum("hwio->oihw", native)
            if zoo in ("keras", "slim", "d2l_tensorflow")
            else native
        )
    if native.ndim == 2:
        return (
            native.T
            if zoo in ("keras", "paddle", "paddleclas", "slim", "d2l_tensorflow")
            else native
        ).reshape(shape)  # maps are flattened C, H, W
    return native


# Tables -------------------------------------------------------------------------------------------


def test_there_is_a_table_for_every_model():
    # The weights of the Fréchet inception distance are of 1008 classes and no others.
    assert set(zoo_models()) == {*NATIVE, "pytorch_fid:inception_v3"}
    assert [name for name in zoo_models() if find_model(name).aux] == WITH_HEADS


@pytest.mark.parametrize(("name", "aux"), BOTH)
def test_every_array_of_the_network_has_one_row(name, aux):
    found = entries_of(name, aux=aux)
    specs = param_specs(network_of(find_model(name), aux=aux, num_classes=CLASSES))
    assert sorted(entry.path for entry in found) == sorted(specs)
    names = [each for entry in found for each in entry.names]
    assert len(set(names)) == len(names)
    assert all(entry.spec.shape == specs[entry.path].shape for entry in found)


def digest(lines):
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", NATIVE)
def test_names_shapes_and_pairs_are_those_of_the_zoo(name):
    found = entries_of(name, aux=name in WITH_HEADS)
    shapes = digest(f"{entry.names[0]} {entry.shape}" for entry in found)
    pairs = digest(f"{entry.names[0]} {entry.path}" for entry in found)
    assert (len(found), shapes, pairs) == NATIVE[name]


# As above, of the programs that PaddleClas' own `paddle.jit.save` wrote.
EXPORTED = {
    "paddleclas:googlenet": (69, "153f67a87a84e6b0", "e49d4bc995b089d0"),
    "paddleclas:inception_v4": (747, "a181c65995e7686f", "f442984c8b3ede56"),
}


@pytest.mark.parametrize("name", EXPORTED)
def test_names_in_a_program_of_paddleclas(name):
    model = namings(name)[1]
    found = entries(model, network_of(model, aux=model.aux, num_classes=CLASSES))
    shapes = digest(f"{entry.names[0]} {entry.shape}" for entry in found)
    pairs = digest(f"{entry.names[0]} {entry.path}" for entry in found)
    assert (len(found), shapes, pairs) == EXPORTED[name]
    assert model.network == namings(name)[0].network


@pytest.mark.parametrize(("name", "source", "path"), SPOTS)
def test_single_arrays(name, source, path):
    assert [
        entry.path for entry in entries_of(name, aux=name in WITH_HEADS) if source in entry.names
    ] == [path]


@pytest.mark.parametrize("axes", ["OI", "IO"])
@pytest.mark.parametrize("order", ["CHW", "HWC"])
def test_a_dense_layer_on_a_map(axes, order):
    model = find_model("torchvision:googlenet")
    dense = {**model.leaves["dense"], "axes": axes, "map": order}
    model = dataclasses.replace(model, leaves={**model.leaves, "dense": dense})
    (entry,) = (
        each
        for each in entries(model, network_of(model, aux=True))
        if each.path == "b4.aux1.hidden.weight"
    )
    rng = np.random.default_rng(1)
    native, image = rng.standard_normal(entry.shape), rng.standard_normal((128, 4, 4))
    flat = image.reshape(-1) if order == "CHW" else np.moveaxis(image, 0, -1).reshape(-1)
    left, right = (native, flat) if axes == "OI" else (flat, native)
    # Two sums of the same n products, in any order: each is off by n · eps / 2 of their sizes.
    most = flat.size * np.finfo(np.float64).eps * (np.abs(left) @ np.abs(right))
    found = np.tensordot(entry.to_canonical(native), image, 3)
    assert (np.abs(found - left @ right) <= most).all()
    assert np.array_equal(entry.to_native(entry.to_canonical(native)), native)


def test_automatic_names_count_from_anywhere():
    model = find_model("keras:inception_v3")
    names = [
        "conv2d_104/kernel",
        "batch_normalization_7/0",
        "conv2d_94/kernel",
        "conv2d_94/bias",
        "predictions/kernel",
        "conv2d_9/kernel",
    ]
    assert renumbered(model, names) == {
        "conv2d/kernel": "conv2d_9/kernel",
        "conv2d_1/kernel": "conv2d_94/kernel",
        "conv2d_1/bias": "conv2d_94/bias",
        "conv2d_2/kernel": "conv2d_104/kernel",
        "batch_normalization/0": "batch_normalization_7/0",
        "predictions/kernel": "predictions/kernel",
    }


@pytest.mark.parametrize(
    "name", ["keras:InceptionV3", "KERAS:inceptionv3", "keras:inception-v3", "keras:Inception_V3"]
)
def test_spellings(name):
    assert find_model(name).designator == "keras:inception_v3"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "torchvison:googlenet",
            (
                "expected one of caffe:googlenet, .*torchvision:vgg16, got"
                " 'torchvison:googlenet'.*'torchvision:googlenet'"
            ),
        ),
        (
            "keras:inception_v4",
            (
                "one of keras:inception_v3, keras:inception_resnet_v2, got 'keras:inception_v4';"
                " did you mean 'keras:inception_v3'"
            ),
        ),
        (
            "timm",
            "one of timm:inception_v3, timm:inception_v4, timm:inception_resnet_v2, got 'timm'",
        ),
        ("", "expected one of caffe:googlenet, .*, got ''$"),
    ],
)
def test_an_unknown_model(name, message):
    with pytest.raises(UnknownNameError, match=message):
        find_model(name)


# Files that fit -----------------------------------------------------------------------------------


def check_import(imported, name, arrays, *, aux=False):
    assert imported.network == network_of(find_model(name), aux=aux, num_classes=CLASSES)
    assert list(imported.params) == list(param_specs(imported.network))
    for entry in entries_of(name, aux=aux):
        found, native = imported.params[entry.path], arrays[entry.names[0]]
        assert np.array_equal(found, in_our_layout(name.partition(":")[0], native, found.shape)), (
            entry.path
        )
    assert imported.left_over == [each for each in arrays if each.endswith("num_batches_tracked")]


@pytest.mark.parametrize(
    "name", [name for name in NATIVE if not name.endswith(("alexnet", "vgg11", "vgg16"))]
)
def test_values_land_where_they_belong(name, tmp_path):
    aux = name in WITH_HEADS
    arrays = native_arrays(name, aux=aux)
    shuffled = [*arrays]
    np.random.default_rng(2).shuffle(shuffled)
    path = tmp_path / "weights.npz"
    np.savez(path, **{each: arrays[each] for each in shuffled})
    file = read_weights_file(path)
    path.unlink()
    imported = import_weights(file, name)
    assert sorted(imported.left_over) == sorted(
        each for each in arrays if each.endswith("num_batches_tracked")
    )
    check_import(
        dataclasses.replace(
            imported, left_over=[each for each in arrays if each in imported.left_over]
        ),
        name,
        arrays,
        aux=aux,
    )


@pytest.mark.parametrize("name", ["torchvision:alexnet", "paddle:alexnet", "torchvision:vgg11"])
def test_large_networks(name):
    arrays = native_arrays(name)
    check_import(import_weights(weights_file(arrays), name), name, arrays)


def test_keras_files_of_another_count_and_of_numbered_variables():
    name, arrays = "keras:inception_v3", native_arrays("keras:inception_v3")
    renamed = {}
    for each, array in reversed(arrays.items()):
        layer, _, variable = each.partition("/")
        base, _, number = layer.rpartition("_")
        if layer in ("conv2d", "batch_normalization"):
            layer = f"{layer}_94"
        elif number.isdecimal():
            layer = f"{base}_{int(number) + 94}"
        renamed[f"{layer}/{'0' if variable == 'beta' else variable}"] = array
    check_import(import_weights(weights_file(renamed), name), name, arrays)


@pytest.fixture(scope="module")
def arrays():
    return native_arrays("torchvision:googlenet", aux=True)


def test_auxiliary_heads_are_taken_or_left(arrays):
    heads = [name for name in arrays if name.startswith("aux")]
    plain = import_weights(weights_file(arrays), "torchvision:googlenet", aux=False)
    assert plain.network.outputs == ("logits",)
    assert [name for name in plain.left_over if not name.endswith("tracked")] == [
        name for name in heads if not name.endswith("tracked")
    ]
    headless = {
        name: array
        for name, array in arrays.items()
        if name not in heads and not name.endswith("tracked")
    }
    assert import_weights(weights_file(headless), "torchvision:googlenet").left_over == []
    with pytest.raises(
        WeightsError,
        match=r"has no auxiliary heads, which '.*' was asked to have; leave out `aux`",
    ):
        import_weights(weights_file(headless), "torchvision:googlenet", aux=True)
    with pytest.raises(
        UnknownNameError, match="`aux`: model 'keras:inception_v3' has no auxiliary heads"
    ):
        import_weights(weights_file(arrays), "keras:inception_v3", aux=True)


def test_sizes_come_from_the_file(arrays):
    changed = {**arrays, "conv1.conv.weight": np.ones((64, 5, 7, 7), np.float32)}
    network = import_weights(
        weights_file(changed), "torchvision:googlenet", input_size=(96, 128)
    ).network
    assert network == get_network(
        "torchvision:googlenet", num_classes=CLASSES, input_shape=(5, 96, 128), aux=True
    )


def test_one_layer_under_two_names():
    arrays = native_arrays("gluoncv:googlenet")
    first, second = "output.weight", "head.2.weight"
    for one, other in ((first, second), (second, first)):
        alone = {name: array for name, array in arrays.items() if name != other}
        imported = import_weights(weights_file(alone), "gluoncv:googlenet")
        assert np.array_equal(imported.params["head.dense.weight"], arrays[one])
    with pytest.raises(
        WeightsError, match=r"'output.weight' and 'head.2.weight' differ; expected the same values"
    ):
        import_weights(weights_file({**arrays, second: arrays[second] + 1}), "gluoncv:googlenet")


def test_other_floating_point_types_become_float32(arrays):
    half = {
        name: array.astype(np.float16) if array.dtype.kind == "f" else array
        for name, array in arrays.items()
    }
    params = import_weights(weights_file(half), "torchvision:googlenet").params
    assert {array.dtype for array in params.values()} == {np.dtype(np.float32)}


def test_foreign_layers_are_left_over(arrays):
    imported = import_weights(
        weights_file({"moments.conv1.weight": np.ones(3), **arrays}), "torchvision:googlenet"
    )
    assert imported.left_over[0] == "moments.conv1.weight"


# Files that do not --------------------------------------------------------------------------------


def without(name):
    return lambda arrays: {each: array for each, array in arrays.items() if each != name}


def changed(name, change):
    return lambda arrays: {**arrays, name: change(arrays[name]) if name in arrays else change(None)}


def with_nan(array):
    array = array.copy()
    array.flat[5] = np.nan
    return array


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            without("inception4b.branch3.0.bn.bias"),
            "'inception4b.branch3.0.bn.bias' is missing, expected with shape (24,)",
        ),
        (without("fc.weight"), "'fc.weight' is missing"),
        (without("aux2.fc1.weight"), "'aux2.fc1.weight' is missing"),
        (
            changed("conv2.conv.weight", lambda array: array[:, :3]),
            "'conv2.conv.weight' has shape (64, 3, 1, 1), expected (64, 64, 1, 1)",
        ),
        (
            changed("conv1.conv.weight", np.ravel),
            "'conv1.conv.weight' has shape (9408,), expected (64, 3, 7, 7)",
        ),
        (changed("fc.weight", lambda array: array[:0]), "'fc.weight' has shape (0, 1024)"),
        (changed("fc.bias", lambda array: array[:5]), "'fc.bias' has shape (5,), expected (7,)"),
        (
            changed("conv2.conv.weight", lambda array: array.astype(np.int32)),
            "'conv2.conv.weight' has dtype int32, expected floating point",
        ),
        (
            changed("conv2.conv.weight", with_nan),
            "'b2.reduce.conv.weight' contains NaN or infinity",
        ),
        (
            changed("conv2.bn.running_var", np.negative),
            "'b2.reduce.norm.running_var' contains a negative variance",
        ),
        (
            changed("conv2.bn.extra", lambda _: np.ones(64, np.float32)),
            "'conv2.bn.extra' does not belong in torchvision:googlenet",
        ),
    ],
)
def test_a_damaged_file(arrays, damage, message):
    with pytest.raises(WeightsError) as caught:
        import_weights(weights_file(damage(arrays)), "torchvision:googlenet")
    text = str(caught.value)
    assert text.startswith("weights.pt: ")
    assert message in text
    assert "\n" not in text
    assert "it looks like" not in text


def blank(name, *, aux=False):
    """Arrays of the right names and shapes that take no memory."""
    return {
        each: np.broadcast_to(np.float32(0.5), entry.shape)
        for entry in entries_of(name, aux=aux)
        for each in entry.names[:1]
    }


@pytest.mark.parametrize(("name", "aux"), BOTH)
def test_a_file_is_recognised(name, aux):
    models, share = looks_like(blank(name, aux=aux))
    assert name in models
    assert share == 1
    network = {find_model(each).network.rpartition(":")[2] for each in models}
    assert network == {find_model(name).network.rpartition(":")[2]}


@pytest.mark.parametrize(
    ("held", "asked", "message"),
    [
        (
            "timm:inception_v4",
            "timm:inception_resnet_v2",
            "'conv2d_1a.conv.weight' is missing, .*; it looks like pretrainedmodels:inception_v4"
            " or timm:inception_v4 \\(100 % of",
        ),
        ("torchvision:vgg11", "torchvision:alexnet", "; it looks like torchvision:vgg11 "),
        ("torchvision:alexnet", "torchvision:vgg16", "; it looks like torchvision:alexnet "),
        ("torchvision:vgg16", "torchvision:vgg11", "; it looks like torchvision:vgg16 "),
        ("mindcv:googlenet", "torchvision:googlenet", "; it looks like mindcv:googlenet "),
        (
            "keras:inception_resnet_v2",
            "keras:inception_v3",
            "; it looks like keras:inception_resnet_v2 ",
        ),
        (
            "torchvision:inception_v3",
            "gluon:inception_v3",
            "; it looks like timm:inception_v3 or torchvision:inception_v3 ",
        ),
    ],
)
def test_a_file_of_another_model(held, asked, message):
    with pytest.raises(WeightsError, match=message):
        import_weights(weights_file(blank(held)), asked)


def test_a_file_of_no_model():
    arrays = {
        "layers.0.weight": np.ones((3, 4), np.float32),
        "layers.0.bias": np.ones(3, np.float32),
    }
    with pytest.raises(
        WeightsError,
        match=r"not look like any known model \(number of arrays: 2; the first is 'layers.0.weight",
    ):
        import_weights(weights_file(arrays), "timm:inception_v4")
    with pytest.raises(WeightsError, match="an early Keras 3 wrote it without the names of layers"):
        import_weights(
            weights_file({"layers/conv2d/vars/0": np.ones((3, 3, 3, 32), np.float32)}),
            "keras:inception_v3",
        )


def test_a_dense_layer_on_a_map_of_another_size():
    arrays = blank("paddle:googlenet", aux=True)
    message = (
        r"'_fc_o1.weight' has shape \(1152, 1024\), expected \(2048, 1024\) for images of 256×256;"
        r" it fits images of 224×224"
    )
    with pytest.raises(WeightsError, match=message):
        import_weights(weights_file(arrays), "paddle:googlenet", input_size=(256, 256))
    larger = {
        entry.names[0]: np.zeros(entry.shape, np.float32)
        for entry in entries_of("mindcv:googlenet", aux=True, input_shape=(3, 320, 320))
    }
    with pytest.raises(
        WeightsError,
        match=r"for images of 224×224; it fits images of 305×305, so give `input_size` 305×305",
    ):
        import_weights(weights_file(larger), "mindcv:googlenet")
    assert import_weights(
        weights_file(larger), "mindcv:googlenet", input_size=(320, 320)
    ).network.input_shape == (3, 320, 320)
    arrays["_fc_o1.weight"] = np.broadcast_to(np.float32(1), (1153, 1024))
    with pytest.raises(WeightsError, match="it fits no square image"):
        import_weights(weights_file(arrays), "paddle:googlenet")


# Files of our own ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    network = get_network(
        "torchvision:googlenet", num_classes=CLASSES, input_shape=(3, 64, 96), aux=True
    )
    path = tmp_path_factory.mktemp("own") / "own.safetensors"
    save_params(
        path,
        network,
        init_params(network),
        extra={"classes": '["a"]', "converted_from": "torchvision:googlenet"},
    )
    return path


def test_our_own_files_are_built_again(own):
    file = read_weights_file(own)
    again = reopen_weights(file)
    assert again.network == get_network(
        "torchvision:googlenet", num_classes=CLASSES, input_shape=(3, 64, 96), aux=True
    )
    assert again.left_over == []
    plain = reopen_weights(file, aux=False, input_size=(32, 32))
    assert plain.network == get_network(
        "torchvision:googlenet", num_classes=CLASSES, input_shape=(3, 32, 32)
    )
    assert len(plain.left_over) == 18
    with pytest.raises(
        WeightsError, match="it is one of this project's own files, so leave out `model`"
    ):
        import_weights(file, "torchvision:googlenet")
    for key, value, message in (
        ("network", "googlnet", "its network cannot be rebuilt; network: expected one of"),
        ("input_shape", "3,64", "its metadata has the input shape '3,64'"),
        (
            "format",
            "pt",
            r"does not say which network it is for, .* so `model=ZOO:MODEL` must say it",
        ),
    ):
        with pytest.raises(WeightsError, match=message):
            reopen_weights(dataclasses.replace(file, metadata={**file.metadata, key: value}))


def test_networks_without_dense_layers_or_heads(tmp_path):
    network = get_network("nin", num_classes=4, input_shape=(1, 96, 96))
    save_params(tmp_path / "nin.safetensors", network, init_params(network))
    file = read_weights_file(tmp_path / "nin.safetensors")
    assert reopen_weights(file, aux=False).network == network
    with pytest.raises(UnknownNameError, match="aux: network 'nin' has no auxiliary heads"):
        reopen_weights(file, aux=True)


# The command --------------------------------------------------------------------------------------


def googlenet(*arguments):
    command = [sys.executable, "-m", "googlenet", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}, timeout=300
    )


@pytest.fixture(scope="module")
def native(arrays, tmp_path_factory):
    path = tmp_path_factory.mktemp("native") / "native.npz"
    np.savez(path, **arrays)
    return path


def test_convert_there_and_on(native, arrays, tmp_path):
    ours, classes = tmp_path / "ours.safetensors", tmp_path / "classes.txt"
    classes.write_text("".join(f"class {index}\n" for index in range(CLASSES)))
    done = googlenet(
        "convert", "--from", "torchvision:GoogLeNet", native, ours, "--classes", classes, "--json"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["left_over"] == [name for name in arrays if name.endswith("tracked")]
    assert {
        key: answer[key] for key in ("format", "model", "name", "arrays", "output", "bytes")
    } == {
        "format": "NumPy archive",
        "model": "torchvision:googlenet",
        "name": "torchvision:googlenet_paper",
        "arrays": 305,
        "output": str(ours),
        "bytes": ours.stat().st_size,
    }
    network = get_network("torchvision:googlenet", num_classes=CLASSES, aux=True)
    params = load_params(ours, network)
    assert np.array_equal(
        params["b4.aux2.hidden.weight"].reshape(1024, -1), arrays["aux2.fc1.weight"]
    )
    _, metadata = read_safetensors(ours)
    assert json.loads(metadata["classes"]) == [f"class {index}" for index in range(CLASSES)]
    assert metadata["preprocessing"] == metadata["converted_from"] == "torchvision:googlenet"

    smaller = tmp_path / "smaller.safetensors"
    done = googlenet("convert", ours, smaller, "--no-aux", "--size", "64x96")
    assert done.returncode == 0, done.stderr
    assert "18 arrays: b4.aux1.conv.conv.weight, " in done.stdout
    assert "torchvision:googlenet_paper at 3×64×96, 7 classes" in done.stdout
    assert read_safetensors(smaller)[1] == {
        **metadata,
        "input_shape": "3,64,96",
        "outputs": "logits",
    }

    exported = tmp_path / "exported.npz"
    done = googlenet("convert", ours, exported, "--to", "numpy")
    assert done.returncode == 0, done.stderr
    assert f"{exported} for numpy" in done.stdout
    with np.load(exported) as archive:
        assert all(np.array_equal(archive[path], array) for path, array in params.items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--from", "torchvision:resnet", "IN", "OUT.safetensors"),
            "--from: expected one of torchvision:googlenet",
        ),
        (
            ("--from", "timm:inception_v4", "IN", "OUT.safetensors"),
            "is missing, expected with shape (32, 3, 3, 3); it looks like torchvision:googlenet",
        ),
        (
            ("--from", "torchvision:googlenet", "missing.pt", "OUT.safetensors"),
            "missing.pt: does not exist",
        ),
        (("--from", "torchvision:googlenet", "IN", "IN"), "is also the input"),
        (
            ("--from", "torchvision:googlenet", "IN", "no/OUT.safetensors"),
            "its folder no does not exist",
        ),
        (("--from", "torchvision:googlenet", "IN", "."), ".: is a folder"),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.pt"),
            "OUT.pt: expected a name that ends in .safetensors; for a framework's own",
        ),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.safetensors", "--to", "numpy"),
            "OUT.safetensors: expected a name that ends in .npz",
        ),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.safetensors", "--to", "caffe"),
            "--to: no backend 'caffe'",
        ),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.safetensors", "--size", "9z"),
            "--size: expected pixels",
        ),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.safetensors", "--size", "3"),
            "the smallest square image that fits is",
        ),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.safetensors", "--classes", "six"),
            "six: expected one class name per line, one for each class of the weights (7), got 6",
        ),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.safetensors", "--classes", "gap"),
            "gap: line 2 is empty",
        ),
        (
            ("--from", "torchvision:googlenet", "IN", "OUT.safetensors", "--classes", "nowhere"),
            "nowhere: cannot be read",
        ),
        (
            (
                "--from",
                "torchvision:googlenet",
                "IN",
                "OUT.npz",
                "--to",
                "numpy",
                "--classes",
                "six",
            ),
            "numpy's own files cannot hold class names",
        ),
        (("--from", "torchvision:googlenet", "IN"), "Missing argument 'OUT'"),
    ],
)
def test_mistakes_leave_no_file(native, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    os.symlink(native, "IN")
    Path("six").write_text("a\nb\nc\nd\ne\nf\n")
    Path("gap").write_text("a\n\nc\n")
    before, size = set(os.listdir()), native.stat().st_size
    done = googlenet("convert", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert set(os.listdir()) == before
    assert native.stat().st_size == size
