"""A traced model, whose layers have its own names, as the network here that computes the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from ...architectures import designators, get_network
from ...arrays import Params
from ...errors import GoogLeNetError
from ...spec.layers import BatchNorm, Conv, Dense, Network
from ...spec.same import head_paths, same_in_evaluation
from ...spec.traversal import LeafSite, num_classes, walk
from .carry import carried
from .convert import Imported


def lifted(network: Network, params: Params) -> Imported | None:
    """`network` and its `params`, path → float32 array, as a network that has a name here, without
    auxiliary heads; None if it computes what none of them does at its input's size. `others` are
    the further names of the same function.
    """
    same = [
        (known, called) for known in _candidates(network) if (called := _called(network, known))
    ]
    if not same:
        return None
    target, called = same[0]
    heads = tuple(f"{head}." for head in head_paths(network))
    left_over = [path for path in params if heads and path.startswith(heads)]
    kept = {path: array for path, array in params.items() if path not in left_over}
    return Imported(
        target,
        carried(kept, network, target, called),
        left_over,
        others=tuple(known.name for known, _ in same[1:]),
    )


def _candidates(network: Network) -> Iterator[Network]:
    """The networks here with as many classes, and for the same images."""
    for designator in designators():
        try:
            yield get_network(
                designator, num_classes=num_classes(network), input_shape=network.input_shape
            )
        except GoogLeNetError:  # too small for it
            continue


def _called(network: Network, known: Network) -> dict[str, str]:
    """Which layer of `known` each of `network` with arrays is, by path, if both compute the same in
    the same order; {} if not.
    """
    pairs = list(zip_longest(_with_arrays(network), _with_arrays(known)))
    if not all(a and b and type(a.layer) is type(b.layer) for a, b in pairs):
        return {}
    called = {ours.path: theirs.path for ours, theirs in pairs}
    return called if same_in_evaluation(network, known, called) else {}


def _with_arrays(network: Network) -> list[LeafSite]:
    heads = tuple(f"{head}." for head in head_paths(network))
    return [
        site
        for site in walk(network)
        if isinstance(site.layer, Conv | BatchNorm | Dense)
        and not (heads and site.path.startswith(heads))
    ]
