"""Weights of a model zoo, or of a native model of any framework, as weights of our network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...architectures import is_designator
from ...arrays import Params
from ...errors import UnknownNameError, WeightsError
from ...spec.layers import Network
from ..check import check_params
from ..files import is_own
from ..formats import WeightsFile
from .described import described
from .graphs import network_in, zoo_model_of
from .guess import LEAST_SHARE
from .models import ZooModel, find_model, namings, zoo_models
from .own import own_models
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
    given: Network | None = None,
) -> Imported:
    """The network that a file's graph is, and its weights: `only` the one of that name, or
    whichever fits, or `given`. Raises `WeightsError` if it is another, or if a weight is not
    finite.
    """
    assert file.graph is not None
    found = network_in(file, file.graph, only=only, aux=aux, input_size=input_size, given=given)
    params = check_params(found.network, found.params, source=str(file.path))
    return Imported(
        found.network,
        params,
        found.left_over,
        None if is_own(file.graph.metadata) else zoo_model_of(found.network.name),
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
        if not is_designator(name):
            raise
        return [*own_models(name), *zoo_models_of(name)]
    return [*namings(found.designator), *own_models(found.network)]


def zoo_models_of(network: str) -> list[ZooModel]:
    """The zoo models that are the network of this name, but for those that must be asked for."""
    named = [model for each in zoo_models() for model in namings(each)]
    return [model for model in named if model.network == network and not model.asked]


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
    transposed = file.format.startswith(("Paddle", "Flax"))
    return sorted(models, key=lambda model: (model.leaves["dense"]["axes"] == "IO") != transposed)


def unused_in_words(left_over: Sequence[str]) -> str:
    """That these arrays of a file are not used, "" if only batch norm's counters are not."""
    names = [name for name in left_over if not name.endswith(_COUNTERS)]
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"arrays that are not used: {shown}{more}" if names else ""
