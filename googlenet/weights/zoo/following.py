"""A network of the spec followed through an ONNX graph, from an output back to the input: each
layer must be there, as the spec has it, and gives its arrays.

Backwards, since each value was made by one operation, where several may take it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ...spec.layers import Aux, Concat, Layer, Network, Residual, Sequential
from ...spec.traversal import child_path
from ..formats.onnx import OnnxGraph
from .found_layers import Differs, Layers, owes
from .values import Value

_MOST_BRANCHES = 64


class Follower(Layers):
    """Follows `network` through `graph`; `params` are its arrays by path as far as it came, and
    `found` how many layers those are.
    """

    def __init__(self, graph: OnnxGraph, network: Network) -> None:
        super().__init__(graph, network)
        self.found = 0
        self._heads: dict[str, tuple[Aux, Value]] = {}

    def whole(self) -> Value:
        """Follow all outputs. The images, as the network takes them: the graph's own, or what was
        made of these. Raises `Differs`.
        """
        first, *others = self.values.graph.outputs
        images = self.follow(self.network.layers, "", Value(self._logits(first), "flat"))
        if len(others) < len(self._heads):
            raise Differs(f"it has {len(others)} further outputs, expected {len(self._heads)}")
        waiting = list(others)
        for path, (head, begins) in self._heads.items():
            waiting.remove(self._head(head, path, begins, waiting))
        return images

    def _head(self, head: Aux, path: str, begins: Value, outputs: Sequence[str]) -> str:
        """The output that an auxiliary head gives."""
        reasons = []
        for output in outputs:
            before = dict(self.params)
            try:
                end = self.follow(head.head, path, Value(self._logits(output), "flat"))
                self._same(end, begins, path)
                return output
            except Differs as error:
                self.params = before
                reasons.append(str(error))
        raise Differs(reasons[0] if reasons else f"'{path}' is no output of it")

    def _logits(self, name: str) -> str:
        """An output without the softmax at its end."""
        node, value = self.values.made(Value(name, "flat"))
        return node.inputs[0] if node is not None and node.op == "Softmax" else value.name

    def follow(self, layer: Layer, path: str, value: Value) -> Value:
        """What `layer` takes, where it gives `value`. Raises `Differs`."""
        match layer:
            case Sequential(children=children):
                for name, child in reversed(children):
                    value = self.follow(child, child_path(layer, path, name), value)
                return value
            case Concat():
                return self._concat(layer, path, value)
            case Residual():
                return self._residual(layer, path, value)
            case Aux():
                self._heads[path] = (layer, value)
                return value
            case _:
                before = self.leaf(layer, self.sites[path], value)
                self.found += 1
                return before

    # Joins ---------------------------------------------------------------------------------------

    def _concat(self, layer: Concat, path: str, value: Value) -> Value:
        branches = self._flat(layer, path)
        values = self._joined(value, path)
        if len(values) != len(branches):
            raise Differs(f"'{path}' joins {len(values)} values, expected {len(branches)}")
        ends = iter(values)
        return self._branches(layer, path, ends.__next__)

    def _flat(self, layer: Layer, path: str) -> list[str]:
        """The branches of a concatenation, and in the place of one that ends in another, those."""
        found: list[str] = []
        for name, child in layer.children if isinstance(layer, Concat) else ():
            inside = _last(child)
            found += self._flat(inside, path) if isinstance(inside, Concat) else [name]
        return found

    def _joined(self, value: Value, path: str) -> list[Value]:
        node, at = self.values.made(value)
        if node is not None and node.op == "Relu" and not at.relu and not at.norm:
            inner, below = self.values.made(at.before(node.inputs[0]))
            if inner is not None and inner.op == "Concat":
                node, at = inner, replace(below, relu=True)
        if node is None or node.op != "Concat":
            return [value]
        axis = int(node.number("axis", 1)) % 4
        if at.order == "flat":
            at = replace(at, order="HWC" if axis == 3 else "CHW")
        if at.norm or axis != (3 if at.order == "HWC" else 1):
            raise Differs(f"'{node.name}' joins along axis {axis}, expected the channels")
        found: list[Value] = []
        for name in node.inputs:
            found += self._joined(at.before(name), path)
            # One may join one value with itself again and again, which is twice as many each time.
            if len(found) > _MOST_BRANCHES:
                raise Differs(f"'{path}' joins more values than any network here")
        return found

    def _branches(self, layer: Concat, path: str, next_value: Callable[[], Value]) -> Value:
        """Where all branches begin; each takes as many of the values as it has ends."""
        begins: Value | None = None
        for name, child in layer.children:
            inside = child_path(layer, path, name)
            end = _last(child)
            if isinstance(end, Concat):
                value = self._before_last(child, inside, next_value)
            else:
                value = self.follow(child, inside, next_value())
            if begins is not None:
                self._same(value, begins, inside)
            begins = value if begins is None else begins
        assert begins is not None
        return begins

    def _before_last(self, layer: Layer, path: str, next_value: Callable[[], Value]) -> Value:
        """Where a branch begins that ends in a concatenation."""
        if isinstance(layer, Concat):
            return self._branches(layer, path, next_value)
        assert isinstance(layer, Sequential)
        *rest, (name, last) = layer.children
        value = self._before_last(last, child_path(layer, path, name), next_value)
        return self.follow(Sequential(tuple(rest)), path, value)

    def _residual(self, layer: Residual, path: str, value: Value) -> Value:
        node, at = self.values.made(value)
        if node is None or node.op not in ("Add", "Sum") or len(node.inputs) != 2 or owes(at):
            raise self.other(path, "a sum", node)
        reason, furthest = None, -1
        orders = [node.inputs, node.inputs[::-1]]
        # What is multiplied is the body, if anything is.
        orders.sort(key=lambda order: not self.values.is_scaled(order[0]))
        for body, shortcut in orders:
            before, found = dict(self.params), self.found
            try:
                end = self.scaled(layer.scale, path, at.before(body))
                end = self.follow(layer.body, f"{path}.body", end)
                other = self.follow(layer.shortcut, f"{path}.shortcut", at.before(shortcut))
                self._same(end, other, path)
                return end
            except Differs as error:
                self.params, reached = before, self.found - found
                if reached > furthest:
                    reason, furthest = error, reached
        assert reason is not None
        raise reason

    def _same(self, first: Value, second: Value, path: str) -> None:
        """Raises `Differs` unless two values are one."""
        one, other = (self.values.made(each)[1] for each in (first, second))
        if (one.name, one.relu, one.norm) != (other.name, other.relu, other.norm) or owes(one):
            raise Differs(f"'{path}' does not begin where the others do")


def _last(layer: Layer) -> Layer:
    """The layer with which a branch ends."""
    while isinstance(layer, Sequential) and layer.children:
        layer = layer.children[-1][1]
    return layer
