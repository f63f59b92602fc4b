"""`googlenet predict`: a network with given weights on images or arrays, in any framework."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..actions.expected import distance_from, expected_logits
from ..actions.predict import Prediction, check_output, predict
from ..arrays import Array
from ..budget import limited
from ..data.decoding import map_npy
from ..errors import DataError, GoogLeNetError
from ..paths import kind_at
from ..weights.zoo import unused_in_words
from .options import AsJson, Device, Threads, framework_names
from .output import add, bars, counted, print_json, say, say_aside, show, table
from .weight_options import Head, Key

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE",
        help="Images: PNG or JPEG files, folders of them, IDX or .npy files.",
        show_default=False,
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights file of this project, of a native model, or with --model of a zoo.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="Name of the network, or ZOO:NAME, if the weights file does not say.",
    ),
]
FrameworkName = Annotated[
    str,
    typer.Option(
        "--framework",
        metavar="X",
        help="Framework to run the network in.",
        autocompletion=framework_names,
    ),
]
Top = Annotated[
    int, typer.Option("--top", metavar="K", min=1, help="Number of classes to show for each image.")
]
PreprocessingName = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="NAME",
        help="Preprocessing of images; by default what the weights file names, otherwise 'unit'.",
    ),
]
Npy = Annotated[
    str | None,
    typer.Option(
        "--npy",
        metavar="IN",
        help="float32 array (N, C, H, W) to use as is, instead of images.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="OUT",
        help="Write the logits to an .npy file, or all outputs to an .npz file.",
    ),
]
Expect = Annotated[
    str | None,
    typer.Option(
        "--expect",
        metavar="LOGITS",
        help="Logits of another program for these images, an .npy file: say how far ours are.",
    ),
]
Taps = Annotated[
    list[str] | None,
    typer.Option(
        "--tap",
        metavar="PATH",
        help="Also write the output of the layer at this path; can be repeated.",
    ),
]


def command(
    images: Images = None,
    weights: Weights = ...,  # type: ignore[assignment]
    model: Model = None,
    key: Key = None,
    head: Head = None,
    framework: FrameworkName = "numpy",
    device: Device = None,
    threads: Threads = None,
    top: Top = 5,
    preprocessing: PreprocessingName = None,
    npy: Npy = None,
    out: Out = None,
    expect: Expect = None,
    tap: Taps = None,
    as_json: AsJson = False,
) -> None:
    """Run a network on images and show the most likely classes, or on an array and write the
    logits.
    """
    if bool(images) == (npy is not None):
        raise DataError("IMAGE: give either image files, or an array with --npy IN")
    if out is None and (tap or (npy is not None and expect is None)):
        given = f"--npy {npy}" if npy is not None else f"--tap {(tap or [''])[0]}"
        raise DataError(f"{given}: needs --out OUT, the file to write the outputs to")
    target = None if out is None else check_output(out, several=bool(tap))
    expected = None if expect is None else expected_logits(expect)
    if (
        npy is not None
        and target is not None
        and kind_at(target)
        and kind_at(npy)
        and target.samefile(npy)
    ):
        raise DataError(f"--out {out}: is also the input; give another name for the output")
    with _naming(npy), bars(as_json) as report:
        found = predict(
            images or _read_npy(npy or ""),
            weights,
            model=model,
            key=key,
            head=head,
            framework=framework,
            device=device,
            threads=threads,
            preprocessing=preprocessing,
            taps=tap or (),
            report=report,
        )
    far = None if expected is None else distance_from(expected, found.outputs["logits"])
    if target is not None:
        found.save(target)
    if line := unused_in_words(found.unused):
        say_aside(f"{weights}: {line}")
    if found.transforms:
        say_aside(
            f"{weights}: its graph has transform_input, which changes images first; the arrays were"
            " taken as what that makes of them"
        )
    if as_json:
        written = {} if target is None else {"output": str(target)}
        told = {} if far is None else {"distance": {**asdict(far), "allowed": far.allowed}}
        print_json(found.to_json(top) | written | told)
    else:
        _print(found, top, target)
        if far is not None:
            say(f"Expected in {expect}: {far.words}")
    if far is not None and not far.allowed:
        raise typer.Exit(1)


@contextmanager
def _naming(npy: str | None) -> Iterator[None]:
    """Puts `--npy` and its path before what the library says of the array, whose path it lacks."""
    try:
        yield
    except GoogLeNetError as error:
        if npy is not None and str(error).startswith("images: "):
            error.args = (f"--npy {npy}: {error}",)
        raise


def _read_npy(path: str) -> Array:
    """The array of `--npy`. Raises `DataError` if it is not one."""
    array = map_npy(Path(path))
    if array.ndim != 4 or array.dtype.kind != "f":
        raise DataError(
            f"--npy {path}: expected float32 of shape (N, channels, height, width), got"
            f" {array.dtype} {array.shape}"
        )
    with limited(path, DataError) as taken:  # it is mapped: to predict takes a float32 copy
        taken.take_bytes(4 * array.size)
    return array


def _print(found: Prediction, top: int, out: Path | None) -> None:
    where = f"{found.network.name} in {found.framework}"
    if found.preprocessing is None:
        written = "" if out is None else f", logits in {out}"
        say(f"{where}: {counted(len(found.names), 'image')}{written}")
        return
    say(f"{where}, preprocessing {found.preprocessing}")
    rows = table("Image", "Class", "Probability", right=("Probability",))
    for name, guesses in zip(found.names, found.top(top), strict=True):
        for position, guess in enumerate(guesses):
            add(rows, "" if position else name, guess.name, f"{100 * guess.probability:.2f} %")
        rows.add_section()
    show(rows)
    if out is not None:
        say(f"Logits in {out}")
