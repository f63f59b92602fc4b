"""`googlenet predict`: a network with given weights on images or arrays, in any framework."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from zipfile import BadZipFile

import typer

from ..arrays import Array, Params
from ..backend.discovery import canonical_name
from ..backend.threads import prepared_backend
from ..errors import DataError, UnknownNameError, WeightsError
from ..files import replacing
from ..spec.layers import Network
from ..spec.traversal import nodes
from .options import AsJson, print_json

#: Images in one pass.
CHUNK = 8

Images = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[IMAGE ...]", help="PNG or JPEG, or folders of them.", show_default=False
    ),
]
Weights = Annotated[
    Path,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="A weights file with the names of the spec: of this project, or that a backend saved.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="The network, where the weights do not name it; also ZOO:NAME.",
    ),
]
FrameworkName = Annotated[
    str, typer.Option("--framework", metavar="X", help="The framework that computes.")
]
Device = Annotated[
    str | None, typer.Option("--device", metavar="D", help="The framework's own name of a device.")
]
Top = Annotated[
    int, typer.Option("--top", metavar="K", min=1, help="Classes shown for each image.")
]
PreprocessingName = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="NAME",
        help="What is done to images; by default as the weights say, else unit.",
    ),
]
Npy = Annotated[
    Path | None,
    typer.Option("--npy", metavar="IN", help="Arrays (N, C, H, W) of float32 in place of images."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="OUT", help="Write the logits: .npy, or .npz with all outputs."),
]
Taps = Annotated[
    bool,
    typer.Option(
        "--taps",
        help=(
            "Write the auxiliary heads too, to an .npz by their names; --tap names further layers."
        ),
    ),
]
Tap = Annotated[
    list[str] | None,
    typer.Option("--tap", metavar="PATH", help="Write the output of this layer too; repeatable."),
]


def command(
    images: Images = None,
    weights: Weights = ...,  # type: ignore[assignment]
    model: Model = None,
    framework: FrameworkName = "numpy",
    device: Device = None,
    top: Top = 5,
    preprocessing: PreprocessingName = None,
    npy: Npy = None,
    out: Out = None,
    taps: Taps = False,
    tap: Tap = None,
    as_json: AsJson = False,
) -> None:
    """Run a network on images, and show the likeliest classes; or on an .npy array, and write the
    logits.
    """
    if bool(images) == (npy is not None):
        raise DataError("images: give image files, or --npy IN with an array; one of them")
    if npy is not None and out is None:
        raise DataError(f"--npy {npy}: needs --out OUT, where the logits go")
    if npy is not None and out is not None and npy.exists() and out.exists() and out.samefile(npy):
        raise DataError(f"--out {out}: IN and OUT are one file; give OUT another name")
    _check_out(out, bool(taps or tap))
    backend = prepared_backend(framework)
    arrays = None if npy is None else _read_npy(npy)
    network, params, metadata = _network(
        weights, model, None if arrays is None else arrays.shape[1:]
    )
    paths = _check_taps(network, tap or [])
    if arrays is not None:
        outputs = _run(backend, network, params, list(arrays), paths, device)
        answer: dict[str, Any] = {
            "framework": canonical_name(framework),
            "name": network.name,
            "image_count": len(arrays),
        }
    else:
        from ..data.preprocessing import find_preprocessing, image_files, load_image

        chosen = preprocessing or metadata.get("preprocessing", "unit")
        how = find_preprocessing(chosen)
        files = image_files(images or [])
        loaded = [load_image(file, how, network.input_shape) for file in files]
        outputs = _run(backend, network, params, loaded, paths, device)
        answer = {
            "framework": canonical_name(framework),
            "name": network.name,
            "preprocessing": chosen,
            "images": _classes(
                files,
                outputs["logits"],
                _class_names(weights, metadata, outputs["logits"].shape[1]),
                top,
            ),
        }
    if out is not None:
        _write(out, outputs if taps or tap else {"logits": outputs["logits"]}, network, paths)
        answer["output"] = str(out)
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _check_out(out: Path | None, named: bool) -> None:
    if out is None:
        if named:
            raise DataError("--taps: needs --out OUT.npz, where the outputs go")
        return
    if not out.parent.is_dir():
        raise DataError(f"--out {out}: its folder does not exist; make it first")
    if out.suffix not in ((".npz",) if named else (".npy", ".npz")):
        raise DataError(
            f"--out {out}: expected a name that ends in"
            f" {'.npz, which holds several arrays' if named else '.npy or .npz'}"
        )


def _read_npy(path: Path) -> Array:
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, BadZipFile) as error:
        raise DataError(f"--npy {path}: is not an .npy array of numbers ({error})") from error
    if (
        not isinstance(array, np.ndarray)
        or array.ndim != 4
        or array.dtype.kind != "f"
        or array.size == 0
    ):
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "several arrays"
        raise DataError(
            f"--npy {path}: expected float32 of shape (N, channels, height, width), got {got}"
        )
    with np.errstate(
        over="ignore"
    ):  # what float32 cannot hold becomes infinite, which every backend refuses
        single: Array = array.astype(np.float32)
    return single


def _network(
    path: Path, model: str | None, input_shape: tuple[int, ...] | None
) -> tuple[Network, Params, dict[str, str]]:
    """The network that the weights or `--model` name, at the size of the arrays if there are any,
    and its weights.
    """
    from ..weights.formats import read_weights_file
    from ..weights.zoo import reopen_weights

    size = None if input_shape is None else (input_shape[1], input_shape[2])
    file = read_weights_file(path)
    params, metadata = file.arrays, file.metadata
    if metadata.get("format") == "googlenet":
        imported = reopen_weights(file, input_size=size)
        if model is not None and imported.network.name not in (model, _canonical(model)):
            raise WeightsError(
                f"{path}: holds weights of network '{imported.network.name}', and --model says"
                f" '{model}'; leave --model out"
            )
        return imported.network, imported.params, metadata
    if model is None:
        raise WeightsError(
            f"{path}: does not name its network; give --model NAME, or convert it with: googlenet"
            " convert --from ZOO:MODEL"
        )
    return (*_fitting(path, model, params, size), metadata)


def _canonical(model: str) -> str:
    from ..architectures import get_network

    return get_network(model).name


def _fitting(
    path: Path, model: str, params: Params, size: tuple[int, int] | None
) -> tuple[Network, Params]:
    """The network `model` with the channels and classes that the arrays have."""
    from ..architectures import get_network
    from ..spec.params import param_specs
    from ..weights.check import check_params

    default = get_network(model)
    weights = [
        spec.path
        for spec in param_specs(default).values()
        if spec.name == "weight" and len(spec.shape) > 1
    ]
    first, last = params.get(weights[0]), params.get(weights[-1])
    if first is None or last is None or first.ndim != 4 or last.ndim < 2:
        raise WeightsError(
            f"{path}: '{weights[0]}' or '{weights[-1]}' is missing or misshapen; it holds no"
            f" weights of '{model}'"
        )
    shape = (first.shape[1], *(size or default.input_shape[1:]))
    network = get_network(model, num_classes=last.shape[0], input_shape=shape)
    return network, check_params(network, params, source=str(path))


def _check_taps(network: Network, taps: list[str]) -> list[str]:
    known = {site.path for site in nodes(network)}
    for tap in taps:
        if tap not in known:
            raise UnknownNameError(
                f"--tap {tap}: network '{network.name}' has no such layer; googlenet.nodes(network)"
                " has all paths"
            )
    return taps


def _run(
    backend: Any,
    network: Network,
    params: Params,
    images: list[Array],
    taps: list[str],
    device: str | None,
) -> dict[str, Array]:
    """Every output by name, of all images, a few at a time."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    model = backend.build(network, params, device=device)
    parts: list[dict[str, Array]] = []
    console = Console(stderr=True)
    starts = range(0, len(images), CHUNK)
    quiet = not console.is_terminal or len(starts) < 2
    for start in track(
        starts, description=network.name, console=console, disable=quiet, transient=True
    ):
        parts.append(backend.forward(model, np.stack(images[start : start + CHUNK]), taps=taps))
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if not np.isfinite(outputs["logits"]).all():
        raise WeightsError(
            f"network '{network.name}': its logits are not finite; the weights are damaged, or"
            " wrong for these images"
        )
    return outputs


def _class_names(path: Path, metadata: dict[str, str], count: int) -> list[str]:
    text = metadata.get("classes")
    if text is None:
        return [f"class {index}" for index in range(count)]
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list) or len(names) != count:
        raise WeightsError(
            f"{path}: its metadata 'classes' is no list of {count} names; convert the weights again"
            " with --classes FILE"
        )
    return [str(name) for name in names]


def _classes(files: list[Path], logits: Array, names: list[str], top: int) -> list[dict[str, Any]]:
    import numpy as np

    powers = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    shares = powers / powers.sum(1, keepdims=True)
    rows = []
    for file, share in zip(files, shares, strict=True):
        order = np.argsort(-share, kind="stable")[:top]
        best = [
            {"class": int(index), "name": names[index], "probability": float(share[index])}
            for index in order
        ]
        rows.append({"image": str(file), "top": best})
    return rows


def _write(out: Path, outputs: dict[str, Array], network: Network, taps: list[str]) -> None:
    import numpy as np

    wanted = {name: array for name, array in outputs.items() if name in (*network.outputs, *taps)}
    try:
        with replacing(out) as temporary:
            if out.suffix == ".npy":
                np.save(temporary, wanted["logits"])
            else:
                np.savez(temporary, **wanted)  # type: ignore[arg-type]
    except OSError as error:
        raise DataError(f"--out {out}: cannot be written ({error.strerror or error})") from error


def _print(answer: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if "images" not in answer:
        where = f"{answer['image_count']} images, logits in {answer['output']}"
        console.print(f"{answer['name']} in {answer['framework']}: {where}", soft_wrap=True)
        return
    console.print(
        f"{answer['name']} in {answer['framework']}, preprocessing {answer['preprocessing']}",
        soft_wrap=True,
    )
    table = Table("Image", "Class", box=SIMPLE_HEAD)
    table.add_column("Probability", justify="right")
    for row in answer["images"]:
        for position, best in enumerate(row["top"]):
            table.add_row(
                "" if position else row["image"], best["name"], f"{100 * best['probability']:.2f} %"
            )
        table.add_section()
    console.print(table)
    if "output" in answer:
        console.print(f"Logits in {answer['output']}", soft_wrap=True)
