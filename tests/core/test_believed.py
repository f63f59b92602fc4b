"""Nothing that a run finds in its folder is believed: every bit of a checkpoint and every line of a
log is what it must be, or one line says what is wrong.
"""

import json
import os
import random
from dataclasses import replace

import numpy as np
import pytest

from googlenet import TrainingError
from googlenet.training.checkpoint import load_checkpoint
from googlenet.training.folders import CURVES
from googlenet.training.log import LOG, read_log
from googlenet.training.loop import CHECKPOINT, WEIGHTS
from googlenet.weights.files import read_safetensors, safetensors_bytes

from .test_training import NETWORK, RECIPE, events, run

#: Finished steps of the run that is stopped: one epoch of three, and one step of the next.
STEPS = 4


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folder of a run that was stopped within its second epoch."""
    folder = tmp_path_factory.mktemp("stopped")
    asked = []
    run(folder, stop=lambda: asked.append(0) or len(asked) == STEPS).train()
    return folder


@pytest.fixture
def cut(stopped, tmp_path):
    """A copy of it."""
    for name in (CHECKPOINT, LOG):
        (tmp_path / name).write_bytes((stopped / name).read_bytes())
    return tmp_path


def resume(folder, **changes):
    return run(folder, resume=True, **changes).train()


def refused(folder, match):
    """Resuming is refused in one line, and changes nothing."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(TrainingError, match=match) as caught:
        resume(folder)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# Checkpoints --------------------------------------------------------------------------------------


def same(one, other):
    return one.position == other.position and all(
        ours.keys() == theirs.keys()
        and all(np.array_equal(ours[name], theirs[name]) for name in ours)
        for ours, theirs in ((one.params, other.params), (one.velocity, other.velocity))
    )


def test_no_flipped_bit_of_a_checkpoint_is_believed(stopped, tmp_path):
    """Of each array, of the header and of the metadata: it is refused in one line, or is harmless,
    as a space for another.
    """
    whole = (stopped / CHECKPOINT).read_bytes()
    settings, path = run(stopped).settings, tmp_path / CHECKPOINT
    right = load_checkpoint(stopped / CHECKPOINT, NETWORK, settings, per_epoch=3)
    chance = random.Random(0)
    places = [*range(8), *chance.sample(range(8, len(whole)), 400)]
    found = set()
    for place in places:
        data = bytearray(whole)
        data[place] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            assert same(load_checkpoint(path, NETWORK, settings, per_epoch=3), right), place
        except TrainingError as error:
            found.add(str(error))
    assert all(each.startswith(f"{path}: ") and "\n" not in each for each in found)
    assert any("the array 'weights/" in each for each in found)
    assert any("the array 'velocity/" in each for each in found)
    assert any("its metadata do not match their digest" in each for each in found)


def rewritten(folder, change, *, old=False):
    """The checkpoint with other metadata, as a program would write it; `old` without digests, as
    0.1 and 0.2 did.
    """
    from googlenet.training import checkpoint

    arrays, metadata = read_safetensors(folder / CHECKPOINT)
    metadata = change(dict(metadata), arrays) or metadata
    if old:
        metadata = {k: v for k, v in metadata.items() if k in checkpoint.OLD_KEYS}
    else:
        digests = {name: checkpoint._digest(name, array) for name, array in arrays.items()}
        metadata["digests"] = json.dumps(digests)
        metadata["digest"] = checkpoint._digest_of_metadata(metadata)
    (folder / CHECKPOINT).write_bytes(safetensors_bytes(arrays, metadata))


def position(**values):
    """A change of the position."""

    def change(metadata, arrays):
        told = {**json.loads(metadata["position"]), **values}
        return {**metadata, "position": json.dumps(told)}

    return change


def setting(change):
    """A change of the settings."""

    def changed(metadata, arrays):
        settings = json.loads(metadata["settings"])
        change(settings)
        return {**metadata, "settings": json.dumps(settings)}

    return changed


def del_first(arrays, kind):
    del arrays[next(name for name in arrays if name.startswith(kind))]


@pytest.mark.parametrize("old", [False, True], ids=["with digests", "of 0.2"])
@pytest.mark.parametrize(
    "change",
    [
        position(step="4"),
        position(step=True),
        position(step=4.0),
        position(step=-1),
        position(step=9),
        position(step=10**30),
        position(step=6),
        position(epochs=[]),
        position(epochs=[[]]),
        position(epochs={}),
        position(epochs=None),
        position(count=7),
        position(correct=9),
        position(seconds=float("nan")),
        position(loss_sum=float("inf")),
        position(loss_sum="1"),
        position(learning_rate=0.01),
        position(log_bytes=-1),
        position(log_bytes=1),
        position(log_digest=1),
        position(more=1),
        lambda metadata, _: {**metadata, "position": "[" * 100_000},
        lambda metadata, _: {**metadata, "position": "[]"},
        lambda metadata, _: {**metadata, "settings": "[]"},
        lambda metadata, _: {**metadata, "settings": "{}"},
        lambda metadata, _: {**metadata, "settings": '{"recipe":' * 990 + "1" + "}" * 990},
        setting(lambda settings: settings.update(extra=None)),
        setting(lambda settings: settings["recipe"].update(extra=None)),
        setting(lambda settings: settings["network"].pop("name")),
        lambda metadata, _: {**metadata, "settings": '{"recipe": []}'},
        lambda _, arrays: del_first(arrays, "weights/"),
        lambda _, arrays: arrays.update(more=np.zeros(1, np.float32)),
        lambda _, arrays: next(iter(arrays.values())).fill(np.nan),
    ],
)
def test_a_checkpoint_that_cannot_be_is_refused(cut, change, old):
    rewritten(cut, change, old=old)
    refused(cut, "checkpoint|log")


@pytest.mark.parametrize("old", [False, True], ids=["with digests", "of 0.2"])
def test_a_checkpoint_as_it_was_written_goes_on_bit_for_bit(cut, stopped, tmp_path, old):
    def forget(metadata, _):
        told = json.loads(metadata["position"])
        told.pop("log_digest")
        return {**metadata, "position": json.dumps(told)}

    rewritten(cut, forget, old=old)
    run(tmp_path / "whole").train()
    assert resume(cut).finished
    assert (cut / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert events(cut) == events(tmp_path / "whole")


# Logs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tail", [b"\0" * 500, b'{"event": "st', b'{"eve\0\0\0', b'{"event": "x"}\n']
)
def test_what_a_power_cut_left_behind_the_log_is_dropped(cut, tmp_path, tail):
    run(tmp_path / "whole").train()
    with (cut / LOG).open("ab") as log:
        log.write(tail)
    resume(cut)
    assert events(cut) == events(tmp_path / "whole")


def test_a_log_without_a_checkpoint_whose_end_is_zeros_begins_again(tmp_path):
    (tmp_path / LOG).write_bytes(b"\0" * 4096)
    assert resume(tmp_path).finished


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (b"{}", "line 3 is not an event"),
        (b"[]", "line 3 is not an event .*got list"),
        (b"\xff\xfe\x00", "line 3 is not an event .*utf-8"),
        (b"\0\0\0\0", "line 3 is not an event"),
        (b"[" * 100_000, "line 3 is not an event .*65 deep"),
        (b'{"event": "step", "step": 1e999}', "line 3 is not an event"),
        (b'{"event": "step", "step": 2, "loss": NaN}', "line 3 is not an event .*finite"),
        (b'{"event": "epoch", "epoch": 1}', "line 3 is not an event"),
        (b'{"event": "start"}', "line 3 is not an event"),
        (b"", "line 3 is not an event"),
    ],
)
def test_a_line_that_is_no_event_is_named(cut, line, match):
    lines = (cut / LOG).read_bytes().split(b"\n")
    lines[2] = line
    (cut / LOG).write_bytes(b"\n".join(lines) + b"\0" * 1000)  # as long as it was, at least
    with pytest.raises(TrainingError, match=match):
        read_log(cut / LOG)
    refused(cut, f"{match}|is not the log")  # if it is longer than the log was
    (cut / CHECKPOINT).unlink()
    refused(cut, match)  # nor is it overwritten


def test_a_log_of_equal_length_with_other_numbers_is_refused(cut):
    text = (cut / LOG).read_text()
    told = read_log(cut / LOG)[2]["loss"]
    other = str(told)[:-1] + ("1" if str(told)[-1] != "1" else "2")
    (cut / LOG).write_text(text.replace(str(told), other))
    refused(cut, "is not the log that its checkpoint was written with; give another `out`")


def test_a_log_that_is_no_file_is_one_line(tmp_path):
    os.mkfifo(tmp_path / LOG)
    with pytest.raises(TrainingError, match=r"cannot be read \(it is a pipe, not a file\)"):
        resume(tmp_path)


def test_a_log_is_read_within_its_budget(cut, monkeypatch):
    """A hole of a terabyte behind it is none of its lines, and is not read to resume."""
    whole = (cut / LOG).read_bytes()
    os.truncate(cut / LOG, 2**40)
    with pytest.raises(TrainingError, match=r"log\.jsonl: asks for .* GOOGLENET_BUDGET=bytes="):
        read_log(cut / LOG)
    assert resume(cut).finished
    assert (cut / LOG).read_bytes().startswith(whole)
    monkeypatch.setenv("GOOGLENET_BUDGET", "bytes=1000")
    with pytest.raises(TrainingError, match=r"asks for .* expected at most 1000 bytes"):
        read_log(cut / LOG)


def test_a_log_that_is_a_link_is_not_written(tmp_path):
    (tmp_path / "mine").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOG).symlink_to(tmp_path / "mine")
    with pytest.raises(TrainingError, match=r"log\.jsonl: cannot be written \(it is a link"):
        run(tmp_path / "run", resume=True).train()
    assert (tmp_path / "mine").read_text() == ""


def test_a_run_begins_in_no_folder_with_the_log_of_another(cut):
    """Without its checkpoint, too."""
    (cut / CHECKPOINT).unlink()
    before = (cut / LOG).read_bytes()
    with pytest.raises(TrainingError, match=r"was made with the recipe's seed 3, but .* has 7"):
        resume(cut, recipe=replace(RECIPE, seed=7))
    assert (cut / LOG).read_bytes() == before
    assert resume(cut).finished


@pytest.mark.parametrize("text", ["my notes", '{"event": "step"', "\n"])
def test_what_is_no_log_of_ours_is_not_overwritten(tmp_path, text):
    (tmp_path / LOG).write_text(text)
    with pytest.raises(TrainingError, match=r"log\.jsonl: (line 1 )?is not "):
        resume(tmp_path)
    assert (tmp_path / LOG).read_text() == text


@pytest.mark.parametrize("name", [WEIGHTS, CURVES])
@pytest.mark.parametrize("again", [False, True])
def test_files_of_the_users_are_not_overwritten(tmp_path, name, again):
    (tmp_path / name).write_text("mine")
    with pytest.raises(TrainingError, match=rf"{name}: is there already.* another `out`"):
        run(tmp_path, resume=again).train()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}


def test_the_rates_of_a_recipe_are_those_of_its_steps(cut):
    """With another learning rate in both settings, the position does not fit."""
    other = replace(RECIPE, learning_rate=0.1)
    settings = run(cut, recipe=other).settings

    def change(metadata, _):
        return {**metadata, "settings": json.dumps(settings)}

    rewritten(cut, change)
    with pytest.raises(TrainingError, match=r"learning_rate is 0\.\d+, expected 0\.\d+"):
        resume(cut, recipe=other)
