"""What Paddle computes in several operations, and users or its own layers mean as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .nodes import Layout, Node, Piece, Translated, shortest
from .operations import translated
from .parts import picked


def recognised(node: Node) -> Translated | None:
    """What is meant by an operation and those before it; None if that is only what it says."""
    try:
        return _normalised(node) or _padded(node) or _shifted(node) or _gathered(node)
    except KeyError:  # a setting that is trained, or computed from the images
        return None


def _padded(node: Node) -> Translated | None:
    """A padding of maps, which Paddle makes of one of volumes."""
    found = _pad_of(node)
    if found is None:
        return None
    pad, value = found
    left, right, top, bottom, *_ = pad.numbers("paddings")
    padding = ((top, bottom), (left, right))
    layout: Layout = "last" if pad.attribute("data_format") == "NDHWC" else "first"
    if pad.attribute("mode") == "constant":
        piece = Piece("pad", {"padding": padding, "value": pad.number("pad_value")})
    else:
        attributes = {"padding": padding, "mode": pad.attribute("mode")}
        piece = Piece(pad.own_name, attributes)
    return Translated((value,), (piece,), layout)


def _shifted(node: Node) -> Translated | None:
    """Batch norm without a weight and bias, and the bias that is added to it alone."""
    bias, norm = node.array("y"), _behind(node, node.value("x"))
    if node.name != "add" or bias is None or norm is None or norm.name != "batch_norm":
        return None
    found = translated(norm)
    if found is None or not norm.results[0].has_one_use():
        return None
    (piece,) = found.pieces
    channels = piece.arrays["running_mean"].shape if "running_mean" in piece.arrays else ()
    axis = len(node.shape) - 1 if found.layout == "last" else 1
    expected = tuple(size if each == axis else 1 for each, size in enumerate(node.shape))
    given = (1,) * (len(expected) - bias.ndim) + bias.shape
    if "bias" in piece.arrays or given != expected:
        return None
    bias = node.constants.derived(bias, "channels", lambda each: each.reshape(channels))
    arrays = {**piece.arrays, "bias": bias}
    return replace(found, pieces=(replace(piece, arrays=arrays),))


def _gathered(node: Node) -> Translated | None:
    """`x[:, [0, 2]]`, for which Paddle brings the axis to the front and back."""
    taken = _behind(node, node.value("x")) if node.name == "transpose" else None
    if taken is None or taken.name != "gather_nd":
        return None
    first, index = _behind(node, taken.value("x")), taken.array("index")
    if first is None or first.name != "transpose" or index is None:
        return None
    axes = first.numbers("perm")
    back = tuple(axes.index(axis) for axis in range(len(axes)))
    if node.numbers("perm") != back or index.shape[1:] != (1,) or axes[0] == 0:
        return None
    return picked(node, first.value("x"), axes[0], index[:, 0].tolist())


def _pad_of(node: Node) -> tuple[Node, Any] | None:
    """The padding of volumes one deep, and the maps that it pads, if `node` ends it."""
    if node.name not in ("squeeze", "reshape") or len(node.shape) != 4:
        return None
    pad = _behind(node, node.value("x"))
    if pad is None or pad.name != "pad3d":
        return None
    first = _behind(node, pad.value("x"))
    if first is None or first.name not in ("unsqueeze", "reshape"):
        return None
    sides = pad.numbers("paddings")
    depth = 1 if pad.attribute("data_format") == "NDHWC" else 2
    if len(first.given("x")) != 4 or first.shape[depth] != 1 or any(sides[4:]):
        return None
    return pad, first.value("x")


def _normalised(node: Node) -> Translated | None:
    """Local response normalisation, `x / (k + alpha · mean of squares) ** beta`."""
    if node.name not in ("divide", "multiply") or node.array("x") is not None:
        return None
    power = _behind(node, node.value("y"))
    if power is None or power.name not in ("pow", "elementwise_pow"):
        return None
    beta = power.attribute("y")
    inner = _behind(node, power.value("x"))
    if not isinstance(beta, int | float) or inner is None or inner.name != "scale":
        return None
    if not inner.attribute("bias_after_scale"):
        return None
    pool = _behind_shape(node, inner.value("x"))
    if pool is None or pool.name not in ("pool2d", "pool3d"):
        return None
    padded = _behind_shape(node, pool.value("x"))
    if padded is None or padded.name not in ("pad", "pad3d"):
        return None
    squared = _behind_shape(node, padded.value("x"))
    x = node.value("x")
    if squared is None or not _is_square(squared, x):
        return None
    axis = _window_axis(pool, padded)
    if axis is None:
        return None
    size, layout = axis
    sign = 1 if node.name == "divide" else -1
    attributes = {
        "size": size,
        "alpha": inner.number("scale"),
        "beta": sign * shortest(beta),
        "k": inner.number("bias"),
    }
    return Translated((x,), (Piece("local_response_norm", attributes),), layout)


def _behind(node: Node, value: Any) -> Node | None:
    """The operation that gives a value."""
    op = None if value is None else value.get_defining_op()
    if op is None or not op.name().startswith("pd_op."):
        return None
    return Node(op, node.constants)


def _behind_shape(node: Node, value: Any) -> Node | None:
    """The operation that gives a value but for its shape."""
    found = _behind(node, value)
    while found is not None and found.name in ("reshape", "squeeze", "unsqueeze"):
        found = _behind(found, found.value("x"))
    return found


def _is_square(node: Node, x: Any) -> bool:
    """Whether an operation multiplies x by itself."""
    if node.name == "square":
        return bool(node.value("x").is_same(x))
    both = (node.value("x"), node.value("y"))
    return node.name == "multiply" and all(each.is_same(x) for each in both)


def _window_axis(pool: Node, padded: Node) -> tuple[int, Layout] | None:
    """The window of a local response normalisation: its size, and where the channels are."""
    kernel, strides = pool.numbers("kernel_size"), pool.numbers("strides")
    if pool.attribute("pooling_type") != "avg" or set(strides) != {1}:
        return None
    if any(pool.numbers("paddings")) or pool.attribute("padding_algorithm") != "EXPLICIT":
        return None
    size = max(kernel)
    others = [each for each in kernel if each != 1]
    if len(others) > 1 or len(pool.shape) != 5:
        return None
    sides = padded.numbers("paddings")
    both = (size // 2, (size - 1) // 2)
    first, last = (0, 0, 0, 0, *both), (*both, 0, 0, 0, 0)
    if sides == first and kernel[0] == size:
        return size, "first"
    if sides == last and kernel[-1] == size:
        return size, "last"
    return None
