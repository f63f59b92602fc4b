"""`python -m weights_made FRAMEWORK FOLDER`, in an environment of that framework and of what
libraries on it are at hand. `weight_files.py` runs it, and reads the files.

Writes into FOLDER the files, for each model that is in one of them the images and the library's own
logits (`*.npz`), and `rows.json`: a row a file, with what is odd about it, who wrote it, what the
command is told, and whether it must be refused. Weights are random, none of them trivial; nothing
is downloaded. What is not installed is left out.
"""

import importlib
import sys
from pathlib import Path

from .folder import Folder

if __name__ == "__main__":
    made = Folder(Path(sys.argv[2]))
    importlib.import_module(f"{__package__}.{sys.argv[1]}").make(made)
    made.finish()
