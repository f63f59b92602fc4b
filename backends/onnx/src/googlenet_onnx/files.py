"""Whole networks in files of users, whoever wrote them."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np

from googlenet.arrays import Array
from googlenet.errors import BackendError, ShapeError, WeightsError

from .sessions import provider_of, session


def run_file(
    path: str | os.PathLike[str], *, device: str | None = None
) -> Callable[[Array], list[Array]]:
    """The model in a .onnx file as onnxruntime runs it on `device`, as for `build`: a function of
    images (N, C, H, W) of float32 that gives the outputs in the order of the file.

    Raises `WeightsError` for a file that onnxruntime does not run, or that takes anything but
    images, `DeviceError` for a device that does not exist; the function raises `ShapeError` for
    images that the file does not take, `BackendError` if onnxruntime fails.
    """
    provider = provider_of(device, "onnx")
    try:
        held = session(os.fspath(path), provider, "onnx")
    except BackendError as error:
        raise WeightsError(f"{path}: {error}") from error
    inputs = held.get_inputs()
    if [each.type for each in inputs] != ["tensor(float)"] or len(inputs[0].shape) != 4:
        found = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs) or "none"
        raise WeightsError(
            f"{path}: expected one input, images (N, C, H, W) of float32, got {found}"
        )
    (images_in,) = inputs

    def run(images: Array) -> list[Array]:
        """Its outputs for images (N, C, H, W)."""
        for given, taken in zip(images.shape, images_in.shape, strict=True):
            if isinstance(taken, int) and given != taken:
                shown = ", ".join(map(str, images_in.shape))
                raise ShapeError(
                    f"{path}: takes images of ({shown}), got {images.shape}; export it with free"
                    " axes, or give it images of that shape"
                )
        x = np.ascontiguousarray(images, np.float32)
        try:
            found: list[Array] = held.run(None, {images_in.name: x})
        except Exception as error:  # its errors are of many classes of its own
            reason = " ".join(str(error).split())[:300]
            raise BackendError(f"{path}: onnxruntime cannot run it: {reason}") from error
        return found

    return run
