"""How many single slips in a layer the exact proof sees, and how many the logits show: `python
benchmarks/slips.py --count 500`.

A slip changes one thing in one layer of a right network and keeps all shapes: a padding one pixel
off, a kernel flipped, a bias lost, two channels swapped, a ReLU that leaks, branches in another
order. Each is run in float32 by the reference on a problem of the exact proof. Exits with 1 if the
exact proof misses one, or names another layer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

import googlenet
from googlenet.architectures.inception_v4 import inception_v4
from googlenet.arrays import Array, uniform
from googlenet.backend.geometry import explicit_padding
from googlenet.proof.exact.problem import ExactProblem, draw_problem
from googlenet.reference.network import Model, Pass, Step
from googlenet.spec.layers import (
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    MaxPool,
    Network,
    ReLU,
)
from googlenet.spec.traversal import CompositeSite, LeafSite, composites, nodes, walk

#: What a slip does to the step of its layer, given the model and the layer's place.
Change = Callable[[Model, Any, Step], Step]
Slip = tuple[str, str, Change]


class Slipped(Model):
    """The float32 reference with one slip."""

    slip: Slip

    def __init__(self, problem: ExactProblem, slip: Slip) -> None:
        self.slip = slip
        super().__init__(problem.problem.network, problem.problem.params)

    def _compute(self, site: LeafSite) -> Step:
        right = super()._compute(site)
        _, path, change = self.slip
        return change(self, site, right) if site.path == path else right

    def _compose(self, site: CompositeSite, children: dict[str, Step]) -> Step:
        _, path, change = self.slip
        if site.path == path:
            children = change(self, site, children)
        return super()._compose(site, children)

    def other(self, site: LeafSite, **fields: Any) -> Step:
        """The step of a layer with other fields, at the same place and of the same shapes."""
        layer = replace(site.layer, **fields)
        return Model._compute(self, replace(site, layer=layer))


def slips(network: Network) -> Iterator[Slip]:
    """Every kind of slip at every layer where it changes the function."""
    for site in walk(network):
        for name, change in _leaf_slips(site):
            yield name, site.path, change
    for composite in composites(network):
        children = composite.layer.children
        if isinstance(composite.layer, Concat) and len(children) > 1:
            yield "branches in another order", composite.path, _rotated


def _leaf_slips(site: LeafSite) -> Iterator[tuple[str, Change]]:
    match site.layer:
        case Conv(kernel_size=kernel, bias=bias):
            if site.in_shape[1] > 1 and sum(map(sum, explicit_padding(site.layer))):
                yield "padding one pixel off", _shifted
            if kernel[0] == kernel[1] > 1:
                yield "kernel transposed", _weights(lambda w: w.transpose(1, 0, 2, 3))
            if max(kernel) > 1:
                yield "kernel flipped", _weights(lambda w: w[::-1, ::-1])
            yield "two channels of the output swapped", _weights(_swapped)
            if site.in_shape[0] > 1:
                yield "two channels of the input swapped", _weights(_swapped_inputs)
            yield "a weight halved", _weights(_halved)
            if bias:
                yield "bias lost", _bias(np.zeros_like)
                yield "bias of the next channel", _bias(lambda b: np.roll(b, 1))
            yield "inputs rounded to eleven bits", _rounded
        case Dense(bias=bias):
            yield "two classes swapped", _weights(_swapped)
            yield "a weight halved", _weights(_halved)
            if bias:
                yield "bias lost", _bias(np.zeros_like)
        case BatchNorm(eps=eps):
            yield "another eps", lambda model, site, _: model.other(site, eps=eps * 10)
            yield "bias lost", _bias(np.zeros_like)
            yield "mean not subtracted", _array("running_mean", np.zeros_like)
            yield "variance of the next channel", _array("running_var", lambda v: np.roll(v, 1) * 2)
        case MaxPool():
            yield "mean instead of maximum", _averaged
            if sum(map(sum, explicit_padding(site.layer))):
                yield "padding one pixel off", _shifted
        case AvgPool(count_include_pad=counts):
            if sum(map(sum, explicit_padding(site.layer))):
                yield (
                    "padding counted or not",
                    lambda model, site, _: model.other(site, count_include_pad=not counts),
                )
                yield "padding one pixel off", _shifted
        case ReLU():
            yield "ReLU left out", _output(lambda x, y: x)
            yield "ReLU that leaks", _output(lambda x, y: np.where(x > 0, x, x / 1024))
            yield "ReLU that ends at 6", _output(lambda x, y: np.minimum(y, 6))
            yield "ReLU late", _output(lambda x, y: np.where(x > x.max() / 16, y, 0))


def _output(change: Callable[[Array, Array], Array]) -> Change:
    def slip(model: Model, site: LeafSite, right: Step) -> Step:
        def step(x: Array, run: Pass) -> Any:
            y, backward = right(x, run)
            return change(x, y).astype(y.dtype), backward

        return step

    return slip


def _rounded(model: Model, site: LeafSite, right: Step) -> Step:
    """As TF32 does: a mantissa of eleven bits."""

    def step(x: Array, run: Pass) -> Any:
        mantissa, exponent = np.frexp(x)
        return right(np.ldexp(np.rint(mantissa * 2048) / 2048, exponent).astype(x.dtype), run)

    return step


def _array(name: str, change: Callable[[Array], Array]) -> Change:
    def slip(model: Model, site: LeafSite, right: Step) -> Step:
        path = f"{site.path}.{name}"

        def step(x: Array, run: Pass) -> Any:
            kept = model.params[path]
            model.params[path] = np.ascontiguousarray(change(kept))
            try:
                return right(x, run)
            finally:
                model.params[path] = kept

        return step

    return slip


def _weights(change: Callable[[Array], Array]) -> Change:
    """A change of the weight in the reference's layout: (kh, kw, C, O) or (inputs, O)."""
    return _array("weight", change)


def _bias(change: Callable[[Array], Array]) -> Change:
    return _array("bias", change)


def _swapped(weight: Array) -> Array:
    order = np.arange(weight.shape[-1])
    order[[0, -1]] = order[[-1, 0]]
    return weight[..., order]


def _swapped_inputs(weight: Array) -> Array:
    """The two inputs with the most weights between them change places."""
    used = np.argsort(np.abs(weight).sum((0, 1, 3)))
    order = np.arange(weight.shape[2])
    order[used[[-1, 0]]] = used[[0, -1]]
    return weight[:, :, order]


def _halved(weight: Array) -> Array:
    """The first weight that is not 0, halved."""
    changed = weight.copy()
    changed.reshape(-1)[np.flatnonzero(weight)[0]] /= 2
    return changed


def _shifted(model: Any, site: LeafSite, right: Step) -> Step:
    (top, bottom), (left, right_) = explicit_padding(site.layer)
    padding = (
        ((top - 1, bottom + 1), (left, right_)) if top else ((top, bottom), (left - 1, right_ + 1))
    )
    kernel = site.layer.kernel_size
    if isinstance(site.layer, Conv) or max(map(max, padding)) <= min(kernel) // 2:
        return model.other(site, padding=padding)
    step: Step = model.other(site)

    def moved(x: Array, run: Pass) -> Any:
        return step(np.roll(x, -1, axis=1 if top else 2), run)

    return moved


def _averaged(model: Model, site: LeafSite, right: Step) -> Step:
    pool: Any = site.layer
    mean = AvgPool(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, False)
    return Model._compute(model, replace(site, layer=mean))


def _rotated(model: Model, site: CompositeSite, children: Any) -> Any:
    names = list(children)
    return {name: children[name] for name in (*names[1:], names[0])}


def problems() -> list[ExactProblem]:
    """Small networks with every kind of layer."""
    return [
        draw_problem(network)
        for network in (
            googlenet.get_network("googlenet", num_classes=7, input_shape=(1, 96, 96)),
            googlenet.get_network("googlenet_bn", num_classes=7, input_shape=(1, 96, 96)),
            inception_v4(num_classes=7, input_shape=(3, 139, 139), blocks=(1, 1, 1)),
        )
    ]


def caught(exact: ExactProblem, slip: Slip) -> tuple[str | None, bool]:
    """The first layer whose bits differ, and whether the logits' do."""
    problem = exact.problem
    run = Pass(taps=frozenset(site.path for site in nodes(problem.network)))
    Slipped(exact, slip).run(problem.images, run)
    wrong = [
        name
        for name, expected in exact.outputs.items()
        if not np.array_equal(run.outputs[name], expected)
    ]
    return (wrong[0] if wrong else None), "logits" in wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="number of slips (default: 500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    every = [(exact, slip) for exact in problems() for slip in slips(exact.problem.network)]
    draw = uniform(arguments.seed, "slips")(len(every))
    chosen = [every[number] for number in np.argsort(draw)[: arguments.count]]
    seen, shown, kinds, missed = 0, 0, Counter[str](), []
    for number, (exact, slip) in enumerate(chosen):
        first, logits = caught(exact, slip)
        kinds[slip[0]] += 1
        seen += first == slip[1]
        shown += logits
        if first != slip[1]:
            missed.append({"slip": slip[0], "layer": slip[1], "named": first})
        if sys.stderr.isatty():
            print(f"\r{number + 1}/{len(chosen)}", end="", file=sys.stderr)
    answer = {
        "slips": len(chosen),
        "of": len(every),
        "caught_and_named": seen,
        "shown_by_the_logits": shown,
        "kinds": dict(sorted(kinds.items())),
        "missed": missed,
    }
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        print(
            f"{len(chosen)} slips of {len(every)}: the exact proof caught {seen} and named the"
            f" layer; the logits showed {shown}"
        )
        for each in missed:
            print(f"  {each['slip']} in {each['layer']}: named {each['named']}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
