"""PyTorch."""

import argparse
import collections
import pathlib
from unittest.mock import patch

import numpy as np
import torch
from zoo_models import draw, fan_in, import_torchvision, random_images

from .folder import book, installed, of_library, own


def make(folder):
    module, _, base = of_library(folder, "torchvision:googlenet")
    state, ours, writer = module.state_dict(), "torchvision:googlenet", "torch.save"
    state = {name: tensor.clone() for name, tensor in state.items()}
    other = {name: tensor + 1 for name, tensor in state.items()}

    def save(what, file, held, model=ours, **more):
        torch.save(held, folder.path / file)
        folder.add(what, file, writer, base, model, **more)

    save("state_dict", "plain.pth", state)
    torch.save(state, folder.path / "legacy.pth", _use_new_zipfile_serialization=False)
    folder.add("before PyTorch 1.6", "legacy.pth", writer, base, ours)
    save("without --from", "unnamed.pth", state, None)
    with folder.optional("safetensors"):
        from safetensors.torch import save_file

        save_file(state, folder.path / "theirs.safetensors")
        folder.add("state_dict", "theirs.safetensors", installed("safetensors"), base, ours)
    wrappers(save, state, other)
    classifiers(save, state)
    numbers(folder, module, state)
    graphs(folder, module, base)
    others(folder)
    own(folder, "torch", ".pth", writer)
    book(folder, "torch", ".pth", writer)


def wrappers(save, state, other):
    """Dictionaries around a state dict, and prefixes of its names."""
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.ones(3, 3))]).state_dict()
    moments = {"state": {i: {"exp_avg": tensor} for i, tensor in enumerate(other.values())}}
    wrapped = {
        "{'net': …}": {"net": state},
        "{'weights': …}": {"weights": state},
        "{'state_dict': …, 'epoch': 3}": {"state_dict": state, "epoch": 3},
        "{'model': …, 'optimizer': …}": {"model": state, "optimizer": optimizer},
        "{'model': …, 'optimizer': …}, moments larger": {"model": state, "optimizer": moments},
        "three dictionaries deep": {"checkpoint": {"trainer": {"model": state}}, "seed": 1},
        "a list": [state, {"epoch": 3}],
    }
    for index, (what, held) in enumerate(wrapped.items()):
        save(what, f"wrapped{index}.pth", held)
    both = {"model": state, "model_ema": other}
    save("{'model': …, 'model_ema': …}", "both.pth", both, refused="key")
    save("the same, --key model", "both_key.pth", both, key="model")
    prefixes = ["module.", "_orig_mod.", "module._orig_mod.", "backbone.", "network.", "_layers."]
    prefixes += ["encoder.net/"]
    for index, prefix in enumerate(prefixes):
        held = {f"{prefix}{name}": tensor for name, tensor in state.items()}
        save(f"prefix {prefix}", f"prefix{index}.pth", held)
    extra = {"queue": torch.ones(128, 64), "projector.0.weight": torch.ones(3, 4)}
    save("arrays besides", "extra.pth", {**state, **extra})
    save("other names altogether", "nothing.pth", {"encoder.w": torch.ones(3)}, refused="encoder")
    harmless = {
        "argparse.Namespace": argparse.Namespace(lr=0.1, path=pathlib.PurePosixPath("a/b")),
        "a set, a tuple, a defaultdict": [{1}, (1, 2), collections.defaultdict(list, a=[1])],
        "numpy scalars, arrays and dtypes": [np.float64(3), np.arange(3), np.dtype("f4")],
        "torch.device, torch.Size, a dtype": [torch.device("cpu"), torch.Size([1]), torch.float16],
    }
    for index, (what, value) in enumerate(harmless.items()):
        save(f"beside it {what}", f"inert{index}.pth", {"state_dict": state, "args": value})
    save("the whole model, not its state_dict", "module.pth", torch.nn.Linear(2, 2), refused="")


def classifiers(save, state):
    """Classifiers of other names, sizes and depths."""

    def renamed(prefix):
        return {
            f"{prefix}{name[2:]}" if name.startswith("fc.") else name: tensor
            for name, tensor in state.items()
        }

    for index, prefix in enumerate(("last_linear", "fc.1", "classifier", "head")):
        save(f"classifier as {prefix}", f"head{index}.pth", renamed(prefix))
    layers = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    save("no classifier", "headless.pth", layers, refused="fc")
    two = {"fc.0.weight": torch.ones(64, 1024), "fc.0.bias": torch.ones(64)}
    two |= {"fc.2.weight": torch.ones(9, 64), "fc.2.bias": torch.ones(9)}
    save("a classifier of two layers", "two.pth", {**layers, **two}, refused="fc")


def numbers(folder, module, state):
    """Numbers of other precisions: the library's logits are those of the rounded weights."""
    images = folder.images("torchvision-googlenet")
    for kind in (torch.bfloat16, torch.float16, torch.float64):
        name = str(kind).removeprefix("torch.")
        held = {
            key: tensor.to(kind) if tensor.is_floating_point() else tensor
            for key, tensor in state.items()
        }
        module.load_state_dict(held)
        with torch.no_grad():
            base = folder.base(f"torchvision-{name}", images, module(torch.tensor(images)).numpy())
        torch.save(held, folder.path / f"{name}.pth")
        folder.add(name, f"{name}.pth", "torch.save", base, "torchvision:googlenet")
    module.load_state_dict(state)


def graphs(folder, module, base):
    """ONNX of both of PyTorch's exporters."""
    images = torch.tensor(folder.images(base))
    with folder.optional("ONNX"):
        import onnx  # noqa: F401

        module.eval()
        cases = {
            "torchscript": ("ONNX, batch norm folded", {"dynamo": False}),
            "unfolded": (
                "ONNX, batch norm apart",
                {
                    "dynamo": False,
                    "training": torch.onnx.TrainingMode.PRESERVE,
                    "do_constant_folding": False,
                },
            ),
            "dynamo": ("ONNX, of torch.export", {"dynamo": True}),
        }
        for name, (what, options) in cases.items():
            with folder.optional(what):
                path = folder.path / f"{name}.onnx"
                torch.onnx.export(module, (images,), str(path), **options)
                folder.add(what, path.name, "torch.onnx", base)


def others(folder):
    """Further libraries on PyTorch, and the book's code."""

    def one(designator, writer, make, size):
        torch.manual_seed(0)
        module = make().eval()
        rng = np.random.default_rng(0)
        held = module.state_dict()
        for key, tensor in held.items():
            if tensor.is_floating_point():
                values = draw(key, tensor.shape, fan_in(tensor.shape), rng)
                tensor.copy_(torch.from_numpy(values))
        images = random_images(*size, rng)
        with torch.no_grad():
            logits = module(torch.from_numpy(images)).numpy()
        file = designator.replace(":", "-") + ".pth"
        torch.save(held, folder.path / file)
        base = folder.base(file.removesuffix(".pth"), images, logits)
        folder.add("state_dict", file, writer, base, designator)
        folder.add("without --from", file, writer, base, None)

    with folder.optional("torchvision"):
        models = import_torchvision().models
        writer = installed("torchvision")
        heads = {"weights": None, "aux_logits": False, "init_weights": False}
        one(
            "torchvision:inception_v3",
            writer,
            lambda: models.inception_v3(**heads),
            (299, 299),
        )
        one("torchvision:alexnet", writer, lambda: models.alexnet(weights=None), (224, 224))
    with folder.optional("timm"):
        import timm

        for name in ("inception_v3", "inception_v4", "inception_resnet_v2"):
            one(
                f"timm:{name}",
                installed("timm"),
                lambda name=name: timm.create_model(name),
                (299, 299),
            )
    with folder.optional("pytorch-fid"):
        from pytorch_fid import inception

        def fid():
            """Without its download."""
            offline = patch.object(inception, "load_state_dict_from_url")
            with offline, patch.object(torch.nn.Module, "load_state_dict"):
                return inception.fid_inception_v3()

        one("pytorch_fid:inception_v3", installed("pytorch-fid"), fid, (299, 299))
    with folder.optional("pretrainedmodels"):
        import pretrainedmodels

        for network, name, size in (
            ("bn_inception", "bninception", (224, 224)),
            ("inception_v4", "inceptionv4", (299, 299)),
            ("inception_resnet_v2", "inceptionresnetv2", (299, 299)),
        ):
            one(
                f"pretrainedmodels:{network}",
                installed("pretrainedmodels"),
                lambda name=name: getattr(pretrainedmodels, name)(pretrained=None),
                size,
            )
    with folder.optional("facenet-pytorch"):
        from facenet_pytorch import InceptionResnetV1

        one(
            "facenet_pytorch:inception_resnet_v1",
            installed("facenet-pytorch"),
            lambda: InceptionResnetV1(classify=True, num_classes=1000),
            (160, 160),
        )
