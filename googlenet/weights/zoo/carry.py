"""Weights of one network as those of another that is the same function, as dialects of two
libraries may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np

from ...architectures import get_network
from ...arrays import Array, Params
from ...errors import GoogLeNetError, WeightsError
from ...spec.diff import differences
from ...spec.layers import BatchNorm, Conv, Network, Shape
from ...spec.params import param_specs
from ...spec.same import head_paths, same_in_evaluation
from ...spec.shapes import size_text
from ...spec.traversal import walk

#: How many differences are named.
_SHOWN = 3
#: How far from the sizes that two networks were made for it is tried whether they agree.
_FARTHEST = 64


def carried(
    params: Params,
    source: Network,
    target: Network,
    called: Mapping[str, str] = MappingProxyType({}),
) -> Params:
    """`params` of `source` as those of `target`: path → float32 array. `called` says which layer of
    `target` one of `source` is, by path, if it has another.

    What only `target` has is neutral, a bias of 0, a gamma of 1. A bias or a gamma that only
    `source` has is folded: the bias before a batch norm into its running mean, the gamma into the
    convolution and the running mean. Heads that `target` lacks are left out. Every other array
    stays as it is, bit for bit.

    Raises `WeightsError` where the two are not one function in evaluation mode at their input's
    size, saying what differs and at which sizes, if any, it does not.
    """
    if not same_in_evaluation(source, target, called):
        raise WeightsError(
            f"'{target.name}' is another function than '{source.name}' of the same weights:"
            f" {_what_differs(source, target)}{_where_they_agree(source, target)}"
        )
    ours = {theirs: each for each, theirs in called.items()}
    paths = {
        path: f"{ours.get(spec.site.path, spec.site.path)}.{spec.name}"
        for path, spec in param_specs(target).items()
    }
    params = _without_extra(params, source, target, set(paths.values()))
    found: Params = {}
    for path, spec in param_specs(target).items():
        if paths[path] in params:
            found[path] = params[paths[path]]
        elif spec.name == "weight" and isinstance(spec.site.layer, BatchNorm):
            found[path] = np.ones(spec.shape, np.float32)
        elif spec.name == "bias" and isinstance(spec.site.layer, Conv):
            found[path] = np.zeros(spec.shape, np.float32)
        else:  # two heads, of which the source has one
            raise WeightsError(
                f"'{target.name}' has '{path}', which weights of '{source.name}' lack"
            )
    return found


def _without_extra(params: Params, source: Network, target: Network, wanted: set[str]) -> Params:
    """`params` with what `target` has no array for folded into those that are `wanted`."""
    given = dict(params)
    before: Conv | None = None
    conv = ""
    for site in walk(source):
        match site.layer:
            case Conv() as before:
                conv = site.path
            case BatchNorm() if before is not None:
                _fold(given, conv, site.path, wanted)
                before = None
            case _:
                before = None
    kept = [path for path in given if path in wanted]
    heads = [path for path in given if path not in wanted]
    lost = [path for path in heads if not _in_a_head(path, source, target)]
    if lost:
        raise WeightsError(f"'{target.name}' has no '{lost[0]}', which '{source.name}' has")
    return {path: given[path] for path in kept}


def _fold(given: Params, conv: str, norm: str, wanted: set[str]) -> None:
    """Take the bias of the convolution `conv` and the gamma of the batch norm `norm` behind it out
    of `given`, unless they are wanted: γ · (w·x + b − mean) = (γ·w)·x − γ · (mean − b).
    """
    mean, weight = f"{norm}.running_mean", f"{conv}.weight"
    if f"{conv}.bias" in given and f"{conv}.bias" not in wanted:
        given[mean] = _float32(_exact(given[mean]) - _exact(given.pop(f"{conv}.bias")))
    if f"{norm}.weight" in given and f"{norm}.weight" not in wanted:
        gamma = _exact(given.pop(f"{norm}.weight"))
        if (gamma != 1).any():
            given[mean] = _float32(gamma * _exact(given[mean]))
            given[weight] = _float32(gamma[:, None, None, None] * _exact(given[weight]))


def _exact(array: Array) -> Array:
    return array.astype(np.float64)


def _float32(array: Array) -> Array:
    return array.astype(np.float32)


def _in_a_head(path: str, source: Network, target: Network) -> bool:
    return any(path.startswith(f"{head}.") for head in head_paths(source) - head_paths(target))


# Why not ------------------------------------------------------------------------------------------


def _what_differs(source: Network, target: Network) -> str:
    found = [
        each
        for each in differences(source, target)
        if not each.training_alone and not each.arrays_alone
    ]
    by_words: dict[str, list[str]] = {}
    for each in found:
        by_words.setdefault(each.words, []).append(each.path)
    texts = [
        f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}: {words}"
        for words, paths in by_words.items()
    ]
    more = f"; and {len(texts) - _SHOWN} more differences" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more


def _where_they_agree(source: Network, target: Network) -> str:
    """At which sizes the two are one function, as a part of a sentence."""
    for start in dict.fromkeys(_usual_sizes(source, target)):
        if _agree(source, target, start):
            last = start
            while last - start < _FARTHEST and _agree(source, target, last + 1):
                last += 1
            to = f" to {size_text((last, last))}" if last > start else ""
            return f"; they are one function at {size_text((start, start))}{to}"
    return ""


def _usual_sizes(*networks: Network) -> Iterator[int]:
    for network in networks:
        if (own := _at(network, None)) is not None:
            yield own.input_shape[1]


def _agree(source: Network, target: Network, size: int) -> bool:
    shape = (source.input_shape[0], size, size)
    first, second = _at(source, shape), _at(target, shape)
    return first is not None and second is not None and same_in_evaluation(first, second)


def _at(network: Network, shape: Shape | None) -> Network | None:
    """A network of a name at another size, by default its own; None if it has none or does not
    fit.
    """
    try:
        return get_network(network.name, input_shape=shape)
    except GoogLeNetError:
        return None
