"""Weights go through every framework's own file and native model, one after the other, and come
back bit for bit.

`GOOGLENET_PYTHONS` names the interpreters, as for `test_all.py`; each step is a process of one of
them.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import googlenet
from googlenet.weights.files import read_safetensors
from googlenet.weights.samples import random_params

from .native import LOADERS, PACKAGES

PYTHONS = dict(pair.split("=", 1) for pair in os.environ["GOOGLENET_PYTHONS"].split())
NETWORKS = {
    "googlenet_bn": {"name": "googlenet_bn", "num_classes": 7},
    "inception_v3 with aux": {"name": "inception_v3", "num_classes": 7, "aux": True},
}
SUFFIXES = {
    "torch": ".pt",
    "tensorflow": ".weights.h5",
    "mxnet": ".params",
    "paddle": ".pdparams",
    "mindspore": ".ckpt",
    "jax": ".msgpack",
    "onnx": ".onnx",
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def hop(framework, source, target, network, seed):
    """From a file of ours to the framework's own, into a native model that held other weights, and
    to a file of ours again.
    """
    python, native = PYTHONS[framework], str(source.with_name("native" + SUFFIXES[framework]))
    run(python, "-m", "googlenet", "convert", str(source), native, "--to", framework)
    size = Path(native).stat().st_size
    said = run(
        python,
        str(Path(__file__).with_name("native.py")),
        framework,
        native,
        str(target),
        json.dumps(network),
        str(seed),
    )
    os.remove(native)
    return f"{said}, in a file of {size:,} bytes"


def same(start, end):
    """The number of arrays and of bytes of two files that hold the same, bit for bit."""
    (expected, about), (found, metadata) = read_safetensors(start), read_safetensors(end)
    assert metadata == about
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == array.tobytes(), name
    return len(expected), sum(array.nbytes for array in expected.values())


def test_every_framework_has_a_loader():
    assert set(LOADERS) == set(SUFFIXES) == set(PYTHONS) == PACKAGES


@pytest.mark.parametrize("arguments", NETWORKS.values(), ids=NETWORKS)
def test_weights_go_through_every_framework_and_back(arguments, tmp_path):
    network = googlenet.get_network(**arguments)
    start = source = tmp_path / "start.safetensors"
    googlenet.save_params(start, network, random_params(network))
    print(
        f"\n{network.name}, outputs {', '.join(network.outputs)}:"
        f" {googlenet.count_parameters(network):,} parameters"
    )
    for number, framework in enumerate(SUFFIXES, 1):
        target = tmp_path / f"{framework}.safetensors"
        print(f"  {number}. {hop(framework, source, target, arguments, seed=number)}")
        same(start, target)
        source = target
    arrays, size = same(start, source)
    print(f"  back again: {arrays} arrays, {size:,} bytes, every bit the same")
    assert not set(sys.modules) & PACKAGES
