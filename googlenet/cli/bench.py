"""`googlenet bench`: how fast frameworks are, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..actions.bench import bench
from ..backend.compiling import CALIBRATED
from ..timing.cases import OWN
from .options import (
    AsJson,
    Channels,
    Classes,
    Devices,
    Dialect,
    Frameworks,
    Initializer,
    Interpreters,
    NetworkName,
    Picture,
    Threads,
    Timeout,
    devices_of,
    framework_names,
    interpreters_of,
    own_models_of,
    parse_size,
)
from .output import add, bars, counted, listed, print_json, say, shape_text, show, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..timing.run import Timed, Timings
    from ..timing.spread import Ratio

Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="X",
        help=(
            "Framework with whose native model the others are compared; by default the first that"
            " is timed, except numpy."
        ),
        autocompletion=framework_names,
    ),
]
Forms = Annotated[
    list[str] | None,
    typer.Option(
        "--form",
        metavar="FORM",
        help="Time this form, native or compiled; can be repeated. By default both are timed.",
    ),
]
Own = Annotated[
    list[str] | None,
    typer.Option(
        "--own",
        metavar="X=FILE:NAME",
        help=(
            "Time your own code of the network in framework X, too, and compare with it:"
            " torch=mynet.py:GoogLeNet, or a file of ONNX: onnx=mynet.onnx; can be repeated."
        ),
    ),
]
Training = Annotated[
    bool, typer.Option("--training", help="Time a step of training too, forward and back.")
]
Batches = Annotated[
    list[int] | None,
    typer.Option(
        "--batch",
        metavar="N",
        help="Number of images at a time; can be repeated. By default 1 and 32.",
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        metavar="H[xW]",
        help=(
            "Height and width of the images in pixels: 96 or 96x128; can be repeated. By default"
            " the network's own."
        ),
    ),
]
Dtypes = Annotated[
    list[str] | None,
    typer.Option(
        "--dtype",
        metavar="T",
        help="Compile for float32, bfloat16 or int8; can be repeated. By default float32.",
    ),
]
Scale = Annotated[
    str | None,
    typer.Option(
        "--scale",
        metavar="WHAT",
        help="Show how time grows with batch, side (of the images) or depth (of the network).",
    ),
]
Rounds = Annotated[
    int,
    typer.Option(
        "--rounds", metavar="N", help="Number of times that each is timed, in turn; at least 5."
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Seed for the random weights.")
]


def command(
    name: NetworkName = "googlenet",
    framework: Frameworks = None,
    python: Interpreters = None,
    device: Devices = None,
    base: Base = None,
    form: Forms = None,
    own: Own = None,
    training: Training = False,
    batch: Batches = None,
    size: Sizes = None,
    dtype: Dtypes = None,
    scale: Scale = None,
    rounds: Rounds = 7,
    num_classes: Classes = None,
    channels: Channels = None,
    dialect: Dialect = None,
    initializer: Initializer = "he_normal",
    seed: Seed = 0,
    threads: Threads = None,
    picture: Picture = None,
    timeout: Timeout = 600.0,
    as_json: AsJson = False,
) -> None:
    """Time a network in every framework, as it is built and compiled.

    Frameworks take turns, round after round, so that what slows the machine down slows all of
    them; close other programs. A comparison that noise swamps is not printed. Exits with 1 if
    something cannot be timed, or computes something else.
    """
    from ..drawing.figures import check_picture
    from ..drawing.speeds import draw_speeds

    path = None if picture is None else Path(picture)
    if path is not None:
        check_picture(path)
    with bars(as_json) as shown:
        found = bench(
            name,
            framework,
            base=base,
            forms=form or ("native", "compiled"),
            own=own_models_of(own),
            training=training,
            batches=batch,
            input_sizes=None if size is None else [parse_size(each) for each in size],
            dtypes=dtype or "float32",
            scale=scale,
            rounds=rounds,
            num_classes=num_classes,
            channels=channels,
            dialect=dialect,
            initializer=initializer,
            seed=seed,
            interpreters=interpreters_of(python),
            devices=devices_of(device),
            threads=threads,
            timeout=timeout,
            progress=shown.stage,
        )
    if path is not None:
        draw_speeds(path, found.to_json())
    if as_json:
        print_json({**found.to_json(), "picture": None if path is None else str(path)})
    else:
        _print(found)
        if path is not None:
            say(f"Picture: {path}")
    if not found.passed:
        raise typer.Exit(1)


def _print(found: Timings) -> None:
    _say_what(found)
    several = len(found.networks) > 1
    titles = (*(("Network",) if several else ()), "Framework", "Form")
    numbers = ["Batch", "Images/s", "Spread", "First call", "Peak", f"× {found.base}"]
    has_own = any(each.case.form == OWN for each in found.timed)
    if has_own:
        numbers.append("× own")
    made = table(*titles, *numbers, "Notes", right=tuple(numbers), wrap=("Notes",))
    for each in found.timed:
        peak = found.share_of_peak(each)
        told = bool(each.seconds)
        cells = [
            *((_network(found, each),) if several else ()),
            each.framework,
            _form(each),
            f"{each.case.batch:,}",
            _number(each.case.batch / each.median) if told else "",
            f"{100 * each.spread:.0f} %" if told else "",
            _time(each.first) if told and each.first is not None else "",
            f"{100 * peak:.0f} %" if told and peak is not None else "",
            _ratio(found.ratio(each)),
            *((_ratio(found.ratio_to_own(each)),) if has_own else ()),
            _notes(each),
        ]
        add(made, *cells)
    show(made)
    _say_how_to_read(found)
    for line in (*_swamped(found), *_growths(found)):
        say(line, indent="  ")


def _say_what(found: Timings) -> None:
    first, last = found.networks[0], found.networks[-1]
    sizes = list(dict.fromkeys(shape_text(each.input_shape) for each in found.networks))
    machine = (
        ""
        if found.peak is None
        else (f"; a product of float32 matrices runs at {found.peak / 1e9:,.0f} GFLOP/s here")
    )
    name = first.name if found.scale != "depth" else last.name
    say(
        f"{name} at {listed(sizes)}, {counted(found.rounds, 'round')},"
        f" {found.threads or 'all'} threads{machine}"
    )
    say("")


def _say_how_to_read(found: Timings) -> None:
    say(
        "Images/s is the median of the rounds, Spread half of what lies between the quartiles."
        " Peak is the part of that product's operations a second."
        f" × {found.base} is how many times as fast it is as {found.base} {found.base_form}"
        " doing the same in float32, the median of the rounds."
    )
    if any(each.case.form == OWN for each in found.timed):
        say(
            "own is your own model, with its own weights, in evaluation mode; × own is how many"
            " times as fast its framework's other forms are."
        )
    if any(each.case.dtype in CALIBRATED for each in found.timed):
        say("int8 was calibrated by other digits than those that are compared.")


def _network(found: Timings, each: Timed) -> str:
    network = found.networks[each.case.network]
    if found.scale == "depth":
        return network.name.rpartition(", ")[2]
    return shape_text(network.input_shape)


def _form(each: Timed) -> str:
    words = "training" if each.case.work == "training" else each.case.form
    return words if each.case.dtype == "float32" else f"{words}, {each.case.dtype}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _time(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1e3 * seconds:,.0f} ms"


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio.median:.2f}" if ratio.told else "?"


def _notes(each: Timed) -> str:
    if each.lacks is not None:
        return each.lacks
    if each.error is not None:
        return f"not timed: {each.error}"
    if each.differs:
        return (
            f"not timed: its logits are {each.share:.3g} times as far from float64 as"
            f" {each.case.dtype} may be"
        )
    if each.case.dtype != "float32" and each.share is not None:
        wide = f", which at {each.limit:.2g} proves nothing" if each.vacuous else ""
        return (
            f"error {each.share:.2g} of the limit of {each.case.dtype}{wide}; the same class in"
            f" {each.agreeing} of {counted(each.compared or 0, 'image')}"
        )
    return ""


def _swamped(found: Timings) -> list[str]:
    """What noise does not let one compare, in words."""
    lines = []
    for each in found.timed:
        ratio = found.ratio(each)
        if ratio is not None and not ratio.told:
            where = f" at {_network(found, each)}" if len(found.networks) > 1 else ""
            lines.append(
                f"?  {each.framework}, {_form(each)}, batch {each.case.batch:,}{where}: between"
                f" {ratio.low:.2f} and {ratio.high:.2f} times as fast, which noise swamps; close"
                " other programs, or give more --rounds"
            )
    return lines


def _growths(found: Timings) -> list[str]:
    """With which power of the cost time grows, for each framework and form."""
    from ..timing.spread import growth

    if found.scale is None:
        return []
    lines = []
    kinds = dict.fromkeys(
        (each.framework, _form(each), each.case.batch if found.scale != "batch" else 0)
        for each in found.timed
    )
    for framework, form, batch in kinds:
        rows: Sequence[Timed] = [
            each
            for each in found.timed
            if (each.framework, _form(each)) == (framework, form)
            and each.case.batch == (batch or each.case.batch)
            and each.seconds
        ]
        power = growth(
            [each.case.operations(found.networks) for each in rows], [each.median for each in rows]
        )
        if power is not None:
            lines.append(
                f"{framework}, {form}: time grows as the number of multiply-adds to the power of"
                f" {power:.2f}, over {found.scale}"
            )
    return lines
