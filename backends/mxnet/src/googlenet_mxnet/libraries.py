"""Files of the libraries that stand on MXNet."""

from __future__ import annotations

import os
from collections.abc import Mapping

import mxnet as mx

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.files import native_file
from googlenet.spec import Network

from .model import file_suffix


def save_for(
    library: str, network: Network, arrays: Mapping[str, Array], path: str | os.PathLike[str]
) -> None:
    """Write `arrays` to `path`, for `load_parameters` of the model of `library`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network)) as temporary:
        # Such libraries are of the time before MXNet's NumPy, and so is this format.
        mx.nd.save(temporary, {name: mx.nd.array(array) for name, array in arrays.items()})
        mx.nd.load(temporary)  # MXNet does not notice if the last bytes could not be written
