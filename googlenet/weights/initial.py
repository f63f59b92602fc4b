"""Initial values of weights, drawn for each path: the same bytes on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..arrays import Array, Params, uniform, uniform_float32
from ..errors import UnknownNameError, WeightsError
from ..spec.layers import BatchNorm, Network, Shape
from ..spec.memory import check_params_fit
from ..spec.params import ParamSpec, param_specs


def _log(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The natural logarithm from only +, −, × and ÷, which IEEE 754 rounds the same way everywhere;
    libraries' own `log` functions differ.
    """
    mantissa, exponent = np.frexp(x)
    low = mantissa < math.sqrt(0.5)
    mantissa, exponent = np.where(low, 2.0 * mantissa, mantissa), exponent - low
    s = (mantissa - 1.0) / (mantissa + 1.0)
    square, series = s * s, np.zeros_like(s)
    for power in range(25, -1, -2):
        series = series * square + 1.0 / power
    return 2.0 * s * series + exponent * math.log(2.0)


def _normal(draw: Callable[[int], npt.NDArray[np.float64]], count: int) -> npt.NDArray[np.float64]:
    """Standard normal values by Marsaglia's polar method, made only of operations with one correct
    rounding.
    """
    values: list[npt.NDArray[np.float64]] = []
    have = 0
    while have < count:
        pairs = 2.0 * draw(2 * ((count - have) * 2 // 3 + 16)).reshape(-1, 2) - 1.0
        square = pairs[:, 0] * pairs[:, 0] + pairs[:, 1] * pairs[:, 1]
        inside = (square > 0.0) & (square < 1.0)
        pairs, square = pairs[inside], square[inside]
        values.append((pairs * np.sqrt(-2.0 * _log(square) / square)[:, None]).ravel())
        have += values[-1].size
    return np.concatenate(values)[:count]


def _fans(shape: Shape) -> tuple[int, int]:
    """(fan in, fan out) of an (O, I, ...) weight: channels times receptive field."""
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def _xavier_uniform(shape: Shape, seed: int, path: str) -> npt.NDArray[np.float32]:
    fan_in, fan_out = _fans(shape)
    values = uniform_float32(seed, path, math.prod(shape))
    values *= np.float32(2)
    values -= np.float32(1)
    values *= np.float32(math.sqrt(6.0 / (fan_in + fan_out)))
    return values.reshape(shape)


def _he_normal(shape: Shape, seed: int, path: str) -> npt.NDArray[np.float32]:
    values = _normal(uniform(seed, path), math.prod(shape)) * math.sqrt(2.0 / _fans(shape)[0])
    return values.astype(np.float32).reshape(shape)


INITIALIZERS: dict[str, Callable[[Shape, int, str], npt.NDArray[np.float32]]] = {
    "xavier_uniform": _xavier_uniform,  # Glorot and Bengio 2010, equation 16; as the book trains
    "he_normal": _he_normal,  # arXiv:1502.01852, equation 10
}


def init_params(network: Network, *, seed: int = 0, initializer: str = "xavier_uniform") -> Params:
    """Initial float32 weights of `network`, drawn per path: the same bytes on every machine and
    numpy version.

    Convolution and dense weights come from `initializer` (`xavier_uniform` or `he_normal`; a dense
    layer on a map counts as the convolution that covers it); biases, running means and batch norm's
    `bias` are 0, its `weight` and running variances 1. Adding a layer changes no other layer's
    values. Raises `UnknownNameError` for an unknown initialiser, `WeightsError` for a negative
    seed, `SpecError` for more weights than the machine has memory.
    """
    if initializer not in INITIALIZERS:
        raise UnknownNameError(
            f"initializer: expected one of {', '.join(INITIALIZERS)}, got '{initializer}'"
        )
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise WeightsError(f"seed: expected an integer of at least 0, got {seed!r}")
    draw = INITIALIZERS[initializer]
    check_params_fit(network)

    def initial(spec: ParamSpec) -> Array:
        if spec.name == "weight" and not isinstance(spec.site.layer, BatchNorm):
            return draw(spec.shape, seed, spec.path)
        return np.full(spec.shape, float(spec.name in ("weight", "running_var")), np.float32)

    return {path: initial(spec) for path, spec in param_specs(network).items()}
