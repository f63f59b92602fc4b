"""Files of the libraries that stand on MindSpore."""

from __future__ import annotations

import os
from collections.abc import Mapping

import mindspore as ms

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.files import native_file
from googlenet.spec import Network

from .model import file_suffix


def save_for(
    library: str, network: Network, arrays: Mapping[str, Array], path: str | os.PathLike[str]
) -> None:
    """Write `arrays` to `path` as a checkpoint, for `load_param_into_net` and `library`'s model.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network)) as temporary:
        ms.save_checkpoint(
            [{"name": name, "data": ms.Tensor(array)} for name, array in arrays.items()], temporary
        )
