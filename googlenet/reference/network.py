"""The reference model: a network as nested functions, run forward and backward by NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypeAlias, TypeVar, assert_never

import numpy as np
import numpy.typing as npt

from ..arrays import Array, Params, uniform
from ..backend.checks import check_images
from ..backend.geometry import window_count
from ..spec.layers import (
    AdaptiveAvgPool,
    Aux,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    LocalResponseNorm,
    MaxPool,
    Network,
    ReLU,
    Residual,
    Scale,
    Sequential,
)
from ..spec.params import param_specs
from ..spec.rewrite import resolve
from ..spec.traversal import CompositeSite, LeafSite, fold, join
from . import layout, ops

Given = ParamSpec("Given")
Found = TypeVar("Found")


def matmul(a: Array, b: Array) -> Array:
    """The plain product of matrices."""
    product: Array = a @ b
    return product


#: The number of terms that one product adds when sums are taken piece by piece; fewer where a sum
#: is larger than its result.
PIECE, SHORT_PIECE = 64, 8


def piecewise_matmul(a: Array, b: Array) -> Array:
    """The same product, its sums taken from the end, piece after piece: equal in exact arithmetic,
    rounded differently.

    The gradient of a first convolution's weight is a sum over every pixel of every image, and not
    every framework's is as exact as a blocked product: some add one pixel after another.
    """
    rows, terms = a.shape
    piece = SHORT_PIECE if terms > rows else PIECE
    total = np.zeros((rows, b.shape[1]), np.result_type(a, b))
    for end in range(terms, 0, -piece):
        start = max(end - piece, 0)
        total += matmul(a[:, start:end][:, ::-1], b[start:end][::-1])
    return total


def in_silence(compute: Callable[Given, Found]) -> Callable[Given, Found]:
    """`compute`, in which a number that grows too large becomes infinite without a warning, as in
    every framework.
    """

    @wraps(compute)
    def silent(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        with np.errstate(over="ignore", invalid="ignore"):
            return compute(*args, **kwargs)

    return silent


def _as_made(path: str, y: Array) -> Array:
    return y


@dataclass
class Pass:
    """One pass through the model: how to compute it, and its results.

    `outputs` collects `logits`, auxiliary heads and `taps` in NCHW; `grads` the gradients in native
    layout; `choices` what each ReLU and max pool decided in the backward pass, by path, or has to
    decide. `decide`, if given, makes choices of the outputs, between the two passes. `made` says
    what becomes of each layer's output in native layout, given with its path, before it is taken;
    the backward pass does not know.
    """

    train: bool = False
    taps: frozenset[str] = frozenset()
    dot: ops.Dot = matmul
    made: Callable[[str, Array], Array] = _as_made
    choices: dict[str, ops.Choice] = field(default_factory=dict)
    decide: Callable[[Mapping[str, Array]], Mapping[str, ops.Choice]] | None = None
    outputs: dict[str, Array] = field(default_factory=dict)
    output_grads: dict[str, Array] = field(default_factory=dict)
    grads: dict[str, Array] = field(default_factory=dict)

    def choice(self, path: str) -> ops.Choice:
        """The choice of the ReLU or max pool at `path`, free unless one was given."""
        return self.choices.setdefault(path, ops.Choice())

    def settle(self) -> None:
        """Have `decide` make its choices, after the forward pass and before the backward pass."""
        if self.decide is not None:
            for path, choice in self.decide(self.outputs).items():
                self.choice(path).fixed = choice.fixed

    def tap(self, path: str, y: Array) -> None:
        """Keep the output of the layer at `path` if it was asked for."""
        if path in self.taps:
            self.outputs[path] = layout.to_nchw(y).copy()


Step: TypeAlias = Callable[[Array, Pass], tuple[Array, ops.Backward]]


class Model:
    """A network in NumPy: `model(images)` maps (N, C, H, W) to logits (N, K), or to (logits, aux1,
    ...) with auxiliary heads.

    `params` holds the weights by path in the reference's own layout and `dtype`; `train_mode`
    selects training mode. With `rounded`, which is for float64, each leaf's result and gradient,
    each constant factor and product with it, and batch norm's var + eps are rounded to float32.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        *,
        dtype: npt.DTypeLike = np.float32,
        unbiased_running_variance: bool = False,
        rounded: bool = False,
    ) -> None:
        self.network = network
        self.dtype = np.dtype(dtype)
        self.rounded = ops.round_float32 if rounded else ops.as_it_is
        self.unbiased_running_variance = unbiased_running_variance
        self.specs = param_specs(network)
        self.params = {
            path: layout.to_native(spec, params[path]).astype(self.dtype)
            for path, spec in self.specs.items()
        }
        self.train_mode = False
        self.dropout_seed = 0
        self._step = fold(resolve(network), self._leaf, self._compose)

    def __call__(self, images: Array) -> Array | tuple[Array, ...]:
        """(N, C, H, W) → logits (N, K), or with auxiliary heads (logits, aux1, ...). Raises what
        `check_images` raises.
        """
        run = Pass(train=self.train_mode)
        self.run(check_images(self.network, images), run)
        outputs = tuple(run.outputs[name] for name in self.network.outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def __repr__(self) -> str:
        lines: list[str] = []

        def compose(site: CompositeSite, children: dict[str, str]) -> str:
            inside = [f"({name}): {text}" for name, text in children.items()]
            body = "".join(f"\n  {line}" for text in inside for line in text.split("\n"))
            return (
                f"{type(site.layer).__name__}({body}\n)"
                if body
                else f"{type(site.layer).__name__}()"
            )

        lines.append(fold(self.network, lambda site: repr(site.layer), compose))
        return f"{self.network.name}, {self.dtype}: " + "\n".join(lines)

    def run(self, images: Array, run: Pass) -> ops.Backward:
        """Forward pass of images (N, C, H, W) into `run.outputs`; the result takes the logits'
        gradient (N, K) backward.
        """
        x = np.ascontiguousarray(layout.to_nhwc(np.asarray(images, self.dtype)))
        self.dropout_seed += run.train
        logits, backward = self._step(x, run)
        run.outputs = {"logits": layout.to_nchw(logits), **run.outputs}
        return backward

    # Leaves ---------------------------------------------------------------------------------------

    def _leaf(self, site: LeafSite) -> Step:
        compute = self._compute(site)

        def step(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
            y, backward = compute(x, run)
            y = run.made(site.path, self.rounded(y))
            run.tap(site.path, y)
            return y, lambda dy: self.rounded(backward(dy))

        return step

    def _compute(self, site: LeafSite) -> Step:
        path = site.path
        count = window_count(site) if len(site.out_shape) == 3 else (1, 1)
        match site.layer:
            case Conv() as conv:
                return lambda x, run: self._weighted(
                    path, run, ops.conv(x, conv, *self._weights(path), count, run.dot)
                )
            case Dense():
                return lambda x, run: self._weighted(
                    path, run, ops.dense(x, *self._weights(path), run.dot)
                )
            case BatchNorm() as batch_norm:
                return lambda x, run: self._batch_norm(path, batch_norm, x, run)
            case LocalResponseNorm() as norm:
                return lambda x, run: ops.local_response_norm(x, norm)
            case MaxPool() as max_pool:
                return lambda x, run: ops.max_pool(x, max_pool, count, run.choice(path))
            case AvgPool() as avg_pool:
                return lambda x, run: ops.avg_pool(x, avg_pool, count)
            case AdaptiveAvgPool(output_size):
                return lambda x, run: ops.adaptive_avg_pool(x, output_size)
            case GlobalAvgPool():
                return lambda x, run: ops.global_avg_pool(x)
            case ReLU():
                return lambda x, run: ops.relu(x, run.choice(path))
            case Dropout(rate):
                return lambda x, run: _multiply(
                    x,
                    _dropout_mask(path, rate, x, self.dropout_seed) if run.train and rate else None,
                )
            case Scale(factor, when):
                return lambda x, run: _multiply(
                    x,
                    self._factor(x, factor)
                    if when in ("always", "train" if run.train else "eval")
                    else None,
                )
            case _:
                assert_never(site.layer)

    def _factor(self, x: Array, factor: float) -> Array:
        """A constant in the dtype of `x`, as it is multiplied with."""
        return self.rounded(np.asarray(factor, x.dtype))

    def _weights(self, path: str) -> tuple[Array, Array | None]:
        """The weight of a convolution or dense layer, and its bias if it has one."""
        return self._param(path, "weight"), self._get(path, "bias")

    def _param(self, path: str, name: str) -> Array:
        return self.params[join(path, name)]

    def _get(self, path: str, name: str) -> Array | None:
        return self.params.get(join(path, name))

    def _weighted(
        self, path: str, run: Pass, result: tuple[Array, ops.WeightedBackward]
    ) -> tuple[Array, ops.Backward]:
        y, both = result

        def backward(dy: Array) -> Array:
            dx, grads = both(dy)
            run.grads.update({join(path, name): grad for name, grad in grads.items()})
            return dx

        return y, backward

    def _batch_norm(
        self, path: str, layer: BatchNorm, x: Array, run: Pass
    ) -> tuple[Array, ops.Backward]:
        mean, var = self._param(path, "running_mean"), self._param(path, "running_var")
        if run.train:
            batch_mean, batch_var = x.mean((0, 1, 2)), x.var((0, 1, 2))
            count = x.size // x.shape[3]
            moved = (
                batch_var * count / max(count - 1, 1)
                if self.unbiased_running_variance
                else batch_var
            )
            for name, old, new in (("running_mean", mean, batch_mean), ("running_var", var, moved)):
                self.params[join(path, name)] = (
                    (1 - layer.momentum) * old + layer.momentum * new
                ).astype(self.dtype)
            mean, var = batch_mean, batch_var
        result = ops.batch_norm(
            x,
            layer,
            self._get(path, "weight"),
            self._param(path, "bias"),
            mean,
            var,
            train=run.train,
            rounding=self.rounded,
        )
        return self._weighted(path, run, result)

    # Composites -----------------------------------------------------------------------------------

    def _compose(self, site: CompositeSite, children: dict[str, Step]) -> Step:
        match site.layer:
            case Sequential():
                compute = _sequential(tuple(children.values()))
            case Concat():
                compute = _concat(tuple(children.values()))
            case Residual(scale=scale):
                compute = self._residual(children["body"], children["shortcut"], scale)
            case Aux():
                return _aux(site.path.rpartition(".")[2], children["head"])
            case _:
                assert_never(site.layer)

        def step(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
            y, backward = compute(x, run)
            y = run.made(site.path, y)
            run.tap(site.path, y)
            return y, backward

        return step

    def _residual(self, body: Step, shortcut: Step, scale: float) -> Step:
        def compute(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
            (y, body_back), (kept, shortcut_back) = body(x, run), shortcut(x, run)
            factor = self._factor(x, scale)
            return (
                kept + self.rounded(factor * y),
                lambda dy: shortcut_back(dy) + body_back(self.rounded(factor * dy)),
            )

        return compute


def _sequential(steps: tuple[Step, ...]) -> Step:
    def compute(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
        backwards: list[ops.Backward] = []
        for step in steps:
            x, back = step(x, run)
            backwards.append(back)

        def backward(dy: Array) -> Array:
            # Popping frees each layer's memory as soon as its gradient is known.
            while backwards:
                dy = backwards.pop()(dy)
            return dy

        return x, backward

    return compute


def _concat(steps: tuple[Step, ...]) -> Step:
    def compute(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
        ys, backwards = zip(*(step(x, run) for step in steps), strict=True)
        ends = np.cumsum([y.shape[3] for y in ys])[:-1]

        def backward(dy: Array) -> Array:
            parts = np.split(dy, ends, axis=3)
            dx: Array = sum(back(part) for back, part in zip(backwards, parts, strict=True))
            return dx

        return np.concatenate(ys, axis=3), backward

    return compute


def _aux(name: str, head: Step) -> Step:
    def compute(x: Array, run: Pass) -> tuple[Array, ops.Backward]:
        y, head_back = head(x, run)
        run.outputs[name] = layout.to_nchw(y)
        return (
            x,
            lambda dy: dy + head_back(run.output_grads[name]) if name in run.output_grads else dy,
        )

    return compute


def _multiply(x: Array, factor: Array | float | None) -> tuple[Array, ops.Backward]:
    if factor is None:
        return x, lambda dy: dy
    scale = np.asarray(factor, x.dtype)
    return x * scale, lambda dy: dy * scale


def _dropout_mask(path: str, rate: float, x: Array, seed: int) -> Array:
    keep: Array = uniform(seed, path)(x.size).reshape(x.shape) >= rate
    mask: Array = keep.astype(x.dtype) / np.asarray(1 - rate, x.dtype)
    return mask
