"""A user's own model in a file as a network, for every action that takes one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..architectures import as_network, get_network
from ..arrays import Params
from ..backend.discovery import get_backend
from ..errors import BackendError, CaptureError, TraceError, UnknownNameError
from ..jobs.job import Report
from ..jobs.own import (
    TRACING,
    Own,
    framework_of,
    function_advice,
    is_own,
    load_own,
    own_of,
    run_own,
    users_code,
)
from ..spec.layers import Network, Shape, check_input_shape
from ..spec.serial import from_json, to_json
from ..temporary import temporary_folder
from ..tracing.network import kind_of
from ..tracing.tree import Step
from ..weights.formats.numpy import read_npz
from .arguments import by_framework, name_of, seconds
from .own_weights import load_into, weights_file
from .trace import trace

#: Told the framework, what it is doing, how much of it is done, and how much there is.
Progress = Callable[[str, str, int, int], None]

#: The file in a job's folder with the arrays of a model, by their numbers: names may be anything.
ARRAYS: Final = "own.npz"

#: The most places of layers that an error names.
MOST_PLACES = 5


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """A user's model as a `network` of the spec, traced in its `framework`: as `Trace`, with the
    weights by path as the model has them.
    """

    own: Own
    framework: str
    framework_version: str
    network: Network
    arrays: Params
    places: Mapping[str, str]
    outputs: tuple[str, ...]
    errors: tuple[float, ...]

    @property
    def params(self) -> Params:
        """Its weights: path → float32 array in canonical axes. Raises `TraceError` for weights in
        double precision that no float32 holds.
        """
        for path, array in self.arrays.items():
            if array.dtype != np.float32:
                layer, _, role = path.rpartition(".")
                raise TraceError(
                    f"{self.own.file}: {self.places[layer]}: its {role} is {array.dtype}, and"
                    " float32 cannot hold its values; convert the model to float32 first"
                )
        return dict(self.arrays)


def default_shape() -> Shape:
    """The images (C, H, W) that a user's model is given if nothing else is said: the book's."""
    return get_network("googlenet").input_shape


def own_network(
    model: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    own_framework: str | None = None,
    input_shape: Shape | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    threads: int | None = None,
    timeout: float = 300.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> OwnNetwork:
    """The model FILE:NAME, such as `mynet.py:net`, for images `input_shape` (C, H, W), by default
    the book's, as a network with its weights. `weights` is a file of its framework that is loaded
    into it first.

    NAME is a model of `own_framework`, by default the one that the file imports, a function of the
    images, or a class or function that makes a model without arguments. The file is run in a
    process of its own, by the interpreter that `interpreters` has for the framework or by this one,
    with the rights of this one; it is killed after `timeout` seconds in which nothing new happens.

    Raises `ModelFileError` if the file or its code fails, `WeightsError` for weights that do not
    fit the model, `DataError` if they are no file, `TraceError` if the model cannot be traced, or
    is not a network of the spec's layers, `ShapeError` for an `input_shape` that is none,
    `UnknownNameError` or `BackendError` for a framework that is not there.
    """
    own = own_of(name_of("model", model))
    timeout = seconds(timeout)
    shape = default_shape() if input_shape is None else check_input_shape(input_shape)
    paths = by_framework("interpreters", interpreters)
    asked = None if own_framework is None else name_of("own_framework", own_framework)
    framework = framework_of(own, asked, paths)
    with temporary_folder("own") as folder:
        answer = run_own(
            "googlenet.actions.own:answer",
            own,
            framework,
            folder,
            {"input_shape": list(shape), "weights": weights_file(weights)},
            interpreter=paths.get(framework),
            threads=threads,
            timeout=timeout,
            report=partial(progress, framework),
        )
        try:
            numbered = read_npz(folder / ARRAYS).arrays
        # Whatever is wrong with what the worker wrote, which ran the user's code.
        except Exception as error:
            raise BackendError(
                f"framework '{framework}': the worker's arrays cannot be read ({error})"
            ) from error
    return answer.give(
        lambda found: OwnNetwork(
            own,
            framework,
            answer.versions[framework],
            from_json(found["network"]),
            {path: numbered[str(number)] for number, path in enumerate(found["paths"])},
            found["places"],
            tuple(found["outputs"]),
            tuple(found["errors"]),
        )
    )


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """What a worker answers: the network of a traced model; its arrays are in a file. Raises what
    `load_own` and `trace` raise, and `TraceError` if it is no network.
    """
    file, name = values["file"], values["name"]
    model = load_own(file, name, framework, report)
    load_into(model, get_backend(framework), values)
    report(TRACING, 0, 0)
    try:
        with users_code(file):
            found = trace(model, framework, tuple(values["input_shape"]), name=name)
    except TraceError as error:
        # Where the model itself raised: on images of another shape it may not.
        raised = error.__cause__ is not None and not isinstance(error, CaptureError)
        other = "; for images of another shape give `input_shape`" if raised else ""
        other += function_advice(model, file, name)
        raise type(error)(f"{file}: {error}{other}", details=error.details) from error
    if found.foreign:
        raise TraceError(f"{file}: {foreign_words(found.foreign)}")
    if found.traced is None:
        raise TraceError(f"{file}: {found.obstacle}")
    network, arrays = found.traced.network, found.traced.params
    numbered: dict[str, Any] = {str(n): array for n, array in enumerate(arrays.values())}
    np.savez(folder / ARRAYS, **numbered)
    return {
        "network": to_json(network),
        "paths": list(arrays),
        "places": found.places,
        "outputs": list(found.outputs),
        "errors": list(found.errors),
    }


def foreign_words(foreign: Sequence[Step]) -> str:
    """Which layers of a model the spec has not, and where."""
    places = list(dict.fromkeys(f"{kind_of(step)} at {step.place}" for step in foreign))
    shown = ", ".join(places[:MOST_PLACES])
    if len(places) > MOST_PLACES:
        shown += f" and {len(places) - MOST_PLACES} more"
    return f"is not one of the spec's networks: the spec does not have these layers: {shown}"


def network_or_own(
    network: str | Network,
    *,
    own_framework: str | None,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    timeout: float = 300.0,
    progress: Progress = lambda who, stage, done, total: None,
) -> tuple[Network, OwnNetwork | None]:
    """The network that an action is given: a name, a `Network`, or FILE:NAME, which is traced, and
    then it is there with its weights and places, too.

    Raises what `as_network` and `own_network` raise, and `UnknownNameError` for an argument that
    does not apply.
    """
    if not is_own(network):
        if own_framework is not None:
            raise UnknownNameError("`own_framework`: applies only to a model given as FILE:NAME")
        made = as_network(
            network, num_classes=num_classes, input_shape=input_shape, aux=aux, dialect=dialect
        )
        return made, None
    for argument, given in (
        ("num_classes", num_classes is not None),
        ("aux", bool(aux)),
        ("dialect", dialect is not None),
    ):
        if given:
            raise UnknownNameError(
                f"`{argument}`: applies only to a network given by name; change {network} itself"
            )
    assert isinstance(network, str)
    found = own_network(
        network,
        own_framework=own_framework,
        input_shape=input_shape,
        interpreters=interpreters,
        timeout=timeout,
        progress=progress,
    )
    return found.network, found
