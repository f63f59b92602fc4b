"""What only moves the elements of a value about, or joins values."""

from __future__ import annotations

from typing import Final

import numpy as np

from ..nodes import Node, Part, Parts, by_name


def _concatenation(node: Node) -> Parts | None:
    if node.constants:
        return None
    axis = int(node.get("dim", node.get("axis", 1)))
    return (Part("concat", {"axis": axis % len(node.shape)}),)


def _concatenation_of_channels(node: Node) -> Parts | None:
    return None if node.constants else (Part("concat", {"axis": 1}),)


def _pad(node: Node) -> Parts | None:
    width = np.reshape(node["pad_width"], (-1, 2))
    if not width.any():
        return (Part("identity"),)
    if node.get("mode", "constant") != "constant" or len(width) != 4 or width[:2].any():
        return None
    # np.pad pads with 0 whatever it is told to.
    value = 0.0 if node.op == "_npi_pad" else float(node.get("constant_value", 0))
    return (Part("pad", {"padding": tuple(map(tuple, width[2:].tolist())), "value": value}),)


def _reshape(node: Node) -> Parts | None:
    return (Part("reshape", {"shape": node.shape[1:]}, takes=(0,)),)


def _transpose(node: Node) -> Parts | None:
    count = len(node.given)
    axes = node.get("axes", ()) or range(count)[::-1]
    return (Part("transpose", {"axes": tuple(axis % count for axis in axes)}),)


def _swapped(node: Node) -> Parts | None:
    axes = list(range(len(node.given)))
    first, second = int(node.get("dim1", 0)), int(node.get("dim2", 0))
    axes[first], axes[second] = axes[second], axes[first]
    return (Part("transpose", {"axes": tuple(axes)}),)


def _moved(node: Node) -> Parts | None:
    source, target = (
        [axis % len(node.given) for axis in ([found] if isinstance(found, int) else found)]
        for found in (node["source"], node["destination"])
    )
    axes = [axis for axis in range(len(node.given)) if axis not in source]
    for to, axis in sorted(zip(target, source, strict=True)):
        axes.insert(to, axis)
    return (Part("transpose", {"axes": tuple(axes)}),)


def _same_shape(node: Node) -> Parts | None:
    return (Part("identity", takes=(0,)),) if node.shape == node.given else None


def _copy(node: Node) -> Parts | None:
    is_float = node.dtype is None or np.dtype(node.dtype).kind == "f"
    is_float = is_float and "int" not in str(node.get("dtype", "float32"))
    return (Part("identity", takes=(0,)),) if is_float else None


#: Operations that only give the numbers another shape, in the same order.
RESHAPING: Final = ("Reshape", "_np_reshape", "_npx_reshape", "reshape_like", "_npx_reshape_like")
_RESHAPING: Final = (*RESHAPING, "_npi_reshape", "squeeze", "_np_squeeze", "expand_dims")
#: Operations that only repeat the numbers along axes of one element.
BROADCASTING: Final = ("broadcast_to", "_npi_broadcast_to", "broadcast_like", "broadcast_axis")
#: What reads each operation, by its names.
MOVES: Final = by_name(
    {
        ("Concat", "_npi_concatenate"): _concatenation,
        ("_npi_hstack",): _concatenation_of_channels,
        ("Pad", "_npi_pad"): _pad,
        ("Flatten",): lambda node: (Part("flatten", {"start": 1}),),
        _RESHAPING: _reshape,
        ("transpose", "_np_transpose"): _transpose,
        ("SwapAxis", "_npi_swapaxes"): _swapped,
        ("_np_moveaxis",): _moved,
        BROADCASTING: _same_shape,
        (
            "_copy",
            "_copyto",
            "_np_copy",
            "_npi_copyto",
            "BlockGrad",
            "make_loss",
            "MakeLoss",
            "Cast",
            "_npi_cast",
            "amp_cast",
            "_identity_with_attr_like_rhs",
        ): _copy,
    }
)
