"""Every error that a user of this project can cause, each a subclass of `GoogLeNetError`.

A message names the offending path or argument, what was expected, what came, and what to do, on one
line.
"""


class GoogLeNetError(Exception):
    """The base of all errors below; the command line prints its message and exits with 2.

    `details` is what it prints before the message: the user's part of a traceback, if their own
    code raised, else nothing.
    """

    def __init__(self, *args: object, details: str = "") -> None:
        super().__init__(*args)
        self.details = details


class SpecError(GoogLeNetError, ValueError):
    """A network that makes no sense: a field out of range, a duplicate name, a misplaced auxiliary
    head.
    """


class ShapeError(GoogLeNetError, ValueError):
    """An input whose shape a network or layer cannot accept."""


class WeightsError(GoogLeNetError, ValueError):
    """Weights that do not fit a network, or a weights file that cannot be read or written."""


class UnknownNameError(GoogLeNetError, ValueError):
    """A network, dialect, initialiser or framework that does not exist; the message lists those
    that do.
    """


class BackendError(GoogLeNetError, ImportError):
    """A framework, or its plugin, that is not installed or cannot be imported; the message says how
    to install it.
    """


class DataError(GoogLeNetError, ValueError):
    """Images or labels that cannot be read or do not belong together."""


class DeviceError(GoogLeNetError, ValueError):
    """A device that the framework does not have."""


class TrainingError(GoogLeNetError, RuntimeError):
    """A training run that cannot start, resume or be saved: a checkpoint of another run, a loss
    that is not finite, a full disk.
    """


class TraceError(GoogLeNetError, ValueError):
    """A user's model cannot be run or captured, does something that no tree of layers has, is
    another function than was understood, or is not one of the spec's networks.
    """


class CaptureError(TraceError):
    """A user's model runs, but its framework captures no one graph that says what it computes: its
    path depends on the values of images, or a line is not understood. `check` then answers
    "unclear" with this message as its reason, and does not fail.
    """


class ModelFileError(GoogLeNetError, ValueError):
    """A file that cannot be run, or in which there is no such model as its FILE:NAME says."""
