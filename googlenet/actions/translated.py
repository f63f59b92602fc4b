"""What a translation is: files and a proof; and the README that says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from ..files import share, write_atomically, writing
from ..paths import kind_at
from ..proof.exact.compare import GRADIENTS
from ..proof.parity.rows import Comparison, Group, Row
from ..proof.parity.run import Outcome, Report, Result
from ..source.folder import Files
from ..spec.analysis import count_parameters, zero_gradients
from ..spec.layers import Network
from ..temporary import temporary_folder
from ..version import __version__

#: How many training steps both models are compared in.
STEPS: Final = 3
#: The file of the proof, beside the readable one.
PROOF, README = "proof.json", "README.md"


#: What is compared, in words.
_GROUPS: Final[Mapping[Group, str]] = {
    Group.WEIGHTS: "weights that differ",
    Group.OUTPUTS: "outputs and layers",
    Group.STEP_OUTPUTS: "outputs and layers in training mode",
    Group.LOSS: "loss",
    Group.GRADIENTS: "gradients",
    Group.STATISTICS: "batch norm's statistics after a training step",
    Group.TRAJECTORY: f"losses and weights in {STEPS} steps of SGD",
}


@dataclass(frozen=True)
class Translation:
    """A user's model in another framework: the `folder` with its `files`, and the proof.

    `places` has for the path of each layer where it is in the user's code; `parity` compares the
    user's own model and the one in the files with the same float64 reference, and with exact
    weights bit for bit, unless `not_exact` says why not. `unbiased` is whether batch norm's running
    variance is the unbiased one in either framework, by its own convention, which the reference
    follows. Where rounding hides too much with the model's own weights, `moved` compares them with
    the biases of batch norm moved (`googlenet.weights.samples.with_moved_norms`).
    """

    model: str
    source: str
    target: str
    folder: str
    files: Files
    network: Network
    places: Mapping[str, str]
    parity: Report
    not_exact: str = ""
    unbiased: tuple[bool, bool] = (False, False)
    moved: Report | None = None
    #: Whether the model returned its auxiliary outputs in training mode only.
    opened: bool = False

    @property
    def passed(self) -> bool:
        """Whether both are proved to be the same function: nothing differs, and outputs, gradients
        and statistics could be told on the images, or where rounding hides too much there, such as
        in gradients that are 0, by the bits of exact weights, or of what training computes, with
        the biases of batch norm moved. In a deep network rounding may grow so fast that the
        training steps tell little more.
        """
        zero = zero_gradients(self.network)
        pairs = self._pairs()
        if any(moved is not None and moved.outcome is Outcome.DIFFERENT for _, moved in pairs):
            return False
        return all(
            _is_told(own, zero)
            or _is_exact(own)
            or (_is_evaluated(own) and moved is not None and _is_told(moved, zero))
            for own, moved in pairs
        )

    @property
    def verdict(self) -> str:
        """That, in words."""
        results = [each for pair in self._pairs() for each in pair if each is not None]
        if self.passed:
            return "the same function"
        if any(each.outcome is Outcome.DIFFERENT for each in results):
            return "different functions"
        if any(each.outcome is Outcome.FAILED for each in results):
            return "not compared"
        return "perhaps different functions, since rounding hides too much on these images"

    @property
    def theirs(self) -> Result:
        """How the user's own model compares."""
        return _of(self.parity, self.source)

    @property
    def ours(self) -> Result:
        """How the model in the files compares."""
        return _of(self.parity, self.target)

    def _pairs(self) -> list[tuple[Result, Result | None]]:
        """How each model compares with its own weights, and with the biases of batch norm moved."""
        return [
            (own, None if self.moved is None else _of(self.moved, own.framework))
            for own in (self.theirs, self.ours)
        ]

    def _own(self, rows: list[Row], group: Group) -> list[Row]:
        """Those of the user's model: layers inside it are of a native model beside it."""
        if group not in (Group.OUTPUTS, Group.STEP_OUTPUTS):
            return rows
        return [row for row in rows if row.name.split(" ")[0] in self.network.outputs]

    def _is_biased(self, framework: str) -> bool:
        return not self.unbiased[(self.source, self.target).index(framework)]

    @property
    def versions(self) -> tuple[str, str]:
        """Both frameworks with their versions."""
        source, target = (
            f"{each.framework} {each.versions.get(each.framework, '')}".strip()
            for each in (self.theirs, self.ours)
        )
        return source, target

    @property
    def columns(self) -> tuple[str, str]:
        """The two models that `rows` compares."""
        source, target = self.versions
        return f"{self.model} ({source})", f"{self.files.source} ({target})"

    def rows(self) -> Iterator[tuple[str, ...]]:
        """What was compared, and how that came out for either of `columns`, in words."""
        results = (self.theirs, self.ours)
        for group, words in _GROUPS.items():
            if any(result.comparison[group] for result in results) or group is Group.WEIGHTS:
                shown = self.theirs.comparison[group]
                own = replace(self.theirs, comparison=Comparison({group: self._own(shown, group)}))
                yield (words, _cell(own, group), _cell(self.ours, group))
                yield from self._moved_rows(words, group)
        if any(result.exact is not None for result in results):
            yield ("bits with exact weights", *map(_exact_cell, results))

    def _moved_rows(self, words: str, group: Group) -> Iterator[tuple[str, ...]]:
        """What is hidden with the model's own weights, with the biases of batch norm moved."""
        if any(not row.provable for own, _ in self._pairs() for row in own.comparison[group]):
            results = [moved for _, moved in self._pairs() if moved is not None]
            if results:
                yield (
                    f"… with batch norm's biases moved: {words}",
                    *(_cell(each, group) for each in results),
                )

    def remarks(self) -> Iterator[str]:
        """What else there is to know of the proof."""
        for result in (self.theirs, self.ours):
            if result.error is not None:
                yield f"{result.framework}: {result.error}"
            if (first := _first(result)) is not None:
                yield f"{result.framework}: the first difference is in {first}."
            if result.exact is not None and result.exact.unfit is not None:
                yield f"{result.exact.unfit}."
            if result.outcome is Outcome.UNPROVED:
                hidden = " and ".join(result.comparison.shortfall)
                instead = "; the bits of exact weights tell them" if _is_exact(result) else ""
                if self.moved is not None and not instead:
                    instead = (
                        "; it grows less with the biases of batch norm moved, by -½ to 1½ of its"
                        " scale, so that both were compared with those, too"
                    )
                yield f"{result.framework}: rounding hides {hidden} on these images{instead}."
        for _, moved in self._pairs():
            if moved is not None and (moved.error or _first(moved)):
                what = moved.error or f"the first difference is in {_first(moved)}"
                yield f"{moved.framework}, with the biases of batch norm moved: {what}."
        unbiased, other = sorted((self.source, self.target), key=self._is_biased)
        if self.unbiased[0] != self.unbiased[1] and self.theirs.comparison[Group.STATISTICS]:
            yield (
                f"In training {unbiased}'s running variance is the unbiased one, n / (n − 1) times"
                f" {other}'s: each is right by its framework's own convention."
            )
        if self.opened:
            yield (
                "The original returns its auxiliary outputs in training mode only. It was compared"
                f" with them in both modes, and {self.files.source} returns them in both: the"
                " logits first."
            )
        if self.not_exact:
            yield f"Bits were not compared: {self.not_exact}."
        yield (
            "The layers inside the original cannot be read from outside: its outputs, gradients,"
            " statistics and steps were compared, and its layers as they were captured. Dropout was"
            " at rate 0."
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, with whole words as keys."""
        return {
            "model": self.model,
            "from": self.source,
            "to": self.target,
            "folder": self.folder,
            "files": {
                "source": self.files.source,
                "weights": self.files.weights,
                "loader": self.files.loader,
            },
            "name": self.files.name,
            "passed": self.passed,
            "verdict": self.verdict,
            "not_exact": self.not_exact,
            "auxiliary_outputs_in_training_only": self.opened,
            "places": dict(self.places),
            "proof": self.parity.to_json(),
            "proof_with_moved_norms": None if self.moved is None else self.moved.to_json(),
        }


def install(files: Path, folder: Path, found: Translation) -> None:
    """Put the files, the proof and a README into `folder`, which is complete or not there."""
    place = place_of(folder)
    with writing(folder), temporary_folder("translate", place) as stage:
        for each in files.iterdir():
            shutil.copy(each, stage / each.name)
        proof = json.dumps(found.to_json(), indent=1, ensure_ascii=False, allow_nan=False)
        write_atomically(stage / PROOF, f"{proof}\n".encode())
        write_atomically(stage / README, readme(found).encode())
        if place == folder:
            for each in stage.iterdir():
                each.replace(folder / each.name)
        else:
            share(stage, 0o777)
            stage.replace(folder)


def place_of(folder: Path) -> Path:
    """Where the files of `folder` are put together: in it if it is there, else beside it."""
    return folder if kind_at(folder) == "folder" else folder.absolute().parent


def readme(found: Translation) -> str:
    """What the folder is, and what was proved of it, in Markdown."""
    network, files = found.network, found.files
    source, target = found.versions
    shape = " × ".join(map(str, network.input_shape))
    verdict = f"`{files.source}` and {found.model}: {found.verdict}"
    lines = [
        f"# {files.name}, from {found.source} to {found.target}",
        "",
        f"{found.model}, a model of {source}, translated to {target} on {date.today().isoformat()}"
        f" by googlenet {__version__}. Nothing here needs googlenet.",
        "",
        "```python",
        "from load import load",
        "",
        "model = load()",
        "```",
        "",
        f"- `{files.source}`: the model, with {count_parameters(network):,} parameters, for images"
        f" of {shape} (channels × height × width).",
        f"- `{files.weights}`: its weights, in {found.target}'s own format.",
        f"- `{files.loader}`: loads them.",
        f"- `{PROOF}`: every number of the proof, and where each layer is in the original code.",
        "",
        "## What was proved",
        "",
        f"{verdict if found.passed else f'**{verdict}**'}. Each was compared with the same float64"
        " computation; a share of 1 is the limit that rounding in float32 sets.",
        "",
        f"| | {' | '.join(found.columns)} |",
        "| --- | ---: | ---: |",
        *(f"| {' | '.join(row)} |" for row in found.rows()),
        "",
        *(f"- {remark}" for remark in found.remarks()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _first(result: Result) -> str | None:
    """What differs first, if anything does."""
    if result.outcome is not Outcome.DIFFERENT:
        return None
    exact = None if result.exact is None else result.exact.first
    return result.comparison.first_divergence or (None if exact is None else str(exact))


def _of(report: Report, framework: str) -> Result:
    return next(each for each in report.results if each.framework == framework)


def _is_evaluated(result: Result) -> bool:
    """Whether nothing differs, and all that evaluation mode computes could be told."""
    if result.outcome not in (Outcome.SAME, Outcome.UNPROVED):
        return False
    groups = result.comparison.groups
    return Comparison(
        {each: groups.get(each, []) for each in (Group.WEIGHTS, Group.OUTPUTS)}
    ).proved


def _is_told(result: Result, zero: frozenset[str]) -> bool:
    """Whether nothing differs, and enough of all but the training steps could be told, and but the
    gradients that are `zero`, whatever the images are.
    """
    if result.outcome not in (Outcome.SAME, Outcome.UNPROVED):
        return False
    rest: dict[Group, list[Row]] = dict(result.comparison.groups)
    rest.pop(Group.TRAJECTORY, None)
    gradients = rest.get(Group.GRADIENTS, [])
    rest[Group.GRADIENTS] = [row for row in gradients if row.provable or row.name not in zero]
    return Comparison(rest).proved


def _is_exact(result: Result) -> bool:
    """Whether nothing differs, and the bits of outputs and gradients with exact weights are all
    right.
    """
    exact = result.exact
    told = result.outcome is Outcome.UNPROVED and exact is not None and exact.passed
    return told and exact is not None and exact.values.get(GRADIENTS, 0) > 0


def _cell(result: Result, group: Group) -> str:
    if result.error is not None:
        return "failed"
    rows = result.comparison[group]
    if group is Group.WEIGHTS:
        return str(len(rows))
    told = [row for row in rows if row.provable]
    wrong = [row for row in told if not row.passed]
    if wrong:
        return f"{len(wrong)} of {len(rows)} differ, first {wrong[0].name}"
    share = max((row.ratio for row in told), default=0.0)
    open_rows = f", {len(rows) - len(told)} not provable" if len(told) < len(rows) else ""
    return f"{len(rows)}, largest share {share:.2g}{open_rows}"


def _exact_cell(result: Result) -> str:
    exact = result.exact
    if result.error is not None or exact is None:
        return "failed"
    if exact.unfit is not None:
        return "not exact here"
    only = "" if exact.values.get(GRADIENTS) else ", of outputs only"
    return f"{exact.differences:,} of {exact.count:,} differ{only}"
