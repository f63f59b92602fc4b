"""One model of one library, with random weights, and what it says about two images: the references
that imported weights are held to.

`python benchmarks/zoo_models.py ZOO:MODEL FOLDER`, in an environment that has that library and no
other framework; `--list` says which models there are. Writes into FOLDER the weights in the
library's own file format, by its own function, for each size a `HxW.npz` with the images (N, C, H,
W) and every output by this project's name, and `info.json` with versions. Nothing is downloaded.

Every array is drawn anew: batch norm gets means and scales that are neither 0 nor 1, so that none
of them can be mistaken.
"""

import argparse
import json
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

IMAGES = 2
CLASSES = 1000
#: How much of the logits' standard deviation must change from one image to the other, so that they
#: are about the image.
LEAST_DIFFERENCE = 0.05


@dataclass(frozen=True)
class Model:
    """A model of a library: its sizes, the library's first, and the names of its outputs in the
    order in which the library gives them.
    """

    sizes: tuple[tuple[int, int], ...]
    outputs: tuple[str, ...] = ("logits",)
    #: Whether the library gives the outputs after the logits only in training mode.
    training_only: bool = False

    @property
    def aux(self):
        return len(self.outputs) > 1


#: aux1 follows 4a and aux2 follows 4d in every library, but most give them in the opposite order.
_REVERSED = ("logits", "aux2", "aux1")
#: The second size is odd and not square. Dense layers and windows of fixed size bound it:
#: Inception-v3's auxiliary head needs 299, and mindcv's takes no more than 346; Gluon's window of
#: 8×8 needs 299; the heads of mindcv's and gluoncv's GoogLeNet need maps of 14 to 16, Paddle's of
#: 11 to 13, its AlexNet one of 6.
_GOOGLENET = ((224, 224), (230, 251))
_ALEXNET = ((224, 224), (263, 311))
_V3 = ((299, 299), (193, 161))
_V3_AUX = ((299, 299), (315, 331))
_V3_WINDOW = ((299, 299), (331, 363))
MODELS = {
    "torchvision:googlenet": Model(_GOOGLENET),
    "torchvision:googlenet+aux": Model(_GOOGLENET, _REVERSED, training_only=True),
    "torchvision:inception_v3": Model(_V3),
    "torchvision:inception_v3+aux": Model(_V3_AUX, ("logits", "aux"), training_only=True),
    "torchvision:alexnet": Model(_ALEXNET),
    "torchvision:vgg11": Model(_ALEXNET),
    "torchvision:vgg16": Model(_ALEXNET),
    "timm:inception_v3": Model(_V3),
    "timm:inception_v4": Model(_V3),
    "timm:inception_resnet_v2": Model(_V3),
    "keras:inception_v3": Model(_V3),
    "keras:inception_resnet_v2": Model(_V3),
    "paddle:googlenet+aux": Model(((224, 224), (199, 233)), ("logits", "aux1", "aux2")),
    "paddle:inception_v3": Model(_V3),
    "paddle:alexnet": Model(((224, 224), (225, 251))),
    "gluon:inception_v3": Model(_V3_WINDOW),
    "gluoncv:googlenet": Model(_GOOGLENET),
    "gluoncv:googlenet+aux": Model(_GOOGLENET, _REVERSED),
    "gluoncv:inception_v3": Model(_V3_WINDOW),
    "mindcv:googlenet": Model(_GOOGLENET),
    "mindcv:googlenet+aux": Model(_GOOGLENET, _REVERSED, training_only=True),
    "mindcv:inception_v3+aux": Model(_V3_AUX, ("logits", "aux"), training_only=True),
    "mindcv:inception_v4": Model(_V3),
}

MEANS = ("running_mean", "moving_mean", "_mean")
VARIANCES = ("running_var", "moving_variance", "_variance")


def draw(name, shape, fan_in, rng):
    """Values for the array called `name` in its library; `fan_in` is None for all but the weights
    of convolutions and dense layers.
    """
    last = name.rpartition(".")[2]
    if last in VARIANCES:
        values = rng.uniform(0.5, 1.5, shape)
    elif last in MEANS:
        values = 0.3 * rng.standard_normal(shape)
    elif fan_in is not None:
        values = np.sqrt(2 / fan_in) * rng.standard_normal(shape, np.float32)  # He
    elif last in ("gamma", "weight"):
        values = rng.uniform(0.5, 1.5, shape)
    elif last in ("beta", "bias"):
        values = 0.1 * rng.standard_normal(shape)
    else:
        raise ValueError(
            f"{name}: an array of shape {tuple(shape)} that this script does not know; say in"
            " draw() what it is"
        )
    return values.astype(np.float32)


def fan_in(shape):
    """Of weights whose first axis is the outputs; None for arrays of one axis."""
    return int(np.prod(shape[1:])) if len(shape) > 1 else None


# The libraries: each function gives the model, a runner (images → outputs in the library's order)
# and a saver; with each stand the names of what it uses.


def _torch(make, packages):
    def load(name, model, rng):
        import torch

        torch.manual_seed(0)
        module = make(name, model).eval()
        state = module.state_dict()
        for key, tensor in state.items():
            if not key.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(draw(key, tensor.shape, fan_in(tensor.shape), rng)))
        # Only the flag of the model itself: it computes the auxiliary heads, while batch norm and
        # dropout below stay in evaluation mode.
        module.training = model.training_only

        def run(images):
            with torch.no_grad():
                return [tensor.numpy() for tensor in _tuple(module(torch.from_numpy(images)))]

        return module, run, lambda folder: torch.save(state, folder / "weights.pth")

    return load, packages


def import_torchvision():
    """torchvision, which timm imports as well. Beside a CPU build of PyTorch its wheel's operators
    cannot be loaded, but their schemas are asked for: they are declared here, without code. No
    classifier uses them."""
    import torch

    try:
        import torchvision
    except RuntimeError:
        global _schemas
        _schemas = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            _schemas.define(
                f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        for loaded in [each for each in sys.modules if each.partition(".")[0] == "torchvision"]:
            del sys.modules[loaded]
        import torchvision
    return torchvision


def _torchvision(name, model):
    heads = {"aux_logits": model.aux} if name in ("googlenet", "inception_v3") else {}
    initial = (
        {"init_weights": False} if heads or name.startswith("vgg") else {}
    )  # slow, and drawn anew
    return getattr(import_torchvision().models, name)(weights=None, **heads, **initial)


def _timm(name, model):
    import_torchvision()
    import timm

    return timm.create_model(name, pretrained=False)


def _keras(name, model, rng):
    import keras

    make = {
        "inception_v3": keras.applications.InceptionV3,
        "inception_resnet_v2": keras.applications.InceptionResNetV2,
    }[name]

    def build(height, width):
        keras.backend.clear_session()  # or the layers' names go on counting
        return make(weights=None, input_shape=(height, width, 3), classifier_activation=None)

    first = build(*model.sizes[0])
    drawn = []
    for layer in first.layers:
        for variable in layer.weights:
            shape = variable.shape  # a kernel's last axis is the outputs
            drawn.append(
                draw(
                    f"{layer.name}.{variable.name}",
                    shape,
                    int(np.prod(shape[:-1])) if variable.name == "kernel" else None,
                    rng,
                )
            )
    first.set_weights(drawn)

    def run(images):
        network = first if images.shape[2:] == model.sizes[0] else build(*images.shape[2:])
        network.set_weights(drawn)
        return [np.asarray(network(images.transpose(0, 2, 3, 1), training=False))]

    return first, run, lambda folder: first.save_weights(folder / "weights.weights.h5")


def _paddle(name, model, rng):
    import paddle

    module = getattr(paddle.vision.models, name)(pretrained=False)
    module.eval()
    # A dense layer's weight is (inputs, outputs).
    dense = {
        f"{path}.weight"
        for path, layer in module.named_sublayers()
        if isinstance(layer, paddle.nn.Linear)
    }
    values = {}
    for key, tensor in module.state_dict().items():
        shape = tuple(tensor.shape)
        values[key] = paddle.to_tensor(
            draw(key, shape, shape[0] if key in dense else fan_in(shape), rng)
        )
    module.set_state_dict(values)

    def run(images):
        with paddle.no_grad():
            return [tensor.numpy() for tensor in _tuple(module(paddle.to_tensor(images)))]

    def save(folder):
        paddle.save(module.state_dict(), str(folder / "weights.pdparams"))

    return module, run, save


def _mxnet(make, packages):
    def load(name, model, rng):
        import mxnet

        network = make(name, model)
        network.initialize()
        network(mxnet.nd.zeros((1, 3, *model.sizes[0])))  # only now are all shapes known
        done = set()
        for key, parameter in network._collect_params_with_prefix().items():
            if id(parameter) not in done:  # gluoncv's GoogLeNet has its dense layer twice
                done.add(id(parameter))
                parameter.set_data(
                    mxnet.nd.array(draw(key, parameter.shape, fan_in(parameter.shape), rng))
                )

        def run(images):
            return [array.asnumpy() for array in _tuple(network(mxnet.nd.array(images)))]

        return network, run, lambda folder: network.save_parameters(str(folder / "weights.params"))

    return load, packages


def _gluon(name, model):
    from mxnet.gluon.model_zoo import vision

    return getattr(vision, name)(pretrained=False)


def _gluoncv(name, model):
    from gluoncv import model_zoo

    heads = {"aux_logits": True} if model.aux else {}
    return model_zoo.get_model(
        {"inception_v3": "inceptionv3"}.get(name, name), pretrained=False, **heads
    )


def _mindcv(name, model, rng):
    import mindcv
    import mindspore

    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    # inception_v3 sets aux_logits itself.
    cell = mindcv.create_model(
        name,
        pretrained=False,
        **({"aux_logits": True} if model.aux and name == "googlenet" else {}),
    )
    cell.set_train(False)
    for key, parameter in cell.parameters_dict().items():
        parameter.set_data(
            mindspore.Tensor(draw(key, parameter.shape, fan_in(parameter.shape), rng))
        )
    if model.training_only:
        cell.training = True  # only of the model itself, as in PyTorch

    def run(images):
        return [tensor.asnumpy() for tensor in _tuple(cell(mindspore.Tensor(images)))]

    def save(folder):
        mindspore.save_checkpoint(cell, str(folder / "weights.ckpt"))

    return cell, run, save


LIBRARIES = {
    "torchvision": _torch(_torchvision, ("torchvision", "torch")),
    "timm": _torch(_timm, ("timm", "torch")),
    "keras": (_keras, ("keras", "tensorflow")),
    "paddle": (_paddle, ("paddlepaddle",)),
    "gluon": _mxnet(_gluon, ("mxnet",)),
    "gluoncv": _mxnet(_gluoncv, ("gluoncv", "mxnet")),
    "mindcv": (_mindcv, ("mindcv", "mindspore")),
}


def _tuple(outputs):
    return tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)


def _version(package):
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"


def random_images(height, width, rng):
    """`IMAGES` images (N, 3, H, W) about 0, each of patches of colour under noise, and stronger
    than the one before.
    """
    patches = rng.standard_normal((IMAGES, 3, 6, 6))
    rows, columns = np.arange(height) * 6 // height, np.arange(width) * 6 // width
    noise = 0.5 * rng.standard_normal((IMAGES, 3, height, width))
    strength = np.linspace(0.4, 1.6, IMAGES).reshape(-1, 1, 1, 1)
    return (strength * (patches[:, :, rows][:, :, :, columns] + noise)).astype(np.float32)


def difference(values):
    """How far the outputs (N, K) of the first two images are apart, in their standard deviation."""
    return float((values[0] - values[1]).std() / values.std())


def write(designator, folder, seed=0):
    """Make the reference files of the model called `designator` in `folder`, `info.json` last."""
    model = MODELS[designator]
    zoo, _, name = designator.removesuffix("+aux").partition(":")
    load, packages = LIBRARIES[zoo]
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    _, run, save = load(name, model, rng)
    save(folder)
    outputs = {}
    for height, width in model.sizes:
        images = random_images(height, width, rng)
        found = dict(zip(model.outputs, run(images), strict=True))
        size = f"{height}x{width}"
        outputs[size] = {}
        for output, values in found.items():
            std, apart = float(values.std()), difference(values)
            if (
                values.shape != (IMAGES, CLASSES)
                or not 1e-3 < std < 1e6
                or not apart > LEAST_DIFFERENCE
            ):
                sys.exit(
                    f"{designator} at {size}: {output} {values.shape}, std {std}, images {apart}"
                    " std apart: useless as a reference"
                )
            outputs[size][output] = {"std": std, "difference": apart}
        np.savez(folder / f"{size}.npz", images=images, **found)
    info = {
        "model": designator,
        "seed": seed,
        "weights": next(folder.glob("weights.*")).name,
        "outputs": outputs,
        "versions": (
            {each: _version(each) for each in (*packages, "numpy")}
            | {"python": platform.python_version()}
        ),
    }
    (folder / "info.json").write_text(json.dumps(info, indent=2) + "\n")
    print(json.dumps(info))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", choices=MODELS, metavar="ZOO:MODEL")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(MODELS))
    elif arguments.folder is None:
        parser.error("give ZOO:MODEL and FOLDER")
    else:
        write(arguments.model, arguments.folder, arguments.seed)


if __name__ == "__main__":
    main()
