"""Where the files of a set are, as people have them: IDX files under any of the names that they are
given, and folders for training and testing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..errors import DataError, GoogLeNetError
from ..paths import kind_at
from .download import FILES

#: Debian's package dataset-fashion-mnist puts the whole set here.
SYSTEM: Final = Path("/usr/share/datasets/fashion-mnist")
#: Where below a folder torchvision puts the files of a set.
_RAW: Final = "raw"
_IDX: Final = re.compile(
    r"(?P<set>[a-z0-9]+(?:-[a-z0-9]+)*-)??(?P<part>train|t10k|test|val|validation)"
    r"[-_.](?P<what>images|labels)[-_.]idx(?P<axes>[13])[-_.]ubyte(?P<packed>\.gz)?"
)
_TRAINING: Final = ("train", "training")
_TESTING: Final = ("test", "testing", "val", "validation", "valid")
#: What a folder may hold in the place of images, and what to do.
_OTHERS: Final = {
    ".csv": "give a set's IDX files (Kaggle has them too), or its images as PNG",
    ".parquet": "save its images as PNG, in a folder for each class",
    ".arrow": "save its images as PNG, in a folder for each class",
    ".npz": "save its images as PNG, in a folder for each class",
    ".mat": "save its images as PNG, in a folder for each class",
    ".tfrecord": "save its images as PNG, in a folder for each class",
    ".zip": "unpack it first",
    ".tar": "unpack it first",
    ".tgz": "unpack it first",
    ".gz": "unpack it first",
}

#: The four files of a set: images and labels to train on, images and labels to test with.
Four = tuple[Path, Path, Path, Path]


def _kind(path: Path) -> str:
    """What stands at `path`; "" also for what cannot be looked at, such as links in a circle beside
    the files that are meant.
    """
    with suppress(OSError, GoogLeNetError):
        return kind_at(path)
    return ""


def _listed(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in sorted(folder.iterdir()):
        match = _IDX.fullmatch(path.name.lower())
        if match is not None and _kind(path) == "file":
            yield path, match


def _places(folder: Path) -> list[Path]:
    """Where the files may be: in the folder, below it in `raw`, or in the only `raw` of a set."""
    raw = [each for each in (folder / _RAW,) if _kind(each) == "folder"]
    below = [
        each / _RAW
        for each in sorted(folder.iterdir())
        if not each.name.startswith(".")
        and _kind(each) == "folder"
        and _kind(each / _RAW) == "folder"
    ]
    return [folder, *raw, *(below if len(below) == 1 else ())]


def idx_set(folder: Path, prefix: str = "") -> dict[str, Path] | None:
    """The IDX files in or below `folder`, by the names of MNIST's that they stand for, as far as
    they are there; None if there is not any. Names may have dots for dashes, be in any case, say
    test or val for t10k, and begin with the set's own name, as EMNIST's do; `prefix` is that name,
    if there are several.

    Raises `DataError` for several sets in one folder of which `prefix` chooses none.
    """
    for place in [folder] if prefix else _places(folder):
        sets: dict[str, dict[str, Path]] = {}
        for path, match in _listed(place):
            name = _name(match)
            files = sets.setdefault((match["set"] or "").rstrip("-"), {})
            # Packed first, as they are downloaded.
            if name not in files or match["packed"]:
                files[name] = path
        if prefix:
            sets = {name: files for name, files in sets.items() if name == prefix.lower()}
        if len(sets) > 1:
            raise DataError(
                f"{place}: holds several sets ({', '.join(filter(None, sets))}); give one, as"
                f" {place / next(filter(None, sets))}"
            )
        for files in sets.values():
            return files
    return None


def _name(match: re.Match[str]) -> str:
    part = "train" if match["part"] == "train" else "t10k"
    return f"{part}-{match['what']}-idx{match['axes']}-ubyte.gz"


def idx_files(folder: Path, prefix: str = "") -> Four:
    """The four files of a set. Raises `DataError` if `folder` is none, or lacks any of them."""
    if _kind(folder) != "folder":
        raise DataError(
            f"{folder}: is not a folder; give the one that holds {', '.join(FILES)} as `data_dir`"
        )
    found = idx_set(folder, prefix) or {}
    missing = [name for name in FILES if name not in found]
    if missing:
        raise DataError(
            f"{folder}: lacks {', '.join(missing)} (plain or .gz); all four of {', '.join(FILES)}"
            " are needed"
        )
    first, second, third, fourth = (found[name] for name in FILES)
    return first, second, third, fourth


def labels_of(images: Path) -> Path | None:
    """The IDX file of labels beside that of `images`, by its name; None if there is none."""
    match = _IDX.fullmatch(images.name.lower())
    if match is None or match["what"] != "images":
        return None
    wanted = (match["set"], match["part"], "labels", "1")
    fitting = [
        path
        for path, other in _listed(images.parent)
        if (other["set"], other["part"], other["what"], other["axes"]) == wanted
    ]
    packed = images.suffix.lower() == ".gz"
    fitting.sort(key=lambda path: (path.suffix.lower() == ".gz") != packed)
    return fitting[0] if fitting else None


def system_set() -> Path | None:
    """The folder of Fashion-MNIST that the system has, None if it has none."""
    if _kind(SYSTEM) != "folder":
        return None
    return SYSTEM if len(idx_set(SYSTEM) or {}) == len(FILES) else None


def split_folders(path: Path) -> tuple[Path | None, Path | None]:
    """The folders to train on and to test with in `path`, in any case, None for one that is not
    there; a folder called test comes before one called val.
    """
    by_name: dict[str, Path] = {}
    for each in sorted(path.iterdir()):
        if _kind(each) == "folder":
            by_name.setdefault(each.name.lower(), each)
    train, test = (
        next((by_name[name] for name in names if name in by_name), None)
        for names in (_TRAINING, _TESTING)
    )
    return train, test


def other_files(folder: Path) -> str | None:
    """What a folder without images holds instead, and what to do, in words; None if nothing is
    known of it.
    """
    for path in sorted(folder.iterdir()):
        advice = _OTHERS.get(path.suffix.lower())
        if advice is not None and not path.name.startswith(".") and _kind(path) == "file":
            return f"{path.name}, which is not read as images; {advice}"
    return None
