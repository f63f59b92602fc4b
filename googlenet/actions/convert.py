"""Weights of a model zoo as a file of this project, or as a file of any framework."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..architectures import as_folded
from ..backend.protocols import Saves, SavesForOthers
from ..backend.threads import prepared_backend
from ..budget import limited
from ..data.preprocessing import PREPROCESSINGS, Choice, find_preprocessing, preprocessing_of
from ..errors import BackendError, DataError, UnknownNameError, WeightsError
from ..jobs.own import is_own
from ..paths import kind_at, read_file
from ..spec.analysis import count_parameters
from ..spec.layers import Network
from ..spec.params import param_specs
from ..spec.simplify import simplified
from ..spec.traversal import num_classes as classes_of
from ..weights.files import save_params
from ..weights.formats import WeightsFile, read_weights_file
from ..weights.zoo import (
    Imported,
    ZooModel,
    carried,
    checkpoint_of,
    find_model,
    import_weights,
    loading,
    models_of,
    native_arrays,
    network_of,
    reopen_weights,
    zoo_models,
)
from .ambiguous import told_apart
from .arguments import flag, name_of, path_of, size_of
from .own import Progress
from .own_lifted import lifted_weights

#: The ending of this project's own files.
OWN = ".safetensors"
#: What a file of ours says in addition to its network; a copy keeps it.
KEPT = ("classes", "preprocessing", "converted_from")


@dataclass(frozen=True)
class Converted:
    """What `convert` read and wrote: the format of `source` in words, the zoo model whose weights
    it holds (None for a file of this project), the network, the number of arrays, the names of
    those that were not used, and the file written, with its framework (None for a file of this
    project), the model of a library whose own file it is, and the Python that loads it there; where
    in the file the arrays are, and which module is the classifier, if that is not
    as the model has it; which other models compute the same, as far as a file with a graph tells;
    and the preprocessing that was stored, if any.
    """

    format: str
    model: str | None
    network: Network
    array_count: int
    left_over: tuple[str, ...]
    target: Path
    framework: str | None
    key: str = ""
    head: str | None = None
    also: tuple[str, ...] = ()
    preprocessing: Choice | None = None
    library: str | None = None
    load: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole-word keys."""
        return {
            "format": self.format,
            "model": self.model,
            "name": self.network.name,
            "input_shape": list(self.network.input_shape),
            "num_classes": classes_of(self.network),
            "outputs": list(self.network.outputs),
            "parameters": count_parameters(self.network),
            "arrays": self.array_count,
            "left_over": list(self.left_over),
            "key": self.key,
            "head": self.head,
            "also": list(self.also),
            "preprocessing": None if self.preprocessing is None else self.preprocessing.name,
            "library": self.library,
            "load": self.load,
            "output": str(self.target),
            "bytes": self.target.stat().st_size,
        }


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    model: str | None = None,
    own_framework: str | None = None,
    channels: int | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    framework: str | None = None,
    library: str | None = None,
    aux: bool | None = None,
    input_size: tuple[int, int] | None = None,
    key: str | None = None,
    head: str | None = None,
    preprocessing: str | None = None,
    classes: str | os.PathLike[str] | None = None,
    fold: bool = False,
    progress: Progress = lambda who, stage, done, total: None,
) -> Converted:
    """Read the weights in `source`, a file of any framework, and write them to `target`.

    `model` is the zoo model that it holds, such as `torchvision:googlenet`, or the network of a
    native model; None for a file of this project. It may also be a model of the user's, FILE:NAME
    as for `own_network`, whose file is run, and loads `source` by its own framework; traced at
    `input_size` and `channels` (by default the book's), it must compute what one of the networks
    here does, and that one's weights are written, without auxiliary heads. `own_framework` and
    `interpreters` are as there. `key` says which model of the file is meant, if
    it has several, by what their names begin with; `head` is what its classifier is called, if not
    as in the library. `target` is a safetensors file of this project, or with `framework` that
    framework's own, or with `library`, such as `timm:inception_v3`, that library's: its own names
    in its framework's own file, which its own model loads without this project, as `load` of what
    is returned says. `aux` says whether to include the auxiliary heads, by default if the file has
    them; `input_size` is (height, width). `preprocessing` is stored with the weights, by default
    the library's own. `classes` is a text file of class names, one per line, to be stored with
    them. With `fold` they become those of the network's form for evaluation, such as
    `folded:inception_v3`, which computes the same outputs but for rounding: batch norm in the
    convolution before it, no dropout, a pool behind the projection that follows it.

    Raises `WeightsError`, `UnknownNameError`, `BackendError`, `DataError`, `SpecError`,
    `ShapeError`, `ModelFileError` or `TraceError`, with what to do, above all where `library`'s
    model is another function of the same weights; an existing `target` is then left unchanged.
    """
    before, after = path_of("source", source), path_of("target", target)
    aux = None if aux is None else flag("aux", aux)
    fold = flag("fold", fold)
    input_size = None if input_size is None else size_of("input_size", input_size)
    designator = None
    if model is None or not is_own(model):
        for argument, given in (
            ("own_framework", own_framework),
            ("channels", channels),
            ("interpreters", interpreters or None),
        ):
            if given is not None:
                raise UnknownNameError(f"`{argument}`: applies only to a model of your own")
        if model is not None:
            designator = models_of(name_of("model", model))[0].designator
    asked = {
        "key": None if key is None else name_of("key", key),
        "head": None if head is None else name_of("head", head),
    }
    if fold and library is not None:
        raise UnknownNameError(
            "`fold`: a library's model has no folded form; leave out `fold` or `library`"
        )
    other = None if library is None else _library(library, framework)
    if other is not None:
        framework = other.framework
    backend = None if framework is None else _saving(framework)
    check_target(before, after, OWN if backend is None else backend.file_suffix)
    if classes is not None and backend is not None:
        raise DataError(
            f"`classes`: {backend.name}'s own files cannot hold class names; leave out"
            " `framework` or `classes`"
        )
    names = None if classes is None else _class_names(path_of("classes", classes))
    file = read_weights_file(before)
    if model is not None and is_own(model):
        for argument, given in (("aux", aux), *asked.items()):
            if given is not None:
                raise UnknownNameError(f"`{argument}`: does not apply to a model of your own")
        imported = lifted_weights(
            model,
            before,
            own_framework=own_framework,
            channels=channels,
            input_size=input_size,
            interpreters=interpreters,
            progress=progress,
        )
    elif designator is None:
        with told_apart(file):
            imported = reopen_weights(file, aux=aux, input_size=input_size, **asked)
    else:
        imported = import_weights(file, designator, aux=aux, input_size=input_size, **asked)
    chosen = _chosen(file, imported, model, preprocessing)
    count = classes_of(imported.network)
    if names is not None and len(names) != count:
        raise DataError(
            f"{classes}: expected one class name per line, one for each class of the weights"
            f" ({count}), got {len(names)}"
        )
    if fold:
        imported = _folded(imported, before)
    if backend is None:
        extra = _extra(file, imported, chosen, names)
        save_params(after, imported.network, imported.params, extra=extra)
    elif other is not None:
        imported = _as_that_of(other, imported, before)
        arrays = native_arrays(other, imported.network, imported.params)
        _for_others(backend).save_for(other.designator, imported.network, arrays, after)
    else:
        backend.save(backend.build(imported.network, imported.params), after)
    return Converted(
        file.format,
        imported.model,
        imported.network,
        len(imported.params),
        tuple(imported.left_over),
        after,
        None if backend is None else backend.name,
        imported.key,
        imported.head,
        imported.others,
        chosen if backend is None else None,
        None if other is None else other.designator,
        None if other is None else loading(other, imported.network, str(after)),
    )


def check_target(source: Path, target: Path, suffix: str | tuple[str, ...]) -> None:
    """Raises `WeightsError` for a `target` that makes no sense: `source` itself, a folder, a file
    in a folder that does not exist, or a name without the ending `suffix`, or one of several.
    """
    if kind_at(target, WeightsError) == "folder":
        raise WeightsError(f"{target}: is a folder, expected the name of a file to write")
    if kind_at(target.parent, WeightsError) != "folder":
        raise WeightsError(f"{target}: its folder {target.parent} does not exist; create it first")
    there = kind_at(target, WeightsError) and kind_at(source, WeightsError)
    if there and target.samefile(source):
        raise WeightsError(f"{target}: is also the input; give another name for the output")
    if not target.name.endswith(suffix):
        known = suffix if isinstance(suffix, str) else " or ".join(suffix)
        other = "; for a framework's own file give `framework`" if suffix == OWN else ""
        raise WeightsError(f"{target}: expected a name that ends in {known}{other}")


def _class_names(path: Path) -> list[str]:
    """The lines of a text file. Raises `DataError` if it cannot be read or has an empty line."""
    try:
        with limited(path, DataError):
            text = read_file(path).decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); expected a text file of class"
            " names, one per line"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text; expected one class name per line") from error
    names = [line.strip() for line in text.rstrip().splitlines()]
    if "" in names:
        raise DataError(
            f"{path}: line {names.index('') + 1} is empty; expected one class name per line"
        )
    return names


def _chosen(
    file: WeightsFile, imported: Imported, model: str | None, asked: str | None
) -> Choice | None:
    """The preprocessing to store: what is `asked` for, that of the checkpoint or zoo `model`, or
    what the file itself says; None if nothing says any.
    """
    if asked is not None:
        find_preprocessing(asked)
        return Choice(asked, "as asked for")
    named = imported.model
    if model is not None and named in zoo_models() and ":" in model:
        named = checkpoint_of(model) or named
    if named in PREPROCESSINGS:
        chosen = preprocessing_of(named, imported.transforms)
        others = [each for each in imported.others if each in PREPROCESSINGS]
        if model is None and others:
            why = f"{chosen.why}, but the same is computed by models of other libraries"
            besides = f", or {chosen.alternative}" if chosen.alternative else ""
            return Choice(chosen.name, why, f"{others[0]}, if it is that{besides}")
        return chosen
    own = file.metadata.get("preprocessing")
    return None if own is None else Choice(own, "as the file says")


def _extra(
    file: WeightsFile, imported: Imported, chosen: Choice | None, names: list[str] | None
) -> dict[str, str]:
    """What the new file's metadata say in addition to the network; a file of ours keeps its own."""
    kept = {key: file.metadata[key] for key in KEPT if key in file.metadata}
    if imported.model is not None:
        kept = {"converted_from": imported.model}
    if chosen is not None:
        kept["preprocessing"] = chosen.name
    return kept | ({} if names is None else {"classes": json.dumps(names, ensure_ascii=False)})


def _folded(imported: Imported, source: Path) -> Imported:
    """The weights as those of the network's form for evaluation."""
    network = as_folded(imported.network)
    found, params = simplified(imported.network, imported.params)
    if found.layers != network.layers:
        path = next(iter(set(param_specs(found)) - set(param_specs(network))))
        raise WeightsError(
            f"{source}: cannot be folded; beside '{path}' a weight would not be finite in float32,"
            " as where a running variance is 0 and eps is small"
        )
    return replace(imported, network=network, params=params)


def _library(name: str, framework: str | None) -> ZooModel:
    """The model of a library whose files can be written."""
    model = find_model(name_of("library", name))
    if framework is not None:
        raise BackendError("`framework`: a library's files are its own framework's; leave it out")
    if not model.framework:
        known = sorted({each.partition(":")[0] for each in zoo_models() if _writable(each)})
        raise BackendError(
            f"`library`: files of '{model.zoo}' are read, but not written; give a model of"
            f" {', '.join(known)}"
        )
    return model


def _writable(name: str) -> bool:
    return bool(find_model(name).framework)


def _as_that_of(model: ZooModel, imported: Imported, source: Path) -> Imported:
    """The weights as those of `model`, which must be the same function."""
    network = network_of(
        model,
        num_classes=classes_of(imported.network),
        input_shape=imported.network.input_shape,
        aux=model.aux and len(imported.network.outputs) > 1,
    )
    try:
        params = carried(imported.params, imported.network, network)
    except WeightsError as error:
        raise WeightsError(
            f"{source}: cannot become a file of {model.designator}; {error}"
        ) from error
    heads = [path for path in imported.params if path not in params and ".aux" in path]
    return replace(
        imported, network=network, params=params, left_over=[*imported.left_over, *heads]
    )


def _for_others(backend: Saves) -> SavesForOthers:
    """Raises `BackendError` if the backend writes no files of other libraries."""
    if not isinstance(backend, SavesForOthers):
        raise BackendError(
            f"framework '{backend.name}': its backend cannot write the files of other libraries"
        )
    return backend


def _saving(framework: str) -> Saves:
    """The backend of `framework`. Raises `BackendError` if it writes no files."""
    backend = prepared_backend(framework)
    if not isinstance(backend, Saves):
        raise BackendError(
            f"framework '{backend.name}': its backend cannot write weights files; leave"
            " out `framework` to write .safetensors"
        )
    return backend
