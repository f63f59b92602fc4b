"""`googlenet train` and `googlenet race` as users run them, on the reference: what they print,
leave, refuse, and how they stop.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from googlenet import get_network, load_params
from googlenet.data.prepared import save_data
from googlenet.data.sets import DataSet, Split, load_data
from googlenet.training.loop import read_log

SMALL = (
    "googlenet",
    "--framework",
    "numpy",
    "--size",
    "8",
    "--batch-size",
    "16",
    "--epochs",
    "2",
    "--learning-rate",
    "0.01",
)


def command(*arguments):
    return [sys.executable, "-m", "googlenet", *map(str, arguments)]


def googlenet(*arguments, cwd, **environment):
    where = {**os.environ, "COLUMNS": "200", **environment}
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=where, cwd=cwd, timeout=300
    )


@pytest.fixture(scope="module")
def shades(tmp_path_factory):
    """Forty images of two classes, dark and bright, prepared at 8×8."""
    folder = tmp_path_factory.mktemp("shades")
    rng = np.random.default_rng(0)

    def split(count):
        labels = np.arange(count) % 2
        return Split(
            (rng.integers(0, 100, (count, 1, 8, 8)) + 140 * labels[:, None, None, None]).astype(
                np.uint8
            ),
            labels,
        )

    save_data(folder, DataSet("shades", "two shades", ("dark", "bright"), split(40), split(10)))
    return folder


def test_a_run_prints_a_line_an_epoch_and_leaves_its_files(shades, tmp_path):
    done = googlenet("train", *SMALL, "--data", shades, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "googlenet at 1×8×8 in numpy, on 40 images from two shades; tested on 10"
    assert lines[1].startswith(
        "2 epochs, batch size 16, learning rate 0.01, seed 0; 6 steps; in runs/"
    )
    assert [line.split()[:2] for line in lines[2:4]] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert "test accuracy" in lines[4]
    assert "95 %" in lines[4]
    (folder,) = (tmp_path / "runs").iterdir()
    name = r"googlenet-shades-numpy-seed0-1x8x8-rate0\.01-epochs2-batch16-[0-9a-f]{8}"
    assert re.fullmatch(name, folder.name)  # all that makes runs differ
    assert lines[5:] == [
        f"Curves: runs/{folder.name}/curves.png",
        f"Weights: runs/{folder.name}/weights.safetensors",
    ]
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors",
        "curves.png",
        "log.jsonl",
        "weights.safetensors",
    ]
    load_params(
        folder / "weights.safetensors",
        get_network("googlenet", num_classes=2, input_shape=(1, 8, 8)),
    )
    assert (folder / "curves.png").read_bytes()[:4] == b"\x89PNG"
    again = googlenet("train", *SMALL, "--data", shades, cwd=tmp_path)
    assert again.returncode == 2
    assert "already holds a run; continue it with --resume" in again.stderr


def test_curves_that_cannot_be_drawn_do_not_end_the_run(shades, tmp_path):
    (tmp_path / "here" / "curves.png").mkdir(parents=True)
    done = googlenet("train", *SMALL, "--data", shades, "--out", "here", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "curves not drawn: here/curves.png: cannot be written" in done.stderr
    assert "Curves:" not in done.stdout
    assert (tmp_path / "here" / "weights.safetensors").exists()


def test_json_and_svg(shades, tmp_path):
    done = googlenet(
        "train",
        *SMALL,
        "--data",
        shades,
        "--out",
        "here",
        "--json",
        "--picture",
        "here.svg",
        cwd=tmp_path,
    )
    answer = json.loads(done.stdout)
    assert answer["recipe"]["batch_size"] == 16
    assert answer["train_image_count"] == 40
    assert [epoch["epoch"] for epoch in answer["epochs"]] == [1, 2]
    assert "<svg" in (tmp_path / "here.svg").read_text()


def test_trained_weights_predict_with_the_names_of_the_classes(shades, tmp_path):
    from PIL import Image

    googlenet("train", *SMALL, "--data", shades, "--out", "run", cwd=tmp_path)
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / "one.png")
    done = googlenet(
        "predict", "--weights", "run/weights.safetensors", "one.png", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert {best["name"] for best in json.loads(done.stdout)["images"][0]["top"]} == {
        "dark",
        "bright",
    }


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_says_how_to_go_on(shades, tmp_path, number, code):
    arguments = [*SMALL, "--data", shades, "--epochs", "40", "--out", "cut"]
    process = subprocess.Popen(
        command("train", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    log = tmp_path / "cut" / "log.jsonl"
    while not log.exists() or len(read_log(log)) < 4:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Resume with: googlenet train" in error
    assert error.rstrip().endswith("--resume")
    assert (tmp_path / "cut" / "checkpoint.safetensors").exists()


def test_a_resumed_run_is_the_run_that_never_stopped(shades, tmp_path):
    arguments = [*SMALL, "--data", shades, "--momentum", "0.9", "--epochs", "6"]
    assert googlenet("train", *arguments, "--out", "whole", cwd=tmp_path).returncode == 0
    process = subprocess.Popen(
        command("train", *arguments, "--out", "cut", "--checkpoint-minutes", "0"),
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    log = tmp_path / "cut" / "log.jsonl"
    while not log.exists() or len(read_log(log)) < 8:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert googlenet("train", *arguments, "--out", "cut", "--resume", cwd=tmp_path).returncode == 0
    whole, cut = (tmp_path / name / "weights.safetensors" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "0"), "--epochs: expected an integer of at least 1, got 0"),
        (
            ("--batch-size", "41"),
            "41 is larger than the number of images to train on, 40; give at most 40",
        ),
        (("--learning-rate", "-1"), "--learning-rate: expected a number above 0, got -1.0"),
        (
            ("--schedule", "linear"),
            "--schedule: expected one of constant, step, cosine, got 'linear'",
        ),
        (("--picture", "a.gif"), "a.gif: expected a name that ends in .png, .svg or .pdf"),
        (("--size", "9"), "holds images of (1, 8, 8), but the network expects (1, 9, 9)"),
        (("--num-classes", "1"), "has 2 classes, but the network has 1"),
        (("--parallel",), "framework 'numpy': can only train in one process"),
        (
            ("--aux-weight", "0.3"),
            "network 'googlenet' is built without auxiliary heads; leave out --aux-weight, or give"
            " --aux",
        ),
        (
            ("--data", "nowhere"),
            "expected digits, fashion-mnist or a path that exists, got nowhere",
        ),
        (("--out", "/proc/none"), "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(shades, tmp_path, arguments, message):
    done = googlenet("train", *SMALL, "--data", shades, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("command", ["train", "race", "train --resume"])
def test_batch_norm_of_one_value_is_refused_before_the_start(shades, tmp_path, command):
    name, *more = command.split()
    more += [*SMALL[1:], "--batch-size", "3", "--data", shades, "--out", "run"]
    done = googlenet(name, "googlenet_bn", *more, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "googlenet: --batch-size: with 3, batch 14 would hold only 1 of the 40 images, but"
        " batch norm 'b3.inception_3a.branch_1x1.norm' needs at least 2 images (its map is 1×1);"
        " give --batch-size 2 or 4, or"
        " a larger --size\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_ends_the_run(shades, tmp_path):
    done = googlenet("train", *SMALL, "--data", shades, "--learning-rate", "1e10", cwd=tmp_path)
    assert done.returncode == 2
    assert "the loss is" in done.stderr.splitlines()[-1]
    assert "lower --learning-rate" in done.stderr


def test_a_race(shades, tmp_path):
    arguments = (
        SMALL[0],
        *SMALL[3:],
        "--data",
        shades,
        "--framework",
        "numpy",
        "--framework",
        "faulty",
        "--seeds",
        "2",
        "--out",
        "race",
    )
    done = googlenet("race", *arguments, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    numpy, faulty = answer["frameworks"]
    assert (numpy["framework"], faulty["framework"]) == ("numpy", "faulty")
    assert [run["seed"] for run in numpy["runs"]] == [0, 1]
    # The faulty backend is the reference until it is asked to fail: the same start gives the same
    # curve, bit for bit.
    for ours, theirs in zip(numpy["runs"], faulty["runs"], strict=True):
        assert [epoch["loss"] for epoch in ours["epochs"]] == [
            epoch["loss"] for epoch in theirs["epochs"]
        ]
    assert numpy["loss"]["standard_deviation"] > 0
    assert json.loads((tmp_path / "race" / "results.json").read_text()) == answer["frameworks"]
    assert (tmp_path / "race" / "curves.png").exists()
    before = (tmp_path / "race" / "numpy-seed0" / "log.jsonl").read_bytes()
    again = googlenet("race", *arguments, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "numpy" in again.stdout
    assert "±" in again.stdout
    assert (tmp_path / "race" / "numpy-seed0" / "log.jsonl").read_bytes() == before


def test_a_run_with_another_start_is_no_part_of_a_race(shades, tmp_path):
    arguments = (SMALL[0], *SMALL[3:], "--data", shades, "--framework", "numpy", "--out", "race")
    assert googlenet("race", *arguments, cwd=tmp_path).returncode == 0
    log = tmp_path / "race" / "numpy-seed0" / "log.jsonl"
    text = log.read_text()
    digest = read_log(log)[0]["weights"]["digest"]
    log.write_text(text.replace(digest, digest[::-1]))
    again = googlenet("race", *arguments, cwd=tmp_path)
    assert again.returncode == 2
    assert (
        "numpy-seed0: started with weights that are not this race's; give another --out"
        in again.stderr
    )


def test_a_framework_that_fails_in_a_race_fails_alone(shades, tmp_path):
    arguments = (
        SMALL[0],
        *SMALL[3:],
        "--data",
        shades,
        "--framework",
        "faulty",
        "--framework",
        "numpy",
        "--out",
        "race",
    )
    done = googlenet("race", *arguments, cwd=tmp_path, GOOGLENET_EXAMPLE_FAULT="import")
    assert done.returncode == 1
    assert "faulty, seed 0: failed: framework 'faulty': its backend" in done.stdout
    assert "numpy, seed 0: loss" in done.stdout


def test_the_second_of_two_races_in_one_folder_is_refused(shades, tmp_path):
    from googlenet.training.loop import locked

    (tmp_path / "race").mkdir()
    arguments = (SMALL[0], *SMALL[3:], "--data", shades, "--framework", "numpy", "--out", "race")
    with locked(tmp_path / "race"):
        done = googlenet("race", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "race: another process is training here; wait" in done.stderr
    assert done.stderr.rstrip().endswith("or give another --out")


@pytest.mark.parametrize(
    ("name", "out", "place"),
    [
        ("train", "out", "out"),
        ("train", "out/run", "out"),
        ("race", "out", "out"),
        ("race", "out", "out/numpy-seed0"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named(shades, tmp_path, name, out, place):
    """A file is in its place, which stays."""
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True)
    file.write_text("a file")
    done = googlenet(name, *SMALL, "--data", shades, "--out", out, cwd=tmp_path)
    assert done.returncode == 2
    named = place if place.startswith(out) else out
    assert done.stderr.startswith(f"googlenet: {named}: cannot be written (")
    assert done.stderr.count("\n") == 1
    assert file.read_text() == "a file"


@pytest.mark.parametrize("out", ["data", "data/"])
def test_a_folder_called_like_an_option_is_no_option(shades, tmp_path, out):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log.jsonl").touch()
    done = googlenet("train", *SMALL, "--data", shades, "--out", out, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("googlenet: data: already holds a run; ")
    assert "--resume" in done.stderr


def test_a_reader_who_leaves_does_not_end_a_run(shades, tmp_path):
    process = subprocess.Popen(
        command("train", *SMALL, "--data", shades, "--epochs", "4", "--out", "run"),
        stdout=subprocess.PIPE,
        cwd=tmp_path,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(120) == 0
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_another_race_in_the_folder_changes_nothing(shades, tmp_path):
    """Another network, recipe or set is refused before anything is written."""
    arguments = (*SMALL[3:], "--data", shades, "--framework", "numpy", "--out", "race")
    assert googlenet("race", "googlenet", *arguments, cwd=tmp_path).returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = tmp_path.parent / "other shades"
    data = load_data(shades, (1, 8, 8))
    turned = Split(data.train.images[::-1], data.train.labels[::-1])
    save_data(other, replace(data, train=turned))
    for others, what in (
        (("googlenet", *arguments, "--momentum", "0.5"), "the recipe's momentum 0.0, but this run"),
        (("googlenet", *arguments, "--epochs", "3"), "the recipe's epochs 2, but this run has 3"),
        (("googlenet_bn", *arguments), "the network's name"),
        (("googlenet", *arguments, "--data", other), "the data's "),
    ):
        done = googlenet("race", *others, cwd=tmp_path)
        assert done.returncode == 2
        assert f"race/numpy-seed0/log.jsonl: was made with {what}" in done.stderr
        assert "give what was given then, or another --out" in done.stderr
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["data/train_images.npy", "data/data.json", "results.json"])
def test_a_race_replaces_no_file_of_the_users(shades, tmp_path, name):
    path = tmp_path / "race" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    arguments = (*SMALL, "--data", shades, "--framework", "numpy", "--out", "race")
    done = googlenet("race", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"race/{name}: is there already, and not of a run in this folder" in done.stderr
    assert [each for each in (tmp_path / "race").rglob("*") if each.is_file()] == [path]
    assert path.read_text() == "mine"


def test_a_start_of_other_weights_is_refused(shades, tmp_path):
    """Though no run is there that could tell."""
    arguments = (*SMALL, "--data", shades, "--out", "race")
    assert googlenet("race", *arguments, cwd=tmp_path).returncode == 0
    shutil.rmtree(tmp_path / "race" / "numpy-seed0")
    done = googlenet("race", *arguments, "--initializer", "he_normal", cwd=tmp_path)
    assert done.returncode == 2
    assert "does not hold this race's initial weights; give another --out" in done.stderr


def test_a_picture_that_cannot_be_drawn_ends_no_race(shades, tmp_path):
    (tmp_path / "race" / "curves.png").mkdir(parents=True)
    arguments = (*SMALL, "--framework", "example", "--data", shades, "--out", "race")
    done = googlenet("race", *arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("curves not drawn: race/curves.png: cannot be written") == 1
    assert "Results: race/results.json" in done.stdout
    assert "Curves:" not in done.stdout


def test_a_race_that_nobody_finishes(shades, tmp_path):
    rate = ("--learning-rate", "1e30", "--batch-size", "16", "--epochs", "1")
    arguments = ("googlenet", "--size", "8", *rate, "--data", shades, "--framework", "numpy")
    done = googlenet("race", *arguments, "--out", "race", cwd=tmp_path)
    assert done.returncode == 1
    assert "failed" in done.stdout
    assert "Start again with a lower --learning-rate, and another --out" in done.stdout
    assert "Intervals" not in done.stdout
