"""Random legal networks for hypothesis."""

from dataclasses import replace

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


#: Residual sums in every place, whose shortcuts are layers, blocks, residual sums and nothing.
UNIT = replace(blocks.sequential(conv=blocks.conv_layer(3, 1), relu=spec.ReLU()), block="Unit")
CONV = blocks.conv_layer(3, 1)
RESIDUALS = Network(
    "residuals",
    blocks.sequential(
        first=blocks.residual(blocks.conv_layer(3, 3, 1, 1), CONV),
        side=blocks.concat(a=blocks.residual(CONV, UNIT), b=blocks.residual(UNIT, UNIT), c=CONV),
        inside=blocks.concat(a=blocks.residual(CONV, CONV), b=CONV),
        reduce=CONV,
        identity=blocks.residual(blocks.sequential(), CONV),
        nested=blocks.residual(blocks.residual(CONV, blocks.residual(CONV)), UNIT),
        nothing=blocks.residual(blocks.sequential(), blocks.sequential()),
        aux=spec.Aux(
            blocks.sequential(
                sum=blocks.residual(CONV, UNIT),
                pool=spec.GlobalAvgPool(),
                dense=spec.Dense(2, bias=True),
            ),
            0.3,
        ),
        pool=spec.GlobalAvgPool(),
        dense=spec.Dense(2, bias=True),
    ),
    (3, 6, 5),
    "a test",
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
        # What has the same shape for certain: nothing, or the body once more, alone or in a block.
        body = inner[0]
        again = blocks.sequential(layer=body)
        shortcut = draw(st.sampled_from([None, body, again, replace(again, block="Again")]))
        if shortcut is not None and draw(st.booleans()):
            body, shortcut = shortcut, body
        return blocks.residual(body, shortcut, scale=0.5)
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
