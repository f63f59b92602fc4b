"""The arrays in what a pickle holds: a state dict by itself, or somewhere in the dictionaries and
lists of a checkpoint, beside epochs, arguments and optimisers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ...budget import meter
from ...printable import shown
from .common import UnsuitableError, named
from .numpys import Scalar

#: Paddle's table of names in a state dict.
NAME_TABLE = "StructuredToParameterName@@"
#: Keys under which a checkpoint keeps what trains the weights, or where training stands.
BESIDE = re.compile(r"optim|scheduler|scaler|rng|moment|exp_avg|grad|loss|accumulator", re.I)
#: A dictionary with fewer arrays than this share of what the largest one has is not another model.
_LEAST_SHARE = 0.25
_MOST_KEYS = 8

IsLeaf = Callable[[Any], bool]


def arrays_in(loaded: Any, is_leaf: IsLeaf, advice: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays of `loaded` by name, as it holds them, and what the file's metadata say of them.

    Those are the arrays of the one dictionary that has any, or has by far the most; metadata then
    name its keys as `unwrapped`. Of several such dictionaries, each name begins with the keys of
    its own: `model.fc.weight`, `model_ema.fc.weight`. Raises `UnsuitableError` if there are
    none, with the keys that there are, and ends it with `advice`.
    """
    found: dict[str, dict[str, Any]] = {}
    _collect(loaded, (), is_leaf, found)
    if not found:
        raise UnsuitableError(_none(loaded, is_leaf, advice))
    models = {key: each for key, each in found.items() if not BESIDE.search(key)} or found
    most = max(map(_count, models.values()))
    models = {key: each for key, each in models.items() if _count(each) >= _LEAST_SHARE * most}
    if len(models) == 1:
        ((key, arrays),) = models.items()
        return arrays, {"unwrapped": key} if key else {}
    joined: dict[str, Any] = {}
    for key, arrays in models.items():
        for name, array in arrays.items():
            full = f"{key}.{name}" if key else name
            if full in joined:
                raise ValueError(f"two arrays called {shown(full)}")
            joined[full] = array
    return joined, {}


def _count(arrays: dict[str, Any]) -> int:
    """How many arrays there are; a number of NumPy's is none of a model's."""
    return sum(not isinstance(array, Scalar) for array in arrays.values())


def _collect(
    value: Any, keys: tuple[str, ...], is_leaf: IsLeaf, found: dict[str, dict[str, Any]]
) -> None:
    """Put every dictionary in `value` that holds arrays into `found`, by its keys."""
    if is_leaf(value):
        return
    meter().check_depth(len(keys))
    if isinstance(value, dict):
        arrays = {key: each for key, each in value.items() if is_leaf(each) and key != NAME_TABLE}
        # An optimiser counts what it keeps of each array.
        if arrays and not (keys and all(type(key) is int for key in arrays)):
            found[".".join(keys)] = {named(key): each for key, each in arrays.items()}
        inner = [(key, each) for key, each in value.items() if type(key) is str]
    elif isinstance(value, (list, tuple)):
        inner = [(str(index), each) for index, each in enumerate(value)]
    else:
        return
    for key, each in inner:
        if isinstance(each, (dict, list, tuple)):
            _collect(each, (*keys, key), is_leaf, found)


def _none(loaded: Any, is_leaf: IsLeaf, advice: str) -> str:
    if not isinstance(loaded, dict):
        kind = "array or tensor" if is_leaf(loaded) else type(loaded).__name__.strip("_").lower()
        kind = "tensor" if type(loaded).__name__ == "_Tensor" else kind
        return f"expected arrays by name, got one {kind}; {advice}"
    if not loaded:
        return "expected arrays by name, got none"
    keys = ", ".join(shown(key) for key in list(loaded)[:_MOST_KEYS])
    more = f" and {len(loaded) - _MOST_KEYS} more" if len(loaded) > _MOST_KEYS else ""
    return f"expected arrays by name, got none; its keys are {keys}{more}; {advice}"
