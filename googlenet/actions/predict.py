"""Run a network with given weights on images or arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..arrays import Array
from ..backend.discovery import canonical_name
from ..backend.protocols import Compiles
from ..backend.threads import prepared_backend
from ..budget import bounded_json, limited
from ..data.images import load_inputs
from ..data.preprocessing import PREPROCESSINGS, find_preprocessing, preprocessing_of
from ..errors import BackendError, DataError, GoogLeNetError, UnknownNameError, WeightsError
from ..files import replacing, writing
from ..jobs.own import is_own
from ..paths import kind_at
from ..spec.analysis import count_multiply_adds
from ..spec.layers import Network
from ..spec.memory import check_fits
from ..spec.traversal import nodes
from ..weights.formats import read_weights_file
from ..weights.zoo import Imported, open_weights
from .ambiguous import told_apart
from .arguments import integer, name_of, path_of, several, threads_of
from .common import Report

#: The number of images in one pass.
CHUNK = 8
#: How many multiply-adds all images must take for the model to be compiled first: in PyTorch, which
#: compiles longest, about a minute's work on two cores.
WORTH_COMPILING = 2e12


Call: TypeAlias = Callable[[Array], dict[str, Array]]


@dataclass(frozen=True)
class Guess:
    """A class that an image may be of: its number, its name, and its probability in [0, 1]."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a network computed for images.

    `names` has one name for each image; `outputs` has float32 arrays (N, …) by name: `logits`,
    those of the auxiliary heads, and the layers that were asked for. `classes` are the names of the
    classes; `preprocessing` is what was done to the images, None if arrays were given. `unused` are
    the names of arrays of the weights file that the network does not use. `transforms` is whether
    arrays were given for a model that, as its graph says, changes them first (torchvision's
    `transform_input`): they were taken as what it makes of its images.
    """

    network: Network
    framework: str
    names: tuple[str, ...]
    outputs: Mapping[str, Array]
    classes: tuple[str, ...]
    preprocessing: str | None
    unused: tuple[str, ...] = ()
    transforms: bool = False

    @property
    def probabilities(self) -> Array:
        """The softmax of the logits: (N, classes) float64. Of a single logit, which would be 1
        whatever it is, the logistic function, as for two classes of which the other has logit 0.
        """
        logits = self.outputs["logits"].astype(np.float64)
        if logits.shape[1] == 1:
            one: Array = np.exp(-np.logaddexp(0, -logits))
            return one
        powers = np.exp(logits - logits.max(1, keepdims=True))
        shares: Array = powers / powers.sum(1, keepdims=True)
        return shares

    def top(self, count: int = 5) -> list[list[Guess]]:
        """The `count` most likely classes of each image, the most likely first. Raises `SpecError`
        unless `count` is an integer of at least 1.
        """
        count, found = integer("count", count, 1), []
        for shares in self.probabilities:
            order = np.argsort(-shares, kind="stable")[:count]
            found.append([Guess(int(i), self.classes[i], float(shares[i])) for i in order])
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the logits to an `.npy` file, or all outputs by name to an `.npz` file. Raises
        `DataError` for any other ending, or if the file cannot be written.
        """
        out = check_output(path)
        with writing(out), replacing(out) as temporary:
            if out.suffix == ".npy":
                np.save(temporary, self.outputs["logits"])
            else:
                # mypy sees that an output could be called `allow_pickle`, which is no array.
                np.savez(temporary, **self.outputs)  # type: ignore[arg-type]

    def to_json(self, top: int = 5) -> dict[str, Any]:
        """The network, the framework, and for images the `top` most likely classes."""
        answer: dict[str, Any] = {"framework": self.framework, "name": self.network.name}
        if self.preprocessing is None:
            return answer | {"image_count": len(self.names)}
        rows = [
            {
                "image": name,
                "top": [
                    {"class": guess.index, "name": guess.name, "probability": guess.probability}
                    for guess in guesses
                ],
            }
            for name, guesses in zip(self.names, self.top(integer("top", top, 1)), strict=True)
        ]
        return answer | {"preprocessing": self.preprocessing, "images": rows}


def check_output(path: str | os.PathLike[str], *, several: bool = False) -> Path:
    """The file to write outputs to; `several` layers need an `.npz`. Raises `DataError`, with what
    to do, for any other ending or a folder that does not exist.
    """
    out = path_of("out", path)
    if kind_at(out.parent) != "folder":
        raise DataError(f"`out={out}`: its folder does not exist; create it first")
    if kind_at(out) == "folder":
        raise DataError(f"`out={out}`: is a folder, expected the name of a file to write")
    if out.suffix not in ((".npz",) if several else (".npy", ".npz")):
        kinds = ".npz, which holds several arrays" if several else ".npy or .npz"
        raise DataError(f"`out={out}`: expected a name that ends in {kinds}")
    return out


def predict(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Array,
    weights: str | os.PathLike[str],
    *,
    model: str | None = None,
    key: str | None = None,
    head: str | None = None,
    framework: str = "numpy",
    device: str | None = None,
    threads: int | None = None,
    preprocessing: str | None = None,
    taps: str | Sequence[str] = (),
    report: Report = lambda what, done, total: None,
) -> Prediction:
    """Run the network of the file `weights` on `images` in `framework`, in evaluation mode.

    `images` is one path or several, of what `load_image_set` accepts (PNG, JPEG, a folder of them,
    IDX, .npy), or a float32 array (N, C, H, W), which is used as it is. `model` names the network,
    as NAME or ZOO:NAME, if the file does not; `key` and `head` are as for `import_weights`.
    `preprocessing` is by default what the file says, that of the zoo whose names it has, or else
    `unit`. `taps` are the paths of layers whose outputs are also wanted. Without them, the model is
    compiled first for as many images as that is worth. `report` is told how many images are done.

    Raises `DataError`, `WeightsError`, `UnknownNameError`, `SpecError`, `ShapeError`,
    `BackendError` or `DeviceError`, with what to do.
    """
    threads = threads_of(threads)
    taps = tuple(map(str, several("taps", taps)))
    array = _checked(images) if isinstance(images, np.ndarray) else None
    paths = _paths(images) if array is None else []
    source = path_of("weights", weights)
    file = read_weights_file(source)
    if model is not None and is_own(model):
        raise UnknownNameError(
            f"`model={model}`: is a model of your own; convert its weights with `convert`, which"
            " takes it as `model`, and give what that writes"
        )
    size = None if array is None else (int(array.shape[2]), int(array.shape[3]))
    with told_apart(file):
        opened = open_weights(
            file,
            model,
            input_size=size,
            key=None if key is None else name_of("key", key),
            head=None if head is None else name_of("head", head),
        )
    network = opened.network
    known = [site.path for site in nodes(network)]
    if unknown := next((path for path in taps if path not in known), None):
        raise UnknownNameError(
            f"`taps={unknown}`: network '{network.name}' has no such layer; the nearest are"
            f" {', '.join(get_close_matches(unknown, known, n=3, cutoff=0.0))}"
        )
    names: tuple[str, ...]
    chosen: str | None = None
    if array is not None:
        names, pieces = tuple(map(str, range(len(array)))), _pieces(array)
    else:
        chosen = (
            file.metadata.get("preprocessing", _own_preprocessing(opened))
            if preprocessing is None
            else preprocessing
        )
        inputs = load_inputs(paths, network.input_shape, find_preprocessing(chosen))
        names, pieces = inputs.names, inputs.chunks(CHUNK)
    check_fits(network, min(CHUNK, len(names)))
    report(f"loading {canonical_name(framework)}", 0, 0)
    backend = prepared_backend(framework, threads)
    built = backend.build(network, opened.params, device=device)
    call: Call = partial(backend.forward, built, taps=list(taps))
    work = count_multiply_adds(network) * len(names)
    if work >= WORTH_COMPILING and not taps and isinstance(backend, Compiles):
        report(f"compiling for {backend.name}", 0, 0)
        call = _compiled(backend, built, network, call)
    parts: list[dict[str, Array]] = []
    report("images", 0, len(names))
    for done, piece in enumerate(pieces, start=1):
        parts.append(call(piece))
        report("images", min(done * CHUNK, len(names)), len(names))
    wanted = (*network.outputs, *taps)
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in wanted}
    if not np.isfinite(outputs["logits"]).all():
        raise WeightsError(
            f"network '{network.name}': its logits are not finite; the weights are damaged, or not"
            " meant for these images"
        )
    classes = _class_names(source, file.metadata, outputs["logits"].shape[1])
    return Prediction(
        network,
        canonical_name(framework),
        names,
        outputs,
        classes,
        chosen,
        tuple(opened.left_over),
        array is not None and bool(opened.transforms),
    )


def _compiled(backend: Compiles, built: Any, network: Network, plain: Call) -> Call:
    """What `backend` makes of the model, or `plain` where it lacks what that needs, such as a
    compiler.
    """
    try:
        call = backend.compile(built, input_shape=network.input_shape)
        call(np.zeros((CHUNK, *network.input_shape), np.float32))  # some compile when called
    except BackendError:
        return plain
    return call


def _paths(images: Any) -> list[Path]:
    """The path that `images` is, or those that it holds. Raises `DataError` for anything else."""
    one = isinstance(images, str) or not isinstance(images, Iterable)
    return [path_of("images", each) for each in ([images] if one else images)]


def _checked(images: Array) -> Array:
    """Arrays to predict from, as float32; values too large for it become infinite, which backends
    refuse.
    """
    if images.ndim != 4 or images.dtype.kind != "f" or images.size == 0:
        raise DataError(
            "`images`: expected float32 of shape (N, channels, height, width), got"
            f" {images.dtype} {images.shape}"
        )
    with np.errstate(over="ignore"):
        single: Array = images.astype(np.float32)
    return single


def _pieces(images: Array) -> Iterator[Array]:
    for start in range(0, len(images), CHUNK):
        yield images[start : start + CHUNK]


def _class_names(path: Path, metadata: Mapping[str, str], count: int) -> tuple[str, ...]:
    text = metadata.get("classes")
    if text is None:
        return tuple(f"class {index}" for index in range(count))
    with limited(path, WeightsError):
        try:
            names = bounded_json(text)
        except GoogLeNetError:
            raise
        except ValueError:
            names = None
    if not isinstance(names, list) or len(names) != count:
        raise WeightsError(
            f"{path}: its metadata 'classes' is not a list with a name for each class ({count});"
            " convert the weights again with a file of class names"
        )
    return tuple(map(str, names))


def _own_preprocessing(opened: Imported) -> str:
    """What the library whose weights these are does to its images."""
    if opened.model not in PREPROCESSINGS:
        return "unit"
    return preprocessing_of(opened.model, opened.transforms).name
