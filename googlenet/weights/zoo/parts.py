"""The part of a file that holds a model: the arrays under one prefix, such as `module.`,
`state_dict.` or `inception_v3/`. A file may hold several, such as `model.` and `model_ema.`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...arrays import Array
from ...errors import WeightsError
from ..formats import WeightsFile
from ..formats.nested import BESIDE
from .guess import LEAST_SHARE, expected_names, share
from .models import ZooModel
from .names import plain_name
from .unnamed import with_names

#: What compiling or sharding a part of a model puts into the names of its arrays.
_WRAPPING = re.compile(r"(?<![^./])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
#: A prefix with fewer names of the model than this share of the most is not another model.
_LEAST_VOTES = 0.5
#: Two parts fit if the worse one agrees with the model this well, beside the better one.
_AS_WELL = 0.9
_SHOWN = 8


@dataclass(frozen=True)
class Part:
    """The arrays of `file` under `prefix`, by the names without it, as those of `model`; how well
    they agree with it, from 0 to 1; the names of the file by theirs; and all that the file has.
    """

    model: ZooModel
    prefix: str
    file: WeightsFile
    share: float
    originals: Mapping[str, str]
    whole: Mapping[str, Array]

    @property
    def key(self) -> str:
        """What chooses this part."""
        return self.prefix.rstrip("./")


def parts_of(file: WeightsFile, model: ZooModel) -> list[Part]:
    """The parts of `file` that have names of `model`, the one that agrees best first; the whole
    file if none has any.
    """
    file = with_names(file, model)
    cleaned = {_WRAPPING.sub("", name): name for name in file.arrays}
    if len(cleaned) < len(file.arrays):  # two would be one
        cleaned = {name: name for name in file.arrays}
    expected = expected_names(model)
    votes: Counter[str] = Counter()
    for name in cleaned:
        for cut in (0, *(match.end() for match in re.finditer(model.boundary, name))):
            votes[name[:cut]] += plain_name(model, name[cut:]) in expected
    most = max(votes.values(), default=0)
    prefixes = [each for each, count in votes.items() if count and count >= _LEAST_VOTES * most]
    models = [each for each in prefixes if not BESIDE.search(each)] or prefixes or [""]
    parts = [_part(file, model, prefix, _within(prefix, models, cleaned)) for prefix in models]
    return sorted(parts, key=lambda part: -part.share)


def _within(prefix: str, prefixes: Sequence[str], names: Mapping[str, str]) -> Mapping[str, str]:
    """`names` under `prefix` that are not those of another model inside it, as a copy of a model
    among its own arrays.
    """
    inner = tuple(each for each in prefixes if each != prefix and each.startswith(prefix))
    return {
        name: original
        for name, original in names.items()
        if name.startswith(prefix) and not name.startswith(inner)
    }


def _part(file: WeightsFile, model: ZooModel, prefix: str, cleaned: Mapping[str, str]) -> Part:
    originals = {name.removeprefix(prefix): original for name, original in cleaned.items()}
    arrays = {name: file.arrays[original] for name, original in originals.items()}
    inside = replace(file, arrays=arrays)
    return Part(model, prefix, inside, share(model, arrays), originals, file.arrays)


def best_part(file: WeightsFile, models: Sequence[ZooModel], key: str | None = None) -> Part:
    """The part of `file` that agrees best with one of `models`; of those that agree as well, with
    the first. `key` is where the part is: its prefix, or the beginning of it.

    Raises `WeightsError` if nothing is at `key`, or if several parts with other values fit and
    `key` does not choose one; it names them.
    """
    parts = [part for model in models for part in parts_of(file, model)]
    key = None if key is None else _inside(file, key)
    if key is not None:
        parts = [part for part in parts if _is_at(part.key, key)]
        if not parts:
            raise WeightsError(
                f"{file.path}: `key={key}` holds no weights of {models[0].designator}; the file has"
                f" {keys_of(file.arrays)}"
            )
    best = max(parts, key=lambda part: part.share)
    if best.share < LEAST_SHARE:
        return best
    others = [
        part
        for part in parts
        if part.prefix != best.prefix
        and part.share >= _AS_WELL * best.share
        and not _same(part.file.arrays, best.file.arrays)
    ]
    if others:
        names = {part.key: len(part.file.arrays) for part in (best, *others)}
        listed = " and ".join(
            f"{repr(each) if each else 'its own names'} ({count:,} arrays)"
            for each, count in names.items()
        )
        chosen = next(filter(None, names))
        raise WeightsError(
            f"{file.path}: holds several models that fit: {listed}; choose one, as with"
            f" `key={chosen}`"
        )
    return best


def _inside(file: WeightsFile, key: str) -> str | None:
    """`key` within the one dictionary of a checkpoint that its reader took, by whose keys it may
    begin; None if it is that dictionary.
    """
    taken = file.metadata.get("unwrapped", "")
    if taken and f"{taken}.".startswith(f"{key.rstrip('./')}."):
        return None
    return key.removeprefix(f"{taken}.") if taken else key


def _is_at(place: str, key: str) -> bool:
    """Whether `place` is `key`, or inside it."""
    asked = key.rstrip("./")
    return place == asked or place.startswith((f"{asked}.", f"{asked}/"))


def _same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    """Whether two parts have the same values, as where one model was saved twice."""
    common = one.keys() & other.keys()
    return all(np.array_equal(one[name], other[name]) for name in common)


def keys_of(arrays: Mapping[str, Array]) -> str:
    """What the names of `arrays` begin with, and how many have each beginning, in words."""
    counts = Counter(re.split(r"[./]", name, maxsplit=1)[0] for name in arrays)
    listed = [f"'{each}' ({count:,})" for each, count in counts.most_common(_SHOWN)]
    more = len(counts) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")
