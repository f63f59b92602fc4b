"""Files of the libraries that stand on PyTorch."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from googlenet.arrays import Array
from googlenet.backend import shared
from googlenet.files import native_file
from googlenet.spec import Network

from .model import file_suffix


def save_for(
    library: str, network: Network, arrays: Mapping[str, Array], path: str | os.PathLike[str]
) -> None:
    """Write `arrays` to `path` as a state dict, for `load_state_dict` of the model of `library`.

    Raises `WeightsError` for any other ending or a file that cannot be written; an existing file is
    then left unchanged.
    """
    with native_file(path, file_suffix, shared.file_bytes(network)) as temporary:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, temporary)
