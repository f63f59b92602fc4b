"""Sessions of onnxruntime: on which device, with how many threads and which optimisations."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import onnxruntime

from googlenet.backend import shared
from googlenet.backend.threads import thread_count
from googlenet.errors import BackendError

#: A provider's name and its options, as onnxruntime takes them.
Provider: TypeAlias = tuple[str, Mapping[str, str]]

_CPU: Final = "CPUExecutionProvider"
_SUFFIX: Final = "ExecutionProvider"
#: What `set_threads` and `set_full_precision` have set for the sessions that follow.
_settings: dict[str, Any] = {"threads": None, "full_precision": False}


def set_threads(count: int) -> None:
    """Compute with `count` threads in the models that are built from now on."""
    _settings["threads"] = count


def set_full_precision() -> dict[str, str]:
    """Use no TensorFloat-32 on a GPU in the models that are built from now on."""
    _settings["full_precision"] = True
    return {"use_tf32": "0"}


def provider_of(device: str | None, framework: str) -> Provider:
    """The provider of a `device`: onnxruntime's own name for it, such as "CUDAExecutionProvider",
    or that in lower case and without its end, such as "cpu", "cuda" or "cuda:1".

    Raises `DeviceError` for one that this onnxruntime does not have.
    """
    found = {each.removesuffix(_SUFFIX).lower(): each for each in devices()}
    if device is None:
        return _CPU, {}
    named = re.fullmatch(r"([a-z]+)(?::(\d{1,3}))?", device, re.ASCII)
    word, index = (named[1], named[2]) if named else (device.removesuffix(_SUFFIX).lower(), None)
    provider = found.get(word)
    if provider is None or (named is None and device != provider):
        why = "this onnxruntime has no such execution provider"
        raise shared.unusable_device(device, framework, why, [*found])
    options: dict[str, str] = {} if index is None else {"device_id": index}
    if provider == _CPU and index is not None:
        raise shared.unusable_device(device, framework, "there is only one CPU", [*found])
    if provider == "CUDAExecutionProvider" and _settings["full_precision"]:
        options["use_tf32"] = "0"
    return provider, options


def device_of(provider: Provider) -> str:
    """The device of which `provider_of` gives `provider`."""
    name, options = provider
    index = options.get("device_id")
    return name if index is None else f"{name.removesuffix(_SUFFIX).lower()}:{index}"


def on_cpu(provider: Provider) -> bool:
    """Whether `provider` computes on the processor."""
    return provider[0] == _CPU


def devices() -> list[str]:
    """The execution providers that compute here, as onnxruntime names them, the CPU first."""
    # Azure's sends what it computes to a server.
    known = [each for each in onnxruntime.get_available_providers() if not each.startswith("Azure")]
    return sorted(known, key=lambda each: each != _CPU)


def session(data: bytes | str, provider: Provider, framework: str) -> onnxruntime.InferenceSession:
    """A session of a model of these bytes, or in the file at this path. Raises `DeviceError` if its
    device cannot be used, `BackendError` if onnxruntime cannot run the model.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # onnxruntime asks no environment, and by itself takes every core.
    if _settings["threads"] is not None:
        options.intra_op_num_threads = _settings["threads"]
    elif "OMP_NUM_THREADS" in os.environ:
        options.intra_op_num_threads = thread_count()
    options.log_severity_level = 3  # only errors: warnings are of its own rewriting of the graph
    name, settings = provider
    try:
        made = onnxruntime.InferenceSession(data, options, providers=[(name, dict(settings))])
    except Exception as error:  # its errors are of many classes of its own
        if name != _CPU:
            raise shared.unusable_device(name, framework, error, devices()) from error
        raise BackendError(
            f"{framework}: onnxruntime cannot run the model: {_line(error)}"
        ) from error
    if made.get_providers()[0] != name:  # it took another one, and only logs that
        why = "onnxruntime could not start it"
        raise shared.unusable_device(name, framework, why, devices())
    return made


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
