"""The work of `translate` in the processes of the two frameworks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..arrays import Array, Params
from ..backend.discovery import canonical_name, get_backend
from ..backend.protocols import Adopts, OpensHeads, RunsOwn, Writes
from ..errors import BackendError, TraceError
from ..files import write_atomically
from ..jobs.job import Report
from ..jobs.own import TRACING, load_own, users_code
from ..proof.own import own_backend
from ..proof.parity import worker
from ..proof.parity.files import load
from ..proof.written import written_backend
from ..source.folder import write_model
from ..spec.layers import Shape
from ..spec.serial import from_json, to_json
from ..temporary import temporary_folder
from ..tracing.lift import lift
from ..tracing.named import as_named, legal, renamed
from ..tracing.network import Traced, foreign
from ..tracing.tree import Chain, steps
from ..weights.files import load_params, save_params
from .own import foreign_words
from .own_weights import load_into
from .trace import check_finite, drawn_images, prove

#: What one worker hands to the next, and the folder of the files.
_WEIGHTS: Final = "traced.safetensors"
_TRACED: Final = "traced.json"
FILES: Final = "files"


def traced(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """The task of the user's framework: their model as a network with their names, whose weights
    are in a file.
    """
    subject = _Subject(get_backend(framework), framework, values, report)
    report(TRACING, 0, 0)
    with users_code(values["file"]):
        found = subject.proved()
        subject.own(found, frozenset())  # what the proof needs, before anything is written
    network = found.network
    save_params(folder / _WEIGHTS, network, _in_float32(found, values["file"]))
    described = {
        "network": to_json(network, labels=True),
        "places": found.places,
        "outputs": list(found.outputs),
    }
    write_atomically(folder / _TRACED, json.dumps(described).encode())
    # A native model is beside the proof of theirs, too.
    backend: Any = subject.backend
    return {
        "taken": sorted(backend.spelling.attributes) if isinstance(backend, Writes) else [],
        "unbiased": backend.unbiased_running_variance,
        "opened": subject.opened,
    }


def written(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """The task of the framework to translate to: what was traced as files in the folder `files`,
    with other names for layers that cannot be called so there.
    """
    backend = _adopting(get_backend(framework))
    told = json.loads((folder / _TRACED).read_text())
    network = from_json(told["network"])
    params = load_params(folder / _WEIGHTS, network)
    taken = sorted({*backend.spelling.attributes, *values["taken"]})
    found = renamed(
        Traced(network, params, told["places"], tuple(told["outputs"])), frozenset(taken)
    )
    target = folder / FILES
    target.mkdir()
    files = write_model(target, found.network, found.params, backend)
    save_params(folder / f"{framework}.safetensors", found.network, found.params)
    return {
        "files": asdict(files),
        "network": to_json(found.network, labels=True),
        "places": found.places,
        "taken": taken,
        "unbiased": backend.unbiased_running_variance,
    }


def prove_written(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """The proof of a model that is written as source and weights, and loaded from there."""
    backend, precision = worker.prepared(framework)
    with temporary_folder("written") as place:
        subject = written_backend(_adopting(backend), place)
        return worker.compared(subject, precision, values, folder, report)


def prove_own(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """The proof of the user's own model."""
    backend, precision = worker.prepared(framework)
    subject = _Subject(backend, framework, values, report)
    taken = frozenset(values["taken"])
    with users_code(values["file"]):
        found = renamed(subject.traced(), taken)
        written = load(folder).problem.network
        if found.network.layers != written.layers or found.network.outputs != written.outputs:
            raise TraceError(
                f"{values['file']}: {values['name']} is another network each time that it is made;"
                " let its code decide nothing at random"
            )
        backend = subject.own(found, taken)
        return worker.compared(backend, precision, values, folder, report)


def _adopting(backend: Any) -> Adopts:
    if not isinstance(backend, Adopts):
        raise BackendError(
            f"framework '{backend.name}': its backend cannot write models; name another framework"
        )
    return backend


class _Subject:
    """The user's model, as `values` name it, with weights of a file if they do."""

    def __init__(
        self, backend: Any, framework: str, values: Mapping[str, Any], report: Report
    ) -> None:
        if not isinstance(backend, RunsOwn):
            raise BackendError(
                f"framework '{framework}': its backend cannot run models of users; name another"
                " framework"
            )
        self.backend, self._file, self._name = backend, values["file"], values["name"]
        self.model = load_own(self._file, self._name, framework, report)
        self._shape: Shape = tuple(values["input_shape"])
        self._images = drawn_images(self._shape, 0)
        load_into(self.model, backend, values)
        #: Whether it returned its auxiliary outputs in training mode only.
        with users_code(self._file):
            self.opened = isinstance(backend, OpensHeads) and backend.open_heads(
                self.model, self._images
            )

    def traced(self) -> Traced:
        """The model as it is now."""
        return self._traced()[0]

    def own(self, found: Traced, taken: frozenset[str]) -> RunsOwn:
        """The backend of the model, which is `found`, where no layer is called as what is `taken`.
        Raises `TraceError` for a model that cannot take part in the proof.
        """
        own = self.backend.own(self.model, found.network, found.outputs)

        def weights() -> Params:
            return renamed(self.traced(), taken).params

        try:
            return own_backend(self.backend, own, found.network, found.outputs, weights)
        except TraceError as error:
            raise type(error)(f"{self._file}: {error}") from error

    def proved(self) -> Traced:
        """The same, but what was traced gives what the model gives. Raises `TraceError` if not, and
        for what cannot be carried.
        """
        found, tree, outputs = self._traced()
        _check_shared(tree, self._file)
        prove(tree, self._images, outputs)
        return found

    def _traced(self) -> tuple[Traced, Chain, list[Array]]:
        graph, outputs = self.backend.trace(self.model, self._images)
        check_finite(graph)
        tree = lift(graph, ones=True)
        strange = tuple(foreign(tree))
        if strange:
            raise TraceError(f"{self._file}: {foreign_words(strange)}; nothing was written")
        source = f"{self._file}:{self._name}, a model of {canonical_name(self.backend.name)}"
        own = graph.classes.get("net") or self._name.rpartition(".")[2]
        found = as_named(tree, graph, legal(own), self._shape, source)
        return found, tree, outputs


def _check_shared(tree: Chain, file: str) -> None:
    """Raises `TraceError` for layers that share weights: the written ones would not."""
    places: dict[int, str] = {}
    for step in steps(tree):
        for role, array in step.arrays.items():
            if id(array) in places:
                raise TraceError(
                    f"{file}: {step.place} has the {role} of {places[id(array)]}; layers that"
                    " share weights cannot be carried, and nothing was written"
                )
            if step.origins.get(role) in ("tied", "computed"):
                raise TraceError(
                    f"{file}: the {role} of {step.place} is computed from other numbers, which"
                    " cannot be carried, and nothing was written"
                )
            places[id(array)] = step.place


def _in_float32(found: Traced, file: str) -> Params:
    for path, array in found.params.items():
        if array.dtype != np.float32:
            layer, _, role = path.rpartition(".")
            raise TraceError(
                f"{file}: {found.places[layer]}: its {role} is {array.dtype}, and float32 cannot"
                " hold its values; convert the model to float32 first"
            )
    return found.params
