"""Files that have the spec's names: those that `save_params` wrote, which say what network they are
for, and those that a backend saved, which do not.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from ...architectures import get_network
from ...arrays import Params
from ...budget import limited
from ...errors import UnknownNameError, WeightsError
from ...spec.layers import Network
from ...spec.params import end_weights, param_specs
from ...spec.traversal import walk
from ..check import check_params
from ..files import is_own
from ..formats import WeightsFile
from .choose import only_model
from .convert import Imported, import_graph, import_weights
from .described import described
from .heads import expect_heads
from .own import fitting_networks


def reopen_weights(
    file: WeightsFile,
    *,
    aux: bool | None = None,
    input_size: tuple[int, int] | None = None,
    key: str | None = None,
    head: str | None = None,
) -> Imported:
    """The network and weights of a file that `save_params` wrote, or that has the arrays of only
    one of our networks by the names of a native model; arguments as for `import_weights`.

    Raises `WeightsError` if it is another file, if its network is not one that `get_network`
    knows, or if its arrays do not fit it; `UnknownNameError` and `ShapeError` as `import_weights`
    does.
    """
    if file.graph is not None:
        return import_graph(file, aux=aux, input_size=input_size)
    if not is_own(file.metadata):
        model, others = _only_model(file)
        found = import_weights(file, model, aux=aux, input_size=input_size, key=key, head=head)
        return replace(found, others=others)
    name, text = file.metadata.get("network", "")[:100], file.metadata.get("input_shape", "")
    size = re.fullmatch(r"(\d{1,9}),(\d{1,9}),(\d{1,9})", text, re.ASCII)
    try:
        default = get_network(name)
    except UnknownNameError as error:
        raise WeightsError(f"{file.path}: its network cannot be rebuilt; {error}") from error
    if size is None:
        raise WeightsError(
            f"{file.path}: its metadata has the input shape '{text[:60]}', expected"
            " channels,height,width; save it again"
        )
    asked = tuple(map(int, size.groups()))
    shape = (asked[0], *(asked[1:] if input_size is None else input_size))
    heads = "," in file.metadata.get("outputs", "") if aux is None else aux
    _, classes = channels_and_classes(default, file.arrays)
    network = get_network(name, num_classes=classes, input_shape=shape, aux=heads)
    if input_size is None:
        _check_input(file, network)
    dropped = added_by_heads(default) if aux is False else set()
    params = {path: array for path, array in file.arrays.items() if path not in dropped}
    if aux:
        expect_heads(network, params, file.path)
    left_over = [path for path in file.arrays if path in dropped]
    return Imported(network, check_params(network, params, source=str(file.path)), left_over)


def open_weights(
    file: WeightsFile,
    model: str | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    key: str | None = None,
    head: str | None = None,
) -> Imported:
    """The network and weights of a file that has the spec's names, or those of a zoo, at
    `input_size` (height, width) if that is given; `key` and `head` as for `import_weights`.

    One that `save_params` wrote says which network it is for; for any other, `model` says it, as a
    name or ZOO:NAME, unless only one network has its arrays; its shapes give the numbers of
    channels and classes. Raises `WeightsError` if it is neither, or if `model` is not the file's
    own; `UnknownNameError` and `ShapeError` as `get_network` does.
    """
    if is_own(file.metadata):
        imported = reopen_weights(file, input_size=input_size)
        if model is not None and imported.network.name not in (model, get_network(model).name):
            raise WeightsError(
                f"{file.path}: holds weights of network '{imported.network.name}', but `model` says"
                f" '{model}'; leave `model` out"
            )
        return imported
    if file.graph is not None and model is None:
        return import_graph(file, input_size=input_size)
    named, others = _only_model(file) if model is None else (model, ())
    found = import_weights(file, named, input_size=input_size, key=key, head=head)
    return replace(found, others=others)


def _only_model(file: WeightsFile) -> tuple[str, tuple[str, ...]]:
    """The network whose arrays the file has by the names of a native model, or the zoo's model
    whose names they are, with the others that have the same names and compute the same. Raises
    `WeightsError` if there is none, or several that compute different things.
    """
    fitting = fitting_networks(file)
    if len(fitting) == 1:
        return fitting[0], ()
    if fitting:
        raise WeightsError(
            f"{file.path}: does not say which network it is for, and its arrays are those of"
            f" {' and '.join(fitting)}, which compute different things of them, so"
            " `model=ZOO:MODEL` must say it"
        )
    if (found := only_model(file)) is not None:
        return found
    raise WeightsError(
        f"{file.path}: does not say which network it is for, as only this project's"
        f" .safetensors files do, so `model=ZOO:MODEL` must say it; {described(file)}"
    )


def channels_and_classes(network: Network, params: Params) -> tuple[int | None, int | None]:
    """How many channels the images have and how many classes there are, by the shapes of the
    weights of `network`; None for a weight that is missing or has another number of axes.
    """
    found: list[int | None] = []
    for spec, axis in zip(end_weights(network), (1, 0), strict=True):
        shape = params[spec.path].shape if spec.path in params else ()
        found.append(int(shape[axis]) or None if len(shape) == len(spec.shape) else None)
    return found[0], found[1]


def _check_input(file: WeightsFile, network: Network) -> None:
    """Raises `WeightsError` if one image of the size that the file asks for makes more of any layer
    than the file may become.
    """
    with limited(file.path, WeightsError) as taken:
        largest = max(math.prod(site.out_shape) for site in walk(network))
        taken.take_bytes(4 * max(largest, math.prod(network.input_shape)))


def added_by_heads(network: Network) -> set[str]:
    """The paths of the arrays that auxiliary heads would add to `network`."""
    try:
        return set(param_specs(get_network(network.name, aux=True))) - set(param_specs(network))
    except UnknownNameError:
        return set()
