"""What `gpu.sh` runs: each part in a process of its own, all answers in one JSON."""

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIDE, COUNT, BATCH, STEPS = 96, 64, 256, 30
#: Seconds for each part; together with starting, less than eight minutes.
SECONDS = {"derived": 240, "throughput": 60, "exact": 120}


def installed(folder):
    """Metadata of the core and the plugin in `folder`, so that both are found without installing
    them: where there is no network, nothing can be built.
    """
    for project in (ROOT, ROOT / "backends" / "torch"):
        values = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        info = folder / f"{values['name'].replace('-', '_')}-{values['version']}.dist-info"
        info.mkdir()
        named = f"Name: {values['name']}\nVersion: {values['version']}\n"
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\n{named}")
        lines = []
        for group, points in values["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    path = [folder, ROOT, ROOT / "backends" / "torch" / "src"]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}


def answer(command, environment, seconds):
    """What `command` prints, as JSON; or why there is none."""
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds} s"}
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"error": f"exited with code {done.returncode}", "stderr": done.stderr[-2000:]}
    return {"code": done.returncode, "seconds": time.perf_counter() - started, **found}


def derived(device):
    """The derived proof of PyTorch on `device`, with five training steps, of 64 random images."""
    import numpy as np

    import googlenet
    from googlenet.data.images import ImageSet
    from googlenet.proof.parity.run import ParityOptions, run_parity

    network = googlenet.get_network("googlenet", input_shape=(1, SIDE, SIDE))
    params = googlenet.init_params(network, initializer="he_normal")
    # No digits, which come with scikit-learn; of 256 greys, as theirs would be.
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, *network.input_shape)).astype(np.float32)
    image_set = ImageSet(images / np.float32(255), rng.integers(0, 10, COUNT), "random greys")
    options = ParityOptions(train_steps=5, devices={"torch": device})
    report = run_parity(network, ["torch"], image_set, params, seed=0, options=options)
    print(json.dumps(report.to_json(), allow_nan=False))
    return 0 if report.passed else 1


def throughput(device):
    """Images per second of the native model in evaluation mode and in training, on `device`."""
    import numpy as np
    import torch

    import googlenet
    from googlenet.training import Recipe

    backend = googlenet.get_backend("torch")
    network = googlenet.get_network("googlenet", input_shape=(1, SIDE, SIDE))
    params = googlenet.init_params(network, initializer="he_normal")
    rng = np.random.default_rng(0)
    images = rng.random((BATCH, *network.input_shape), dtype=np.float32)
    labels = rng.integers(0, 10, BATCH)
    trainer = backend.trainer(backend.build(network, params, device=device), Recipe())
    steps = {
        "predict": lambda number: trainer.predict(images),
        "train": lambda number: trainer.step(images, labels, learning_rate=0.01, seed=number),
    }
    found = {"batch": BATCH, "side": SIDE, "torch": torch.__version__}
    if torch.cuda.is_available():
        found["card"] = torch.cuda.get_device_name(device if "cuda" in device else 0)
    for what, step in steps.items():
        for number in range(3):
            step(number)
        started, done = time.perf_counter(), 0
        while done < STEPS and time.perf_counter() - started < 20:
            step(done)  # whose result is on the CPU when it returns
            done += 1
        found[f"{what}_images_per_second"] = done * BATCH / (time.perf_counter() - started)
    print(json.dumps(found))
    return 0


PARTS = {"derived": derived, "throughput": throughput}


def main():
    if sys.argv[1] in PARTS:
        return PARTS[sys.argv[1]](sys.argv[2])
    device, file = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = installed(folder)
        shown = subprocess.run(
            [sys.executable, "-m", "googlenet", "parity", "--help"],
            env={**environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
        )
        found = {"device": device}
        for part in PARTS:
            found[part] = answer([__file__, part, device], environment, SECONDS[part])
        if "--exact" in shown.stdout:
            exact = ["-m", "googlenet", "parity", "googlenet", "--exact", "--framework", "torch"]
            exact += ["--device", f"torch={device}", "--json"]
            found["exact"] = answer(exact, environment, SECONDS["exact"])
        file.write_text(json.dumps(found, indent=2) + "\n")
    failed = [what for what, each in found.items() if isinstance(each, dict) and each.get("code")]
    failed += [what for what, each in found.items() if isinstance(each, dict) and "error" in each]
    print(f"{file}: {', '.join(failed) + ' failed' if failed else 'all the same'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
