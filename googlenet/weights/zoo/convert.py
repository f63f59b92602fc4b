"""Weights of a model zoo, or of a native model of any framework, as weights of our network."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...architectures import designators
from ...arrays import Params
from ...errors import UnknownNameError, WeightsError
from ...spec.layers import Network
from ...spec.params import classifier_paths
from ..check import check_params
from ..files import check_file, is_own, refuse_checkpoint
from ..formats import WeightsFile, read_weights_file
from ..initial import init_params
from .described import described
from .graphs import network_in, zoo_model_of
from .guess import LEAST_SHARE
from .models import ZooModel, find_model, namings, zoo_models
from .own import given_models, own_models
from .parts import best_part
from .source import Source

_SHOWN = 5
#: What PyTorch counts in its batch norms, which is of use only without a momentum.
_COUNTERS = "num_batches_tracked"


@dataclass(frozen=True)
class Imported:
    """A network, its weights by path, and the names of the file's arrays that it does not use, in
    the order of the file. `model` is the zoo model whose names the file has, None for this
    project's own; `key` says where in the file they are, `head` which module its classifier is, if
    that is not as the model has it. A file that says what it computes also says which `others`
    compute the same, and whether it `transforms` its images first, as torchvision's
    `transform_input` does; None where the file does not say.
    """

    network: Network
    params: Params
    left_over: list[str]
    model: str | None = None
    key: str = ""
    head: str | None = None
    others: tuple[str, ...] = ()
    transforms: bool | None = None


def import_weights(
    file: WeightsFile,
    model: str,
    *,
    aux: bool | None = None,
    input_size: tuple[int, int] | None = None,
    key: str | None = None,
    head: str | None = None,
) -> Imported:
    """The weights in `file` of the zoo model `model`, `ZOO:MODEL`, as those of our network of that
    dialect; or of a native model of any framework, which has our own names.

    The numbers of classes and channels come from the shapes in the file; height and width are the
    network's own unless `input_size` (height, width) is given. The auxiliary heads are included if
    the file has them; `aux=False` leaves them out, `aux=True` requires them. `key` says which of
    several models in the file is meant, by what its names begin with; `head` is the name of the
    classifier if it has another one than the library gives it. A bias before a batch norm is taken
    from the running mean. Every other array of the file is used or its name is in `left_over`;
    those that need no change share their memory with the file's.

    Raises `UnknownNameError` for a model that does not exist, or has no auxiliary heads where `aux`
    is True; `WeightsError`, on one line, for a file that holds another model, lacks an array, has
    one of another shape, of integers or not finite, or has an extra one in a layer of ours, which
    would make it a different function; `ShapeError` for an input that is too small.
    """
    models = models_of(model)
    if aux and not models[0].aux:
        raise UnknownNameError(
            f"`aux`: model '{models[0].designator}' has no auxiliary heads; leave out `aux`"
        )
    if file.graph is not None:
        return import_graph(file, models[0].network, aux=aux, input_size=input_size)
    if is_own(file.metadata):
        raise WeightsError(
            f"{file.path}: '{models[0].designator}' was asked for; {described(file)}"
        )
    source = Source(best_part(file, in_layout(file, models), key), head)
    network = source.network(source.has_heads() if aux is None else aux, input_size)
    params, left_over = source.params(network)
    return Imported(
        network,
        check_params(network, params, source=str(file.path)),
        left_over,
        None if source.model.own else source.model.designator,
        source.part.key,
        source.head.module if source.head else None,
    )


def import_graph(
    file: WeightsFile,
    only: str | None = None,
    *,
    aux: bool | None = None,
    input_size: tuple[int, int] | None = None,
) -> Imported:
    """The network that a file's graph is, and its weights: `only` the one of that name, or
    whichever fits. Raises `WeightsError` if it is another, or if a weight is not finite.
    """
    assert file.graph is not None
    found = network_in(file, file.graph, only=only, aux=aux, input_size=input_size)
    params = check_params(found.network, found.params, source=str(file.path))
    return Imported(
        found.network,
        params,
        found.left_over,
        zoo_model_of(found.network.name),
        others=tuple(zoo_model_of(each) or each for each in found.others),
        transforms=found.transforms,
    )


def models_of(name: str) -> list[ZooModel]:
    """The naming of arrays that `name` may mean: a zoo's model and the native models of its
    network, or if it is a network, those and the zoo models that are that network.

    Raises `UnknownNameError` if it is neither.
    """
    try:
        found = find_model(name)
    except UnknownNameError:
        if name not in designators():
            raise
        return [*own_models(name), *zoo_models_of(name)]
    return [*namings(found.designator), *own_models(found.network)]


def zoo_models_of(network: str) -> list[ZooModel]:
    """The zoo models that are the network of this name."""
    named = [model for each in zoo_models() for model in namings(each)]
    return [model for model in named if model.network == network]


def in_layout(file: WeightsFile, models: Sequence[ZooModel]) -> list[ZooModel]:
    """`models`, those first whose layout of square matrices, which no shape tells, is that of the
    file's format. Raises `WeightsError` if such a file holds the weights of another function.
    """
    for model in models:
        for format, reason in model.refused.items():
            if file.format.startswith(format) and best_part(file, [model]).share >= LEAST_SHARE:
                raise WeightsError(
                    f"{file.path}: is a {file.format} of {model.designator}, which cannot be read:"
                    f" {reason}"
                )
    paddle = file.format.startswith("Paddle")
    return sorted(models, key=lambda model: (model.leaves["dense"]["axes"] == "IO") != paddle)


def load_weights(
    path: str | os.PathLike[str],
    network: Network,
    *,
    key: str | None = None,
    head: str | None = None,
    new_head: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Params:
    """The weights of `network` from a file of any format that has them by the spec's paths, as a
    native model of any framework has, or by the names of the zoo whose network it is: path →
    float32 array. `key` and `head` are as for `import_weights`; `new_head` is a seed from which
    the classifiers are drawn, whatever the file has there. `tell` is called with a line that names
    arrays of the file that are not used, if there are any.

    Raises `WeightsError`, naming the file and the first offending path, if they do not fit.
    """
    file = read_weights_file(path)
    fresh = {} if new_head is None else _fresh(network, new_head)
    if is_own(file.metadata):
        kept = {name: array for name, array in file.arrays.items() if name not in fresh}
        return check_file(network, {**kept, **fresh}, file.metadata, path)
    refuse_checkpoint(path, file.metadata)
    if file.graph is not None:
        _, height, width = network.input_shape
        found = import_graph(file, network.name, input_size=(height, width))
        kept = {name: array for name, array in found.params.items() if name not in fresh}
        return check_params(network, {**kept, **fresh}, source=str(path))
    models = [*given_models(network), *zoo_models_of(network.name)]
    source = Source(best_part(file, in_layout(file, models), key), head)
    if new_head is None:
        source.look_for_head(network)
    params, left_over = source.params(network, without=fresh)
    if line := unused_in_words(left_over):
        tell(f"{path}: {line}")
    return check_params(network, {**params, **fresh}, source=str(path))


def unused_in_words(left_over: Sequence[str]) -> str:
    """That these arrays of a file are not used, "" if only batch norm's counters are not."""
    names = [name for name in left_over if not name.endswith(_COUNTERS)]
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"arrays that are not used: {shown}{more}" if names else ""


def _fresh(network: Network, seed: int) -> Params:
    """New arrays of the classifiers, those of auxiliary heads included."""
    drawn = init_params(network, seed=seed)
    return {path: drawn[path] for path in classifier_paths(network)}
