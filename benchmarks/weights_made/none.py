"""What needs no framework."""

import numpy as np
from zoo_models import random_images

import googlenet
from googlenet.weights.samples import random_params
from googlenet.weights.zoo import entries, find_model, network_of
from tests.core.formats.writers import write_caffe


def make(folder):
    """Formats that are written here from their published schemas, and what is no weights file."""
    backend = googlenet.get_backend("numpy")
    model = find_model("caffe:googlenet")
    network = network_of(model, num_classes=1000)
    params = random_params(network)
    images = random_images(224, 224, np.random.default_rng(0))
    logits = backend.forward(backend.build(network, params), images)["logits"]
    base = folder.base("caffe", images, logits)
    arrays = {
        entry.names[0]: np.ascontiguousarray(entry.to_native(params[entry.path]))
        for entry in entries(model, network)
    }
    for version_ in (1, 2):
        file = f"bvlc{version_}.caffemodel"
        (folder.path / file).write_bytes(write_caffe(arrays, version=version_))
        what = f"Caffe, {'NetParameter V1' if version_ == 1 else 'NetParameter'}"
        folder.add(what, file, "our writer", base, model.designator)
    whole = (folder.path / "bvlc2.caffemodel").read_bytes()
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 1048576\n"
    broken = {
        "a Git LFS pointer": ("pointer.pth", lfs.format("0" * 64).encode(), "LFS"),
        "a web page": ("page.pth", b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        "cut off": ("cut.caffemodel", whole[: len(whole) // 2], ""),
        "empty": ("empty.pth", b"", "empty"),
        "a picture": ("cat.pth", b"\x89PNG\r\n\x1a\n" + bytes(64), ""),
    }
    for what, (file, content, words) in broken.items():
        (folder.path / file).write_bytes(content)
        folder.add(what, file, "by hand", base, None, refused=words)
