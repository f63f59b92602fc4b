"""How far int8 may be from float64: derived as the limit of float32 is, from how far the reference
strays when it rounds what int8 rounds. See `docs/tolerances.md`.
"""

from __future__ import annotations

import numpy as np

from ...arrays import Array
from ...reference import build
from ...reference.network import Pass
from ...reference.quantised import Quantised
from ...spec.simplify import simplified
from .problem import Problem
from .tolerance import Distance, chunks


def int8_yardstick(problem: Problem, calibration: Array, *, chunk: int) -> dict[str, float]:
    """How far int8 strays at every output, in relative L2 distance from float64: the network is
    rewritten for evaluation as `compile` does, and rounded by the images `calibration` (N, C, H, W)
    float32. `limit` makes the limit of it, as of float32's.
    """
    network, params = problem.network, problem.params
    exact = build(network, params, dtype=np.float64)
    rough = Quantised(*simplified(network, params), calibration)
    found = {name: Distance() for name in network.outputs}
    for piece in chunks(problem.images, chunk):
        exact.run(piece, run := Pass())
        outputs = rough(piece)
        for name, distance in found.items():
            distance.add(outputs[name], run.outputs[name])
    return {name: distance.value for name, distance in found.items()}
