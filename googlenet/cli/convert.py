"""`googlenet convert IN OUT`: weights of a model zoo as a file of ours, or as a file of any
framework.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..backend.discovery import canonical_name
from ..backend.protocols import Saves
from ..backend.threads import prepared_backend
from ..errors import BackendError, DataError, WeightsError
from ..spec.traversal import output_shapes
from .options import AsJson, Size, parse_size, print_json, shape_text

if TYPE_CHECKING:
    from ..weights.formats import WeightsFile
    from ..weights.zoo import Imported

#: How many names of unused arrays are shown.
MOST_NAMES = 10

Source = Annotated[
    Path,
    typer.Argument(
        metavar="IN", help="A weights file of any framework, or one of this project's own."
    ),
]
Target = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="The file to write, .safetensors unless --to names a framework."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="ZOO:MODEL", help="What IN holds, such as torchvision:googlenet."
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="FRAMEWORK", help="Write this framework's own weights file instead."
    ),
]
Aux = Annotated[
    bool | None,
    typer.Option("--aux/--no-aux", help="With the auxiliary heads; by default if IN has them."),
]
ClassNames = Annotated[
    Path | None,
    typer.Option(
        "--classes", metavar="FILE", help="Names to keep with the weights, one class a line."
    ),
]


def command(
    source: Source,
    target: Target,
    model: Model = None,
    framework: To = None,
    aux: Aux = None,
    size: Size = None,
    classes: ClassNames = None,
    as_json: AsJson = False,
) -> None:
    """Convert the weights of a model zoo; without --from, re-write or export a file of this
    project's own.
    """
    from ..weights.formats import read_weights_file
    from ..weights.zoo import find_model, import_weights, reopen_weights

    designator = None if model is None else find_model(model).designator
    backend = None if framework is None else _saving(framework)
    input_size = None if size is None else parse_size(size)
    _check_paths(source, target, ".safetensors" if backend is None else backend.file_suffix)
    names = None if classes is None else _class_names(classes, framework)
    file = read_weights_file(source)
    if designator is None:
        imported = reopen_weights(file, aux=aux, input_size=input_size)
    else:
        imported = import_weights(file, designator, aux=aux, input_size=input_size)
    count = output_shapes(imported.network)["logits"][0]
    if names is not None and len(names) != count:
        raise DataError(
            f"{classes}: expected {count} class names, one a line, as the weights have classes, got"
            f" {len(names)}"
        )
    _write(backend, target, imported, _extra(file, designator, names))
    answer = _summary(file, designator, imported, count, target)
    if as_json:
        print_json(answer)
    else:
        _print(answer, None if framework is None else canonical_name(framework))


def _check_paths(source: Path, target: Path, suffix: str) -> None:
    """Raises `WeightsError` for an OUT that cannot be meant: IN itself, a folder, in no folder, or
    of another ending.
    """
    if target.is_dir():
        raise WeightsError(f"{target}: is a folder, expected the name of a file to write")
    if not target.parent.is_dir():
        raise WeightsError(f"{target}: its folder {target.parent} does not exist; make it first")
    if target.exists() and source.exists() and target.samefile(source):
        raise WeightsError(f"{target}: IN and OUT are one file; give OUT another name")
    if not target.name.endswith(suffix):
        other = (
            "; for a framework's own file give --to FRAMEWORK" if suffix == ".safetensors" else ""
        )
        raise WeightsError(f"{target}: expected a name that ends in {suffix}{other}")


def _class_names(path: Path, framework: str | None) -> list[str]:
    """The lines of a text file. Raises `DataError` if it cannot be read, has an empty line, or
    nowhere to go.
    """
    if framework is not None:
        raise DataError(
            f"--classes: {canonical_name(framework)}'s own file has no place for class names; leave"
            " out --to or --classes"
        )
    try:
        names = [line.strip() for line in path.read_text("utf-8-sig").rstrip().splitlines()]
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); expected a text file, one class"
            " name a line"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text; expected one class name a line") from error
    if "" in names:
        raise DataError(
            f"{path}: line {names.index('') + 1} is empty, expected one class name a line"
        )
    return names


def _extra(file: WeightsFile, designator: str | None, names: list[str] | None) -> dict[str, str]:
    """What the new file's metadata say besides the network; what a file of ours said stays."""
    if designator is None:
        kept: dict[str, str] = {
            key: file.metadata[key]
            for key in ("classes", "preprocessing", "converted_from")
            if key in file.metadata
        }
    else:
        kept = {"preprocessing": designator, "converted_from": designator}
    return kept | ({} if names is None else {"classes": json.dumps(names, ensure_ascii=False)})


def _saving(framework: str) -> Saves:
    """The backend of `framework`. Raises `BackendError` if it writes no files."""
    backend = prepared_backend(framework)
    if not isinstance(backend, Saves):
        raise BackendError(f"framework '{backend.name}': its backend writes no weights files")
    return backend


def _write(backend: Saves | None, target: Path, imported: Imported, extra: dict[str, str]) -> None:
    from ..weights.files import save_params

    if backend is None:
        save_params(target, imported.network, imported.params, extra=extra)
    else:
        backend.save(backend.build(imported.network, imported.params), target)


def _summary(
    file: WeightsFile, designator: str | None, imported: Imported, count: int, target: Path
) -> dict[str, Any]:
    from ..spec.analysis import count_parameters

    network = imported.network
    return {
        "format": file.format,
        "model": designator,
        "name": network.name,
        "input_shape": list(network.input_shape),
        "num_classes": count,
        "outputs": list(network.outputs),
        "parameters": count_parameters(network),
        "arrays": len(imported.params),
        "left_over": imported.left_over,
        "output": str(target),
        "bytes": target.stat().st_size,
    }


def _print(answer: dict[str, Any], framework: str | None) -> None:
    from rich.console import Console

    heads = f", outputs {', '.join(answer['outputs'])}" if len(answer["outputs"]) > 1 else ""
    unused = answer["left_over"]
    shown = ", ".join(unused[:MOST_NAMES]) + (", ..." if len(unused) > MOST_NAMES else "")
    lines = {
        "Read": f"{answer['format']}, {answer['model'] or 'of this project'}",
        "Network": (
            f"{answer['name']} on {shape_text(answer['input_shape'])}, {answer['num_classes']:,}"
            f" classes{heads}"
        ),
        "Parameters": (
            f"{answer['parameters']:,}; {answer['arrays']:,} arrays with the running statistics"
        ),
        "Left over": f"{len(unused):,} arrays: {shown}" if unused else "nothing",
        "Written": (
            f"{answer['output']}{f' for {framework}' if framework else ''},"
            f" {answer['bytes'] / 2**20:,.1f} MiB"
        ),
    }
    console = Console(highlight=False, markup=False)
    for label, text in lines.items():
        console.print(f"{label:<12}{text}", soft_wrap=True)
