"""The example's own weight files, for `googlenet convert --to example`; the reader stands in
`googlenet_example_format`.
"""

from __future__ import annotations

from googlenet_example_format import write

from googlenet.files import native_file
from googlenet.weights.files import network_metadata

file_suffix = ".own"


def save(model, path):
    with native_file(path, file_suffix) as temporary:
        write(temporary, model.params, network_metadata(model.network))
