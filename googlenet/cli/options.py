"""Options that several commands share, and the network that they mean."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ..architectures import designators, get_network
from ..backend.discovery import backends
from ..errors import UnknownNameError
from ..jobs.own import is_own
from ..spec.layers import Network, Shape


def _networks(incomplete: str) -> list[str]:
    """The network names that a shell offers for completion."""
    return [name for name in designators() if name.startswith(incomplete)]


def framework_names(incomplete: str) -> list[str]:
    """The framework names that a shell offers for completion."""
    return [name for name in backends() if name.startswith(incomplete)]


NetworkName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name of the network; `googlenet list` shows them all.",
        autocompletion=_networks,
    ),
]
NetworkOrFile = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help=(
            "Name of the network (`googlenet list` shows them all), or your own model as FILE:NAME,"
            " such as mynet.py:net; the file is run."
        ),
        autocompletion=_networks,
    ),
]
OwnFramework = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="X",
        help=("Framework of the model in FILE:NAME; by default the one that the file imports."),
        autocompletion=framework_names,
    ),
]
OwnTimeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=1,
        help="Seconds without progress after which your own model's process is stopped.",
    ),
]
NetworkNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help=(
            "Names of the networks, or your own models as FILE:NAME; by default alexnet, vgg11, nin"
            " and googlenet, at 224×224."
        ),
        show_default=False,
        autocompletion=_networks,
    ),
]
FirstNetwork = Annotated[
    str,
    typer.Argument(
        metavar="A",
        help=(
            "Name of the network, ZOO:NAME such as torchvision:inception_v3, or your own model as"
            " FILE:NAME; the file is run."
        ),
        autocompletion=_networks,
    ),
]
SecondNetwork = Annotated[
    str,
    typer.Argument(metavar="B", help="Network to compare with A.", autocompletion=_networks),
]
Framework = Annotated[
    str | None,
    typer.Option(
        "--framework", metavar="X", help="Framework to use.", autocompletion=framework_names
    ),
]
Frameworks = Annotated[
    list[str] | None,
    typer.Option(
        "--framework",
        metavar="X",
        help="Use this framework; can be repeated. By default all installed ones are used.",
        autocompletion=framework_names,
    ),
]
NativeFrameworks = Annotated[
    list[str] | None,
    typer.Option(
        "--framework",
        metavar="X",
        help="Use this framework; can be repeated. By default all installed ones are used, except"
        " numpy.",
        autocompletion=framework_names,
    ),
]
Interpreters = Annotated[
    list[str] | None,
    typer.Option(
        "--python",
        metavar="X=PATH",
        help="Python interpreter in which framework X is installed; can be repeated.",
    ),
]
Classes = Annotated[
    int | None,
    typer.Option(
        "--num-classes", metavar="N", help="Number of classes; by default the network's own."
    ),
]
Channels = Annotated[
    int | None,
    typer.Option(
        "--channels", metavar="N", help="Number of image channels; by default the network's own."
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="H[xW]",
        help=(
            "Height and width of the images in pixels: 96 or 96x128; by default the network's own."
        ),
    ),
]
AuxHeads = Annotated[bool, typer.Option("--aux", help="Include the auxiliary heads.")]
Dialect = Annotated[
    str | None,
    typer.Option(
        "--dialect",
        metavar="ZOO",
        help=(
            "Dialect of the network: the library whose version to use; the same as naming the"
            " network ZOO:NAME."
        ),
    ),
]
Device = Annotated[
    str | None,
    typer.Option("--device", metavar="D", help="Device to use, as the framework itself names it."),
]
Devices = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="X=D",
        help=(
            "Device for framework X, as the framework itself names it, such as torch=cuda:0; can be"
            " repeated."
        ),
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="Number of threads to use; by default what OMP_NUM_THREADS says, or all cores.",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=1,
        help="Seconds without progress after which a framework is stopped.",
    ),
]
Images = Annotated[
    str | None,
    typer.Option(
        "--images",
        metavar="PATH",
        help=(
            "Images to use: an IDX file, a folder, a PNG, JPEG or .npy file; by default"
            " scikit-learn's digits."
        ),
    ),
]
Initializer = Annotated[
    str,
    typer.Option(
        "--initializer",
        metavar="RULE",
        help=(
            "Rule for random initial weights: xavier_uniform, as in Dive into Deep Learning, or"
            " he_normal."
        ),
    ),
]
Picture = Annotated[
    str | None,
    typer.Option(
        "--picture", metavar="FILE", help="Draw a picture to this .png, .svg or .pdf file."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

#: No image has a longer side.
MOST_SIDE = 65_536


def shape_of(
    name: str,
    *,
    channels: int | None,
    size: str | None,
    aux: bool = False,
    dialect: str | None = None,
) -> Shape | None:
    """The input shape (C, H, W) that `--channels` and `--size` mean for the network `name`; None if
    neither is given. Raises `UnknownNameError` for an invalid one.
    """
    if channels is None and size is None:
        return None
    if channels is not None and channels < 1:
        raise UnknownNameError(f"--channels: expected an integer of at least 1, got {channels}")
    if is_own(name):
        own = get_network("googlenet").input_shape
    else:
        own = get_network(name, aux=aux, dialect=dialect).input_shape
    height, width = own[1:] if size is None else parse_size(size)
    return (own[0] if channels is None else channels, height, width)


def network_of(
    name: str,
    *,
    num_classes: int | None,
    channels: int | None,
    size: str | None,
    aux: bool,
    dialect: str | None = None,
) -> Network:
    """The network that the options mean. Raises `UnknownNameError`, `SpecError` or `ShapeError`."""
    shape = shape_of(name, channels=channels, size=size, aux=aux, dialect=dialect)
    return get_network(name, num_classes=num_classes, input_shape=shape, aux=aux, dialect=dialect)


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) of `96` or `96x128`. Raises `UnknownNameError` for other text."""
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text)
    if match is None:
        raise UnknownNameError(
            f"--size: expected pixels as 96 or 96x128 (height x width), got '{text}'"
        )
    height, width = match[1], match[2] or match[1]
    # A number of many digits is not even read.
    if any(len(side) > 6 or not 1 <= int(side) <= MOST_SIDE for side in (height, width)):
        raise UnknownNameError(f"--size: expected 1 to {MOST_SIDE} pixels per side, got '{text}'")
    return int(height), int(width)


def interpreters_of(pairs: list[str] | None) -> dict[str, str]:
    """The interpreters that `--python X=PATH` names, by framework. Raises `UnknownNameError`."""
    return _pairs(pairs, "--python: expected FRAMEWORK=PATH, such as mxnet=/path/to/python")


def devices_of(pairs: list[str] | None) -> dict[str, str]:
    """The devices that `--device X=D` names, by framework. Raises `UnknownNameError`."""
    return _pairs(pairs, "--device: expected FRAMEWORK=DEVICE, such as torch=cuda:0")


def own_models_of(pairs: list[str] | None) -> dict[str, str]:
    """What `--own X=FILE:NAME` names, by framework. Raises `UnknownNameError`."""
    return _pairs(pairs, "--own: expected FRAMEWORK=FILE:NAME, such as torch=mynet.py:GoogLeNet")


def _pairs(pairs: list[str] | None, expected: str) -> dict[str, str]:
    """What stands after the first `=` of each pair, by what stands before it."""
    found: dict[str, str] = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not separator or not name or not value:
            raise UnknownNameError(f"{expected}, got '{pair}'")
        found[name] = value
    return found
