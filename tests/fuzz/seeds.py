"""Small whole files of every format that is read: what mutations start from."""

import gzip
import io
import json
import random
import tempfile
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from googlenet import Network, get_network, spec
from googlenet.data.dataset import DataSet, Split
from googlenet.data.prepared import DESCRIPTION, save_data
from googlenet.jobs.job import Answer
from googlenet.proof.parity.rows import Comparison, Group, Row
from googlenet.spec import blocks
from googlenet.spec.params import end_weights, param_specs
from googlenet.training.checkpoint import Checkpoint, Epoch, Position, save_checkpoint
from googlenet.version import __version__, source_digest
from googlenet.weights.files import network_metadata, safetensors_bytes

from ..core.data.helpers import idx, pixels
from ..core.formats.graphs import Writer
from ..core.formats.writers import (
    FORMATS,
    example,
    write_caffe,
    write_pdiparams,
    write_tensorflow_2,
    write_tensorflow_js,
)


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
    arrays = {each.path: np.zeros(each.shape, np.float32) for each in end_weights(network)}
    small = {path: array for path, array in arrays.items() if array.size < 10**5}
    extra = {"classes": json.dumps([f"class {index}" for index in range(10)])}
    return safetensors_bytes(small, {**extra, **network_metadata(network)})


#: A run: what it is, and how far.
SETTINGS = {
    "network": {"name": "tiny"},
    "recipe": {"epochs": 2},
    "data": {"name": "digits", "digest": "0" * 64},
    "weights": {"digest": "1" * 64},
}
TINY = Network(
    "tiny",
    blocks.sequential(
        conv=blocks.conv_layer(3, 2), pool=spec.GlobalAvgPool(), dense=spec.Dense(5, bias=True)
    ),
    (1, 6, 7),
    "drawn for these tests",
)
EPOCH = Epoch(1, 0.1, 2.25, 0.25, 2.5, 0.125, 100.0, 1.5)


def _checkpoint():
    params = {
        path: np.full(each.shape, 0.25, np.float32) for path, each in param_specs(TINY).items()
    }
    position = Position(step=3, epochs=(EPOCH,), loss_sum=2.5, count=9, learning_rate=0.1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        save_checkpoint(path, TINY, Checkpoint(SETTINGS, position, params, params))
        return path.read_bytes()


def _log():
    steps = ({"step": step, "loss": 2.5 / step, "accuracy": 0.5} for step in range(1, 5))
    lines = [{"event": "start", **SETTINGS}]
    lines += [{"event": "step", "learning_rate": 0.1, **step} for step in steps]
    lines += [{"event": "epoch", **asdict(EPOCH)}]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _answer():
    """What a worker of a comparison answers."""
    rows = [Row("logits", 1e-7, 2e-6), Row("conv.weight", 0.0, 1e-6)]
    values = Comparison({Group.OUTPUTS: rows[:1], Group.GRADIENTS: rows[1:]}).to_json()
    versions = {"googlenet": __version__, "numpy": np.__version__}
    answer = Answer({**values, "precision": {"TF32": "off"}, "exact": None}, versions=versions)
    return json.dumps({**asdict(answer), "source": source_digest()}).encode()


def small_set():
    """A set to train on."""
    part = Split(_pixels((4, 1, 6, 7)), np.arange(4))
    return DataSet("noise", "random pixels", tuple("abcd"), part, part)


def _description():
    with tempfile.TemporaryDirectory() as folder:
        save_data(Path(folder), small_set())
        return (Path(folder) / DESCRIPTION).read_bytes()


#: What a server is asked for.
SERVED = b"a file on a server" * 20


def _response(*lines, status="200 OK", body=SERVED):
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


def _responses():
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (SERVED[:99], SERVED[99:]))
    return [
        _response(f"Content-Length: {len(SERVED)}", "Content-Type: application/gzip"),
        _response("Transfer-Encoding: chunked", body=chunks + b"0\r\n\r\n"),
        _response("Location: /elsewhere", "Content-Length: 0", status="302 Found", body=b""),
        _response(f"Content-Range: bytes 9-359/{len(SERVED)}", status="206 Partial Content"),
    ]


#: Between the files of a set that belong together.
BETWEEN = b"\n-- the next file --\n"


def _parts():
    """Formats of several files: their names, and the contents of a set in one."""
    index, shard = write_tensorflow_2(example())
    parameters, program = write_pdiparams(example())
    model, shards = write_tensorflow_js(example())
    return {
        "TensorFlow": (index, shard),
        "Paddle": (parameters, program),
        "TensorFlow.js": (model, *shards.values()),
    }


#: What the files of a set are called, the one to read first.
PARTS = {
    "TensorFlow": ("w.index", "w.data-00000-of-00001"),
    "Paddle": ("w.pdiparams", "w.json"),
    "TensorFlow.js": ("model.json", "group1-shard1of2.bin", "group1-shard2of2.bin"),
}


def _layers():
    names = (f"{layer}/{place}" for layer in ("conv", "dense") for place in range(2))
    return dict(zip(names, example().values(), strict=True))


def _graphs():
    """Models of `TINY`, as exporters write them."""
    rng = np.random.default_rng(0)
    params = {
        path: rng.uniform(0.5, 1.5, each.shape).astype(np.float32)
        for path, each in param_specs(TINY).items()
    }
    spellings = ({}, {"folded": True, "dense": "MatMul"}, {"last": True})
    return [Writer(TINY, params, **each).whole() for each in spellings]


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
        "weights Caffe model": [write_caffe(_layers(), version=version) for version in (1, 2)],
        **{f"parts {name}": [BETWEEN.join(parts)] for name, parts in _parts().items()},
        "graph": _graphs(),
        "own weights": [_own()],
        "picture": pictures,
        "array": [_npy(images), _npy(np.asfortranarray(images / 255)), _npy(images[:, None])],
        "IDX": [idx(images), gzip.compress(idx(images))],
        "checkpoint": [_checkpoint()],
        "log": [_log()],
        "answer": [_answer()],
        "set": [_description()],
        "server": _responses(),
    }


def any_seed(rng: random.Random):
    """Any of them, to splice with."""
    return rng.choice(rng.choice(list(seeds().values())))
