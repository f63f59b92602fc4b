"""Weights back to every library, between dialects of one function, and files that nobody names."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import googlenet
from googlenet import UnknownNameError, WeightsError, get_network, init_params, reference
from googlenet.actions import predict
from googlenet.actions.expected import distance_from, expected_logits
from googlenet.actions.predict import Prediction
from googlenet.errors import BackendError, DataError
from googlenet.spec.blocks import avg_pool, max_pool, sequential
from googlenet.spec.layers import AdaptiveAvgPool, Dense, GlobalAvgPool, Network
from googlenet.spec.params import classifier_paths, param_specs
from googlenet.spec.same import same_in_evaluation
from googlenet.weights.formats import WeightsFile
from googlenet.weights.samples import random_images, random_params
from googlenet.weights.zoo import (
    AmbiguousWeights,
    carried,
    find_model,
    import_weights,
    load_weights,
    loading,
    native_arrays,
    network_of,
    reopen_weights,
    zoo_models,
)

WRITTEN = [name for name in zoo_models() if find_model(name).framework]
#: Those of few parameters: the others are like them, and take long.
QUICK = [name for name in WRITTEN if "vgg" not in name and "alexnet" not in name]
FID = "pytorch_fid:inception_v3"


def small(name, **arguments):
    """A network with little to compute, where that can be."""
    classes = find_model(name).classes or 3
    return network_of(find_model(name), num_classes=classes, **arguments)


def of(arrays, path="weights.pt"):
    return WeightsFile(Path(path), "PyTorch checkpoint", dict(arrays), {})


@pytest.mark.parametrize("name", QUICK)
def test_what_is_written_for_a_library_is_read_as_it_was(name):
    model, network = find_model(name), small(name)
    params = random_params(network)
    arrays = native_arrays(model, network, params)
    weights = {each: array for each, array in arrays.items() if array.dtype == np.float32}
    found = import_weights(of(weights), name, aux=False)
    assert found.network == network
    assert all(np.array_equal(found.params[path], array) for path, array in params.items())
    again = native_arrays(model, found.network, found.params)
    assert list(again) == list(arrays)
    assert all(again[each].tobytes() == array.tobytes() for each, array in arrays.items())
    counters = sum(each.endswith("num_batches_tracked") for each in arrays)
    norms = sum(path.endswith("running_var") for path in params)
    assert counters == (norms if "num_batches_tracked" in model.ignored else 0)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_python_that_loads_it_is_python(name):
    text = loading(find_model(name), small(name), "a 'file'.pt")
    compile(text, name, "exec")
    assert repr("a 'file'.pt") in text


# One function or two ------------------------------------------------------------------------------


def pooled(*layers, size=8):
    named = {f"pool{index}": layer for index, layer in enumerate(layers)}
    return Network("pools", sequential(**named, dense=Dense(2, bias=True)), (3, size, size), "test")


@pytest.mark.parametrize(
    ("one", "other", "size", "same"),
    [
        ([avg_pool(8, stride=8)], [GlobalAvgPool()], 8, True),
        ([avg_pool(8, stride=8)], [GlobalAvgPool()], 9, False),
        ([avg_pool(8, stride=8), GlobalAvgPool()], [GlobalAvgPool()], 8, True),
        ([AdaptiveAvgPool((4, 4))], [avg_pool(2, stride=2)], 8, True),
        ([AdaptiveAvgPool((3, 3))], [avg_pool(2, stride=2)], 8, False),
        ([AdaptiveAvgPool((8, 8))], [], 8, True),
        ([max_pool(2, stride=2, ceil_mode=True)], [max_pool(2, stride=2)], 8, True),
        ([max_pool(2, stride=2, ceil_mode=True)], [max_pool(2, stride=2)], 7, False),
        ([max_pool(3, stride=2)], [avg_pool(3, stride=2)], 8, False),
        (
            [avg_pool(3, stride=1, padding=1)],
            [avg_pool(3, stride=1, padding=1, count_include_pad=False)],
            8,
            False,
        ),
        (
            [avg_pool(2, stride=2, count_include_pad=True)],
            [avg_pool(2, stride=2, count_include_pad=False)],
            8,
            True,
        ),
    ],
)
def test_pools_are_compared_as_they_lie_on_the_input(one, other, size, same):
    first, second = pooled(*one, size=size), pooled(*other, size=size)
    shapes = [
        {path: spec.shape for path, spec in param_specs(each).items()} for each in (first, second)
    ]
    assert same_in_evaluation(first, second) is same
    if same and shapes[0] == shapes[1]:  # and so the reference says
        params, images = random_params(first), random_images(first, batch=2)
        logits = [
            reference.forward(reference.build(each, params), images)["logits"]
            for each in (first, second)
        ]
        assert distance_from(logits[0].astype(np.float64), logits[1]).allowed


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("timm:inception_resnet_v2", "keras:inception_resnet_v2"),  # its gamma is folded
        ("keras:inception_resnet_v2", "timm:inception_resnet_v2"),
        ("mindcv:inception_v3", "keras:inception_v3"),
        ("timm:inception_v3", "torchvision:inception_v3"),
    ],
)
def test_a_dialect_of_the_same_function_computes_the_same(source, target):
    first, second = (
        get_network(name, input_shape=(3, 75, 75), num_classes=5) for name in (source, target)
    )
    params = random_params(first)
    images = random_images(first, batch=1)
    found = carried(params, first, second)
    assert list(found) == list(param_specs(second))
    expected, actual = (
        reference.forward(reference.build(network, arrays), images)["logits"]
        for network, arrays in ((first, params), (second, found))
    )
    assert distance_from(expected.astype(np.float64), actual).allowed
    if set(param_specs(first)) <= set(param_specs(second)):
        assert all(found[path].tobytes() == array.tobytes() for path, array in params.items())


@pytest.mark.parametrize(
    ("source", "target", "size", "message"),
    [
        (
            "keras:inception_v3",
            "timm:inception_v3",
            107,
            "mixed_5.mixed_5b.branch_pool.pool and 8 more: ignores padding → counts padding$",
        ),
        (
            "torchvision:inception_v3",
            "gluon:inception_v3",
            331,
            r"layers \(window, mean\); they are one function at 299×299 to 330×330$",
        ),
        ("torchvision:googlenet", "mindcv:googlenet", 224, "norm and 56 more: BatchNorm left out"),
        ("inception_v3", FID, 107, "7c.branch_pool.pool: AvgPool → MaxPool$"),
    ],
)
def test_another_function_is_refused_in_the_words_of_diff(source, target, size, message):
    first, second = (
        network_of(find_model(name), input_shape=(3, size, size))
        if ":" in name
        else get_network(name, input_shape=(3, size, size))
        for name in (source, target)
    )
    with pytest.raises(WeightsError, match=message):
        carried(random_params(first), first, second)


def saved(path, name, *, size=None, classes=3, without=()):
    """An .npz file with a library's arrays."""
    model = find_model(name)
    shape = None if size is None else (3, size, size)
    network = network_of(model, num_classes=classes, input_shape=shape)
    arrays = native_arrays(model, network, random_params(network))
    np.savez(path, **{each: array for each, array in arrays.items() if each not in without})
    return network


def test_a_network_takes_the_weights_of_another_dialect_of_its_function(tmp_path):
    saved(tmp_path / "mindcv.npz", "mindcv:inception_v3")
    network = get_network("keras:inception_v3", num_classes=3, input_shape=(3, 75, 75))
    found = load_weights(tmp_path / "mindcv.npz", network)
    assert list(found) == list(param_specs(network))
    other = get_network("torchvision:inception_v3", num_classes=3, input_shape=(3, 75, 75))
    with pytest.raises(WeightsError, match="ignores padding → counts padding"):
        load_weights(tmp_path / "mindcv.npz", other)


def test_so_it_does_from_a_file_of_ours(tmp_path):
    kept = get_network("keras:inception_v3", num_classes=3, input_shape=(3, 75, 75))
    params = random_params(kept)
    googlenet.save_params(tmp_path / "keras.safetensors", kept, params)
    asked = get_network("mindcv:inception_v3", num_classes=3, input_shape=(3, 75, 75))
    found = load_weights(tmp_path / "keras.safetensors", asked)
    assert all(found[path].tobytes() == array.tobytes() for path, array in params.items())
    assert all((found[path] == 1).all() for path in set(found) - set(params))


@pytest.mark.parametrize("ours", [True, False])
def test_a_new_classifier_on_the_weights_of_another_dialect(tmp_path, ours):
    path = tmp_path / ("in.safetensors" if ours else "in.npz")
    kept = get_network("mindcv:inception_v3", num_classes=3, input_shape=(3, 75, 75))
    params = random_params(kept)
    if ours:
        googlenet.save_params(path, kept, params)
    else:
        saved(path, "mindcv:inception_v3")
    network = get_network("inception_v3", num_classes=5, input_shape=(3, 75, 75))
    found = load_weights(path, network, new_head=7)
    drawn = init_params(network, seed=7)
    fresh = classifier_paths(network)
    assert list(found) == list(param_specs(network))
    for name, array in found.items():
        assert np.array_equal(array, drawn[name] if name in fresh else params[name])


# Files that nobody names --------------------------------------------------------------------------


def test_names_say_which_model_it_is(tmp_path):
    network = saved(tmp_path / "in.npz", "torchvision:googlenet")
    found = googlenet.convert(tmp_path / "in.npz", tmp_path / "out.safetensors")
    assert (found.model, found.network) == ("torchvision:googlenet", network)


def test_models_of_one_function_and_the_same_names_are_both_named(tmp_path):
    saved(tmp_path / "in.npz", "torchvision:inception_v3")
    found = googlenet.convert(tmp_path / "in.npz", tmp_path / "out.safetensors")
    assert {found.model, *found.also} == {"timm:inception_v3", "torchvision:inception_v3"}
    (other,) = found.also
    assert f"{other}, if it is that" in found.preprocessing.alternative


def test_the_number_of_classes_tells_the_frechet_distances_inception(tmp_path):
    network = saved(tmp_path / "in.npz", FID, classes=1008)
    found = googlenet.convert(tmp_path / "in.npz", tmp_path / "out.safetensors")
    assert (found.model, found.network) == (FID, network)
    for other in ("torchvision:inception_v3", "timm:inception_v3"):
        with pytest.raises(WeightsError, match=f"1,008 classes, as {FID} has.* pools are others"):
            googlenet.convert(tmp_path / "in.npz", tmp_path / "no.safetensors", model=other)
    asked = get_network("torchvision:inception_v3", num_classes=1008)
    with pytest.raises(WeightsError, match=f"another function than '{FID}' of the same weights"):
        load_weights(tmp_path / "in.npz", asked)
    with pytest.raises(WeightsError, match="has 3 classes, expected 1,008"):
        import_weights(of(native_arrays(find_model("timm:inception_v3"), *_three())), FID)


def test_a_file_whose_classifier_has_another_name_has_no_such_number(tmp_path):
    """So it is not the Fréchet distance's."""
    model = find_model("torchvision:inception_v3")
    network = network_of(model, num_classes=5)
    arrays = native_arrays(model, network, random_params(network))
    named = {name.replace("fc.", "last_linear."): array for name, array in arrays.items()}
    np.savez(tmp_path / "in.npz", **named)
    found = googlenet.convert(tmp_path / "in.npz", tmp_path / "out.safetensors")
    assert {found.model, *found.also} == {"timm:inception_v3", "torchvision:inception_v3"}
    assert found.head == "last_linear"


def _three():
    network = network_of(find_model("timm:inception_v3"), num_classes=3)
    return network, random_params(network)


def test_what_may_be_two_functions_is_not_chosen(tmp_path):
    saved(tmp_path / "in.npz", FID, classes=1008, without=("fc.weight", "fc.bias"))
    with pytest.raises(WeightsError, match=f"cannot tell .* of {FID} and of timm:inception_v3"):
        googlenet.convert(tmp_path / "in.npz", tmp_path / "out.safetensors")
    from googlenet.weights.formats import read_weights_file

    with pytest.raises(AmbiguousWeights) as caught:
        reopen_weights(read_weights_file(tmp_path / "in.npz"))
    assert caught.value.models == (FID, "timm:inception_v3")


# Mistakes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"library": "caffe:googlenet"}, BackendError, "`library`: files of 'caffe' are read, but"),
        ({"library": "keras:vgg"}, UnknownNameError, "expected one of keras:inception_v3"),
        (
            {"library": "timm:inception_v3", "framework": "torch"},
            BackendError,
            "`framework`: a library's files are its own framework's",
        ),
    ],
)
def test_libraries_that_are_not_written(tmp_path, arguments, error, message):
    saved(tmp_path / "in.npz", "torchvision:googlenet")
    with pytest.raises(error, match=message):
        googlenet.convert(tmp_path / "in.npz", tmp_path / "out.pt", **arguments)
    assert not (tmp_path / "out.pt").exists()


def test_one_logit_is_no_softmax_of_one():
    network = get_network("googlenet", num_classes=1, input_shape=(1, 32, 32))
    outputs = {"logits": np.array([[0.0], [2.0], [-800.0]], np.float32)}
    found = Prediction(network, "numpy", ("a", "b", "c"), outputs, ("yes",), "unit")
    assert found.probabilities.ravel() == pytest.approx([0.5, 1 / (1 + np.exp(-2)), 0])
    assert found.top()[1][0].probability == pytest.approx(0.8807970779778823)


# Expected logits ----------------------------------------------------------------------------------


def test_the_distance_from_expected_logits():
    expected = np.array([[0.0, 2.0], [4.0, 6.0]])
    found = distance_from(expected, np.array([[0.0, 2.0], [4.5, 4.25]], np.float32))
    assert (found.largest, found.agreeing, found.count, found.allowed) == (1.75, 1, 2, False)
    assert found.share == pytest.approx(1.75 / np.sqrt(5))
    assert distance_from(expected, expected.astype(np.float32)).allowed
    with pytest.raises(DataError, match=r"shape \(2, 2\), expected \(2, 3\)"):
        distance_from(expected, np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 3, 4), np.float32), r"expected logits of shape \(N, classes\), got float32"),
        (np.zeros((2, 3), np.int64), "got int64"),
        (np.full((2, 3), np.nan), "expected finite logits"),
    ],
)
def test_what_are_no_logits(tmp_path, array, message):
    np.save(tmp_path / "logits.npy", array)
    with pytest.raises(DataError, match=message):
        expected_logits(tmp_path / "logits.npy")


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """`googlenet predict` on arrays: a function of further arguments, which returns the exit code
    and what was printed.
    """
    from googlenet.cli import main

    network = get_network("googlenet", num_classes=3, input_shape=(1, 32, 32))
    googlenet.save_params(tmp_path / "w.safetensors", network, random_params(network))
    np.save(tmp_path / "x.npy", random_images(network, batch=2))
    given = ["--npy", str(tmp_path / "x.npy"), "--weights", str(tmp_path / "w.safetensors")]

    def command(*more):
        monkeypatch.setattr("sys.argv", ["googlenet", "predict", *given, *more])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr()

    return command


def test_the_command_says_how_far_logits_are(tmp_path, run):
    assert run("--out", str(tmp_path / "y.npy"))[0] in (0, None)
    code, said = run("--expect", str(tmp_path / "y.npy"), "--json")
    assert code in (0, None)
    assert json.loads(said.out)["distance"]["largest"] == 0
    np.save(tmp_path / "y.npy", 1.01 * np.load(tmp_path / "y.npy"))
    code, said = run("--expect", str(tmp_path / "y.npy"))
    assert code == 1
    assert "the same class for 2 of 2" in said.out


def test_arrays_for_a_model_that_changes_its_images_are_told(tmp_path, run, monkeypatch):
    """Of a graph with torchvision's `transform_input` the network here is what comes behind it."""
    assert "transform_input" not in run("--out", str(tmp_path / "y.npy"))[1].err
    opened = predict.open_weights
    monkeypatch.setattr(
        predict, "open_weights", lambda *a, **k: replace(opened(*a, **k), transforms=True)
    )
    told = run("--out", str(tmp_path / "y.npy"))[1].err
    assert "its graph has transform_input, which changes images first" in " ".join(told.split())
