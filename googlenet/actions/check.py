"""A user's model checked against a network of the spec."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..architectures import as_network
from ..arrays import Array
from ..backend.discovery import canonical_name, chosen_frameworks, get_backend
from ..backend.graph import Graph, parameters_of
from ..backend.protocols import Backend, NamesLayers, Traces, Writes
from ..checking.causes import DEFAULTS, Cause
from ..checking.described import described, joined
from ..checking.differences import Difference, Finding
from ..checking.pour import apart
from ..checking.report import DIFFERENT, FAILS, SAME, UNCLEAR, Check
from ..checking.sources import Sources
from ..checking.verdict import Checked
from ..errors import BackendError, CaptureError, GoogLeNetError, TraceError
from ..jobs.job import Report
from ..jobs.lines import Lines
from ..jobs.own import (
    TRACING,
    framework_of,
    function_advice,
    is_users_file,
    load_own,
    own_of,
    run_own,
    users_code,
)
from ..proof.parity.tolerance import limit
from ..source.leaf import leaf_code, own_layers
from ..spec.layers import Network, Shape, check_input_shape
from ..spec.params import param_specs
from ..spec.serial import from_json, to_json
from ..spec.traversal import LeafSite, composites, output_shapes, walk
from ..temporary import temporary_folder
from ..tracing.evaluate import is_known
from ..tracing.lift import lift
from ..tracing.tree import Chain, steps
from .arguments import by_framework, name_of, seconds
from .trace import check_finite, drawn_images, prove

#: What may be the same function at one size and another at the next.
SIZED = frozenset(
    {
        *(Cause.SAME_PADDING, Cause.PADDING, Cause.CEIL, Cause.COUNTED, Cause.POOL, Cause.KERNEL),
        *(Cause.STRIDE, Cause.DILATION, Cause.EXTRA_POOL, Cause.MISSING_POOL, Cause.KIND),
        *(Cause.RESIDUAL, Cause.EXTRA, Cause.MISSING, Cause.ORDER),
    }
)
#: Told the framework, what it is doing, how much of it is done, and how much there is.
Progress = Callable[[str, str, int, int], None]


def check(
    model: Any,
    framework: str,
    *,
    against: str | Network = "googlenet",
    input_shape: Shape | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> Check:
    """Whether `model`, a model of `framework` that the user wrote, is the function of the network
    `against` in evaluation mode, for any weights: where it is not, how and why.

    The layers are aligned by kind, order, branches and channels, never by name. Then the spec's
    random weights are poured into the model as far as shapes agree, all else is drawn at random,
    and both are computed in float64 on signed images: the same is what gives the same within
    1e-12. `input_shape` (C, H, W) is the network's own if None; `num_classes` as many as the model
    gives. The model runs once, with the rights of this process; it keeps its weights and its mode.

    Raises `UnknownNameError` for a name that is none, `ShapeError` for an `input_shape` that does
    not fit the network, `TraceError` if the model cannot be run, `BackendError` if the framework is
    not there or its backend cannot trace.
    """
    arguments = (against, input_shape, num_classes, seed)
    return _checked(model, framework, *arguments, Lines(is_users_file))


def _checked(
    model: Any,
    framework: str,
    against: str | Network,
    input_shape: Shape | None,
    num_classes: int | None,
    seed: int,
    lines: Lines,
) -> Check:
    """The same, with the lines that made the model's layers."""
    named = canonical_name(name_of("framework", framework))
    shape = None if input_shape is None else check_input_shape(input_shape)
    backend = get_backend(named)
    if not isinstance(backend, Traces):
        raise BackendError(f"framework '{named}': its backend cannot trace models yet")
    images = drawn_images(as_network(against, input_shape=shape).input_shape, seed)
    model_of = _Model(backend, model, against, num_classes, lines)
    return model_of.check(images, seed)


class _Model:
    """A user's model, to be captured at one or two sizes."""

    def __init__(
        self,
        backend: Backend,
        model: Any,
        against: str | Network,
        classes: int | None,
        lines: Lines,
    ) -> None:
        self._backend, self._model = backend, model
        self._against, self._classes, self._lines = against, classes, lines

    def check(self, images: Array, seed: int, *, sizes: bool = True) -> Check:
        """The check at the size of `images`; with `sizes`, also at another one, where the verdict
        may depend on that.
        """
        assert isinstance(self._backend, Traces)
        shape: Shape = images.shape[1:]
        name = self._backend.name
        try:
            graph, outputs = self._backend.trace(self._model, images)
        except CaptureError as error:
            network = as_network(self._against, input_shape=shape)
            return Check(name, network.name, shape, UNCLEAR, reason=_sentence(error, name))
        check_finite(graph)
        network = self._network(shape, outputs)
        trees, errors = _trees(graph)
        if not trees:
            reason = f"The model was captured, but not understood: {errors[0]}"
            return Check(name, network.name, shape, UNCLEAR, reason=reason)
        main, tree = next(iter(trees.items()))
        checked = Checked(tree, network, seed)
        found = checked.check(name)
        if found.verdict != SAME and len(trees) > 1:
            main = _main(trees, checked)
        if main != 0:
            # The rest is told as if the logits came first.
            order = _order(len(outputs), main)
            outputs = [outputs[number] for number in order]
            network, tree = self._network(shape, outputs), trees[main]
            checked = Checked(tree, network, seed)
            found = checked.check(name)
            words = f"net: the logits are output {main}, where the spec has them first"
            swapped = Difference("", "net", words, Cause.OUTPUT, False)
            differences = (swapped, *found.differences)
            proved = found.proved or found.verdict == SAME
            found = replace(found, verdict=DIFFERENT, differences=differences, proved=proved)
        if found.verdict == UNCLEAR and _is_another(outputs, checked, images):
            found = replace(found, verdict=DIFFERENT)
        if all(map(is_known, steps(tree))):
            try:
                prove(tree, images, outputs)
            except TraceError as error:
                # The graph is not what runs, so that what was found in it proves nothing.
                verdict = DIFFERENT if _is_another(outputs, checked, images) else UNCLEAR
                found = replace(found, verdict=verdict, proved=False, reason=str(error))
        if any(op.trained for op in graph.ops):  # more than the layers show, if some are not known
            found = replace(found, parameters=(parameters_of(graph), found.parameters[1]))
        found = replace(found, mentions=(*found.mentions, *_besides(graph, network, outputs)))
        told = (*found.differences, *found.mentions)
        findings = [finding for each in told for finding in each.findings]
        sources = Sources(self._model, tree, self._lines)
        differences, mentions = (
            _advised(each, network, self._backend, sources, findings)
            for each in (found.differences, found.mentions)
        )
        found = replace(found, differences=differences, mentions=mentions)
        return replace(found, sizes=self._sizes(found, network, seed)) if sizes else found

    def _network(self, shape: Shape, outputs: list[Array]) -> Network:
        """The network that is asked for, with as many classes as the model and as many outputs."""
        if isinstance(self._against, Network):
            return self._against.at(shape)
        given = outputs[0].shape[1:]
        one = int(given[0]) if len(given) in (1, 3) else None  # a vector, or as many maps
        classes = self._classes or one
        network = as_network(self._against, input_shape=shape, num_classes=classes)
        if len(outputs) > len(network.outputs):
            with suppress(GoogLeNetError):  # it has no auxiliary heads
                return as_network(self._against, input_shape=shape, num_classes=classes, aux=True)
        return network

    def _sizes(self, found: Check, network: Network, seed: int) -> dict[Shape, str]:
        """The verdict at a size that is one larger, if it is another there: what is padded, or
        rounded up, may depend on the size.
        """
        if not {each.cause for each in (*found.differences, *found.mentions)} & SIZED:
            return {}
        larger = other_size(network)
        if larger is None:
            return {}
        try:
            other = self.check(drawn_images(larger, seed), seed, sizes=False).verdict
        except GoogLeNetError:  # such as a window that is larger than its map
            other = FAILS
        return {larger: other} if other != found.verdict else {}


def other_size(network: Network) -> Shape | None:
    """The input shape (C, H + 1, W + 1); None if the network does not exist at that size, or has
    other weights there.
    """
    channels, height, width = network.input_shape
    larger = (channels, height + 1, width + 1)
    try:
        return larger if _weights(network.at(larger)) == _weights(network) else None
    except GoogLeNetError:
        return None


def _sentence(error: TraceError, framework: str) -> str:
    """An error as a sentence of the report, which says itself what the framework is."""
    said = str(error).removeprefix(f"{framework}: ")
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith('.') else '.'}"


def _order(count: int, first: int) -> list[int]:
    """The outputs with one of them before the others."""
    return [first, *(number for number in range(count) if number != first)]


def _trees(graph: Graph) -> tuple[dict[int, Chain], list[TraceError]]:
    """The model's tree if its main path leads to the output of a number, and why there is none for
    others.
    """
    found: dict[int, Chain] = {}
    errors: list[TraceError] = []
    for number in range(len(graph.outputs)):
        outputs = tuple(graph.outputs[other] for other in _order(len(graph.outputs), number))
        try:
            found[number] = lift(replace(graph, outputs=outputs), ones=True)
        except TraceError as error:
            errors.append(error)
    return found, errors


def _main(trees: Mapping[int, Chain], checked: Checked) -> int:
    """The output to which the main path leads: the first, unless the layers before another one are
    far more like the network's.
    """
    shares = {number: checked.share_of(tree) for number, tree in trees.items()}
    first, best = next(iter(trees)), min(shares, key=shares.__getitem__)
    return best if shares[best] < shares[first] / 2 else first


def _is_another(outputs: Sequence[Array], checked: Checked, images: Array) -> bool:
    """Whether a model, some of whose operations nobody knows, gives something else than the spec
    with the model's own weights.
    """
    right, rough = (checked.own(images.astype(dtype)) for dtype in (np.float64, np.float32))
    if right is None or rough is None or len(right) != len(outputs):
        return False
    for given, exact, near in zip(outputs, right, rough, strict=True):
        error = apart(given.astype(np.float64), exact)
        if error is None or error > limit(apart(near.astype(np.float64), exact) or 0.0):
            return True
    return False


def _besides(graph: Graph, network: Network, outputs: Sequence[Array]) -> list[Difference]:
    """What no layer shows: unused layers, and axes of one element more in an output."""
    found: list[Difference] = []
    shapes = output_shapes(network)
    for number, (name, array) in enumerate(zip(network.outputs, outputs, strict=False)):
        given, shape = array.shape[1:], shapes[name]
        if given != shape and [each for each in given if each != 1] == list(shape):
            which = "its output" if len(outputs) == 1 else f"output {number}"
            words = f"net: {which} has the shape {given}, where the spec's has {shape}"
            found.append(Difference("", "net", words, Cause.OUTPUT, False))
    for place in graph.unused:
        words = f"{place}: no output depends on it in evaluation mode"
        found.append(Difference("", place, words, Cause.UNUSED, True))
    return found


def _weights(network: Network) -> dict[str, Shape]:
    """The shapes of a network's weights by path."""
    return {path: spec.shape for path, spec in param_specs(network).items()}


def check_file(
    model: str,
    *,
    own_framework: str | None = None,
    against: str | Network = "googlenet",
    input_shape: Shape | None = None,
    num_classes: int | None = None,
    interpreters: Mapping[str, str | os.PathLike[str]] | None = None,
    threads: int | None = None,
    timeout: float = 300.0,
    seed: int = 0,
    progress: Progress = lambda who, stage, done, total: None,
) -> Check:
    """The `check` of the model FILE:NAME, such as `mynet.py:net`, in a process of its own, which is
    killed after `timeout` seconds in which nothing new happens.

    NAME is a model of `own_framework`, by default the one that the file imports, a function of the
    images, or a class or function that makes a model without arguments. The file is run by the
    interpreter that `interpreters` has for the framework or by this one, with the rights of this
    process.

    Raises `ModelFileError` if the file or its code fails, and what `check` raises.
    """
    own = own_of(name_of("model", model))
    timeout = seconds(timeout)
    shape = None if input_shape is None else check_input_shape(input_shape)
    network = as_network(against, input_shape=shape)
    paths = by_framework("interpreters", interpreters)
    asked = None if own_framework is None else name_of("own_framework", own_framework)
    framework = framework_of(own, asked)
    chosen_frameworks([framework], paths)
    values = {
        "against": to_json(against) if isinstance(against, Network) else against,
        "input_shape": list(network.input_shape),
        "num_classes": num_classes,
        "seed": seed,
    }
    with temporary_folder("check") as folder:
        found = run_own(
            "googlenet.actions.check:answer",
            own,
            framework,
            folder,
            values,
            interpreter=paths.get(framework),
            threads=threads,
            timeout=timeout,
            report=partial(progress, framework),
        )
    return found.give(Check.from_json)


def answer(
    framework: str, values: Mapping[str, Any], folder: Path, report: Report
) -> dict[str, Any]:
    """What a worker answers: the check as JSON. Raises what `load_own` and `check` raise."""
    file, against = values["file"], values["against"]
    backend, lines = get_backend(framework), Lines(is_users_file)
    classes = backend.layer_classes if isinstance(backend, NamesLayers) else ()
    with lines.noting(classes):
        model = load_own(file, values["name"], framework, report)
    report(TRACING, 0, 0)
    try:
        with users_code(file):
            found = _checked(
                model,
                framework,
                against if isinstance(against, str) else from_json(against),
                tuple(values["input_shape"]),
                values["num_classes"],
                values["seed"],
                lines,
            )
    except TraceError as error:
        # Where the model itself raised: on images of another shape it may not.
        raised = error.__cause__ is not None
        other = "; for images of another shape give `input_shape`" if raised else ""
        other += function_advice(model, file, values["name"])
        raise TraceError(f"{file}: {error}{other}", details=error.details) from error
    return found.to_json()


#: What to do about something extra, if not to leave it out.
_INSTEAD: Final = {
    Cause.POOL: "Take the mean.",
    Cause.INPUT: "Give the branch what the spec gives it, the input of the block.",
}


def _own_layers(site: LeafSite, network: Network, backend: Writes) -> str:
    """Where the classes are from that a framework lacks."""
    names = own_layers(site, backend.spelling)
    if not names:
        return ""
    which = f"class{'es' if len(names) > 1 else ''} {' and '.join(names)}"
    return (
        f"{backend.name} has no such layer; `googlenet code` prints the {which} with the code of"
        f" '{network.name}'."
    )


def _advised(
    differences: Sequence[Difference],
    network: Network,
    backend: Backend,
    sources: Sources,
    findings: Sequence[Finding],
) -> tuple[Difference, ...]:
    """Each with the user's line, and with the spec's layer and the code that makes it, as far as
    the framework's backend can write code.
    """
    leaves = {site.path: site for site in walk(network)}
    joins = {site.path: site for site in composites(network)}
    found = []
    for each in differences:
        if not each.findings:
            found.append(each)
            continue
        first = each.findings[0]
        advice, spec = "", ""
        code: tuple[str, ...] = ()
        if first.what == "extra":
            advice = _INSTEAD.get(first.cause, "Leave it out.")
        elif each.path in leaves and first.what != "shared":
            spec = described(leaves[each.path])
            others = [described(leaves[path]) for path in each.paths if path in leaves]
            if any(other != spec for other in others):
                spec += f" (the first of {len(others)})"
            if isinstance(backend, Writes):
                code = leaf_code(leaves[each.path], backend.spelling)
                advice = _own_layers(leaves[each.path], network, backend)
        elif each.path in joins and first.what not in ("shared", "moved", "around"):
            spec = joined(joins[each.path])
        source = sources.source(first, findings)
        theirs = DEFAULTS.get(each.cause, backend.name)  # of whose defaults an explanation speaks
        explanation = each.explanation if theirs == backend.name else ""
        told = replace(each, explanation=explanation, advice=advice, source=source)
        found.append(replace(told, spec=spec, code=code))
    return tuple(found)
