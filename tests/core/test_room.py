"""What needs more memory than the machine has is refused before anything is built, and numbers that
no library takes are refused at the door.
"""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from googlenet import get_network, init_params
from googlenet.actions.arguments import integer, number, seconds, threads_of
from googlenet.actions.diff import diff
from googlenet.actions.parity import parity
from googlenet.actions.predict import predict
from googlenet.actions.race import race
from googlenet.actions.train import train
from googlenet.data import cache
from googlenet.data.images import load_image_set
from googlenet.errors import DataError, GoogLeNetError, SpecError
from googlenet.printable import shown
from googlenet.room import check_disk, check_memory, gib, total_memory
from googlenet.spec.memory import check_fits
from googlenet.spec.recipe import Recipe
from googlenet.weights.files import save_params

HUGE = (1, 60000, 60000)
#: More digits than Python writes.
MANY = 10**5000


def refused(call, *words):
    """The message of what `call` raises, at once and without having built anything."""
    tracemalloc.start()
    try:
        with pytest.raises(GoogLeNetError) as caught:
            call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert "\n" not in message
    assert peak < 64 * 2**20
    for word in words:
        assert word in message
    return message


SIZED = {
    "train": lambda **asked: train("googlenet", framework="numpy", **asked),
    "race": lambda **asked: race("googlenet", frameworks="numpy", **asked),
    "parity": lambda **asked: parity("googlenet", "numpy", **asked),
    "diff": lambda **asked: diff("googlenet", "googlenet", **asked),
}


@pytest.mark.parametrize("name", SIZED)
def test_images_that_are_too_large(name):
    refused(lambda: SIZED[name](input_shape=HUGE), "takes at least", "GiB of memory", "there is")


@pytest.mark.parametrize("name", ["train", "race", "parity", "diff"])
def test_too_many_classes(name):
    refused(lambda: SIZED[name](num_classes=10**9), "GiB of memory", "`num_classes`")


def test_weights_of_too_many_classes_are_not_drawn():
    network = get_network(num_classes=10**9)
    refused(lambda: init_params(network), "1,025,005,967,280 weights: takes at least 3,8")


def test_the_metadata_of_a_file_ask_for_too_much(tmp_path, monkeypatch):
    """Also of a file that its user trusts: the budget of others is far below."""
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=1T")
    network = get_network("nin", num_classes=2, input_shape=(1, 96, 96))
    params = init_params(network)
    save_params(tmp_path / "w.safetensors", network.at(HUGE), params)
    np.save(tmp_path / "one.npy", np.zeros((1, 8, 8), np.uint8))
    call = lambda: predict(tmp_path / "one.npy", tmp_path / "w.safetensors")  # noqa: E731
    refused(call, "computing 'nin' at 1×60000×60000", "GiB")


def test_more_images_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("googlenet.room.total_memory", lambda: 10_000)
    with pytest.raises(DataError, match="64 images of 1×96×96: takes at least"):
        load_image_set(None, (1, 96, 96), 10, count=64)


def test_what_the_machine_has_room_for_is_not_refused(monkeypatch):
    check_fits(get_network("googlenet"), 128, training=True)
    monkeypatch.setattr("googlenet.room.total_memory", lambda: 0)  # where nobody says
    check_fits(get_network("googlenet", input_shape=HUGE))


def test_a_batch_is_counted(monkeypatch):
    network = get_network("googlenet")
    monkeypatch.setattr("googlenet.room.total_memory", lambda: 2 * 2**30)
    check_fits(network, 16, training=True)
    with pytest.raises(SpecError, match=r"training 'googlenet' at 1×96×96, 4,096 images at a time"):
        check_fits(network, 4096, training=True)
    check_fits(network, 64)


def test_the_bounds():
    there = total_memory()
    assert there > 2**28
    check_memory("that", there, "")
    with pytest.raises(SpecError, match=r"that: takes at least .* GiB of memory, but there is"):
        check_memory("that", there + 1, "")
    check_disk(Path("x").absolute(), 1, "")
    with pytest.raises(DataError, match=r"x: takes 1,073,741,824 GiB on disk, but .* GiB are left"):
        check_disk(Path("x").absolute(), 2**60, "")


def test_a_cache_that_the_disk_cannot_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLENET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "IN_MEMORY", 0)
    images = np.zeros((4, 8, 8), np.uint8)
    with pytest.raises(DataError, match=r"GiB on disk, but .*GOOGLENET_CACHE_DIR"):
        cache.resize_all([images], (1, 2**28, 2**28), lambda *told: None)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0.0 GiB"),
        (3 * 2**29, "1.5 GiB"),
        (12345 * 2**30, "12,345 GiB"),
        (10**4000, "more than 10¹⁴ GiB"),
    ],
)
def test_gib(size, text):
    assert gib(size) == text


# Numbers ------------------------------------------------------------------------------------------

FIELDS = ("learning_rate", "momentum", "weight_decay", "label_smoothing", "decay_factor")


@pytest.mark.parametrize("value", [1e39, -1e39, 1e-50, 10**400, float("nan"), float("inf"), "1"])
@pytest.mark.parametrize("field", FIELDS)
def test_numbers_that_float32_does_not_hold(field, value):
    if value == 1e-50 and field in ("momentum", "weight_decay", "label_smoothing"):
        return  # as good as 0, which is right there
    with pytest.raises(SpecError, match=field) as caught:
        Recipe(**{field: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["epochs", "batch_size", "decay_epochs", "seed"])
@pytest.mark.parametrize("value", [10**30, 2**64, MANY, 1e30, -1, 1.5, True, "3", None], ids=shown)
def test_integers_that_no_framework_takes(field, value):
    with pytest.raises(SpecError, match=field):
        Recipe(**{field: value})


@pytest.mark.parametrize(
    "value", [2**63, 10**30, MANY, -1, 1.0, "1", True, None, float("nan")], ids=shown
)
def test_integers_at_the_door(value):
    with pytest.raises(SpecError, match="`count`: expected an integer of at") as caught:
        integer("count", value, 1)
    assert len(str(caught.value)) < 200
    assert integer("count", np.int64(3), 1) == 3


@pytest.mark.parametrize("value", [0, -1, 4097, 10**30])
def test_threads(value):
    with pytest.raises(SpecError, match="`threads`"):
        threads_of(value)
    assert threads_of(None) is None


@pytest.mark.parametrize("value", [10**400, float("nan"), float("inf"), 0, "5"])
def test_seconds(value):
    with pytest.raises(SpecError, match="`timeout`"):
        seconds(value)
    assert seconds(1e300) == 1e9
    assert number("x", 2, 0) == 2.0


def test_what_is_shown_of_a_number():
    assert shown(-MANY) == "one of more than 60 digits"
    assert shown(12) == "12"


@pytest.mark.parametrize(
    "asked",
    [
        {"num_classes": 10**30},
        {"num_classes": MANY},
        {"input_shape": (1, 10**30, 8)},
        {"input_shape": (1, 8, MANY)},
    ],
    ids=["classes", "many", "side", "huge"],
)
def test_sizes_that_no_framework_takes(asked):
    refused(lambda: get_network(**asked), "expected", "at most 2147483647")


def test_more_seeds_than_anyone_waits_for():
    refused(lambda: race(seeds=2**31), "`seeds`: expected an integer of at most 100000")
