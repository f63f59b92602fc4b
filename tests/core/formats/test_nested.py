"""State dicts inside checkpoints, and the harmless values beside them."""

import argparse
import pickle
import types
from collections import Counter, OrderedDict, defaultdict
from pathlib import PurePosixPath

import numpy as np
import pytest

from googlenet.weights.formats import read_weights_file

from .writers import BASE, Call, Global, check, refusal, torch_zip, whole

HARMLESS = {
    "args": argparse.Namespace(lr=0.1, out=PurePosixPath("/tmp/run"), tags={"a", "b"}),
    "space": types.SimpleNamespace(x=1),
    "classes": frozenset({1, 2}),
    "seen": {1, 2, 3},
    "counts": Counter("abca"),
    "history": defaultdict(list, {"loss": [0.5, 0.25]}),
    "best": np.float32(0.5),
    "step": np.int64(7),
    "order": np.arange(4),
    "dtype": np.dtype("float32"),
    "kind": np.float64,
    "path": PurePosixPath("weights/last.pth"),
    "ranges": (range(3), slice(1, 2), 1j),
    "pairs": OrderedDict(a=(1, 2)),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_harmless_values_beside_the_weights(protocol, file):
    model = {f"w{index}": BASE[:index] for index in range(9)}
    content = pickle.dumps({"epoch": 3, **HARMLESS, "model": model}, protocol)
    found = read_weights_file(file(content))
    check(found, model)
    assert found.metadata == {"unwrapped": "model"}


@pytest.mark.parametrize(
    ("name", "args"),
    [
        (("torch", "device"), ("cuda", 0)),
        (("pathlib", "PosixPath"), ("/", "tmp")),
        (("pathlib._local", "PosixPath"), ("/", "tmp")),
        (("builtins", "set"), ([1, 2],)),
        (("__builtin__", "frozenset"), ([1, 2],)),
        (("collections", "defaultdict"), (Global("builtins", "list"),)),
        (("numpy", "dtype"), ("f4", False, True)),
    ],
)
def test_harmless_values_in_a_torch_checkpoint(name, args, file):
    state = {"state_dict": {"w": whole("0", BASE)}, "other": Call(Global(*name), args)}
    check(read_weights_file(file(torch_zip(state, {"0": BASE.tobytes()}))), {"w": BASE})


def test_a_set_of_pairs_of_pairs_is_refused(file):
    pairs = b"N\x85" + b"q\x00h\x00\x86" * 9
    assert "text or a number" in refusal(file(b"\x80\x04\x8f(" + pairs + b"\x90."))


MODEL = {"w": BASE, "b": BASE[:3]}
DEEP = {
    ("net",): {"net": MODEL, "epoch": 3},
    ("weights",): {"weights": MODEL},
    ("state", "model"): {"state": {"model": MODEL}, "lr": 0.1},
    ("0",): [MODEL, 3],
    ("models", "1"): {"models": [{}, MODEL]},
    ("trainer", "0", "net"): {"trainer": ({"net": MODEL},)},
    ("model",): {
        "model": MODEL,
        "optimizer": {"state": {0: {"m": BASE, "v": BASE}, 1: {"m": BASE}}, "groups": [{"lr": 1}]},
        "optimizer_state_dict": {"w": BASE, "b": BASE[:3]},
    },
    ("params",): {"params": MODEL, "metrics": {"confusion": np.eye(3)}, "mean": np.zeros(3)}
    | {"params": {f"w{index}": BASE for index in range(9)}},
}


@pytest.mark.parametrize("keys", DEEP, ids=".".join)
def test_the_state_dict_is_found_at_any_depth(keys, file):
    whole = DEEP[keys]
    inner = whole
    for key in keys:
        inner = inner[int(key) if key.isdecimal() and not isinstance(inner, dict) else key]
    found = read_weights_file(file(pickle.dumps(whole)))
    check(found, inner)
    assert found.metadata == {"unwrapped": ".".join(keys)}


def test_two_models_of_one_checkpoint_keep_their_keys(file):
    other = {name: array + 1 for name, array in MODEL.items()}
    found = read_weights_file(file(pickle.dumps({"model": MODEL, "model_ema": other})))
    check(
        found,
        {f"model.{name}": array for name, array in MODEL.items()}
        | {f"model_ema.{name}": array for name, array in other.items()},
    )


def test_a_checkpoint_without_arrays_shows_its_keys(file):
    message = refusal(file(pickle.dumps({"epoch": 3, "args": argparse.Namespace(lr=1)})))
    assert "its keys are 'epoch', 'args'" in message
    assert "again" not in message


def test_arrays_that_paddle_saves_in_a_dictionary(file):
    """`paddle.save({"model": layer.state_dict()})` makes a pair of each."""
    pairs = {name: (f"linear_0.{name}", array) for name, array in MODEL.items()}
    check(read_weights_file(file(pickle.dumps({"model": pairs, "epoch": 3}))), MODEL)
