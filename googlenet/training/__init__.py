"""Training: the recipe, the order of the data, the loop, its checkpoints and its log; nothing here
imports a framework.
"""

from ..spec.recipe import Recipe

__all__ = ["Recipe"]
