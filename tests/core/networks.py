"""Random legal networks for hypothesis."""

import hypothesis.strategies as st

from googlenet import Network, spec
from googlenet.spec import blocks
from googlenet.spec.analysis import fits

side = st.integers(1, 4)
pairs = st.tuples(side, side)
MAP_LEAVES = st.one_of(
    st.builds(
        lambda out, kernel, stride, top, left, bias: spec.Conv(
            out, kernel, stride, (top, left), 1, bias
        ),
        st.integers(1, 5),
        pairs,
        pairs,
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.integers(0, 3), st.integers(0, 3)),
        st.booleans(),
    ),
    st.builds(
        lambda out, kernel, stride: spec.Conv(out, kernel, stride, spec.SAME, 1, True),
        st.integers(1, 5),
        pairs,
        pairs,
    ),
    st.builds(lambda kernel, stride: spec.MaxPool(kernel, stride, spec.SAME, False), pairs, pairs),
    st.just(blocks.batch_norm()),
    st.just(blocks.local_response_norm()),
    st.just(spec.ReLU()),
    st.builds(lambda size: spec.AdaptiveAvgPool(size), pairs),
)


@st.composite
def pools(draw):
    kernel, stride = draw(pairs), draw(pairs)
    padding = tuple((draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))) for k in kernel)
    ceil_mode = draw(st.booleans())
    if draw(st.booleans()):
        return spec.MaxPool(kernel, stride, padding, ceil_mode)
    return spec.AvgPool(kernel, stride, padding, ceil_mode, draw(st.booleans()))


@st.composite
def layers(draw, depth=2):
    if depth and draw(st.integers(0, 3)) == 0:
        kind = draw(st.sampled_from(["sequential", "concat", "residual"]))
        inner = draw(st.lists(layers(depth=depth - 1), min_size=1, max_size=3))
        if kind == "sequential":
            return blocks.sequential(**{f"layer{i}": layer for i, layer in enumerate(inner)})
        if kind == "concat":
            return blocks.concat(**{f"branch{i}": layer for i, layer in enumerate(inner)})
        return blocks.residual(inner[0], scale=0.5)
    return draw(st.one_of(MAP_LEAVES, pools()))


@st.composite
def networks(draw):
    """Layers that fit each other: one that does not fit the shape before it is left out."""
    shape = draw(st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    chosen = {}
    for i, layer in enumerate(draw(st.lists(layers(), min_size=1, max_size=6))):
        longer = {**chosen, f"layer{i}": layer}
        if fits(Network("random", blocks.sequential(**longer), shape, "hypothesis")):
            chosen = longer
    if draw(st.booleans()):
        chosen["pool"] = spec.GlobalAvgPool()
    if draw(st.booleans()):
        chosen["dense"] = spec.Dense(3, bias=True)
    return Network("random", blocks.sequential(**chosen), shape, "hypothesis")
