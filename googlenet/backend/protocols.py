"""What a backend is. A backend is a module; `Backend` is all that it must have, and every other
protocol here is something more that it may be able to do.

What a backend can do follows from what its module has: `isinstance(backend, Trains)` asks for one
thing, `capabilities` for all; nothing has to be declared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, Protocol, runtime_checkable

from ..arrays import Array, Params
from ..spec.layers import Network, Shape
from ..spec.loss import Loss
from ..spec.recipe import Recipe
from .call import Chain
from .compiling import Compiled
from .graph import Graph
from .snippets import Gallery
from .spelling import Classes, Functions, Loading


@runtime_checkable
class Backend(Protocol):
    """A framework's native models of any network.

    Images are (N, C, H, W) float32 arrays, labels (N,) integers, weights canonical by path. Every
    function refuses what does not fit with the checks of `googlenet.backend.checks` and
    `googlenet.weights.check`, so that all backends raise the same errors. A module changes no
    global state when it is imported.
    """

    #: The framework's name, that of its entry point. Reports and error messages use it.
    name: str
    #: Whether batch norm's running variance takes the unbiased variance of the batch: the one
    #: convention that a framework's own layer decides (`docs/spec.md`). The reference follows it.
    unbiased_running_variance: bool

    def build(self, network: Network, params: Params, *, device: str | None = None) -> Any:
        """A native model of `network` holding `params`, on `device` (the framework's own name for
        it; None for its default).

        It is what `get_model` returns: the framework's own class, with its own tools. The model has
        the attribute `network`, so that the functions below and the user know what it is.

        Raises `SpecError` for a layer whose name would hide what the framework needs itself.
        """

    def params_of(self, model: Any) -> Params:
        """The weights of a model that `build` made: path → float32 array, bit for bit as they were
        set or trained. Used to prove that weights arrived intact, and to save them.
        """

    def forward(
        self, model: Any, images: Array, *, train: bool = False, taps: Iterable[str] = ()
    ) -> dict[str, Array]:
        """`logits` (N, K), auxiliary heads by name, and the layers at the paths `taps`, maps as (N,
        C, H, W). Used to prove that every layer agrees, and to find the first that does not.

        In training mode, which only a backend with gradients or a trainer is asked for, batch norm
        uses the batch's statistics and updates the running ones, and dropout draws new masks each
        time.
        """


@runtime_checkable
class Differentiates(Backend, Protocol):
    """A backend with gradients: with it, a training step can be proved to be the same."""

    def gradients(
        self,
        model: Any,
        images: Array,
        labels: Array,
        *,
        loss: Loss = ...,
        train: bool = True,
    ) -> tuple[float, Params]:
        """The loss and its gradient with respect to every trainable array, with canonical paths and
        layouts.

        With `train` the pass is in training mode, and updates batch norm's running statistics.
        Nothing else changes: no weight, no array of the caller's, and no later call.
        """


@runtime_checkable
class Saves(Backend, Protocol):
    """A backend that writes its framework's own files: `googlenet.convert(..., framework=...)`."""

    @property
    def file_suffix(self) -> str | tuple[str, ...]:
        """The ending of the files that `save` writes; if there are several, the preferred one
        first.
        """

    def save(self, model: Any, path: str | os.PathLike[str]) -> None:
        """Write the weights of `model` to `path`, which ends in `file_suffix`, as the framework's
        own save function does. The framework's own loader loads the file into the native model.
        """


@runtime_checkable
class SavesForOthers(Saves, Protocol):
    """A backend that writes the files of the libraries that stand on its framework:
    `googlenet.convert(..., to="torchvision:googlenet")`.
    """

    def save_for(
        self,
        library: str,
        network: Network,
        arrays: Mapping[str, Array],
        path: str | os.PathLike[str],
    ) -> None:
        """Write `arrays`, float32 by the names and in the layout of the model `library`, such as
        `torchvision:googlenet`, to `path`, which ends in `file_suffix`, as the framework's own save
        function does: what loads into the library's own model. `network` is that model here.
        """


@runtime_checkable
class Trains(Backend, Protocol):
    """A backend that trains: `googlenet.train`, `race`, and the proof of trajectories."""

    def trainer(self, model: Any, recipe: Recipe, *, parallel: bool = False) -> Trainer:
        """A trainer for `model`, which `build` made, in place; with `parallel`, together with the
        processes that `start_parallel` joined.

        Raises `SpecError` if the recipe does not fit the network.
        """


@runtime_checkable
class TrainsInParallel(Backend, Protocol):
    """A backend that trains in several processes: `googlenet.train(..., parallel=True)`."""

    def start_parallel(self) -> tuple[int, int]:
        """Join the processes that the framework's own launcher started; returns this one's rank,
        and how many there are.

        Called once, before `build`. Raises `BackendError` if no launcher started this process.
        """


@runtime_checkable
class LeavesParallel(TrainsInParallel, Protocol):
    """A backend whose processes must not exit in the usual way once they have trained together."""

    def leave_parallel(self, code: int) -> NoReturn:
        """End this process with the exit code `code`, which is 0 after success.

        Called by the command at its end, after `start_parallel`.
        """


@runtime_checkable
class SetsThreads(Backend, Protocol):
    """A backend whose number of threads can be set once it is imported.

    Libraries read the variables of `googlenet.backend.threads` while they are imported; this is for
    what those do not reach.
    """

    def set_threads(self, count: int) -> None:
        """Compute with `count` threads from now on, at least 1.

        Called by `googlenet.backend.threads.use_threads`, once, after the backend is imported and
        before `build`.
        """


@runtime_checkable
class SetsPrecision(Backend, Protocol):
    """A backend that may compute float32 in less than float32, such as TensorFloat-32 on a GPU, and
    can be told not to.

    The variables of `googlenet.backend.precision` are set before a framework is imported; this is
    for what those do not reach.
    """

    def set_full_precision(self) -> dict[str, str]:
        """Compute float32 in float32 from now on; returns what was set, by the framework's own
        names.

        Called by the proof, once, after the backend is imported and before `build`.
        """


@runtime_checkable
class Compiles(Backend, Protocol):
    """A backend that makes of a model the fastest function that its framework knows."""

    def compile(self, model: Any, *, input_shape: Shape, dtype: str = "float32") -> Compiled:
        """`model`, as it is now, in evaluation mode as one function of images (N, C, H, W) of
        `input_shape` (C, H, W), which computes in `dtype`.

        Call `googlenet.backend.compiling.prepared` first: it raises what there is to raise, and
        returns a smaller network that computes the same.
        """


@runtime_checkable
class Quantises(Compiles, Protocol):
    """A backend whose `compile` also makes functions that compute in 8 bits, where the processor
    has the instructions; where it has not, leave `quantised_dtypes` out of the module.
    """

    #: The dtypes for which `compile` needs images to calibrate by: "int8".
    quantised_dtypes: tuple[str, ...]

    def compile(
        self,
        model: Any,
        *,
        input_shape: Shape,
        dtype: str = "float32",
        calibration: Array | None = None,
    ) -> Compiled:
        """As that of `Compiles`. `calibration` (N, C, H, W) float32 are images like those that it
        will be called on: from where to where their maps go, those of int8 do. Give it to
        `prepared` too.
        """


@runtime_checkable
class HasForms(Backend, Protocol):
    """A backend with forms of its models that run faster, such as a compiled graph: what users
    deploy, which the exact proof can compare, too.
    """

    #: The forms, by the names that the framework's users know them by.
    compiled_forms: tuple[str, ...]

    def compiled(self, model: Any, form: str) -> Callable[[Array], dict[str, Array]]:
        """`model`, as it is now and whatever becomes of it, in evaluation mode and in one of
        `compiled_forms`: a function of images (N, C, H, W) that returns the outputs by name, as
        `forward` does without taps.

        `model` itself stays as it is. Raises `UnknownNameError` for another form.
        """


@runtime_checkable
class ShowsTraps(Backend, Protocol):
    """A backend that shows what goes wrong in its framework and what is right: `googlenet.traps`.

    Its functions may set the framework's seed; they are called in a process of their own.
    """

    def shown_traps(self) -> Gallery:
        """The framework's code for each trap of `googlenet.proof.traps`, or why it has none."""

    def run_function(self, function: Callable[..., Any], arguments: Mapping[str, Array]) -> Array:
        """What `function` returns for native tensors of `arguments`, of which `images` (N, C, H, W)
        go in, and a result with four axes comes back, in the framework's own layout; all others
        keep their axes.
        """


@runtime_checkable
class RunsLayers(ShowsTraps, Protocol):
    """A backend whose traps are shown as chains of `Call`s too, not as functions only."""

    def run_layers(
        self, chain: Chain, network: Network, params: Params, images: Array, *, train: bool
    ) -> dict[str, Array]:
        """The layers of `chain` in sequence on images (N, C, H, W), in training mode or not, with
        those of `params` that they have: `output`, as (N, C, H, W) or (N, K); `parameters`, how
        many numbers training changes; and the arrays of `network`, which has one layer, as they are
        after the pass, by path, as far as the layers have them.

        Used to run layers that need not be those of the spec: what `build` makes always is.
        """


@runtime_checkable
class Writes(Backend, Protocol):
    """A backend whose networks can be written as source: `googlenet.code`."""

    @property
    def spelling(self) -> Classes | Functions:
        """How the framework's users write what stands around a leaf: a class or a function, a
        concatenation, a sum; and the table of leaves that `build` evaluates. Used to print a
        network as stand-alone source, which loads the files that `save` writes.
        """


@runtime_checkable
class Adopts(Writes, Saves, Protocol):
    """A backend that takes models of printed source for its own: what is proved of them holds for
    the source, which `googlenet.translate` writes.
    """

    @property
    def loading(self) -> Loading:
        """How the framework's users load what `save` wrote into a model of printed source."""

    def adopt(self, model: Any, network: Network) -> Any:
        """`model`, which the printed source of `network` made, for the functions of the backend,
        which take it for one that `build` made.
        """


@runtime_checkable
class Traces(Backend, Protocol):
    """A backend that tells what a user's own model computes: `googlenet.trace`."""

    def trace(self, model: Any, images: Array) -> tuple[Graph, list[Array]]:
        """The operations of `model`, any model of the framework's, in evaluation mode on images (N,
        C, H, W), N at least 2, and its outputs on them, the logits first.

        `model` keeps its weights and its mode. Raises `TraceError` if it cannot be run on the
        images or returns anything but tensors, and `CaptureError`, a `TraceError`, if it runs and
        there is no one graph of it.
        """


@runtime_checkable
class RunsOwn(Traces, Differentiates, Protocol):
    """A backend that runs and differentiates a user's own model: what is proved of it holds for the
    user's code.
    """

    def own(self, model: Any, network: Network, outputs: tuple[str, ...]) -> OwnModel:
        """`model`, which `trace` told to be `network`, with its outputs in the order in which it
        returns them. From now on it drops nothing, in no mode.
        """

    def load(self, model: Any, path: str | os.PathLike[str]) -> None:
        """Load the framework's own weights file into a user's model, as its users do.

        No file is unpickled. Raises `WeightsError` for a file that does not fit.
        """


@runtime_checkable
class RunsFiles(Backend, Protocol):
    """A backend of a framework whose files are whole networks, which users run."""

    def run_file(
        self, path: str | os.PathLike[str], *, device: str | None = None
    ) -> Callable[[Array], list[Array]]:
        """The file as its users run it on `device`: a function of images (N, C, H, W) of float32
        that gives its outputs, in the file's order.

        Raises `WeightsError` for a file that the framework does not run, `DeviceError` for a device
        that does not exist; the function raises `ShapeError` for images that the file does not
        take.
        """


@runtime_checkable
class OpensHeads(RunsOwn, Protocol):
    """A backend of a framework whose users' models may return auxiliary outputs in training mode
    only.
    """

    def open_heads(self, model: Any, images: Array) -> bool:
        """Whether `model` is such a model, by its outputs on `images` (N, C, H, W); from now on it
        then returns them in evaluation mode, too, and is otherwise as it was.
        """


@runtime_checkable
class NamesLayers(Traces, Protocol):
    """A backend that tells which objects are layers: reports then show the lines of the user's code
    that made them.
    """

    @property
    def layer_classes(self) -> tuple[type, ...]:
        """The framework's own classes from which all layers are derived, each with an `__init__` of
        its own, which every layer calls.
        """


class OwnModel(Protocol):
    """A user's model whose arrays can be read, set, and differentiated."""

    def arrays(self) -> dict[str, Array]:
        """Copies of all its parameters and statistics, float32, by names of its own; one that is
        shared is there once.
        """

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Set all of them."""

    def outputs(self, images: Array, *, train: bool) -> list[Array]:
        """Its outputs (N, K) for images (N, C, H, W), in its own order; in training mode batch
        norm's running statistics change.
        """

    def gradients(
        self, images: Array, labels: Array, *, loss: Loss, train: bool
    ) -> tuple[float, dict[str, Array]]:
        """The loss and its gradient with respect to each array that is trained, by its name; in
        training mode batch norm's running statistics change.
        """

    def evaluation(self) -> Callable[[Array], list[Array]]:
        """The model as its user calls it, for timing: a function of images (N, C, H, W) that gives
        its outputs (N, K). Evaluation mode is set now and not at each call; nothing is replaced or
        watched, and graph mode is as the user's code has set it.
        """


@runtime_checkable
class MatchesLayout(OwnModel, Protocol):
    """A user's model of a framework that computes in several orders in memory, which round
    differently.
    """

    def match(self, native: Any) -> None:
        """Put the weights of `native`, a model of the backend, into the order of this one's: what
        rounding decides inside the one is then decided alike inside the other.
        """


class Trainer(Protocol):
    """Trains one model by the rule of `Recipe`, with the framework's own optimiser and loss, in its
    fastest mode.

    It keeps no position and draws no seeds itself: the learning rate and a seed come with each
    step, so that weights and `velocity` are all that a checkpoint needs. With several processes,
    each one gives its own part of the batch.
    """

    #: The model in training; `params_of` reads its weights after any step.
    model: Any
    #: How many processes train together, and which of them this is, from 0.
    processes: int
    rank: int

    def step(
        self,
        images: Array,
        labels: Array,
        *,
        learning_rate: float,
        seed: int,
        share: float = 1.0,
    ) -> tuple[float, Array]:
        """One step on images (N, C, H, W) of float32 with labels (N,): returns the loss in nats
        before it, and the logits (N, K) behind that loss.

        All random numbers, such as dropout's masks, come from `seed`. With P processes, `share` is
        P times this one's part of the batch, and weighs the gradient of its loss, but neither
        weight decay nor the loss that is returned; with one process it is 1. Raises `ShapeError`
        or `DataError` for images or labels that do not fit.
        """

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""

    def velocity(self) -> Params:
        """The optimiser's state by path, bit for bit as the framework holds it, in canonical
        shapes; empty if it has none yet.
        """

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Continue from what `velocity` returned after a step at `learning_rate`: the next step's
        result is bit for bit the same.
        """

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""


#: What a backend may be able to do, by its name in reports.
CAPABILITIES: Final[Mapping[str, type]] = {
    "gradients": Differentiates,
    "save": Saves,
    "save for others": SavesForOthers,
    "trainer": Trains,
    "parallel": TrainsInParallel,
    "threads": SetsThreads,
    "precision": SetsPrecision,
    "compile": Compiles,
    "quantise": Quantises,
    "compiled": HasForms,
    "traps": ShowsTraps,
    "source": Writes,
    "adopt": Adopts,
    "trace": Traces,
    "own": RunsOwn,
    "files": RunsFiles,
    "lines": NamesLayers,
}


def capabilities(backend: Backend) -> frozenset[str]:
    """What `backend` can do in addition to what every `Backend` must: keys of `CAPABILITIES`."""
    return frozenset(
        name for name, protocol in CAPABILITIES.items() if isinstance(backend, protocol)
    )
