"""Training: the recipe, the data's order, the loop, its checkpoints and its log; nothing here
imports a framework.
"""

from .recipe import Recipe

__all__ = ["Recipe"]
