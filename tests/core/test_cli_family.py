"""The commands about the family as users run them: diff, compare, min-size and predict, and one
line for every mistake.
"""

import json
import math
import os
import xml.dom.minidom

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

import googlenet.reference as reference
from googlenet import get_network, init_params, save_params
from googlenet.data.images import load_inputs
from googlenet.data.preprocessing import PREPROCESSINGS
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.reference.network import Pass

from .test_cli import googlenet


def answer_of(*arguments):
    done = googlenet(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def shown(*arguments):
    done = googlenet(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def refused(*arguments, message):
    """The command ends with 2, and says why in one line and nothing else."""
    done = googlenet(*map(str, arguments))
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# summary ------------------------------------------------------------------------------------------


def test_a_dialect_in_a_summary():
    named, given = (
        answer_of("summary", "keras:inception_v3"),
        answer_of("summary", "inception_v3", "--dialect", "keras"),
    )
    assert named == given
    assert named["name"] == "keras:inception_v3"
    assert named["source"].endswith("as keras has it")
    assert named["parameters"] == 23_817_352
    assert named["smallest_input"] == 75
    assert "23,817,352" in shown("summary", "keras:inception_v3")


def test_what_libraries_call_googlenet():
    assert answer_of("summary", "torchvision:googlenet", "--aux")["parameters"] == 13_004_888


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("summary", "inception_v3", "--dialect", "kers"),
            "dialect: expected one of torchvision, timm, gluon",
        ),
        (
            ("summary", "keras:inception_v3", "--dialect", "timm"),
            "dialect: 'keras:inception_v3' already names a dialect, got 'timm' too",
        ),
        (
            ("summary", "torchvision:nin"),
            "dialect: network 'nin' has no dialect 'torchvision'; use one of googlenet_paper",
        ),
        (
            ("summary", "inception_v4", "--aux"),
            "aux: network 'inception_v4' has no auxiliary heads; leave this out, or use one of",
        ),
        (
            ("summary", "keras:inception_v3", "--size", "74"),
            "the smallest square image that fits is 75×75",
        ),
        (("min-size", "inception_v9"), "network: expected one of googlenet"),
        (
            ("min-size", "googlenet", "--channels", "0"),
            "--channels: expected an integer of at least 1, got 0",
        ),
        (("diff", "googlenet"), "Missing argument 'B'"),
        (("diff", "googlenet", "inception_v9"), "network: expected one of googlenet"),
        (("diff", "googlenet_paper", "nin", "--aux"), "aux: network 'nin' has no auxiliary heads"),
        (
            ("diff", "googlenet", "googlenet_bn", "--images", "/no/images"),
            "/no/images: does not exist",
        ),
        (("diff", "googlenet", "googlenet_bn", "--count", "0"), "--count"),
        (("compare", "googlenet", "inception_v9"), "network: expected one of googlenet"),
        (("compare", "vgg11", "--size", "31"), "the smallest square image that fits is 32×32"),
        (("predict", "a.png"), "Missing option '--weights'"),
        (
            ("predict", "--weights", "w.safetensors"),
            "IMAGE: give either image files, or an array with --npy IN",
        ),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(arguments, message):
    refused(*arguments, message=message)


# min-size -----------------------------------------------------------------------------------------


def test_min_size():
    text = shown("min-size")
    for words in (
        "1×1",
        "33×33",
        "129×129",
        "b5.inception_5a.branch_5x5.conv.conv: its 5×5 kernel is larger than its 4×4 input",
    ):
        assert words in text
    answer = answer_of("min-size", "nin", "--channels", "3")
    assert answer["name"] == "nin"
    assert [(size["rule"], size["side"], size["stage"]) for size in answer["minimum_sizes"]] == [
        ("runs", 67, "b3"),
        ("wider_than_one_pixel", 99, "b4"),
        ("without_padding", 131, "b4"),
    ]
    assert answer["minimum_sizes"][0].keys() == {
        "rule",
        "meaning",
        "side",
        "stage",
        "path",
        "because",
    }


def test_min_size_of_a_dialect_and_with_heads():
    sides = [
        answer_of("min-size", *arguments)["minimum_sizes"][0]["side"]
        for arguments in (
            ("inception_v3", "--dialect", "gluon"),
            ("torchvision:inception_v3", "--aux"),
        )
    ]
    assert sides == [299, 299]


# compare ------------------------------------------------------------------------------------------


def test_compare_answers_the_books_exercise():
    text = shown("compare")
    for words in (
        "46,764,746",
        "43,040,778",
        "128,806,154",
        "119,586,826",
        "1,992,166",
        "5,977,530",
        "92.0 %",
        "92.8 %",
        "67×67",
    ):
        assert words in text
    assert (
        "vgg11 has 93 % of its parameters in dense layers, nin none: global average pooling" in text
    )


def test_compare_says_a_small_share_in_plain_figures():
    done = googlenet("compare", "alexnet", "torchvision:googlenet_paper", "--size", "224")
    assert "dense layers, torchvision:googlenet_paper 15 %: global" in done.stdout


def test_compare_as_json():
    answer = answer_of(
        "compare",
        "googlenet",
        "caffe:bn_inception",
        "--num-classes",
        "7",
        "--channels",
        "2",
        "--size",
        "64x96",
    )
    googlenet_row, inception_row = answer["networks"]
    assert [row["name"] for row in answer["networks"]] == ["googlenet", "caffe:bn_inception"]
    for row in answer["networks"]:
        assert row["input_shape"] == [2, 64, 96]
        parts = ("convolution_parameters", "dense_parameters", "norm_parameters")
        assert sum(row[part] for part in parts) == row["parameters"]
        assert row["dense_parameters"] == 1024 * 7 + 7
        assert row["dense_share"] == row["dense_parameters"] / row["parameters"]
    assert (googlenet_row["norm_parameters"], inception_row["norm_parameters"]) == (0, 20_032)
    assert (googlenet_row["smallest_input"], inception_row["smallest_input"]) == (1, 31)


@pytest.mark.parametrize(
    ("name", "magic"), [("a.png", b"\x89PNG\r\n\x1a\n"), ("a.svg", b"<?xml"), ("a.pdf", b"%PDF-")]
)
def test_compare_draws(tmp_path, name, magic):
    picture = tmp_path / name
    assert f"Picture: {picture}" in shown(
        "compare", "nin", "googlenet_bn", "--picture", str(picture)
    )
    data = picture.read_bytes()
    assert data.startswith(magic)
    assert os.listdir(tmp_path) == [name]
    if name.endswith("png"):
        with Image.open(picture) as image:
            pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
        # The bars: convolutions and batch norm, multiply-adds, activations.
        for colour in (
            (0x44, 0x77, 0xAA),
            (0xCC, 0xBB, 0x44),
            (0x22, 0x88, 0x33),
            (0x66, 0xCC, 0xEE),
        ):
            assert (pixels == colour).all(1).sum() > 10
    if name.endswith("svg"):
        assert xml.dom.minidom.parseString(data).documentElement.tagName == "svg"


def test_a_picture_that_cannot_be_drawn(tmp_path):
    refused(
        "compare",
        "nin",
        "--picture",
        tmp_path / "a.jpg",
        message="a.jpg: expected a name that ends in .png, .svg or .pdf",
    )
    refused(
        "compare",
        "nin",
        "--picture",
        tmp_path / "no" / "a.png",
        message="a.png: cannot be written (No such file or directory)",
    )
    (tmp_path / "a.png").mkdir()
    refused(
        "compare",
        "nin",
        "--picture",
        tmp_path / "a.png",
        message="a.png: cannot be written (it is a folder, not a file)",
    )
    assert os.listdir(tmp_path) == ["a.png"]


# diff ---------------------------------------------------------------------------------------------


def test_diff():
    text = shown(
        "diff",
        "torchvision:inception_v3",
        "keras:inception_v3",
        "--size",
        "75",
        "--num-classes",
        "7",
        "--count",
        "1",
    )
    for words in (
        "− torchvision:inception_v3: 3×75×75, ",
        "+ keras:inception_v3: 3×75×75, ",
        "stem.conv_1a.norm and 93 more such layers: momentum 0.1 → 0.01 (only in training)",
        (
            "mixed_5.mixed_5b.branch_pool.pool and 8 more such layers: counts padding → ignores"
            " padding"
        ),
        "head.dropout: Dropout 0.5 left out (only in training)",
        "With the same weights the logits differ by ",
        "; the first difference is at mixed_5.mixed_5b.branch_pool.pool.",
    ):
        assert words in text


def test_diff_as_json():
    answer = answer_of(
        "diff", "googlenet", "googlenet_bn", "--size", "32x40", "--count", "2", "--seed", "3"
    )
    assert answer["first"] == {
        "name": "googlenet",
        "input_shape": [1, 32, 40],
        "parameters": 5_977_530,
    }
    assert answer["second"] == {
        "name": "googlenet_bn",
        "input_shape": [1, 32, 40],
        "parameters": 5_984_810,
    }
    assert answer["same_in_evaluation"] is False
    assert answer["differences"][0] == {
        "path": "b1.conv.conv",
        "words": "bias → no bias",
        "training_alone": False,
    }
    assert len(answer["differences"]) == 2 * 57
    logits = answer["logits"]
    assert (logits["unfit"], logits["image_count"], logits["seed"]) == (None, 2, 3)
    assert 0 < logits["relative_distance"] < 1e-3
    assert "scikit-learn's digits" in logits["images"]


def test_diff_of_one_function_and_of_two_that_differ_in_training_alone():
    assert "The two are the same function." in shown(
        "diff", "gluon:inception_v3", "gluoncv:inception_v3", "--no-logits"
    )
    text = shown("diff", "torchvision:inception_v3", "timm:inception_v3", "--no-logits")
    assert "They are the same function in evaluation mode; they differ only in training." in text
    assert "With the same weights" not in text
    assert (
        answer_of("diff", "inception_v4", "timm:inception_v4", "--no-logits")["same_in_evaluation"]
        is True
    )


def test_diff_where_the_weights_do_not_fit(tmp_path):
    Image.new("L", (5, 5)).save(tmp_path / "a.png")
    text = shown(
        "diff",
        "googlenet",
        "torchvision:googlenet",
        "--size",
        "32",
        "--images",
        str(tmp_path),
        "--count",
        "1",
    )
    assert (
        "Logits not compared: the weights do not fit: b3.inception_3a.branch_5x5.conv.conv.weight"
        " is 32×16×5×5 in one" in text
    )
    assert "b3.inception_3a.branch_5x5.conv.conv and 8 more such layers: kernel 5×5 → 3×3" in text
    assert "b4.pool: kernel 3×3 → 2×2" in text
    assert "Logits not compared: the networks' inputs differ, 1×20×20 and 1×224×224." in shown(
        "diff", "googlenet", "vgg11_small", "--size", "20"
    )


# predict ------------------------------------------------------------------------------------------

NAMES = ["cat", "dog", "cow"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Weights with and without names of classes and heads, and images, in one folder."""
    folder = tmp_path_factory.mktemp("predict")
    network = get_network("googlenet_bn", num_classes=3, input_shape=(3, 32, 32))
    params = init_params(network, seed=3, initializer="he_normal")
    save_params(folder / "w.safetensors", network, params, extra={"classes": json.dumps(NAMES)})
    save_params(
        folder / "keras.safetensors", network, params, extra={"preprocessing": "keras:inception_v3"}
    )
    safetensors.numpy.save_file(params, folder / "bare.safetensors")
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(
        folder / "images" / "a.png"
    )
    Image.fromarray(rng.integers(0, 256, (30, 20), dtype=np.uint8)).save(
        folder / "images" / "b.jpg"
    )
    np.save(folder / "x.npy", rng.random((9, 3, 32, 32), dtype=np.float32))
    return folder


def load_image(path, preprocessing, input_shape):
    return load_inputs([path], input_shape, preprocessing).images[0]


def logits_of(files, images, taps=()):
    network = get_network("googlenet_bn", num_classes=3, input_shape=images.shape[1:])
    params = init_params(network, seed=3, initializer="he_normal")
    return reference.forward(reference.build(network, params), images, taps=taps)


def check_outputs(files, images, found):
    """`found` is what the network of `files` gives, as near to float64 as every backend
    has to be.
    """
    network = get_network("googlenet_bn", num_classes=3, input_shape=images.shape[1:])
    check_as_float64(network, init_params(network, seed=3, initializer="he_normal"), images, found)


def check_as_float64(network, params, images, found):
    images = images.astype(np.float32)
    yardstick = forward_yardstick(Problem(network, params, images), chunk=8)
    run = Pass(taps=frozenset(found) - set(network.outputs))
    reference.build(network, params, dtype=np.float64).run(images, run)
    for name, array in found.items():
        assert distance(array, run.outputs[name]) <= limit(yardstick[name]), name


def test_predict_as_json(files):
    image = str(files / "images" / "a.png")
    answer = answer_of("predict", image, "--weights", str(files / "w.safetensors"))
    assert answer.keys() == {"framework", "name", "preprocessing", "images"}
    assert (answer["framework"], answer["name"], answer["preprocessing"]) == (
        "numpy",
        "googlenet_bn",
        "unit",
    )
    (row,) = answer["images"]
    assert row["image"] == image
    logits = logits_of(
        files, load_image(files / "images" / "a.png", PREPROCESSINGS["unit"], (3, 32, 32))[None]
    )["logits"][0]
    order = np.argsort(-logits)
    shares = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum()
    assert [best["class"] for best in row["top"]] == list(order)
    assert [best["name"] for best in row["top"]] == [NAMES[index] for index in order]
    assert [best["probability"] for best in row["top"]] == pytest.approx(shares[order], rel=1e-5)
    assert sum(best["probability"] for best in row["top"]) == pytest.approx(1)


def test_predict_shows_the_likeliest(files):
    answer = answer_of(
        "predict", str(files / "images"), "--weights", str(files / "w.safetensors"), "--top", "1"
    )
    assert [os.path.basename(row["image"]) for row in answer["images"]] == ["a.png", "b.jpg"]
    assert [len(row["top"]) for row in answer["images"]] == [1, 1]
    text = shown(
        "predict", str(files / "images"), "--weights", str(files / "w.safetensors"), "--top", "2"
    )
    assert "googlenet_bn in numpy, preprocessing unit" in text
    best = answer["images"][0]["top"][0]
    assert best["name"] in text
    assert f"{100 * best['probability']:.2f} %" in text
    assert text.count(" %") == 4


def test_preprocessing_is_what_the_weights_say_unless_named(files):
    image, weights = str(files / "images" / "a.png"), str(files / "keras.safetensors")
    said = answer_of("predict", image, "--weights", weights)
    named = answer_of(
        "predict", image, "--weights", weights, "--preprocessing", "torchvision:alexnet"
    )
    assert said["preprocessing"] == "keras:inception_v3"
    assert named["preprocessing"] == "torchvision:alexnet"
    for answer in (said, named):
        logits = logits_of(
            files,
            load_image(
                files / "images" / "a.png", PREPROCESSINGS[answer["preprocessing"]], (3, 32, 32)
            )[None],
        )["logits"][0]
        shares = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum()
        found = {best["class"]: best["probability"] for best in answer["images"][0]["top"]}
        assert [found[index] for index in range(3)] == pytest.approx(shares, rel=1e-5)
    assert {best["name"] for best in said["images"][0]["top"]} == {"class 0", "class 1", "class 2"}


def test_an_array_in_and_logits_out(files, tmp_path):
    """Nine images, more than go through at once."""
    out = tmp_path / "logits.npy"
    answer = answer_of(
        "predict",
        "--weights",
        str(files / "w.safetensors"),
        "--npy",
        str(files / "x.npy"),
        "--out",
        str(out),
    )
    assert answer == {
        "framework": "numpy",
        "name": "googlenet_bn",
        "image_count": 9,
        "output": str(out),
    }
    check_outputs(files, np.load(files / "x.npy"), {"logits": np.load(out)})
    assert os.listdir(tmp_path) == ["logits.npy"]
    text = shown(
        "predict",
        "--weights",
        str(files / "w.safetensors"),
        "--npy",
        str(files / "x.npy"),
        "--out",
        str(out),
    )
    assert f"googlenet_bn in numpy: 9 images, logits in {out}" in text


def test_arrays_of_another_size_than_the_weights(files, tmp_path):
    images = np.random.default_rng(1).random((1, 3, 40, 33), dtype=np.float32)
    np.save(tmp_path / "x.npy", images.astype(np.float64))
    shown(
        "predict",
        "--weights",
        str(files / "w.safetensors"),
        "--npy",
        str(tmp_path / "x.npy"),
        "--out",
        str(tmp_path / "o.npz"),
    )
    with np.load(tmp_path / "o.npz") as found:
        assert found.files == ["logits"]
        check_outputs(files, images, found)


def test_a_layer_by_its_path(files, tmp_path):
    out = tmp_path / "o.npz"
    arguments = (
        "--weights",
        str(files / "w.safetensors"),
        "--tap",
        "b3.inception_3a",
        "--tap",
        "b5.pool",
        "--out",
        str(out),
    )
    assert f"Logits in {out}" in shown("predict", str(files / "images" / "a.png"), *arguments)
    image = load_image(files / "images" / "a.png", PREPROCESSINGS["unit"], (3, 32, 32))[None]
    with np.load(out) as found:
        assert set(found.files) == {"logits", "b3.inception_3a", "b5.pool"}
        check_outputs(files, image, found)


def test_the_auxiliary_heads(tmp_path):
    network = get_network("googlenet_paper", num_classes=2, input_shape=(1, 79, 79), aux=True)
    params = init_params(network, initializer="he_normal")
    save_params(tmp_path / "w.safetensors", network, params)
    images = np.random.default_rng(0).random((1, 1, 79, 79), dtype=np.float32)
    np.save(tmp_path / "x.npy", images)
    arguments = (
        "predict",
        "--weights",
        str(tmp_path / "w.safetensors"),
        "--npy",
        str(tmp_path / "x.npy"),
    )
    shown(*arguments, "--out", str(tmp_path / "all.npz"))
    shown(*arguments, "--out", str(tmp_path / "one.npy"))
    with np.load(tmp_path / "all.npz") as found:
        assert set(found.files) == {"logits", "aux1", "aux2"}
        np.testing.assert_array_equal(np.load(tmp_path / "one.npy"), found["logits"])
        check_as_float64(network, params, images, found)
        assert not np.array_equal(found["aux1"], found["aux2"])


def test_weights_that_do_not_name_their_network(files, tmp_path):
    image, out = str(files / "images" / "a.png"), str(tmp_path / "o.npy")
    # Only one network has arrays of these names and shapes.
    found = answer_of("predict", image, "--weights", str(files / "bare.safetensors"))
    assert found["name"] == "googlenet_bn"
    weights = ("--weights", str(files / "bare.safetensors"), "--model", "googlenet_bn")
    answer = answer_of("predict", image, *weights)
    assert (answer["name"], len(answer["images"][0]["top"])) == ("googlenet_bn", 3)
    shown("predict", *weights, "--npy", str(files / "x.npy"), "--out", out)
    check_outputs(files, np.load(files / "x.npy"), {"logits": np.load(out)})


def test_a_model_that_the_weights_are_not_of(files):
    image = files / "images" / "a.png"
    own, bare = ("--weights", files / "w.safetensors"), ("--weights", files / "bare.safetensors")
    refused(
        "predict",
        image,
        *own,
        "--model",
        "nin",
        message="holds weights of network 'googlenet_bn', but --model says 'nin'",
    )
    refused(
        "predict", image, *own, "--model", "nonsense", message="--model: expected one of googlenet"
    )
    refused(
        "predict",
        image,
        *bare,
        "--model",
        "nin",
        message="'b4.second_1x1.conv.weight' is missing",
    )
    refused(
        "predict",
        image,
        *bare,
        "--model",
        "googlenet",
        message="'b1.conv.conv.bias' is missing",
    )
    shown(
        "predict", str(image), "--weights", str(files / "w.safetensors"), "--model", "googlenet_bn"
    )


def test_weights_that_cannot_be_read(files, tmp_path):
    image = files / "images" / "a.png"
    (tmp_path / "cut.safetensors").write_bytes((files / "w.safetensors").read_bytes()[:-1000])
    (tmp_path / "text.safetensors").write_text("hello")
    for name, message in (
        ("none.safetensors", "none.safetensors: does not exist"),
        ("cut.safetensors", "cut.safetensors: is not a complete safetensors file"),
        ("text.safetensors", "text.safetensors: is not a complete safetensors file"),
        ("", "is a folder without weights; expected a weights file"),
    ):
        refused("predict", image, "--weights", tmp_path / name, message=message)


@pytest.mark.parametrize(
    "classes", ["not JSON", '["cat", "dog"]', '{"cat": 0, "dog": 1, "cow": 2}']
)
def test_names_of_classes_that_do_not_fit(files, tmp_path, classes):
    network = get_network("googlenet_bn", num_classes=3, input_shape=(3, 32, 32))
    save_params(
        tmp_path / "w.safetensors", network, init_params(network), extra={"classes": classes}
    )
    message = "its metadata 'classes' is not a list with a name for each class (3)"
    refused(
        "predict",
        files / "images" / "a.png",
        "--weights",
        tmp_path / "w.safetensors",
        message=message,
    )


def test_images_that_cannot_be_read(files, tmp_path):
    weights = ("--weights", files / "w.safetensors")
    (tmp_path / "cut.png").write_bytes((files / "images" / "a.png").read_bytes()[:-500])
    refused(
        "predict",
        tmp_path / "none.png",
        *weights,
        message="none.png: does not exist; give an IDX file, a folder",
    )
    refused("predict", tmp_path / "cut.png", *weights, message="cut.png: is not a readable image")
    refused(
        "predict",
        files / "w.safetensors",
        *weights,
        message="w.safetensors: is not an IDX file of bytes",
    )
    refused(
        "predict",
        files / "images",
        *weights,
        "--preprocessing",
        "kers",
        message="expected one of unit, ",
    )


def _npy(path, array):
    np.save(path, array, allow_pickle=True)
    return path


def _hole(path, shape):
    """An array of zeros which takes no place on the disk."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        file.truncate(file.tell() + 4 * math.prod(shape))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.npy", "none.npy: cannot be read (No such file or directory)"),
        (
            lambda d: _npy(d / "x.npy", np.zeros((3, 32, 32), np.float32)),
            "expected float32 of shape (N, channels, height, width), got float32",
        ),
        (
            lambda d: _npy(d / "x.npy", np.zeros((1, 3, 32, 32), np.uint8)),
            "expected float32 of shape (N, channels, height, width), got uint8",
        ),
        (
            lambda d: _npy(d / "x.npy", np.zeros((0, 3, 32, 32), np.float32)),
            "(its shape is (0, 3, 32, 32))",
        ),
        (
            lambda d: _npy(d / "x.npy", np.full((1, 3, 32, 32), np.nan, np.float32)),
            "x.npy: images: contain NaN or infinity",
        ),
        (
            lambda d: _npy(d / "x.npy", np.zeros((1, 1, 32, 32), np.float32)),
            "images: expected (N, channels, height, width) = (N, 3, 32, 32)",
        ),
        (lambda d: _npy(d / "x.npy", np.array([object()])), "(it has object dtype"),
        (lambda d: _hole(d / "x.npy", (2**24, 3, 32, 32)), "x.npy: asks for 206.2 GB of memory"),
    ],
)
def test_arrays_that_cannot_be_taken_leave_nothing(files, tmp_path, make, message):
    source, out = make(tmp_path), tmp_path / "out"
    out.mkdir()
    refused(
        "predict",
        "--weights",
        files / "w.safetensors",
        "--npy",
        source,
        "--out",
        out / "o.npy",
        message=message,
    )
    assert os.listdir(out) == []


def test_an_array_that_is_too_small(tmp_path):
    network = get_network("bn_inception", num_classes=2, input_shape=(1, 32, 32))
    save_params(tmp_path / "w.safetensors", network, init_params(network))
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 20, 20), np.float32))
    arguments = (
        "--weights",
        tmp_path / "w.safetensors",
        "--npy",
        tmp_path / "x.npy",
        "--out",
        tmp_path / "o.npy",
    )
    refused("predict", *arguments, message="network 'bn_inception' at (1, 20, 20): ")
    assert sorted(os.listdir(tmp_path)) == ["w.safetensors", "x.npy"]


def test_an_array_that_is_cut_off(files, tmp_path):
    (tmp_path / "x.npy").write_bytes((files / "x.npy").read_bytes()[:-100])
    arguments = (
        "--weights",
        files / "w.safetensors",
        "--npy",
        tmp_path / "x.npy",
        "--out",
        tmp_path / "o.npy",
    )
    refused("predict", *arguments, message="x.npy: is not a complete .npy array of numbers")


def test_outputs_that_cannot_be_written(files, tmp_path):
    given = ("predict", files / "images" / "a.png", "--weights", files / "w.safetensors")
    array = ("predict", "--weights", files / "w.safetensors", "--npy", files / "x.npy")
    (tmp_path / "folder.npz").mkdir()
    for arguments, message in (
        ((*array,), "needs --out OUT, the file to write the outputs to"),
        (
            (*array, files / "images", "--out", tmp_path / "o.npy"),
            "IMAGE: give either image files, or an array with --npy IN",
        ),
        ((*given, "--out", tmp_path / "o.txt"), "o.txt: expected a name that ends in .npy or .npz"),
        (
            (*given, "--out", tmp_path / "no" / "o.npy"),
            "its folder does not exist; create it first",
        ),
        (
            (*given, "--tap", "b1", "--out", tmp_path / "o.npy"),
            "o.npy: expected a name that ends in .npz, which holds several arrays",
        ),
        ((*given, "--tap", "b1"), "--tap b1: needs --out OUT, the file to write the outputs to"),
        (
            (*given, "--tap", "b9", "--out", tmp_path / "o.npz"),
            "--tap b9: network 'googlenet_bn' has no such layer",
        ),
        (
            (*given, "--out", tmp_path / "folder.npz"),
            "folder.npz: is a folder, expected the name of a file to write",
        ),
        ((*given, "--framework", "caffe"), "framework: no backend 'caffe'"),
        ((*given, "--device", "cuda"), "device: 'cuda' cannot be used by numpy"),
        ((*given, "--top", "0"), "--top"),
    ):
        refused(*arguments, message=message)
    assert os.listdir(tmp_path) == ["folder.npz"]
