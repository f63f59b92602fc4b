"""Small whole files of every format that is read: what mutations start from."""

import gzip
import io
import json
import random
from dataclasses import asdict
from functools import cache

import numpy as np
import safetensors.numpy
from PIL import Image

from googlenet import get_network
from googlenet.spec.params import end_weights
from googlenet.training.checkpoint import Position
from googlenet.weights.files import CHECKPOINT_FORMAT, network_metadata, safetensors_bytes

from ..core.data.helpers import idx, pixels
from ..core.formats.writers import FORMATS, example


def _pixels(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _image(mode, format, **options):
    stream = io.BytesIO()
    picture = Image.fromarray(_pixels((13, 11, 3)))
    if mode == "I;16":
        picture = Image.fromarray(_pixels((13, 11)).astype(np.uint16) * 257)
    elif mode != "RGB":
        picture = picture.convert(mode)
    picture.save(stream, format, **options)
    return stream.getvalue()


def _npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _own():
    """A weights file that says what network it is for, and lacks most of its arrays."""
    network = get_network("vgg11_small")
    arrays = {spec.path: np.zeros(spec.shape, np.float32) for spec in end_weights(network)}
    small = {path: array for path, array in arrays.items() if array.size < 10**5}
    extra = {"classes": json.dumps([f"class {index}" for index in range(10)])}
    return safetensors_bytes(small, {**extra, **network_metadata(network)})


#: What the run is that the checkpoint below is of.
SETTINGS = {"network": "tiny", "seed": 0, "data": {"name": "digits", "digest": "0" * 64}}


def _checkpoint():
    arrays = {f"weights/{name}": array for name, array in example().items()}
    metadata = {
        "format": CHECKPOINT_FORMAT,
        "version": "0",
        "settings": json.dumps(SETTINGS),
        "position": json.dumps(asdict(Position(step=3, loss_sum=2.5, count=9))),
    }
    return safetensors.numpy.save(arrays, metadata)


def _log():
    lines = [{"event": "start", "settings": SETTINGS}]
    lines += [{"event": "step", "step": step, "loss": 2.3 / (step + 1)} for step in range(9)]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@cache
def seeds():
    """Kind → its files; a kind is how a worker reads them."""
    images = pixels(5, height=7, width=6)
    pictures = [
        *(_image(mode, "PNG") for mode in ("RGB", "L", "P", "1", "LA", "RGBA", "I;16")),
        *(_image(mode, "JPEG") for mode in ("RGB", "L", "CMYK")),
        _image("RGB", "JPEG", progressive=True),
        # Formats that are not admitted, among them the one that runs Ghostscript.
        *(_image("RGB", format) for format in ("GIF", "TIFF", "BMP", "EPS", "PPM")),
    ]
    return {
        **{f"weights {name}": [write(example())] for name, write in FORMATS.items()},
        "own weights": [_own()],
        "picture": pictures,
        "array": [_npy(images), _npy(np.asfortranarray(images / 255)), _npy(images[:, None])],
        "IDX": [idx(images), gzip.compress(idx(images))],
        "checkpoint": [_checkpoint()],
        "log": [_log()],
    }


def any_seed(rng: random.Random):
    """Any of them, to splice with."""
    return rng.choice(rng.choice(list(seeds().values())))
