"""Two processes, started by the framework's own launcher, take the steps of one: held against
float64 with the derived limits.

The framework is named by `GOOGLENET_FRAMEWORK`. The network has no batch norm: each process takes
the statistics of its own images.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from googlenet import get_network, init_params, load_params, reference, save_params
from googlenet.data.prepared import save_data
from googlenet.data.sets import DataSet, Split
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.rows import Row
from googlenet.proof.parity.tolerance import distance, limit
from googlenet.proof.parity.trajectory import trajectory_yardstick
from googlenet.reference.network import Pass
from googlenet.reference.training import Trainer
from googlenet.training import Recipe
from googlenet.training.loop import LOG, WEIGHTS, read_log

from ..frameworks.benchmarks import benchmark

STEPS, BATCH = 5, 6
NETWORK = get_network("googlenet", num_classes=3, input_shape=(1, 8, 8))
RECIPE = Recipe(
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=0.01,
    epochs=1,
    batch_size=BATCH,
    schedule="cosine",
)


def run(parts, folder):
    """Start all parts, wait for those that train, and end what is left."""
    common = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    logs = [(folder / f"part{index}.log").open("w+") for index in range(len(parts))]
    processes = [
        subprocess.Popen(
            command, env={**os.environ, **common, **more}, stdout=log, stderr=log, cwd=folder
        )
        for (command, more), log in zip(parts, logs, strict=True)
    ]
    training = [
        process
        for process, (_, more) in zip(processes, parts, strict=True)
        if more.get("DMLC_ROLE", "worker") == "worker"
    ]
    end = time.monotonic() + 240
    try:
        while any(process.poll() is None for process in training) and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        for log in logs:
            log.close()
        for process in processes:
            if process.poll() is None:
                process.kill()
            process.wait()
    said = [(folder / f"part{index}.log").read_text()[-6000:] for index in range(len(parts))]
    said += [path.read_text(errors="replace")[-1500:] for path in folder.glob("*/worker*log*")]
    assert all(process.returncode == 0 for process in training), "\n---\n".join(said)


def test_two_processes_take_the_steps_of_one(framework, tmp_path):
    count = STEPS * BATCH - 3  # so that the last batch is a smaller one
    rng = np.random.default_rng(0)
    images, labels = (
        rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8),
        rng.integers(0, 3, count),
    )
    save_data(
        tmp_path / "data",
        DataSet(
            "noise",
            "random numbers",
            ("0", "1", "2"),
            Split(images, labels),
            Split(images[:7], labels[:7]),
        ),
    )
    params = init_params(NETWORK, initializer="he_normal")
    save_params(tmp_path / "start.safetensors", NETWORK, params)
    settings = [
        "--learning-rate",
        "0.01",
        "--momentum",
        "0.9",
        "--weight-decay",
        "0.01",
        "--epochs",
        "1",
        "--batch-size",
        str(BATCH),
    ]
    settings += [
        "--schedule",
        "cosine",
        "--size",
        "8",
        "--data",
        str(tmp_path / "data"),
        "--weights",
        str(tmp_path / "start.safetensors"),
    ]
    arguments = [
        "train",
        "googlenet",
        "--framework",
        framework,
        *settings,
        "--out",
        str(tmp_path / "run"),
        "--parallel",
    ]
    run(benchmark("launchers").LAUNCHERS[framework](arguments, tmp_path), tmp_path)

    order = RECIPE.order(0, count)
    taken, targets = (images[order] / 255).astype(np.float32), labels[order]
    if count % BATCH:  # the yardstick goes round: it takes the last, smaller batch as a whole one
        taken, targets = np.concatenate([taken, taken]), np.concatenate([targets, targets])
    problem = Problem(NETWORK, params, taken, targets)
    yardstick = trajectory_yardstick(problem, recipe=RECIPE, steps=STEPS, size=BATCH)
    exact = Trainer(reference.build(NETWORK, params, dtype=np.float64), RECIPE)
    losses = [
        event["loss"] for event in read_log(tmp_path / "run" / LOG) if event["event"] == "step"
    ]
    assert len(losses) == STEPS
    for step, loss in enumerate(losses):
        batch = problem.batch(step, BATCH).few(count - step * BATCH)
        rate = RECIPE.learning_rate_at(step, STEPS)
        once = Pass(train=True)
        expected, _ = exact.advance(batch.images, batch.labels, once, learning_rate=rate)
        row = Row(
            f"loss of step {step + 1}",
            distance(np.array([loss]), np.array([expected])),
            limit(yardstick[step].arrays["loss"]),
        )
        assert row.passed, row
    held = load_params(tmp_path / "run" / WEIGHTS, NETWORK)
    rows = [
        Row(path, distance(held[path], array), limit(yardstick[-1].arrays[path]))
        for path, array in exact.params().items()
    ]
    worst = max(rows, key=lambda row: row.ratio)
    assert worst.passed, worst
    print(
        f"\n{framework}, two processes, {count} images: worst weight {worst.name},"
        f" {worst.error:.1e} of {worst.limit:.1e}"
    )
