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
SECONDS = {"derived": 200, "exact": 120, "throughput": 100}


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


def main():
    if sys.argv[1] == "throughput":
        throughput(sys.argv[2])
        return 0
    device, file = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = installed(folder)
        import numpy as np

        # No digits, which come with scikit-learn; of 256 greys, as theirs would be.
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (COUNT, 1, SIDE, SIDE)).astype(np.float32) / np.float32(255)
        np.save(folder / "images.npy", images)
        parity = ["-m", "googlenet", "parity", "googlenet", "--framework", "torch"]
        parity += ["--device", f"torch={device}", "--images", str(folder / "images.npy"), "--json"]
        shown = subprocess.run(
            [sys.executable, "-m", "googlenet", "parity", "--help"],
            env={**environment, "COLUMNS": "200"},
            capture_output=True,
            text=True,
        )
        found = {"device": device}
        derived = [*parity, "--train-steps", "5"]
        found["derived"] = answer(derived, environment, SECONDS["derived"])
        if "--exact" in shown.stdout:
            found["exact"] = answer([*parity, "--exact"], environment, SECONDS["exact"])
        speed = [__file__, "throughput", device]
        found["throughput"] = answer(speed, environment, SECONDS["throughput"])
        file.write_text(json.dumps(found, indent=2) + "\n")
    failed = [what for what, each in found.items() if isinstance(each, dict) and each.get("code")]
    failed += [what for what, each in found.items() if isinstance(each, dict) and "error" in each]
    print(f"{file}: {', '.join(failed) + ' failed' if failed else 'all the same'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
