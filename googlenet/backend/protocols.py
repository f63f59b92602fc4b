"""The protocol of a backend, how installed ones are found, and `get_model`.

A backend is a module that a distribution registers as an entry point in the group
`googlenet.backends`; the entry point's name is the framework's. Nothing lists backends by hand, and
nothing here imports a framework until one is asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..architectures import get_network
from ..errors import BackendError, UnknownNameError
from ..spec.layers import Network, Shape
from ..spec.loss import Loss
from ..weights.params import Array, Params, check_params, init_params, load_params

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from ..spec.recipe import Recipe

GROUP = "googlenet.backends"
ALIASES = {"pytorch": "torch", "tf": "tensorflow", "paddlepaddle": "paddle"}
#: The plugins that this project ships, for the install hint alone; a test holds it against the
#: folders of `backends/`.
SHIPPED = ("mindspore", "mxnet", "paddle", "tensorflow", "torch")


class Backend(Protocol):
    """What a backend module provides. Images are (N, C, H, W) float32 arrays, labels (N,) integers,
    weights canonical.

    The reasons for the members beyond a native model: `params_of` proves that weights arrive whole,
    `forward` with taps that every layer agrees, `gradients` that training does;
    `unbiased_running_variance` declares the one convention of batch norm that a framework's own
    layer decides (`docs/spec.md`), so that the reference can follow it. `save` is what `googlenet
    convert --to` needs: a weights file that the framework's own loader takes into the native model.
    `trainer` trains with the framework's own optimiser, and `start_parallel` with its own engine
    for several processes.
    """

    name: str
    capabilities: frozenset[str]
    unbiased_running_variance: bool
    #: How the name of a file ends that `save` writes.
    file_suffix: str

    def build(self, network: Network, params: Params, *, device: str | None = None) -> Any:
        """A native model of `network` holding `params`, on `device` (the framework's own name of
        it; None is its default).

        The model has the attribute `network`, so that the functions below and the user know what it
        is.
        """

    def params_of(self, model: Any) -> Params:
        """The weights of a model that `build` made: path → float32 array, bit for bit as they were
        set or trained.
        """

    def save(self, model: Any, path: str | os.PathLike[str]) -> None:
        """Write the weights of `model` to `path`, which ends in `file_suffix`, as the framework's
        own save function does.
        """

    def forward(
        self, model: Any, images: Array, *, train: bool = False, taps: Iterable[str] = ()
    ) -> dict[str, Array]:
        """`logits` (N, K), auxiliary heads by name, and the layers at the paths `taps`, maps as (N,
        C, H, W).

        In training mode batch norm uses the batch's statistics and moves the running ones, as the
        framework does.
        """

    def gradients(
        self, model: Any, images: Array, labels: Array, *, loss: Loss = ..., train: bool = True
    ) -> tuple[float, Params]:
        """The loss and its gradient by every trainable array, canonical paths and layouts."""

    def trainer(self, model: Any, recipe: Recipe, *, parallel: bool = False) -> Trainer:
        """What trains `model`, which `build` made, in place; with `parallel` together with the
        processes that `start_parallel` joined.

        Raises `SpecError` if the recipe does not fit the network.
        """

    def start_parallel(self) -> tuple[int, int]:
        """Join the processes that the framework's own launcher started: this one's rank, and how
        many they are.

        Called once, before `build`. Raises `BackendError` if no launcher started this process.
        """


class Trainer(Protocol):
    """Trains one model by the rule of `Recipe`, with the framework's own optimiser and loss, in its
    fastest mode.

    It keeps no position and draws nothing of its own: the learning rate and a seed come with each
    step, so that weights and `velocity` are all that a checkpoint needs. Of several processes each
    gives its own part of the batch.
    """

    #: The model in training; `params_of` reads its weights after any step.
    model: Any
    #: How many processes train together, and which of them this is, from 0.
    processes: int
    rank: int

    def step(
        self, images: Array, labels: Array, *, learning_rate: float, seed: int, share: float = 1.0
    ) -> tuple[float, Array]:
        """One step on images (N, C, H, W) of float32 with labels (N,): the loss in nats before it,
        and the logits (N, K) behind that loss.

        `seed` is all that random numbers, such as dropout's masks, come from. Of P processes
        `share` is P times this one's part of the batch, by which its loss counts. Raises
        `ShapeError` or `DataError` for images or labels that do not fit.
        """

    def predict(self, images: Array) -> Array:
        """The logits (N, K) of images (N, C, H, W) in evaluation mode."""

    def velocity(self) -> Params:
        """The optimiser's state by path, bit for bit as the framework holds it, in canonical
        shapes; empty if it has none yet.
        """

    def restore(self, velocity: Params, *, learning_rate: float) -> None:
        """Go on with what `velocity` gave after a step at `learning_rate`: the next step's result
        is bit for bit the same.
        """

    def total(self, values: Array) -> Array:
        """`values` (k,) of float64, summed over all processes."""


def entry_points() -> dict[str, EntryPoint]:
    """The installed backends by name, sorted; nothing is imported. Raises `BackendError` if two
    claim one name.
    """
    from importlib.metadata import entry_points as installed

    found: dict[str, EntryPoint] = {}
    for point in installed(group=GROUP):
        if point.name in found and found[point.name].value != point.value:
            raise BackendError(
                f"framework '{point.name}': registered twice, by {found[point.name].value} and"
                f" {point.value}; uninstall one"
            )
        found[point.name] = point
    return dict(sorted(found.items()))


def install_command(name: str) -> str:
    """The command that installs one of the shipped backends from a checkout."""
    return f"pip install -c constraints/{name}.txt . ./backends/{name}"


def canonical_name(framework: str) -> str:
    """The framework's name as its backend registers it: `pytorch` → `torch`."""
    return ALIASES.get(framework.lower(), framework.lower())


def framework_version(framework: str) -> str:
    """The installed version of the framework behind a backend, found without importing it; of numpy
    for the reference.

    It is that of the distribution that the backend requires and that has the framework's name in
    its own, as paddlepaddle has, or of another that provides the same package, as tensorflow-cpu
    does. Raises `BackendError` if no such backend is installed.
    """
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    name, found = canonical_name(framework), entry_points()
    if name not in found:
        raise BackendError(f"framework '{name}': its backend is not installed")
    distribution = found[name].dist
    requirements = [
        re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]
        for line in (distribution and distribution.requires) or ()
    ]
    own = [each for each in requirements if each not in ("googlenet", "numpy")]
    required = next(
        (each for each in own if name in each), own[0] if own and name != "numpy" else name
    )
    try:
        return version(required)
    except PackageNotFoundError:
        providers = packages_distributions().get(required, ())
        return version(providers[0]) if providers else "unknown"


def load(framework: str) -> Backend:
    """The backend module of `framework`, a name or an alias (`pytorch`, `tf`, `paddlepaddle`).

    Raises `UnknownNameError` if there is no such framework here, `BackendError` if its plugin is
    not installed or cannot be imported; both list what is installed and how to install the rest.
    """
    name, found = canonical_name(framework), entry_points()
    if name not in found:
        installed = f"installed: {', '.join(found) or 'none'}"
        if name in SHIPPED:
            raise BackendError(
                f"framework '{name}': its backend is not installed ({installed}); in a checkout"
                f" run: {install_command(name)}"
            )
        missing = [shipped for shipped in SHIPPED if shipped not in found]
        hint = (
            f"; can be installed: {', '.join(missing)}, in a checkout with:"
            f" {install_command('NAME')}"
            if missing
            else ""
        )
        raise UnknownNameError(f"framework: no backend '{framework}' ({installed}{hint})")
    try:
        return cast(Backend, found[name].load())
    except ImportError as error:
        again = f"; install it with: {install_command(name)}" if name in SHIPPED else ""
        raise BackendError(
            f"framework '{name}': its backend {found[name].value} cannot be imported:"
            f" {error}{again}"
        ) from error


def get_model(
    network: str | Network = "googlenet",
    *,
    framework: str,
    num_classes: int | None = None,
    input_shape: Shape | None = None,
    aux: bool = False,
    dialect: str | None = None,
    weights: Mapping[str, Array] | str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str | None = None,
) -> Any:
    """A native model of `framework`: an `nn.Module`, `keras.Model`, `HybridBlock`, `nn.Layer`,
    `nn.Cell`, ...

    `network` is a name (`googlenet`, `googlenet_paper`) or a `Network`; `input_shape` is (C, H, W)
    whatever the framework's own layout. `weights` is a mapping from path to array or the path of a
    safetensors file; without it they are drawn from `seed` (Xavier uniform, zero bias), the same in
    every framework. `device` is the framework's own name of it.

    Calling the model on the framework's own tensors, (N, C, H, W) or for TensorFlow (N, H, W, C),
    gives the logits (N, num_classes), or with auxiliary heads the tuple (logits, aux1, aux2).

    Raises `UnknownNameError`, `BackendError`, `SpecError`, `ShapeError` or `WeightsError`, with
    what to do.
    """
    if isinstance(network, Network):
        for argument, given in (
            ("num_classes", num_classes is not None),
            ("aux", aux),
            ("dialect", dialect is not None),
        ):
            if given:
                raise UnknownNameError(
                    f"{argument}: goes with a network's name, not with a Network; change the"
                    " Network itself"
                )
        spec = network if input_shape is None else network.at(input_shape)
    else:
        spec = get_network(
            network, num_classes=num_classes, input_shape=input_shape, aux=aux, dialect=dialect
        )
    backend = load(framework)
    if weights is None:
        params = init_params(spec, seed=seed)
    elif isinstance(weights, (str, os.PathLike)):
        params = load_params(weights, spec)
    else:
        params = check_params(spec, weights)
    return backend.build(spec, params, device=device)
