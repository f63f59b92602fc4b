"""What goes wrong in SciPy, in code as its users write it. Traps that are left out are shown as
absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import ndimage

from googlenet.arrays import Array
from googlenet.backend.snippets import Gallery, absent, agrees, differs


def shown_traps() -> Gallery:
    """SciPy's code for a few traps."""
    return Gallery(ENTRIES, {"np": np, "ndimage": ndimage})


def run_function(function: Callable[..., Any], arguments: Mapping[str, Array]) -> Array:
    """What `function` returns for `arguments`, which are SciPy's own arrays."""
    return np.asarray(function(**arguments))


def max_pool(images):
    largest = ndimage.maximum_filter(images, (1, 1, 3, 3), mode="constant")
    return largest[:, :, ::2, ::2]


def max_pool_of_infinity(images):
    largest = ndimage.maximum_filter(images, (1, 1, 3, 3), mode="constant", cval=-np.inf)
    return largest[:, :, ::2, ::2]


def running_variance(images, running_var):
    return 0.9 * running_var + 0.1 * images.var((0, 2, 3))


def unbiased_running_variance(images, running_var):
    return 0.9 * running_var + 0.1 * images.var((0, 2, 3), ddof=1)


def dense(images, weight):
    return images.reshape(2, -1) @ weight.reshape(7, -1).T


ENTRIES = {
    "same-convolution": absent("SciPy's convolutions have no stride."),
    "zero-padding": differs(max_pool, max_pool_of_infinity, "`cval` is 0 by default."),
    "norm-variance": differs(running_variance, unbiased_running_variance),
    "flatten-order": agrees(dense),
}
