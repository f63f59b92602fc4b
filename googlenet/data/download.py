"""Fashion-MNIST from the internet: checked, resumable, from one of several mirrors, into the user's
cache.
"""

from __future__ import annotations

import hashlib
import http.client
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ..errors import DataError
from ..locks import held, holder
from ..paths import kind_at, open_file, open_own
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
#: The number of seconds to wait for another process that downloads the same and gets no further:
#: as long as two mirrors may be silent in turn, and more.
WAIT = 90.0


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
    answered, or who downloads there and gets no further.
    """
    folder = cache_folder() / FASHION_MNIST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, report):
            for name in FILES:
                _download(folder, name, report)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or error}); set GOOGLENET_CACHE_DIR to"
            " another folder"
        ) from error
    return folder


@contextmanager
def _alone(folder: Path, report: Report) -> Iterator[None]:
    """Make other processes wait, such as those that train together: two that write one file would
    spoil it.
    """

    def look(handle: int) -> object:
        report(f"waiting for {holder(handle) or 'another process'}, which downloads", 0, 0)
        return _sizes(folder)

    def busy(handle: int) -> DataError:
        who = holder(handle) or "who it is is not known"
        return DataError(
            f"{folder}: another process downloads here, but got no further for {WAIT:g} s ({who});"
            " end it, or set GOOGLENET_CACHE_DIR to another folder"
        )

    with held(folder / LOCK, wait=WAIT, busy=busy, look=look):
        yield


#: The file in the folder that is locked while something is downloaded.
LOCK = ".lock"


def _sizes(folder: Path) -> dict[str, int]:
    """How much there is of each file."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.stat(follow_symlinks=False).st_size for entry in entries}


def _download(folder: Path, name: str, report: Report) -> None:
    sha256, size = FILES[name]
    target, part = folder / name, folder / f"{name}.part"
    if kind_at(target) not in ("", "file"):
        raise DataError(f"{target}: is not a file; delete it")
    if kind_at(target) and _sha256(target) == sha256:
        return
    failures = []
    for mirror in MIRRORS:
        try:
            _Download(part, size, report)(f"{mirror}{name}")
            if (found := _sha256(part)) != sha256:
                part.unlink()
                raise OSError(f"expected a file of SHA256 {sha256}, but the server sent {found}")
            os.replace(part, target)
            return
        except (OSError, ValueError, http.client.HTTPException) as error:  # of a URL, the second
            said = " ".join((str(error) or repr(error)).split())[:400]  # by a server, perhaps
            failures.append(f"{mirror}: {said}")
    raise DataError(
        f"{name}: cannot be downloaded ({'; '.join(failures)}); put the four files into a folder"
        " and give it as `data_dir`"
    )


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


class _Download:
    """Downloads one file: into `part`, from which a later try continues, with the same mirror or
    another.
    """

    def __init__(self, part: Path, size: int, report: Report) -> None:
        self.part, self.size, self.report = part, size, report

    def __call__(self, url: str) -> None:
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
