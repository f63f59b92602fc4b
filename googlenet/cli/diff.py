"""`googlenet diff A B`: how two networks differ as functions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..architectures import get_network
from ..errors import GoogLeNetError
from ..spec.analysis import count_parameters
from ..spec.layers import Network
from ..spec.traversal import num_classes as classes_of
from .options import AsJson, AuxHeads, Channels, Classes, Size, network_of, print_json, shape_text

if TYPE_CHECKING:
    from ..spec.diff import Difference

#: So many layers with the same difference are named one by one; of more, the first.
FEW = 3
DEFAULT_COUNT = 4
#: More than any image set has.
MOST_CLASSES = 1 << 31

First = Annotated[
    str,
    typer.Argument(metavar="A", help="A network, or ZOO:NAME such as torchvision:inception_v3."),
]
Second = Annotated[str, typer.Argument(metavar="B", help="Another one.")]
Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="PATH",
        help="IDX file, folder, PNG, JPEG or .npy; by default scikit-learn's digits.",
    ),
]
Count = Annotated[
    int,
    typer.Option("--count", metavar="N", min=1, help="Images on which the logits are compared."),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the weights.")]
Logits = Annotated[
    bool, typer.Option("--logits/--no-logits", help="Whether both are run on the same weights.")
]


def command(
    first: First,
    second: Second,
    num_classes: Classes = None,
    channels: Channels = None,
    size: Size = None,
    aux: AuxHeads = False,
    images: Images = None,
    count: Count = DEFAULT_COUNT,
    seed: Seed = 0,
    logits: Logits = True,
    as_json: AsJson = False,
) -> None:
    """Show how network B differs from A: layer by layer in words, and by how much the logits move
    on the same weights.

    Both take A's classes and input unless given otherwise, or their own where B cannot.
    """
    a = network_of(first, num_classes=num_classes, channels=channels, size=size, aux=aux)
    b = _like(second, a, aux)
    answer = collect(a, b, images=images, count=count, seed=seed, run=logits)
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _like(name: str, a: Network, aux: bool) -> Network:
    """The network `name` with the classes and input of `a`, or as it is by default where it cannot
    take them.
    """
    plain = get_network(name, aux=aux)
    try:
        return get_network(name, num_classes=classes_of(a), input_shape=a.input_shape, aux=aux)
    except GoogLeNetError:
        return plain


def collect(
    a: Network, b: Network, *, images: Path | None, count: int, seed: int, run: bool
) -> dict[str, Any]:
    """What the command shows, ready for JSON."""
    from ..data.images import load_image_set
    from ..proof.movement import movement
    from ..spec.diff import differences

    found = differences(a, b)
    answer: dict[str, Any] = {
        "first": {
            "name": a.name,
            "input_shape": list(a.input_shape),
            "parameters": count_parameters(a),
        },
        "second": {
            "name": b.name,
            "input_shape": list(b.input_shape),
            "parameters": count_parameters(b),
        },
        "differences": [asdict(difference) for difference in found],
        "same_in_evaluation": all(difference.training_alone for difference in found),
    }
    if run:
        # Labels play no part here: whatever classes the images have.
        image_set = load_image_set(images, a.input_shape, MOST_CLASSES, count=count, seed=seed)
        moved = movement(a, b, image_set.images, seed=seed)
        answer["logits"] = {
            "relative_distance": moved.logits,
            "first_divergence": moved.first_divergence,
            "unfit": moved.unfit,
            "images": image_set.description,
            "image_count": len(image_set.images),
            "seed": seed,
        }
    return answer


def _print(answer: dict[str, Any]) -> None:
    from rich.console import Console

    from ..spec.diff import Difference

    console = Console(highlight=False)

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False)

    for which in ("first", "second"):
        network = answer[which]
        say(
            f"{'−+'[which == 'second']} {network['name']}: {shape_text(network['input_shape'])},"
            f" {network['parameters']:,} parameters"
        )
    differences = [Difference(**difference) for difference in answer["differences"]]
    say("")
    for line in _lines(differences):
        say(line)
    if not differences:
        say("The two are one function.")
    elif answer["same_in_evaluation"]:
        say("\nThe same function in evaluation mode; they differ in training alone.")
    if "logits" in answer:
        say(f"\n{_logits(answer['logits'])}")


def _lines(differences: list[Difference]) -> list[str]:
    """One line for each difference, or for all layers that have the same one."""
    grouped: dict[tuple[str, bool], list[str]] = {}
    for difference in differences:
        grouped.setdefault((difference.words, difference.training_alone), []).append(
            difference.path
        )
    lines: list[str] = []
    for (words, training_alone), paths in grouped.items():
        end = f"{words} (training alone)" if training_alone else words
        if len(paths) <= FEW:
            lines.extend(f"{path or 'the whole'}: {end}" for path in paths)
        else:
            lines.append(f"{paths[0]} and {len(paths) - 1} more such layers: {end}")
    return lines


def _logits(answer: dict[str, Any]) -> str:
    if answer["unfit"] is not None:
        return f"Logits not compared: {answer['unfit']}."
    count = answer["image_count"]
    on = (
        f"on {count} {'image' if count == 1 else 'images'} from {answer['images']}, seed"
        f" {answer['seed']}"
    )
    if answer["first_divergence"] is None:
        return (
            f"On the same weights the logits agree to {answer['relative_distance']:.1e} (relative"
            f" L2 distance, float32) {on}."
        )
    moved = 100 * answer["relative_distance"]
    return (
        f"On the same weights the logits move by {moved:.3g} % (relative L2 distance) {on}; first"
        f" at {answer['first_divergence']}."
    )
