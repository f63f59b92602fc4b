"""What each framework saves with its own functions is read without it: every name and every bit.

The framework is named by `GOOGLENET_FRAMEWORK`; the tests of the others are not collected, so that
none has to be skipped.
"""

import contextlib

import numpy as np
import pytest

from googlenet.errors import WeightsError
from googlenet.weights.formats import read_weights_file

from ..named import named_framework

FRAMEWORK = named_framework()
RNG = np.random.default_rng(0)

# No two axes alike.
ARRAYS = {
    "conv.weight": RNG.standard_normal((5, 3, 2, 4)).astype(np.float32),
    "conv.bias": RNG.standard_normal(5).astype(np.float32),
    "dense.weight": RNG.standard_normal((300, 71)).astype(np.float32),
    "dense.half": RNG.standard_normal((7, 6)).astype(np.float16),
    "dense.double": RNG.standard_normal((2, 9)),
    "norm.steps": np.arange(6, dtype=np.int64).reshape(2, 3),
}


def check(path, expected, format=None):
    found = read_weights_file(path)
    assert format in (None, found.format)
    assert list(found.arrays) == list(expected)
    for name, array in expected.items():
        array = np.asarray(array)
        assert found.arrays[name].shape == array.shape, name
        assert found.arrays[name].dtype == array.dtype, name
        assert found.arrays[name].tobytes() == array.tobytes(), name
    return found


def test_this_environment_has_tests(framework):
    assert framework == FRAMEWORK
    assert any(name.startswith(f"test_{FRAMEWORK}") for name in globals())


if FRAMEWORK == "numpy":

    def test_numpy_savez(tmp_path):
        np.savez(tmp_path / "a.npz", **ARRAYS)
        check(tmp_path / "a.npz", ARRAYS, "NumPy archive")


if FRAMEWORK == "onnx":
    import onnx

    @pytest.mark.parametrize("beside", [False, True], ids=["in one file", "arrays beside it"])
    def test_onnx_save_model(beside, tmp_path):
        held = [onnx.numpy_helper.from_array(array, name) for name, array in ARRAYS.items()]
        nodes = [
            onnx.helper.make_node("Identity", [name], [f"out.{name}"], name=name) for name in ARRAYS
        ]
        outputs = [
            onnx.helper.make_tensor_value_info(f"out.{each.name}", each.data_type, each.dims)
            for each in held
        ]
        model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], outputs, held))
        path = tmp_path / "a.onnx"
        onnx.save_model(model, path, save_as_external_data=beside, size_threshold=0)
        assert (len(list(tmp_path.iterdir())) > 1) == beside
        check(path, ARRAYS, "ONNX model")


if FRAMEWORK == "torch":
    import torch

    ZIP = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
    FORMATS = {True: "PyTorch checkpoint", False: "PyTorch checkpoint (before 1.6)"}

    def network():
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 5, (2, 4)), torch.nn.BatchNorm2d(5), torch.nn.Linear(7, 6)
        )

    def values(state):
        return {name: tensor.detach().numpy() for name, tensor in state.items()}

    @ZIP
    @pytest.mark.parametrize("protocol", [2, 4])
    def test_torch_state_dict(zipped, protocol, tmp_path):
        state = network().state_dict()
        torch.save(
            state,
            tmp_path / "a.pth",
            pickle_protocol=protocol,
            _use_new_zipfile_serialization=zipped,
        )
        check(tmp_path / "a.pth", values(state), FORMATS[zipped])
        assert "1.num_batches_tracked" in state

    @ZIP
    def test_torch_dtypes_views_and_shared_storages(zipped, tmp_path):
        base = torch.arange(60.0).reshape(3, 4, 5)
        state = {name: torch.from_numpy(array) for name, array in ARRAYS.items()}
        state |= {
            "base": base,
            "transposed": base.permute(2, 0, 1),
            "part": base[1:, ::2, 1:3],
            "scalar": base[2, 3, 4],
        }
        state |= {
            "expanded": base[0, 0].expand(7, 5),
            "none": torch.zeros(0, 3),
            "flags": base[0] > 3,
            "complex": torch.ones(3) * 2j,
        }
        state |= {
            "parameter": torch.nn.Parameter(base[0].t()),
            "last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        }
        torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        check(tmp_path / "a.pt", values(state), FORMATS[zipped])

    @ZIP
    def test_torch_bfloat16(zipped, tmp_path):
        state = {"w": torch.randn(3, 5).to(torch.bfloat16).t()}
        torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        check(tmp_path / "a.pt", values({"w": state["w"].float()}))

    @ZIP
    def test_torch_training_checkpoint(zipped, tmp_path):
        model = network()
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(2, 3, 5, 10)).sum().backward()
        optimizer.step()
        state = {f"module.{name}": value for name, value in model.state_dict().items()}
        checkpoint = {
            "epoch": 3,
            "state_dict": state,
            "optimizer": optimizer.state_dict(),
            "size": torch.Size([2, 3]),
            "type": torch.half,
        }
        torch.save(checkpoint, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        found = check(tmp_path / "a.pt", values(model.state_dict()))
        assert found.metadata == {"unwrapped": "state_dict", "removed_prefix": "module."}

    @ZIP
    def test_torch_whole_models_are_refused(zipped, tmp_path):
        torch.save(network(), tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            WeightsError,
            match=r"asks for 'torch\.nn\.modules\.container\.Sequential'.*state_dict\(\)",
        ):
            read_weights_file(tmp_path / "a.pt")

    def test_torch_refuses_lazy_negation(tmp_path):
        torch.save({"w": (torch.ones(3) * 1j).conj().imag}, tmp_path / "a.pt")
        with pytest.raises(WeightsError, match="negated"):
            read_weights_file(tmp_path / "a.pt")

    @pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
    def test_torch_refuses_torchscript(tmp_path):
        torch.jit.trace(torch.nn.Linear(7, 6), torch.ones(2, 7)).save(str(tmp_path / "a.pt"))
        with pytest.raises(WeightsError, match="TorchScript"):
            read_weights_file(tmp_path / "a.pt")

    def test_torch_safetensors(tmp_path):
        from safetensors.torch import save_file

        state = {name: torch.from_numpy(array) for name, array in ARRAYS.items()} | {
            "w": torch.randn(3, 5).to(torch.bfloat16)
        }
        save_file(state, tmp_path / "a.safetensors")
        found = read_weights_file(tmp_path / "a.safetensors")
        check(
            tmp_path / "a.safetensors",
            {
                name: values({name: state[name].float() if name == "w" else state[name]})[name]
                for name in found.arrays
            },
        )
        assert set(found.arrays) == set(state)


if FRAMEWORK == "paddle":
    import paddle

    @pytest.mark.parametrize("protocol", [2, 3, 4])
    def test_paddle_state_dict(protocol, tmp_path):
        model = paddle.nn.Sequential(
            paddle.nn.Conv2D(3, 5, (2, 4)), paddle.nn.BatchNorm2D(5), paddle.nn.Linear(7, 6)
        )
        paddle.save(model.state_dict(), str(tmp_path / "a.pdparams"), protocol=protocol)
        check(
            tmp_path / "a.pdparams",
            {name: value.numpy() for name, value in model.state_dict().items()},
            "Paddle parameters",
        )

    def test_paddle_dtypes(tmp_path):
        paddle.save(
            {name: paddle.to_tensor(array) for name, array in ARRAYS.items()},
            str(tmp_path / "a.pdparams"),
        )
        check(tmp_path / "a.pdparams", ARRAYS)

    def test_paddle_splits_what_is_large_and_we_join_it(tmp_path):
        """Paddle's own function, on an array just over its limit of 1 GiB: with protocol 2, which
        the pickle here does without.
        """
        import pickle

        from paddle.framework.io_utils import _unpack_saved_dict

        large = np.zeros((3, 2**19, 229), np.float32)
        large[2, -1, -1], large[1, 5, 7] = 3.5, -1.25
        saved = _unpack_saved_dict({"small": ARRAYS["conv.bias"], "large": large}, 2)
        assert "UnpackBigParamInfor@@" in saved
        with (tmp_path / "a.pdparams").open("wb") as file:
            pickle.dump(saved, file, 4)
        found = read_weights_file(tmp_path / "a.pdparams")
        assert list(found.arrays) == ["small", "large"]
        assert np.array_equal(found.arrays["large"], large)

    def test_paddle_layers_inside_other_things_are_found(tmp_path):
        """Paddle writes a pair of name and values for each array there."""
        layer = paddle.nn.Linear(7, 6)
        paddle.save({"model": layer.state_dict(), "epoch": 3}, str(tmp_path / "a.pdparams"))
        found = read_weights_file(tmp_path / "a.pdparams")
        assert found.metadata == {"unwrapped": "model"}
        assert set(found.arrays) == {"weight", "bias"}
        for name, values in layer.state_dict().items():
            assert np.array_equal(found.arrays[name], values.numpy())


if FRAMEWORK == "mxnet":
    import mxnet as mx
    from mxnet.gluon import nn

    @pytest.fixture(params=["np", "nd"])
    def mode(request):
        """Both modes, and afterwards the one before: the backend turns numpy's on for good."""
        before = mx.util.is_np_shape(), mx.util.is_np_array()
        mx.npx.set_np(request.param == "np", request.param == "np")
        yield request.param
        mx.npx.set_np(*before)

    @contextlib.contextmanager
    def numpy_rules():
        before = mx.util.is_np_shape(), mx.util.is_np_array()
        mx.npx.set_np()
        yield
        mx.npx.set_np(*before)

    @pytest.fixture
    def legacy():
        """MXNet's older semantics for a while: models of this project turn on NumPy's, and other
        tests make some.
        """
        before = mx.util.is_np_shape(), mx.util.is_np_array()
        mx.npx.reset_np()
        yield
        mx.npx.set_np(*before)

    def test_mxnet_save_parameters(mode, tmp_path):
        net = nn.HybridSequential()
        net.add(
            nn.Conv2D(5, (2, 4), in_channels=3),
            nn.BatchNorm(in_channels=5),
            nn.Dense(6, in_units=7),
        )
        net.initialize()
        net.save_parameters(str(tmp_path / "a.params"))
        expected = {
            name: parameter.data().asnumpy()
            for name, parameter in net._collect_params_with_prefix().items()
        }
        check(tmp_path / "a.params", expected, "MXNet parameters")
        assert {"0.weight", "1.running_var", "2.bias"} <= set(expected)

    @pytest.mark.filterwarnings(
        "ignore:Please import .csr_matrix. from:DeprecationWarning"
    )  # `nd.array` asks whether scipy made it
    @pytest.mark.usefixtures("legacy")
    def test_mxnet_nd_save(tmp_path):
        arrays = {name: mx.nd.array(array, dtype=array.dtype) for name, array in ARRAYS.items()}
        mx.nd.save(
            str(tmp_path / "a.params"), {f"arg:{name}": array for name, array in arrays.items()}
        )
        check(tmp_path / "a.params", ARRAYS)
        mx.nd.save(str(tmp_path / "b.params"), list(arrays.values()))
        check(tmp_path / "b.params", dict(zip("012345", ARRAYS.values(), strict=True)))

    def test_mxnet_npx_save_of_scalars(tmp_path):
        with numpy_rules():
            flags = np.array([[True, False, True]])
            mx.npx.save(
                str(tmp_path / "a.params"),
                {
                    "scalar": mx.np.array(2.5, dtype="float32"),
                    "flags": mx.np.array(flags, dtype="bool"),
                },
            )
        check(tmp_path / "a.params", {"scalar": np.float32(2.5), "flags": flags})

    @pytest.mark.usefixtures("legacy")
    def test_mxnet_export(tmp_path):
        net = nn.HybridSequential(prefix="net_")
        with net.name_scope():
            net.add(nn.Conv2D(5, (2, 4), in_channels=3), nn.BatchNorm(in_channels=5))
        net.initialize()
        net.hybridize()
        net(mx.nd.ones((1, 3, 8, 9)))
        net.export(str(tmp_path / "a"))
        expected = {
            name: parameter.data().asnumpy() for name, parameter in net.collect_params().items()
        }
        found = read_weights_file(tmp_path / "a-0000.params")
        check(tmp_path / "a-0000.params", {name: expected[name] for name in found.arrays})
        assert set(found.arrays) == set(expected)

    @pytest.mark.usefixtures("legacy")
    def test_mxnet_sparse_arrays_are_refused(tmp_path):
        mx.nd.save(str(tmp_path / "a.params"), {"w": mx.nd.ones((3, 4)).tostype("row_sparse")})
        with pytest.raises(WeightsError, match="sparse"):
            read_weights_file(tmp_path / "a.params")


if FRAMEWORK == "mindspore":
    import mindspore as ms
    from mindspore import nn
    from mindspore.train import serialization

    def saved(path, arrays, **options):
        ms.save_checkpoint(
            [{"name": name, "data": ms.Tensor(array)} for name, array in arrays.items()],
            str(path),
            **options,
        )

    @pytest.mark.parametrize("crc_check", [False, True])
    def test_mindspore_cell(crc_check, tmp_path):
        cell = nn.SequentialCell(
            nn.Conv2d(3, 5, (2, 4), has_bias=True), nn.BatchNorm2d(5), nn.Dense(7, 6)
        )
        ms.save_checkpoint(cell, str(tmp_path / "a.ckpt"), crc_check=crc_check)
        check(
            tmp_path / "a.ckpt",
            {name: value.asnumpy() for name, value in cell.parameters_dict().items()},
            "MindSpore checkpoint",
        )

    def test_mindspore_dtypes_scalars_and_appended_values(tmp_path):
        scalars = {"scalar": np.array(2.5, np.float32), "flag": np.array([True, False, True])}
        saved(tmp_path / "a.ckpt", ARRAYS | scalars, append_dict={"epoch": 3, "who": "me"})
        found = check(tmp_path / "a.ckpt", ARRAYS | scalars | {"epoch": np.array(3)})
        assert found.metadata == {"who": "me"}

    def test_mindspore_bfloat16(tmp_path):
        tensor = ms.Tensor(np.float32([[1.5, -2.0, 0.15625]]), ms.bfloat16)
        ms.save_checkpoint([{"name": "w", "data": tensor}], str(tmp_path / "a.ckpt"))
        check(tmp_path / "a.ckpt", {"w": np.float32([[1.5, -2.0, 0.15625]])})

    def test_mindspore_slices(tmp_path, monkeypatch):
        monkeypatch.setattr(serialization, "SLICE_SIZE", 1)  # KiB, which is 512 MiB otherwise
        saved(tmp_path / "a.ckpt", ARRAYS)
        assert (tmp_path / "a.ckpt").read_bytes().count(b"dense.weight") > 50
        check(tmp_path / "a.ckpt", ARRAYS)

    @pytest.mark.parametrize("mode", ["AES-GCM", "AES-CBC", "SM4-CBC"])
    def test_mindspore_encrypted(mode, tmp_path):
        saved(tmp_path / "a.ckpt", ARRAYS, enc_key=b"0123456789abcdef", enc_mode=mode)
        with pytest.raises(WeightsError, match="encrypted"):
            read_weights_file(tmp_path / "a.ckpt")


if FRAMEWORK == "tensorflow":
    import keras

    # Keras's own conversion of a variable to numpy, on numpy 2.
    pytestmark = pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    )

    def model():
        """Layers whose names are not in the order in which the file counts them."""
        keras.backend.clear_session()
        inputs = keras.Input((9, 8, 3))
        stem = keras.layers.Conv2D(4, (3, 2), name="stem")(inputs)
        norm = keras.layers.BatchNormalization(scale=False)(stem)
        first = keras.layers.Conv2D(5, 1)(norm)
        second = keras.layers.BatchNormalization()(keras.layers.Conv2D(6, 1, use_bias=False)(norm))
        pooled = keras.layers.GlobalAveragePooling2D()(
            keras.layers.Dropout(0.3)(keras.layers.Concatenate()([second, first]))
        )
        built = keras.Model(inputs, keras.layers.Dense(7, name="predictions")(pooled))
        for variable in built.weights:
            variable.assign(
                np.random.default_rng(len(variable.path)).standard_normal(variable.shape)
            )
        return built

    def expected(built, beta="beta"):
        """Values by `<layer>/<variable>`; `beta` is that of the batch norm without scale."""
        values = {variable.path: variable.numpy() for variable in built.weights}
        return {
            name.replace("batch_normalization/beta", f"batch_normalization/{beta}"): value
            for name, value in values.items()
        }

    def same(path, values, format):
        found = read_weights_file(path)
        check(path, {name: values[name] for name in found.arrays}, format)
        assert set(found.arrays) == set(values)

    def test_tensorflow_names_and_numbers_of_layers_differ_here():
        convs = [layer.name for layer in model().layers if isinstance(layer, keras.layers.Conv2D)]
        assert convs != sorted(convs)

    def test_tensorflow_keras3_weights(tmp_path):
        built = model()
        built.save_weights(tmp_path / "a.weights.h5")
        same(tmp_path / "a.weights.h5", expected(built, beta="0"), "Keras 3 weights")

    @pytest.mark.parametrize("trained", [False, True])
    def test_tensorflow_keras3_model(trained, tmp_path):
        built = model()
        if trained:
            built.compile("adam", "mse")
            built.fit(np.zeros((2, 9, 8, 3)), np.zeros((2, 7)), verbose=0)
        built.save(tmp_path / "a.keras")
        same(tmp_path / "a.keras", expected(built, beta="0"), "Keras 3 model")

    @pytest.mark.parametrize("trained", [False, True])
    def test_tensorflow_legacy_model(trained, tmp_path):
        """Keras 3 still writes these, and warns of it by its logger alone."""
        built = model()
        if trained:
            built.compile("adam", "mse")
            built.fit(np.zeros((2, 9, 8, 3)), np.zeros((2, 7)), verbose=0)
        built.save(tmp_path / "a.h5")
        check(
            tmp_path / "a.h5",
            {
                variable.path: variable.numpy()
                for layer in built.layers
                for variable in layer.weights
            },
            "Keras legacy weights",
        )
        assert set(read_weights_file(tmp_path / "a.h5").arrays) == set(expected(built))

    def test_tensorflow_legacy_weights_alone(tmp_path):
        """Keras 3 has no public function that writes them; the one of which `save` writes them into
        a model is the same.
        """
        import h5py
        from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

        built = model()
        with h5py.File(tmp_path / "a.h5", "w") as file:
            save_weights_to_hdf5_group(file, built)
        same(tmp_path / "a.h5", expected(built), "Keras legacy weights")

    def test_tensorflow_sequential_and_bfloat16(tmp_path):
        keras.backend.clear_session()
        built = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(2, dtype="bfloat16", name="first"),
                keras.layers.Dense(5, name="second"),
            ]
        )
        values = {
            "/".join(v.path.split("/")[-2:]): np.asarray(keras.ops.cast(v, "float32"))
            for v in built.variables
        }
        built.save(tmp_path / "a.h5")
        same(tmp_path / "a.h5", values, "Keras legacy weights")
        built.save_weights(tmp_path / "a.weights.h5")
        same(tmp_path / "a.weights.h5", values, "Keras 3 weights")

    def test_tensorflow_inner_models(tmp_path):
        keras.backend.clear_session()
        inner = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(2, name="inside"), keras.layers.Dense(4)],
            name="inner",
        )
        built = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(5, name="outside")])
        built.save_weights(tmp_path / "a.weights.h5")
        assert set(read_weights_file(tmp_path / "a.weights.h5").arrays) == {
            f"{layer}/{variable}"
            for layer in ("inside", "dense", "outside")
            for variable in ("kernel", "bias")
        }
        built.save(tmp_path / "a.h5")
        assert set(read_weights_file(tmp_path / "a.h5").arrays) == {
            f"{layer}/{variable}"
            for layer in ("inner/inside", "inner/dense", "outside")
            for variable in ("kernel", "bias")
        }

    def test_tensorflow_inception_v3(tmp_path):
        """The whole model under its automatic names, from each of its three kinds of file."""
        keras.backend.clear_session()
        built = keras.applications.InceptionV3(weights=None)
        values = {variable.path: variable.numpy() for variable in built.weights}
        assert len(values) == 378
        built.save_weights(tmp_path / "a.weights.h5")
        numbered = {name.replace("/beta", "/0"): value for name, value in values.items()}
        same(tmp_path / "a.weights.h5", numbered, "Keras 3 weights")
        built.save(tmp_path / "a.h5")
        check(
            tmp_path / "a.h5",
            {
                variable.path: variable.numpy()
                for layer in built.layers
                for variable in layer.weights
            },
        )
        assert {
            "conv2d/kernel",
            "batch_normalization_93/moving_variance",
            "predictions/bias",
        } <= set(values)


if FRAMEWORK == "jax":
    import jax
    import jax.numpy as jnp
    import optax
    from flax import linen, nnx, serialization
    from flax.training.train_state import TrainState

    class Small(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.Conv(5, (3, 2), name="conv")(x)
            x = linen.BatchNorm(use_running_average=False, name="norm")(x)
            return linen.Dense(3, name="dense")(x.mean((1, 2)))

    def flat(tree, start=""):
        for name, value in tree.items():
            if isinstance(value, dict):
                yield from flat(value, f"{start}{name}/")
            else:
                yield f"{start}{name}", np.asarray(value)

    def by_slashes(arrays):
        return {name.replace(".", "/"): array for name, array in arrays.items()}

    def nested(arrays):
        tree = {}
        for name, array in arrays.items():
            layer, last = name.split(".")
            tree.setdefault(layer, {})[last] = array
        return tree

    def written(path, value):
        path.write_bytes(serialization.to_bytes(value))
        return path

    def test_jax_dtypes(tmp_path):
        path = written(tmp_path / "a.msgpack", nested(ARRAYS))
        check(path, by_slashes(ARRAYS), "Flax parameters")

    def test_jax_bfloat16_and_scalars(tmp_path):
        arrays = {"w": jnp.array([[1.5, -2.0, 0.15625]], jnp.bfloat16), "one": np.float32(2.5)}
        found = read_weights_file(written(tmp_path / "a.msgpack", {"net": arrays}))
        assert np.array_equal(found.arrays["net/w"], np.float32([[1.5, -2.0, 0.15625]]))
        assert found.arrays["net/one"] == 2.5

    def test_jax_state_of_nnx(tmp_path):
        model = nnx.Conv(3, 5, (2, 4), rngs=nnx.Rngs(0))
        state = nnx.to_pure_dict(nnx.state(model))
        check(written(tmp_path / "a.msgpack", {"conv": state}), dict(flat({"conv": state})))

    @pytest.mark.parametrize("whole", [False, True])
    def test_jax_variables_of_linen_and_training_states(whole, tmp_path):
        net = Small()
        variables = net.init(jax.random.key(0), jnp.ones((2, 6, 5, 4)))
        expected = dict([*flat(variables["params"]), *flat(variables["batch_stats"])])
        saved = variables
        if whole:
            tx = optax.sgd(0.1, momentum=0.9)
            saved = TrainState.create(apply_fn=net.apply, params=variables, tx=tx)
        found = read_weights_file(written(tmp_path / "a.msgpack", saved))
        assert found.arrays.keys() == expected.keys()
        for name, array in expected.items():
            assert found.arrays[name].tobytes() == array.tobytes(), name

    def test_jax_arrays_in_pieces(tmp_path, monkeypatch):
        monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 1000)  # bytes; else 1 GiB
        path = written(tmp_path / "a.msgpack", nested(ARRAYS))
        assert b"__msgpack_chunked_array__" in path.read_bytes()
        check(path, by_slashes(ARRAYS))
