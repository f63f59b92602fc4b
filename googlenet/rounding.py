"""What rounding may change, for all that compares numbers: the bottom of the table of tolerances,
which `googlenet.proof.parity.tolerance` derives its limits from.
"""

from __future__ import annotations

from typing import Final

import numpy as np

#: The distance from 1 to the next number: of float32, in which models compute, and of float64, in
#: which they are proved.
EPS: Final = float(np.finfo(np.float32).eps)
EPS64: Final = float(np.finfo(np.float64).eps)
#: What a few operations on one number may change in float64.
FEW: Final = 8 * EPS64
#: Below this relative L2 distance in float64, two functions are one: some thousand times its
#: rounding, and far below what any other function shows.
SAME: Final = 1e-12
