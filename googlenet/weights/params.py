"""Weights: their names and shapes, seeded initial values, and safetensors files.

`Params` maps a path such as `b3.inception_3a.branch_3x3.reduce.conv.weight` to an array in the
canonical layout: a convolution's `weight` is (O, I, H, W), a dense layer's (O, *input shape),
everything else (C,).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import UnknownNameError, WeightsError
from ..files import unwritable, write_atomically
from ..spec.layers import BatchNorm, Conv, Dense, Network, Shape
from ..spec.traversal import LeafSite, join, walk
from ..version import __version__

Array: TypeAlias = npt.NDArray[Any]
Params: TypeAlias = dict[str, Array]


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One array of a network: its path, its canonical shape, its leaf, and whether training moves
    it by gradient.
    """

    path: str
    shape: Shape
    site: LeafSite
    trainable: bool

    @property
    def name(self) -> str:
        """The last part of the path: `weight`, `bias`, `running_mean` or `running_var`."""
        return self.path.rpartition(".")[2]


def leaf_param_specs(site: LeafSite) -> Iterator[ParamSpec]:
    """The arrays of one leaf, in a fixed order."""

    def spec(name: str, *shape: int, trainable: bool = True) -> ParamSpec:
        return ParamSpec(join(site.path, name), shape, site, trainable)

    match site.layer:
        case Conv(out_channels, kernel_size, _, _, groups, bias):
            yield spec("weight", out_channels, site.in_shape[0] // groups, *kernel_size)
            if bias:
                yield spec("bias", out_channels)
        case Dense(out_features, bias):
            yield spec("weight", out_features, *site.in_shape)
            if bias:
                yield spec("bias", out_features)
        case BatchNorm(scale=scale):
            channels = site.in_shape[0]
            if scale:
                yield spec("weight", channels)
            yield spec("bias", channels)
            yield spec("running_mean", channels, trainable=False)
            yield spec("running_var", channels, trainable=False)


def param_specs(network: Network) -> dict[str, ParamSpec]:
    """Every array of `network` by path, in the order of execution. Raises `ShapeError` if the input
    does not fit.
    """
    return {spec.path: spec for site in walk(network) for spec in leaf_param_specs(site)}


# Initial values -----------------------------------------------------------------------------------


def _bits(seed: int, path: str) -> np.random.PCG64:
    """The source of random bits for this seed and path.

    numpy promises the bit streams of PCG64 and SeedSequence for good, but not the streams of
    `Generator`.
    """
    digest = hashlib.sha256(path.encode()).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, len(digest), 4)]
    return np.random.PCG64(np.random.SeedSequence([seed, *words]))


def uniform(seed: int, path: str) -> Callable[[int], npt.NDArray[np.float64]]:
    """A source of float64 in [0, 1) for this seed and path: the upper 53 of each 64 random bits."""
    bits = _bits(seed, path)
    return lambda count: (
        (np.asarray(bits.random_raw(count), np.uint64) >> np.uint64(11)).astype(np.float64)
        * 2.0**-53
    )


def uniform_float32(seed: int, path: str, count: int) -> npt.NDArray[np.float32]:
    """`count` float32 in [0, 1) for this seed and path: the upper 24 of each 32 random bits, of 64
    the lower half first.
    """
    halves = np.asarray(_bits(seed, path).random_raw((count + 1) // 2), "<u8").view("<u4")[:count]
    return (halves >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def _log(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The natural logarithm from +, −, ×, ÷ alone, which IEEE 754 rounds alike everywhere;
    libraries' own `log` differ.
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
    seed.
    """
    if initializer not in INITIALIZERS:
        raise UnknownNameError(
            f"initializer: expected one of {', '.join(INITIALIZERS)}, got '{initializer}'"
        )
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise WeightsError(f"seed: expected an integer of at least 0, got {seed!r}")
    draw = INITIALIZERS[initializer]

    def initial(spec: ParamSpec) -> Array:
        if spec.name == "weight" and not isinstance(spec.site.layer, BatchNorm):
            return draw(spec.shape, seed, spec.path)
        return np.full(spec.shape, float(spec.name in ("weight", "running_var")), np.float32)

    return {path: initial(spec) for path, spec in param_specs(network).items()}


def check_params(
    network: Network, params: Mapping[str, Array], *, source: str = "weights"
) -> Params:
    """`params` as contiguous float32 arrays in the order of the network; copies nothing that is so
    already.

    Raises `WeightsError`, naming `source` and the first offending path, for a missing, extra,
    wrongly shaped, non-numeric or non-finite array, and for a negative running variance.
    """
    specs = param_specs(network)
    checked: Params = {}
    for path, spec in specs.items():
        if path not in params:
            raise WeightsError(
                f"{source}: '{path}' is missing; network '{network.name}' needs it with shape"
                f" {spec.shape}"
            )
        array = np.asarray(params[path])
        if array.shape != spec.shape:
            raise WeightsError(
                f"{source}: '{path}' has shape {array.shape}, expected {spec.shape}; "
                "was it made for another number of classes, channels or input size?"
            )
        if array.dtype.kind != "f":
            raise WeightsError(
                f"{source}: '{path}' has dtype {array.dtype}, expected floating point"
            )
        if not np.isfinite(array).all():
            raise WeightsError(
                f"{source}: '{path}' holds NaN or infinity; the weights are damaged or diverged in"
                " training"
            )
        if spec.name == "running_var" and (array < 0).any():
            raise WeightsError(
                f"{source}: '{path}' holds a negative variance; the weights are damaged"
            )
        checked[path] = np.ascontiguousarray(array, np.float32)
    extra = [path for path in params if path not in specs]
    if extra:
        raise WeightsError(
            f"{source}: '{extra[0]}' does not belong to network '{network.name}' ({len(extra)} such"
            " arrays); remove it or build the network that it belongs to"
        )
    return checked


# Files --------------------------------------------------------------------------------------------


def safetensors_bytes(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of `arrays`, the same bytes for the same content: the library itself
    writes its header in any order.
    """
    import safetensors.numpy

    data = safetensors.numpy.save(dict(arrays), dict(metadata))
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the arrays stay aligned
    return len(header).to_bytes(8, "little") + header + data[start:]


def save_params(
    path: str | os.PathLike[str],
    network: Network,
    params: Mapping[str, Array],
    *,
    extra: Mapping[str, str] | None = None,
) -> None:
    """Write float32 `params` of `network` to a safetensors file, with the network's name, version
    and input shape as metadata.

    `extra` is further metadata, such as `classes`. Raises `WeightsError` if the weights do not fit
    the network or the file cannot be written; an existing file then stays whole.
    """
    checked = check_params(network, params)
    metadata = {
        **(extra or {}),
        "format": "googlenet",
        "version": __version__,
        "network": network.name,
        "input_shape": ",".join(map(str, network.input_shape)),
        "outputs": ",".join(network.outputs),
    }
    try:
        write_atomically(path, safetensors_bytes(checked, metadata))
    except OSError as error:
        raise unwritable(path, error) from error


def read_safetensors(path: str | os.PathLike[str]) -> tuple[Params, dict[str, str]]:
    """All arrays of a safetensors file, and its metadata.

    Raises `WeightsError`, naming the file, if it is missing, unreadable, truncated or of another
    format.
    """
    import safetensors

    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise WeightsError(f"{path}: {what}; give the path of a .safetensors file")
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            params = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (the file is no mapping)
            return params, dict(file.metadata() or {})
    except (safetensors.SafetensorError, OSError, TypeError, AttributeError) as error:
        # TypeError and AttributeError: a dtype that numpy has not, such as bfloat16.
        raise WeightsError(
            f"{path}: not a whole safetensors file of arrays that numpy can hold ({error})"
        ) from error


def load_params(path: str | os.PathLike[str], network: Network) -> Params:
    """The weights of `network` from a safetensors file: path → float32 array.

    Raises `WeightsError`, naming the file and the first offending path, if they do not fit.
    """
    params, metadata = read_safetensors(path)
    made_for = metadata.get("network", network.name)
    if made_for != network.name:
        raise WeightsError(
            f"{path}: holds weights of network '{made_for}', expected '{network.name}'; build that"
            " network instead"
        )
    return check_params(network, params, source=str(path))
