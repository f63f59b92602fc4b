"""What each framework's users write for what all users do: a module for each, with the same names.

`test_native.py` is one suite for all of them. A description has:

- `MODEL`: the framework's class of models; `PRINTED`: what a printed model has in it.
- `UNKNOWN_DEVICES`: names of devices that are refused; `SAVE`: the function that a backend's
  `save` leaves the writing to, its second argument the path.
- `COPIES`: ways to copy a model in memory, functions of it.
- `GRAPHS`: ways to compile a model, functions of it.
- `EXPORTS`: ways to write a whole model, functions of it, of images and of a folder; they return
  what was read again.
- `tensor`: images (N, C, H, W) as the framework takes them; `array`: one of its tensors as NumPy
  has it, its axes as they are; `shape`: (N, C, H, W) in the framework's order.
- `evaluating`: a model in evaluation mode; `layers`: a model and all that is in it.
- `printed`: a model as text; `count`: the number of its parameters; `names`: their names, as ours;
  `trained`: those that a gradient trains.
- `save`: weights to a file by the framework's own function; `LOADERS` of `tests/frameworks` load.
- `train`: some steps of its own optimiser on one batch; returns the losses.
"""

import importlib
from types import ModuleType


def described(framework: str) -> ModuleType:
    """The description of one framework, which it imports."""
    return importlib.import_module(f"{__name__}.{framework}")
