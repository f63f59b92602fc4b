"""The one version of the core and every backend, and a digest that tells two checkouts apart."""

from __future__ import annotations

import hashlib
from pathlib import Path

__version__ = "0.2.0"


def source_digest() -> str:
    """12 hex digits of the SHA-256 of this package's code: the names and bytes of its Python and
    TOML files.

    Two interpreters with the same version may still have different code, as with two checkouts.
    """
    root = Path(__file__).parent
    code = {
        path.relative_to(root).as_posix(): path
        for path in root.rglob("*")
        if path.suffix in (".py", ".toml")
    }
    digest = hashlib.sha256()
    for name, path in sorted(code.items()):
        data = path.read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()[:12]
