"""What is inside a weights file: prefixes, several models, native names of every framework, and
classifiers of another name or number of classes.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import googlenet
from googlenet import WeightsError, get_network, init_params, param_specs
from googlenet.spec.diff import differences
from googlenet.spec.params import classifier_paths
from googlenet.spec.same import same_in_evaluation
from googlenet.weights.formats import WeightsFile
from googlenet.weights.zoo import entries, find_model, import_weights, load_weights, network_of
from googlenet.weights.zoo.models import namings
from googlenet.weights.zoo.own import own_models
from googlenet.weights.zoo.reopen import open_weights

NAME = "torchvision:googlenet"


def arrays_of(model, *, aux=False, seed=0, num_classes=7):
    """Arrays of a model by its own names and layouts, each with values of its own, and ours."""
    network = network_of(model, aux=aux, num_classes=num_classes)
    params = init_params(network, seed=seed)
    params = {
        path: array if array.any() and (array != 1).any() else array + np.float32(seed + 2)
        for path, array in params.items()
    }
    native = {
        entry.names[0]: np.ascontiguousarray(entry.to_native(params[entry.path]))
        for entry in entries(model, network)
    }
    return native, params


def file_of(arrays, format="PyTorch checkpoint"):
    return WeightsFile(Path("weights"), format, dict(arrays), {})


def prefixed(arrays, prefix):
    return {f"{prefix}{name}": array for name, array in arrays.items()}


def same(found, expected):
    return found.keys() == expected.keys() and all(
        np.array_equal(found[name], expected[name]) for name in expected
    )


@pytest.fixture(scope="module")
def zoo():
    return arrays_of(find_model(NAME))


@pytest.fixture(scope="module")
def other():
    return arrays_of(find_model(NAME), seed=1)


# Prefixes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "backbone.", "network.", "_layers.", "a.b/c."],
)
def test_any_prefix_is_taken_away(zoo, prefix):
    arrays, params = zoo
    extra = {"projector.0.weight": np.ones((3, 4), np.float32), "step": np.ones(1)}
    found = import_weights(file_of(prefixed(arrays, prefix) | extra), NAME)
    assert same(found.params, params)
    assert found.left_over == list(extra)


def test_wrappers_in_the_middle_of_names(zoo):
    arrays, params = zoo
    renamed = {
        name.replace("inception4a.", "inception4a._orig_mod."): array
        for name, array in arrays.items()
    }
    assert same(import_weights(file_of(renamed), NAME).params, params)


def test_of_several_models_a_key_chooses_one(zoo, other):
    both = prefixed(zoo[0], "model.") | prefixed(other[0], "model_ema.module.")
    with pytest.raises(
        WeightsError,
        match=r"'model' \(287 arrays\) and 'model_ema\.module' \(287 arrays\).*`key=model`",
    ):
        import_weights(file_of(both), NAME)
    for key, params in (("model", zoo[1]), ("model_ema", other[1]), ("model_ema.module", other[1])):
        found = import_weights(file_of(both), NAME, key=key)
        assert same(found.params, params)
        assert len(found.left_over) == len(zoo[0])
    with pytest.raises(WeightsError, match=r"`key=ema` holds no weights .* has 'model' \(287\)"):
        import_weights(file_of(both), NAME, key="ema")


def test_own_names_beside_a_prefixed_copy_are_another_model(zoo, other):
    """A student and its teacher: neither is taken without a word."""
    both = zoo[0] | prefixed(other[0], "teacher.")
    with pytest.raises(WeightsError, match=r"'teacher' .*or with an empty `key` its own names"):
        import_weights(file_of(both), NAME)
    assert same(import_weights(file_of(both), NAME, key="teacher").params, other[1])
    assert same(import_weights(file_of(both), NAME, key="").params, zoo[1])


@pytest.mark.parametrize("key", ["checkpoint", "checkpoint.model", "checkpoint.model.ema", None])
def test_a_key_may_name_what_the_reader_has_taken_away(zoo, key):
    unwrapped = WeightsFile(
        Path("a.pt"),
        "PyTorch checkpoint",
        prefixed(zoo[0], "ema." if key and key.endswith("ema") else ""),
        {"unwrapped": "checkpoint.model"},
    )
    assert same(import_weights(unwrapped, NAME, key=key).params, zoo[1])


def test_a_model_saved_twice_is_one_and_an_optimiser_is_none(zoo, other):
    twice = prefixed(zoo[0], "model.") | prefixed(zoo[0], "best.")
    assert same(import_weights(file_of(twice), NAME).params, zoo[1])
    moments = zoo[0] | prefixed(other[0], "moment1.")
    assert same(import_weights(file_of(moments), NAME).params, zoo[1])


def test_keys_are_shown_where_nothing_fits():
    arrays = {f"encoder.{index}.w": np.ones(3, np.float32) for index in range(5)}
    with pytest.raises(WeightsError, match=r"names begin with 'encoder' \(5\), 'bias' \(1\)"):
        import_weights(file_of(arrays | {"bias": np.ones(2, np.float32)}), NAME)


@pytest.mark.parametrize("aux", [False, True])
def test_gluoncvs_googlenet_saved_by_collect_params(aux):
    """Its dense layers are numbered in their order, so the classifier's number tells of heads."""
    plain, heads = namings("gluoncv:googlenet")[1:]
    arrays, params = arrays_of(heads if aux else plain, aux=aux)
    assert f"dense{4 if aux else 0}_weight" in arrays
    found = import_weights(file_of(prefixed(arrays, "googlenet0_")), "gluoncv:googlenet")
    assert same(found.params, params)
    assert found.left_over == []


# Names of native models ---------------------------------------------------------------------------

FORMATS = {
    "torch": "PyTorch checkpoint",
    "paddle": "Paddle parameters",
    "tensorflow": "Keras 3 weights",
    "mxnet": "MXNet parameters",
    "mindspore": "MindSpore checkpoint",
    "jax": "Flax parameters",
}


@pytest.mark.parametrize("framework", FORMATS)
@pytest.mark.parametrize("network", ["googlenet_bn", "alexnet"])
def test_native_names_of_every_framework(framework, network, monkeypatch):
    """AlexNet has dense layers on a map, and a square one, whose layout only the format tells."""
    model = next(each for each in own_models(network) if each.zoo == framework)
    arrays, params = arrays_of(model)
    file = file_of(prefixed(arrays, "net."), FORMATS[framework])
    assert same(open_weights(file, network).params, params)
    monkeypatch.setattr("googlenet.weights.zoo.load.read_weights_file", lambda path: file)
    assert same(load_weights("weights", network_of(model, num_classes=7)), params)


def test_a_network_is_known_by_its_arrays_if_only_one_has_them():
    arrays, params = arrays_of(own_models("googlenet_bn")[2])
    found = open_weights(file_of(arrays))
    assert found.network == get_network("googlenet_bn", num_classes=7)
    assert same(found.params, params)
    arrays, _ = arrays_of(own_models("timm:inception_v4")[0])
    with pytest.raises(WeightsError, match="mindcv:inception_v4, which compute different things"):
        open_weights(file_of(arrays))


def test_get_model_takes_the_names_of_its_own_zoo(zoo, tmp_path):
    arrays, params = zoo
    np.savez(tmp_path / "zoo.npz", **prefixed(arrays, "model."))
    network = get_network("torchvision:googlenet_paper", num_classes=7)
    assert same(load_weights(tmp_path / "zoo.npz", network), params)


# Second namings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "inception30_"])
@pytest.mark.parametrize("name", ["gluon:inception_v3", "gluoncv:inception_v3"])
def test_collected_names_of_gluon(name, prefix):
    today, collected = namings(name)
    arrays, params = arrays_of(collected)
    assert {"conv0_weight", "E2_batchnorm8_running_var", "dense0_bias"} <= set(arrays)
    assert collected.network == today.network
    found = import_weights(file_of(prefixed(arrays, prefix), "MXNet parameters"), name)
    assert same(found.params, params)


@pytest.mark.parametrize(
    ("index", "format"),
    [(0, "PyTorch checkpoint"), (1, "MXNet parameters"), (2, "Paddle parameters")],
)
@pytest.mark.parametrize("prefix", ["", "net."])
def test_names_of_the_book(index, format, prefix):
    model = namings("d2l:googlenet")[index]
    arrays, params = arrays_of(model)
    assert ("1.1.weight" in arrays) == (index == 1)
    assert arrays["5.weight"].shape == ((1024, 7) if index == 2 else (7, 1024))
    present = {name.replace(".p", ".b"): array for name, array in arrays.items()}
    for named in (arrays, present):
        found = import_weights(file_of(prefixed(named, prefix), format), "d2l:googlenet")
        assert same(found.params, params)
        assert found.network.name == "googlenet"


BOOK = ("d2l_tensorflow:googlenet", "d2l_tensorflow:googlenet_padded")


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("prefix", ["", "net/", "params/"])
def test_a_file_of_the_book_in_tensorflow_does_not_say_how_it_pads(index, prefix):
    arrays, params = arrays_of(namings(BOOK[0])[index])
    file = file_of(prefixed(arrays, prefix), "Keras 3 weights")
    for name, network in zip(BOOK, ("d2l_tensorflow:googlenet", "googlenet"), strict=True):
        found = import_weights(file, name)
        assert (found.network.name, found.left_over) == (network, [])
        assert same(found.params, params)
    with pytest.raises(WeightsError, match=f"{BOOK[0]} and of {BOOK[1]}, which compute different"):
        open_weights(file)
    for name in ("d2l:googlenet", "googlenet"):
        with pytest.raises(WeightsError, match="is missing"):
            import_weights(file, name)


def test_layers_of_the_book_are_counted_on_and_stand_in_blocks():
    arrays, params = arrays_of(find_model(BOOK[0]))

    def renamed(name):
        module, _, last = name.partition("/")
        base, _, number = module.partition("_")
        count = int(number or 0)
        block = "sequential_2/inception_9/" if count > 2 else "sequential_7/"
        variable = {"kernel": "0", "bias": "1"}[last] if block.count("/") > 1 else last
        return f"{block if base == 'conv2d' else ''}{base}_{57 + count}/{variable}"

    file = file_of({renamed(name): array for name, array in arrays.items()}, "Keras 3 weights")
    assert "sequential_2/inception_9/conv2d_60/0" in file.arrays
    assert same(import_weights(file, BOOK[0]).params, params)
    twice = {f"{block}/{name}": array for block in "ab" for name, array in arrays.items()}
    twice["a/dense/bias"] = twice["a/dense/bias"] + 1
    with pytest.raises(WeightsError, match=r"several models that fit: 'a' .* and 'b'"):
        import_weights(file_of(twice, "Keras 3 weights"), BOOK[0])


def test_the_book_pads_otherwise_in_tensorflow():
    plain, same_padding = (get_network(name) for name in ("googlenet", BOOK[0]))
    found = differences(plain, same_padding)
    assert {each.path for each in found if each.words} == {
        "b1.conv.conv",
        *(f"{block}.pool" for block in ("b1", "b2", "b3", "b4")),
    }
    odd = [get_network(name, input_shape=(1, 97, 97)) for name in ("googlenet", BOOK[0])]
    assert same_in_evaluation(*odd)
    assert not same_in_evaluation(plain, same_padding)


def test_the_book_pads_otherwise_in_mindspore():
    arrays, _ = arrays_of(find_model("d2l:googlenet"))
    for name in ("d2l:googlenet", "googlenet"):
        with pytest.raises(WeightsError, match="pads otherwise in MindSpore"):
            import_weights(file_of(arrays, "MindSpore checkpoint"), name)


def test_a_dense_layer_may_be_a_convolution_of_ours():
    arrays, params = arrays_of(find_model("facenet_pytorch:inception_resnet_v1"))
    arrays["last_linear.weight"] = arrays["last_linear.weight"][:, :, 0, 0]
    found = import_weights(file_of(arrays), "facenet_pytorch:inception_resnet_v1")
    assert same(found.params, params)


@pytest.mark.parametrize("prefix", ["", "layers/functional/"])
@pytest.mark.parametrize("name", ["keras:inception_v3", "keras:inception_resnet_v2"])
def test_keras_files_without_the_names_of_layers(name, prefix):
    """As Keras 2.13 wrote them: by class, in the order of `model.layers`."""
    model = find_model(name)
    arrays, params = arrays_of(model)
    modules = list(dict.fromkeys(each.rpartition("/")[0] for each in arrays))
    kernels = {each: arrays[f"{each}/kernel"] for each in modules if f"{each}/kernel" in arrays}
    convolutions = [each for each, kernel in kernels.items() if kernel.ndim == 4]
    followed = [each for each in modules if f"{each}/moving_mean" in arrays]
    biased = {each for each in convolutions if f"{each}/bias" in arrays}
    norms = iter(followed)
    norm_of = {each: next(norms) for each in convolutions if each not in biased}
    ordered = [convolutions[index] for index in model.order]
    groups = {
        "conv2d": ordered,
        "batch_normalization": [norm_of[each] for each in ordered if each in norm_of],
        "dense": ["predictions"],
    }
    unnamed = {}
    for kind, layers in groups.items():
        for number, layer in enumerate(layers):
            of_layer = [each for each in arrays if each.rpartition("/")[0] == layer]
            for index, each in enumerate(of_layer):
                group = f"{kind}_{number}" if number else kind
                unnamed[f"{prefix}layers/{group}/vars/{index}"] = arrays[each]
    assert len(unnamed) == len(arrays)
    file = file_of(unnamed, "Keras 3 weights")
    with pytest.raises(WeightsError, match="`head=dense`"):
        import_weights(file, name)
    assert same(import_weights(file, name, head="dense").params, params)


# Classifiers --------------------------------------------------------------------------------------


def with_head(arrays, **modules):
    """`arrays` with these modules, (weight, bias) each, instead of `fc`."""
    kept = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    for module, (weight, bias) in modules.items():
        kept |= {f"{module}.weight": weight, f"{module}.bias": bias}
    return kept


@pytest.mark.parametrize("name", ["last_linear", "fc.1", "classifier", "head.fc", "fc.net.0"])
def test_a_classifier_of_another_name_is_taken(zoo, name):
    arrays, params = zoo
    head = {name: (arrays["fc.weight"], arrays["fc.bias"])}
    found = import_weights(
        file_of(with_head(arrays, **head)), NAME, head=None if "net" not in name else name
    )
    assert same(found.params, params)
    assert (found.head, found.left_over) == (name, [])


def test_a_classifier_beside_the_backbone(zoo):
    arrays, params = zoo
    head = {"classifier": (arrays["fc.weight"], arrays["fc.bias"])}
    file = file_of(with_head(prefixed(with_head(arrays), "backbone."), **head))
    found = import_weights(file, NAME)
    assert same(found.params, params)
    assert (found.head, found.key) == ("classifier", "backbone")


def test_classifiers_that_are_not_taken_unasked(zoo):
    arrays, params = zoo
    own = with_head(arrays, dense=(arrays["fc.weight"], arrays["fc.bias"]))
    with pytest.raises(WeightsError, match=r"may be 'dense' \(1,024 → 7\); .* `head=dense`"):
        import_weights(file_of(own), NAME)
    assert same(import_weights(file_of(own), NAME, head="dense").params, params)
    with pytest.raises(WeightsError, match=r"has no classifier: 'fc\.weight' .* `new_head`"):
        import_weights(file_of(with_head(arrays)), NAME)
    ones = np.ones((5, 1024), np.float32), np.ones(5, np.float32)
    last = np.ones((3, 5), np.float32), np.ones(3, np.float32)
    several = with_head(arrays, **{"fc.0": ones, "fc.3": last})
    for head in (None, "fc.0", "fc.3"):
        with pytest.raises(
            WeightsError, match=r"'fc\.0' \(1,024 → 5\) and 'fc\.3' \(5 → 3\), expected one"
        ):
            import_weights(file_of(several), NAME, head=head)


@pytest.mark.parametrize("own", [True, False], ids=["our names", "the library's"])
def test_auxiliary_heads_on_one_side_only(tmp_path, own):
    plain, both = (network_of(find_model(NAME), aux=aux, num_classes=7) for aux in (False, True))
    for network in (plain, both):
        arrays, params = arrays_of(find_model(NAME), aux=network is both)
        path = tmp_path / f"{len(network.outputs)}.safetensors"
        if own:
            googlenet.save_params(path, network, params)
        else:
            path = path.with_suffix(".npz")
            np.savez(path, **arrays)
        lines = []
        found = load_weights(path, plain, tell=lines.append)
        assert same(found, {each: params[each] for each in param_specs(plain)})
        assert ["aux1" in line for line in lines] == [True] * (network is both)
    one = next(tmp_path.glob("1.*"))
    missing = r"has no auxiliary heads, which '.*' was asked to have; leave out `aux`$"
    with pytest.raises(WeightsError, match=missing):
        load_weights(one, both)
    with pytest.raises(WeightsError, match=missing):
        googlenet.convert(one, tmp_path / "x.safetensors", model=None if own else NAME, aux=True)


def test_auxiliary_heads_of_a_native_file(tmp_path):
    network = get_network("torchvision:googlenet", num_classes=7)
    np.savez(tmp_path / "native.npz", **init_params(network, seed=0))
    both = get_network("torchvision:googlenet", num_classes=7, aux=True)
    with pytest.raises(WeightsError, match="has no auxiliary heads, which"):
        load_weights(tmp_path / "native.npz", both)


def test_auxiliary_heads_of_other_classes():
    arrays, _ = arrays_of(find_model(NAME), aux=True)
    for name in ("aux1.fc2", "aux2.fc2"):
        arrays |= {f"{name}.weight": np.ones((1000, 1024), np.float32)}
        arrays |= {f"{name}.bias": np.ones(1000, np.float32)}
    with pytest.raises(WeightsError, match=r"has 1,000 classes, but .* 7; .* `aux=False`"):
        import_weights(file_of(arrays), NAME)
    found = import_weights(file_of(arrays), NAME, aux=False)
    assert "aux1.fc2.weight" in found.left_over


def test_a_bias_before_batch_norm_is_folded_in(zoo):
    arrays, params = zoo
    bias = np.linspace(-1, 1, 192, dtype=np.float32)
    found = import_weights(file_of(arrays | {"conv3.conv.bias": bias}), NAME)
    path = "b2.conv.norm.running_mean"
    assert np.array_equal(found.params[path], params[path] - bias)
    assert same({**found.params, path: params[path]}, params)
    assert found.left_over == []


def test_bfloat16_in_uint16(zoo):
    arrays, params = zoo
    halves = {
        name: (array.view(np.uint32) >> 16).astype(np.uint16) for name, array in arrays.items()
    }
    found = import_weights(file_of(halves, "Paddle parameters"), NAME)
    for path, array in params.items():
        cut = (array.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
        assert np.array_equal(found.params[path], cut)


def test_a_new_classifier(tmp_path):
    arrays, params = arrays_of(own_models("googlenet_bn")[0])
    np.savez(tmp_path / "seven.npz", **arrays)
    network = get_network("googlenet_bn", num_classes=3)
    found = load_weights(tmp_path / "seven.npz", network, new_head=5)
    fresh = classifier_paths(network)
    assert fresh == ["head.dense.weight", "head.dense.bias"]
    drawn = init_params(network, seed=5)
    expected = {
        path: drawn[path] if path in fresh else params[path] for path in param_specs(network)
    }
    assert same(found, expected)
    with pytest.raises(WeightsError, match=r"has 7 classes, and the network 3; .*`new_head`"):
        load_weights(tmp_path / "seven.npz", network)


ONE, SQUARE = np.ones(1024, np.float32), np.ones((1024, 1024), np.float32)


@pytest.mark.parametrize(
    ("layers", "head"),
    [
        ({"fc.0.weight": ONE, "fc.0.bias": ONE}, "fc.1"),
        ({"fc.0.weight": ONE, "fc.0.running_mean": ONE}, "fc.1"),
        ({"fc.0.weight": SQUARE, "fc.0.bias": ONE}, "fc.2"),
        ({"head.norm.weight": ONE, "head.norm.bias": ONE}, "head.fc"),
        ({"my_norm.weight": ONE, "my_norm.bias": ONE}, "mine"),
    ],
    ids=["layer norm", "batch norm", "dense", "a norm by name", "a norm beside it"],
)
@pytest.mark.parametrize("asked", [True, False])
def test_a_classifier_with_another_layer_in_it_is_never_taken(zoo, layers, head, asked):
    """Neither by itself, nor if it is asked for: what comes before it is not in the network."""
    kept = {name: array for name, array in zoo[0].items() if not name.startswith("fc.")}
    dense = {f"{head}.{role}": zoo[0][f"fc.{role}"] for role in ("weight", "bias")}
    with pytest.raises(WeightsError, match=r"(of several layers|not all of the cl).*`new_head`"):
        import_weights(file_of(kept | layers | dense), NAME, head=head if asked else None)


def test_classifiers_side_by_side_are_chosen_from(zoo):
    arrays = {name: array for name, array in zoo[0].items() if not name.startswith("fc.")}
    arrays |= {f"heads.1.{kind}": zoo[0][f"fc.{kind}"] for kind in ("weight", "bias")}
    arrays |= {"heads.0.weight": np.ones((3, 1024), np.float32), "heads.0.bias": np.ones(3, "f4")}
    found = import_weights(file_of(arrays), NAME, head="heads.1")
    assert np.array_equal(found.params["head.dense.weight"], zoo[1]["head.dense.weight"])


def test_a_classifier_without_a_bias(zoo):
    arrays, params = zoo
    kept = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    found = import_weights(file_of(kept | {"fc.0.weight": arrays["fc.weight"]}), NAME)
    assert found.head == "fc.0"
    assert found.left_over == []
    assert not found.params["head.dense.bias"].any()
    assert same(found.params, params | {"head.dense.bias": np.zeros(7, np.float32)})


def test_the_classifiers_of_auxiliary_heads():
    network = get_network("torchvision:googlenet_paper", aux=True)
    heads = ("b4.aux1.dense", "b4.aux2.dense", "head.dense")
    assert classifier_paths(network) == [
        f"{head}.{name}" for head in heads for name in ("weight", "bias")
    ]


# Arguments and options ----------------------------------------------------------------------------


def test_arguments_that_need_a_file():
    for given in ({"key": "model"}, {"head": "fc"}):
        with pytest.raises(WeightsError, match=f"^`{next(iter(given))}`: applies only to a file"):
            googlenet.parity("googlenet", "numpy", **given)


def test_the_command_says_which_option(zoo, other, tmp_path):
    both = prefixed(zoo[0], "model.") | prefixed(other[0], "model_ema.")
    np.savez(tmp_path / "both.npz", **both)
    command = [sys.executable, "-m", "googlenet", "convert", tmp_path / "both.npz"]
    command += [tmp_path / "out.safetensors", "--from", NAME]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "choose one, as with --key model\n" in done.stderr
    done = subprocess.run([*command, "--key", "model_ema"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "under 'model_ema'" in done.stdout


def test_arrays_that_are_not_used_are_named(tmp_path, recwarn):
    arrays, params = arrays_of(own_models("googlenet_bn")[0])
    counters = {"b1.conv.norm.num_batches_tracked": np.array(3)}
    network = get_network("googlenet_bn", num_classes=7)
    np.savez(tmp_path / "plain.npz", **arrays | counters)
    googlenet.get_model(network, "numpy", weights=tmp_path / "plain.npz")
    assert not recwarn
    more = {f"attention.{index}.weight": np.ones(3, np.float32) for index in range(6)}
    np.savez(tmp_path / "more.npz", **arrays | counters | more)
    with pytest.warns(UserWarning, match=r"used: 'attention\.0\.weight'.* and 1 more") as said:
        model = googlenet.get_model(network, "numpy", weights=tmp_path / "more.npz")
    assert said[0].filename == __file__
    assert same(googlenet.reference.params_of(model), params)
