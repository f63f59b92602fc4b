"""The example's own weight files, for `googlenet convert --to example`; the reader stands in
`googlenet_example_format`.
"""

from __future__ import annotations

import os
from typing import Any

from googlenet.files import native_file
from googlenet.weights.files import network_metadata
from googlenet_example_format import write

file_suffix = ".own"


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write the weights of `model` to `path`, which ends in .own. Raises `WeightsError`."""
    with native_file(path, file_suffix) as temporary:
        write(temporary, model.params, network_metadata(model.network))
