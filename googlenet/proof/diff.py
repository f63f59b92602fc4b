"""How two networks differ as functions: layer by layer in words, and by how much their logits move
on the same weights.
"""

from __future__ import annotations


# On the same weights ------------------------------------------------------------------------------
