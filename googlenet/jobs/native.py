"""A network as a framework's users know it: its own layer classes, and shapes in its own axes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..backend.discovery import framework_version, get_backend
from ..backend.protocols import Backend, Writes
from ..backend.threads import prepared_backend, use_threads
from ..spec.layers import Network, Shape
from ..spec.params import param_specs
from ..spec.serial import from_json, to_json
from ..spec.traversal import nodes, walk
from ..temporary import temporary_folder
from ..weights.initial import init_params
from .job import Job, Report, run_job

#: The axes of the spec, N the batch.
CANONICAL = "NCHW"


@dataclass(frozen=True)
class NativeLayer:
    """A part of a native model: its layers in the order of execution, each as its `classes` name
    and as it is `spelled`; the shape of its output, in the framework's own axes with None for the
    batch; the same (C, H, W) or (C,); and its trainable parameters.
    """

    classes: tuple[str, ...]
    spelled: tuple[str, ...]
    native_shape: tuple[int | None, ...]
    output_shape: Shape
    parameters: int

    @property
    def counted(self) -> str:
        """The classes with how often each occurs, in the order of their first."""
        counts = Counter(self.classes)
        return ", ".join(name if n == 1 else f"{n} {name}" for name, n in counts.items())

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "layers": list(self.spelled),
            "native_shape": list(self.native_shape),
            "output_shape": list(self.output_shape),
            "parameters": self.parameters,
        }


@dataclass(frozen=True)
class Native:
    """The native model of a framework: its version, the order of its `axes`, such as "NHWC", and
    its parts by path, "" for the whole.
    """

    framework: str
    version: str
    axes: str
    input_shape: tuple[int | None, ...]
    layers: Mapping[str, NativeLayer]

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "framework": self.framework,
            "framework_version": self.version,
            "axes": self.axes,
            "input_shape": list(self.input_shape),
            "rows": [{"path": path, **layer.to_json()} for path, layer in self.layers.items()],
        }


def native(
    framework: str,
    network: Network,
    shapes: Mapping[str, Shape],
    *,
    apart: bool,
    interpreter: str | None,
    timeout: float,
    report: Report,
) -> Native:
    """The native model of `network` in `framework`, built and run on one image of zeros, and its
    parts at the paths of `shapes`; `apart` in another process, by `interpreter` or this one.

    `shapes` are those of the spec, for parts without any layer, which no model has. Raises
    `BackendError`.
    """
    if not apart:
        backend = prepared_backend(framework)
        values = _describe(backend, network, list(shapes))
        return _read(framework, framework_version(framework), network, shapes, values)
    with temporary_folder("summary") as folder:
        job = Job(
            "googlenet.jobs.native:answer",
            framework,
            {"network": to_json(network), "paths": list(shapes)},
            memory_hint="give a smaller `input_shape`",
        )
        found = run_job(job, folder, interpreter=interpreter, timeout=timeout, report=report)
    found.check(framework)
    return found.give(partial(_read, framework, found.versions[framework], network, shapes))


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """What a worker answers. Raises what the backend raises."""
    backend = get_backend(framework)
    use_threads(backend)
    report("building", 0, 0)
    return _describe(backend, from_json(values["network"]), values["paths"])


def _describe(backend: Backend, network: Network, paths: Sequence[str]) -> dict[str, Any]:
    """The shapes that a native model gives, its parameters, and its layers by path."""
    model = backend.build(network, init_params(network))
    image = np.zeros((1, *network.input_shape), np.float32)
    tapped = {site.path for site in nodes(network)} & set(paths)
    outputs = backend.forward(model, image, taps=sorted(tapped))
    specs = param_specs(network)
    layers, axes = {}, CANONICAL
    if isinstance(backend, Writes):
        spelling = backend.spelling
        axes = "NHWC" if spelling.channels_last else CANONICAL
        for site in walk(network):
            layers[site.path] = [[call.target.__name__, str(call)] for call in spelling.leaf(site)]
    return {
        "axes": axes,
        "shapes": {path: list(outputs[path].shape[1:]) for path in ("logits", *sorted(tapped))},
        "parameters": {
            path: math.prod(array.shape)
            for path, array in backend.params_of(model).items()
            if specs[path].trainable
        },
        "layers": layers,
    }


def _read(
    framework: str,
    version: str,
    network: Network,
    shapes: Mapping[str, Shape],
    found: Mapping[str, Any],
) -> Native:
    axes = found["axes"]

    def native_shape(shape: Sequence[int]) -> tuple[int | None, ...]:
        every = (None, *shape)
        return tuple(every[CANONICAL.index(axis)] for axis in axes) if len(every) == 4 else every

    def layer(path: str) -> NativeLayer:
        calls = [
            call for site, calls in found["layers"].items() if _inside(site, path) for call in calls
        ]
        shape = tuple(found["shapes"].get(path or "logits", shapes.get(path)))
        held = [n for name, n in found["parameters"].items() if _inside(name, path)]
        return NativeLayer(
            tuple(name for name, _ in calls),
            tuple(text for _, text in calls),
            native_shape(shape),
            shape,
            sum(held),
        )

    return Native(
        framework,
        version,
        axes,
        native_shape(network.input_shape),
        {path: layer(path) for path in (*shapes, "")},
    )


def _inside(path: str, part: str) -> bool:
    """Whether what has this path is in the part with that one."""
    return not part or path == part or path.startswith(f"{part}.")
