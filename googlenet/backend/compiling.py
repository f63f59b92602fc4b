"""What `compile` of every backend checks, and the function that it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Final

from ..arrays import Array, Params
from ..errors import BackendError, DataError, ShapeError, UnknownNameError
from ..spec.layers import Network, Shape, check_input_shape
from ..spec.params import param_specs
from ..spec.simplify import Weighed, simplified
from .checks import check_images
from .processor import INSTRUCTIONS, multiplies

#: The dtypes for which a model is compiled by images that show how large its maps become.
CALIBRATED: Final = ("int8",)


class Compiled:
    """A model as one function of images of one shape, in evaluation mode, made for speed.

    `network` is what it computes, at that shape; `dtype` what it computes in. Threads may share it:
    they take turns.
    """

    def __init__(
        self,
        network: Network,
        dtype: str,
        run: Callable[[Array], Sequence[Array]],
        state: Callable[[], object],
    ) -> None:
        """`run` takes images (N, C, H, W) to the outputs (N, K), those of `network.outputs` in this
        order; what `state` returns is equal as long as the model is what it was.
        """
        self.network, self.dtype = network, dtype
        self._run, self._state, self._made_of, self._turn = run, state, state(), Lock()

    def __call__(self, images: Array) -> dict[str, Array]:
        """The outputs (N, K), float32, of images (N, C, H, W) by name, as `forward` gives them.

        Raises `ShapeError` for images of another shape than it was compiled for, `DataError` for
        values that are not finite, `BackendError` if the model has changed since.
        """
        expected = self.network.input_shape
        if getattr(images, "ndim", 0) == 4 and images.shape[1:] != expected:
            raise ShapeError(
                f"images: expected (N, {', '.join(map(str, expected))}), for which the model was"
                f" compiled, got {images.shape}; compile it for"
                f" input_shape={tuple(images.shape[1:])} too"
            )
        images = check_images(self.network, images)
        with self._turn:
            if self._state() != self._made_of:
                raise BackendError(
                    f"compile: the model of network '{self.network.name}' has changed since it was"
                    " compiled; compile it again"
                )
            found = self._run(images)
        return dict(zip(self.network.outputs, found, strict=True))

    def __repr__(self) -> str:
        shape = ", ".join(map(str, self.network.input_shape))
        return f"<Compiled '{self.network.name}' (N, {shape}) {self.dtype}>"


#: The most values of an array that `sampled` looks at.
SAMPLE = 64


def sampled(arrays: Iterable[Array]) -> Callable[[], bytes]:
    """A function that returns the bytes at some places of the flat `arrays` (n,), the first among
    them, as they are when it is called: what tells that arrays in a framework's own memory changed,
    in 40 µs for a hundred arrays.
    """
    views = [each[:: -(-each.size // SAMPLE)] for each in arrays if each.size]
    return lambda: b"".join([each.tobytes() for each in views])


def prepared(
    network: Network,
    params: Params,
    input_shape: Shape,
    dtype: str,
    *,
    dtypes: Sequence[str],
    framework: str,
    lower: Sequence[str] = (),
    calibration: Array | None = None,
) -> Weighed:
    """`network` at `input_shape` (C, H, W) and its weights, rewritten for evaluation: what
    `compile` of `framework` compiles.

    Raises `ShapeError` for a shape with which it would need other weights, `UnknownNameError` for a
    `dtype` that is not one of `dtypes`, nor of `lower`, keys of `INSTRUCTIONS` for which the
    processor must have the instructions; `DataError` if `calibration` is missing for int8, or given
    for another dtype, and what `check_images` raises if it does not hold images (N, C, H, W).
    """
    known = [*dtypes, *(each for each in lower if multiplies(each))]
    if dtype not in known:
        asked = ", ".join(INSTRUCTIONS[dtype]) if dtype in lower else ""
        raise UnknownNameError(
            f"dtype: {framework} compiles for {' or '.join(known)} here, got {dtype!r}"
            + (f"; the processor needs one of {asked}" if asked else "")
        )
    shape = check_input_shape(input_shape)
    if dtype in CALIBRATED and calibration is None:
        raise DataError(
            f"calibration: {dtype} needs images to calibrate by, (N, {', '.join(map(str, shape))})"
            " float32, got None; give a hundred like those that it will be called on"
        )
    if dtype not in CALIBRATED and calibration is not None:
        raise DataError(
            f"calibration: goes with dtype {' or '.join(CALIBRATED)}, got images for {dtype!r};"
            " leave it out"
        )
    resized = network if shape == network.input_shape else network.at(shape)
    needed = {path: spec.shape for path, spec in param_specs(resized).items()}
    for path, expected in needed.items():
        if params[path].shape != expected:
            raise ShapeError(
                f"input_shape: for images {shape}, '{path}' of network '{network.name}' must be"
                f" {expected}, and is {params[path].shape}; compile for {network.input_shape}"
            )
    if calibration is not None:
        check_images(resized, calibration, argument="calibration")
    return simplified(resized, params)
