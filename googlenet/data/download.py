"""Fashion-MNIST from the internet: checked, resumable, from one of several mirrors, into the user's
cache.
"""

from __future__ import annotations

import http.client
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..paths import kind_at, open_own
from .fetch import Patience, fetched

#: Called with what is being done, how much is done, and how much there is.
Report = Callable[[str, int, int], None]

FASHION_MNIST = "fashion-mnist"
MIRRORS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
#: The files of Fashion-MNIST (arXiv:1708.07747): their SHA-256 and size in bytes.
FILES = {
    "train-images-idx3-ubyte.gz": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        26_421_880,
    ),
    "train-labels-idx1-ubyte.gz": (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        29_515,
    ),
    "t10k-images-idx3-ubyte.gz": (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        4_422_102,
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        5_148,
    ),
}
#: The number of seconds that a mirror may send nothing.
TIMEOUT = 30.0
#: When else a mirror is given up, and the next one is asked.
PATIENCE = Patience()


def cache_folder() -> Path:
    """Where downloads and resized images are kept: the user's cache, or what the environment
    variable GOOGLENET_CACHE_DIR names.
    """
    import pooch

    return Path(os.environ.get("GOOGLENET_CACHE_DIR") or pooch.os_cache("googlenet"))


def download(report: Report = lambda what, done, total: None) -> Path:
    """The folder with the files of Fashion-MNIST, downloaded from the first mirror that has them
    unless they are there already.

    An interrupted download continues where it stopped. Raises `DataError` with what each mirror
    answered.
    """
    import logging

    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    folder = cache_folder() / FASHION_MNIST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            for name in FILES:
                _download(folder, name, report)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or error}); set GOOGLENET_CACHE_DIR to"
            " another folder"
        ) from error
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make other processes wait, such as those that train together: two that write one file would
    spoil it.
    """
    if (
        sys.platform == "win32"
    ):  # which lacks this lock: there the checksum catches a file that two processes wrote
        yield
        return
    import fcntl

    with open_own(folder / ".lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(folder: Path, name: str, report: Report) -> None:
    import pooch

    sha256, size = FILES[name]
    if kind_at(folder / name) not in ("", "file"):
        raise DataError(f"{folder / name}: is not a file; delete it")
    failures = []
    for mirror in MIRRORS:
        take = _Download(folder / f"{name}.part", size, report)
        try:
            pooch.retrieve(f"{mirror}{name}", f"sha256:{sha256}", name, folder, downloader=take)
            return
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
        ) as error:  # a ValueError is a wrong checksum
            said = " ".join((str(error) or repr(error)).split())[:400]  # by a server, perhaps
            failures.append(f"{mirror}: {said}")
    raise DataError(
        f"{name}: cannot be downloaded ({'; '.join(failures)}); put the four files into a folder"
        " and give it as `data_dir`"
    )


class _Download:
    """How pooch downloads one file: into `part`, from which a later try continues, with the same
    mirror or another.
    """

    def __init__(self, part: Path, size: int, report: Report) -> None:
        self.part, self.size, self.report = part, size, report

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        have = self.part.stat().st_size if kind_at(self.part) else 0
        if have >= self.size:  # nothing is left to ask for, but its checksum was never checked
            have = 0
        wanted = {"Range": f"bytes={have}-"} if have else {}
        with fetched(url, wanted, replace(PATIENCE, silence=TIMEOUT)) as answer:
            if have and answer.status != 206:  # a server that cannot resume begins again
                have = 0
            length = answer.length
            if length is not None and length.strip() != str(
                self.size - have
            ):  # an error page must not become part of the file
                raise OSError(
                    f"expected {self.size - have} bytes, but the server offers {length[:20]}"
                )
            with open_own(self.part, "ab" if have else "wb") as file:
                while have <= self.size and (block := answer.read(1 << 16)):
                    file.write(block)
                    have += len(block)
                    self.report(
                        f"downloading {self.part.name.removesuffix('.part')}", have, self.size
                    )
        if have != self.size and length is None:  # cut short, or an error page: nothing tells which
            self.part.unlink()
            raise OSError(f"expected {self.size} bytes, but the server sent {have}")
        if have < self.size:
            raise OSError(
                f"the connection was lost after {have} of {self.size} bytes; the next attempt"
                " continues from there"
            )
        shutil.move(self.part, output_file)
