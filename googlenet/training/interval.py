"""How certain an accuracy is that was measured on a number of images."""

from __future__ import annotations

import math


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share observed in `count` trials (E. B. Wilson, 1927)."""
    z = 1.959964
    centre, spread = (
        share + z * z / (2 * count),
        z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)),
    )
    scale = 1 + z * z / count
    return (centre - spread) / scale, (centre + spread) / scale
