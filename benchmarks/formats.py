"""Files of further formats, written by the libraries themselves and read here without them.

    python benchmarks/formats.py --python torch=PATH --python tensorflow=PATH --python paddle=PATH

Each interpreter makes a model of its own with random weights, none of them trivial, saves it in
every format that it has (what is not installed there is left out), and runs one image. A row is the
largest |a − b| of the logits, divided by their standard deviation, in the NumPy reference. `torch`
needs torchvision and onnx (also onnxscript), `tensorflow` may have tf2onnx and `paddle`
paddle2onnx.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np

#: What is made, as file, model to give (None for what a graph says itself) and who wrote it.
ROWS = {
    "torch": [
        ("torchscript.onnx", None, "torch.onnx, TorchScript exporter"),
        ("unfolded.onnx", None, "the same, batch norm apart"),
        ("dynamo.onnx", None, "torch.onnx, torch.export exporter"),
    ],
    "tensorflow": [
        ("v2", "keras:inception_v3", "tf.train.Checkpoint"),
        ("v1.ckpt", "keras:inception_v3", "tf.compat.v1.train.Saver, version 1"),
        ("saved", "keras:inception_v3", "tf.saved_model"),
        ("export", "keras:inception_v3", "Keras 3, export"),
        ("tf2onnx.onnx", None, "tf2onnx"),
        ("keras.onnx", None, "Keras 3, export to ONNX"),
    ],
    "paddle": [
        ("net.pdiparams", "paddle:googlenet", "paddle.jit.save"),
        ("paddle2onnx.onnx", None, "paddle2onnx"),
    ],
}


def value(name: str, shape: tuple[int, ...], fans: int) -> np.ndarray:
    """What an array of a model holds."""
    rng = np.random.default_rng(sum(map(ord, name)))
    if len(shape) > 1:
        return (rng.standard_normal(shape) * (2 / fans) ** 0.5).astype(np.float32)
    if "var" in name:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return (rng.standard_normal(shape) * 0.1).astype(np.float32)


def make_torch(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import torch

    kept = [torch.library.Library("torchvision", "FRAGMENT")]
    for name in ("nms", "qnms"):  # whose schemas a CPU build lacks
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        kept[0].define(f"{name}{schema}")
    from torchvision.models import inception_v3

    model = inception_v3(weights=None, aux_logits=False, init_weights=False).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.dtype == torch.float32:
                found = value(name, tuple(tensor.shape), tensor[0].numel() if tensor.ndim else 1)
                tensor.copy_(torch.from_numpy(found) + (1 if name.endswith("bn.weight") else 0))
        images = torch.rand(1, 3, 299, 299)
        logits = model(images).numpy()
    old = {"dynamo": False}
    apart = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    torch.onnx.export(model, (images,), str(folder / "torchscript.onnx"), **old)
    torch.onnx.export(model, (images,), str(folder / "unfolded.onnx"), **old, **apart)
    torch.onnx.export(model, (images,), str(folder / "dynamo.onnx"), dynamo=True)
    return images.numpy(), logits


def make_tensorflow(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import keras
    import tensorflow as tf

    model = keras.applications.InceptionV3(weights=None, classifier_activation=None)
    for each in model.weights:
        each.assign(value(each.path, tuple(each.shape), int(np.prod(each.shape[:-1]))))
    images = np.random.default_rng(0).random((1, 299, 299, 3), np.float32)
    logits = model(images, training=False).numpy()
    tf.train.Checkpoint(model=model).write(str(folder / "v2"))
    tf.saved_model.save(model, str(folder / "saved"))
    model.export(str(folder / "export"))
    first, arrays = tf.compat.v1, {each.path: each.numpy() for each in model.weights}
    with tf.Graph().as_default():
        held = [first.get_variable(name, initializer=array) for name, array in arrays.items()]
        with first.Session() as session:
            session.run(first.variables_initializer(held))
            saver = first.train.Saver(held, write_version=first.train.SaverDef.V1)
            saver.save(session, str(folder / "v1.ckpt"))
    with suppress(ImportError):
        import tf2onnx

        spec = [tf.TensorSpec([None, 299, 299, 3], tf.float32, name="x")]
        function = tf.function(lambda x: model(x, training=False), input_signature=spec)
        path = str(folder / "tf2onnx.onnx")
        tf2onnx.convert.from_function(function, input_signature=spec, output_path=path)
        model.export(str(folder / "keras.onnx"), format="onnx")
    return images.transpose(0, 3, 1, 2), logits


def make_paddle(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import paddle

    model = paddle.vision.models.googlenet(pretrained=False)
    model.eval()
    for name, each in model.state_dict().items():
        fans = int(np.prod(each.shape[1:])) if len(each.shape) == 4 else each.shape[0]
        each.set_value(value(name, tuple(each.shape), fans))
    images = np.random.default_rng(0).random((1, 3, 224, 224), np.float32)
    logits = model(paddle.to_tensor(images))[0].numpy()
    shape = paddle.static.InputSpec([None, 3, 224, 224], "float32")
    paddle.jit.save(model, str(folder / "net"), input_spec=[shape])
    with suppress(ImportError):
        import paddle2onnx

        program, parameters = (str(folder / f"net.{each}") for each in ("json", "pdiparams"))
        paddle2onnx.export(program, parameters, str(folder / "paddle2onnx.onnx"))
    return images, logits


def read(path: Path, model: str | None, images: np.ndarray, logits: np.ndarray) -> str:
    from googlenet import GoogLeNetError, get_backend
    from googlenet.weights.formats import read_weights_file
    from googlenet.weights.zoo import import_weights, reopen_weights

    try:
        file = read_weights_file(path)
        found = reopen_weights(file) if model is None else import_weights(file, model)
    except GoogLeNetError as error:
        return f"| {path.name} | refused: {error} | |"
    backend = get_backend("numpy")
    mine = backend.forward(backend.build(found.network, found.params), images)["logits"]
    error = np.abs(mine - logits).max() / logits.std()
    return f"| {file.format} | {found.network.name} | {error:.1e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", default=[], help="NAME=INTERPRETER")
    parser.add_argument("--make", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        folder = Path(options.make[1])
        images, logits = globals()[f"make_{options.make[0]}"](folder)
        np.savez(folder / "run.npz", images=images, logits=logits)
        return
    print("| who wrote it | format | network | error |\n|---|---|---|---|")
    for given in options.python:
        name, _, interpreter = given.partition("=")
        with tempfile.TemporaryDirectory() as folder:
            command = [interpreter, __file__, "--make", name, folder]
            subprocess.run(command, check=True, stdout=sys.stderr)
            run = np.load(Path(folder) / "run.npz")
            for file, model, writer in ROWS[name]:
                path = Path(folder) / file
                if path.exists() or path.with_name(f"{file}.index").exists():
                    row = read(path, model, run["images"], run["logits"])
                    print(f"| {writer} {row}", flush=True)


if __name__ == "__main__":
    main()
