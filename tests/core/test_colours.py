"""Colours go by the framework's name, and twelve can be told apart."""

import itertools

import numpy as np
import pytest

from googlenet.drawing.colours import COLOURS, KNOWN, colours_of
from googlenet.training.checkpoint import Epoch
from googlenet.training.curves import draw_curves

#: How colours look without the cones for red, green or blue: Machado, Oliveira and Fernandes
#: (2009), severity 1, on linear RGB.
EYES = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour):
    """A colour such as #0072B2 as linear RGB, (3,) in [0, 1]."""
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """Linear RGB (3,) in Ottosson's OKLab times 100, where distances are as far as they look."""
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return 100 * np.array(lab) @ np.cbrt(np.array(cones) @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize(
    ("eye", "least"),
    [("all cones", 15), ("protanopia", 8), ("deuteranopia", 7), ("tritanopia", 6)],
)
def test_any_two_of_twelve_can_be_told_apart(eye, least):
    seen = {colour: oklab(np.array(EYES[eye]) @ linear(colour)) for colour in COLOURS}
    assert len(seen) == 12
    for one, two in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[two]) > least, (one, two)


@pytest.mark.parametrize("colour", COLOURS)
def test_no_colour_is_pale_on_white(colour):
    luminance = linear(colour) @ (0.2126, 0.7152, 0.0722)
    assert 1.05 / (luminance + 0.05) > 2.2


def test_a_framework_has_its_colour_in_every_picture():
    every = colours_of(["example", *reversed(KNOWN)])
    assert colours_of(["torch"]) == {"torch": "#0072B2"}
    for name in KNOWN:
        assert colours_of([name, "example"]) == {key: every[key] for key in (name, "example")}
    assert colours_of(["example"])["example"] == every["example"]
    assert list(every) == ["example", *reversed(KNOWN)]


def test_names_that_are_not_known_take_what_is_free():
    others = ["tinygrad", "mlx", "candle", "burn"]
    twelve = colours_of([*KNOWN, *others])
    assert sorted(twelve.values()) == sorted(COLOURS)
    assert colours_of([*reversed(others), *KNOWN]) == twelve  # in any order
    known = {COLOURS[slot] for slot in KNOWN.values()}
    assert not {colours_of([name])[name] for name in others} & known
    # Where more are unknown than that, they borrow from known ones that are not in the picture.
    strangers = [f"framework{i}" for i in range(11)]
    eleven = colours_of([*strangers, "torch"])
    assert len(set(eleven.values())) == 12
    assert eleven["torch"] == "#0072B2"
    assert len(colours_of([f"framework{i}" for i in range(30)])) == 30


def epochs(loss):
    return [Epoch(number, 0.1, loss, 0.5, loss, 0.5, 1.0, 1.0) for number in (1, 2)]


@pytest.mark.parametrize("count", [2, 12])
def test_curves_are_drawn_in_these_colours_with_these_labels(tmp_path, count):
    names = [*KNOWN, "tinygrad", "mlx", "candle", "burn"][-count:]
    runs = {name: [epochs(1.0 + index)] for index, name in enumerate(names)}
    labels = {name: f"{name} 1.2" for name in names[1:]}
    path = tmp_path / "curves.svg"
    draw_curves(path, runs, "a title", labels=labels)
    text = path.read_text()
    for name, colour in colours_of(names).items():
        assert f"stroke: {colour.lower()}" in text or colour == "#000000"
        assert f">{labels.get(name, name)}</text>" in text
    unused = set(COLOURS) - {*colours_of(names).values(), "#000000"}
    assert not [colour for colour in unused if colour.lower() in text]
