"""Weights of one library as those of another, in that one's own class: `python
benchmarks/zoo_pairs.py --python torch=PATH --python tensorflow=PATH ...`.

Each library makes its model with random weights, saves it with its own function and runs two images
at its own size (`zoo_models.py`). For every other model of the same architecture, `googlenet
convert --to ZOO:MODEL` writes the other library's file, and the Python that it prints loads that
into the other library's own model, without this project, which runs the same images. Prints for
each pair the largest |a − b| over all logits divided by their standard deviation, or why it was
refused. The way back to the first library is compared bit for bit. `--json FILE` keeps the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

#: The framework of each library, and the ending of its files.
FRAMEWORKS = {
    "torchvision": ("torch", ".pth"),
    "timm": ("torch", ".pth"),
    "keras": ("tensorflow", ".weights.h5"),
    "paddle": ("paddle", ".pdparams"),
    "gluon": ("mxnet", ".params"),
    "gluoncv": ("mxnet", ".params"),
    "mindcv": ("mindspore", ".ckpt"),
}
#: Models by architecture, as `zoo_models.py` calls them; those with heads are without them here.
FAMILIES = (
    ("torchvision:googlenet", "gluoncv:googlenet", "mindcv:googlenet", "paddle:googlenet"),
    (
        "torchvision:inception_v3",
        "timm:inception_v3",
        "keras:inception_v3",
        "paddle:inception_v3",
        "gluon:inception_v3",
        "gluoncv:inception_v3",
        "mindcv:inception_v3",
    ),
    ("timm:inception_v4", "mindcv:inception_v4"),
    ("timm:inception_resnet_v2", "keras:inception_resnet_v2"),
    ("torchvision:alexnet", "paddle:alexnet"),
)
#: Models that the libraries only make with their heads.
HEADED = {"paddle:googlenet", "mindcv:inception_v3"}
BOUND = 1e-5

#: Loads a file as `convert` says and runs images (N, C, H, W): LOAD, IMAGES and OUT are put in.
RUN = """
import sys
sys.path.insert(0, {benchmarks!r})
import numpy as np
if {torchvision!r}:
    import zoo_models
    zoo_models.import_torchvision()
{load}
x = np.load({images!r})["images"]
if {framework!r} == "torch":
    model.eval()
    with torch.no_grad():
        y = model(torch.from_numpy(x)).numpy()
elif {framework!r} == "tensorflow":
    model.layers[-1].activation = keras.activations.linear
    y = np.asarray(model(x.transpose(0, 2, 3, 1), training=False))
elif {framework!r} == "mxnet":
    import mxnet
    y = model(mxnet.nd.array(x))
    y = (y[0] if isinstance(y, (list, tuple)) else y).asnumpy()
elif {framework!r} == "paddle":
    model.eval()
    y = model(paddle.to_tensor(x))
    y = (y[0] if isinstance(y, (list, tuple)) else y).numpy()
else:
    model.set_train(False)
    y = model(mindspore.Tensor(x))
    y = (y[0] if isinstance(y, (list, tuple)) else y).asnumpy()
np.save({out!r}, y)
"""


class Bench:
    """Where things are: interpreters and paths by framework, and a folder."""

    def __init__(self, pythons: dict[str, str], paths: dict[str, str], folder: Path) -> None:
        self.pythons, self.paths, self.folder = pythons, paths, folder

    def call(self, framework: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(
            filter(None, [os.environ.get("PYTHONPATH"), self.paths.get(framework)])
        )
        return subprocess.run(
            [self.pythons[framework], *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )

    def made(self, name: str) -> Path:
        """The folder with the weights, images and outputs of a library's own model."""
        place = self.folder / name.replace(":", "-")
        if not (place / "info.json").exists():
            script = str(Path(__file__).with_name("zoo_models.py"))
            full = f"{name}+aux" if name in HEADED else name
            place.mkdir(exist_ok=True)
            done = self.call(FRAMEWORKS[name.partition(":")[0]][0], script, full, str(place))
            if done.returncode:
                sys.exit(f"{name}: {done.stderr[-2000:]}")
        return place

    def pair(self, source: str, target: str) -> dict[str, object]:
        """One row."""
        made = self.made(source)
        (weights,) = made.glob("weights.*")
        framework, suffix = FRAMEWORKS[target.partition(":")[0]]
        out = self.folder / f"{source}-{target}".replace(":", "-")
        file = f"{out}{suffix}"
        row: dict[str, object] = {"from": source, "to": target}
        arguments = [str(weights), file, "--from", source, "--to", target, "--no-aux", "--json"]
        done = self.call(framework, "-m", "googlenet", "convert", *arguments)
        if done.returncode:
            return row | {"refused": done.stderr.strip()}
        load = json.loads(done.stdout)["load"]
        size = sorted(made.glob("*x*.npz"))
        images = next(each for each in size if each.stem in ("224x224", "299x299"))
        text = RUN.format(
            benchmarks=str(Path(__file__).parent),
            torchvision=framework == "torch",
            load=load,
            images=str(images),
            framework=framework,
            out=f"{out}.npy",
        )
        ran = self.call(framework, "-c", text)
        if ran.returncode:
            return row | {"failed": ran.stderr.strip()[-1500:]}
        with np.load(images) as held:
            expected = held["logits"]
        actual = np.load(f"{out}.npy")
        row["distance"] = float(np.abs(actual - expected).max() / expected.std())
        Path(file).unlink()
        return row


def main() -> int:
    """Print a row a pair."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", required=True, metavar="X=PATH")
    parser.add_argument(
        "--path", action="append", default=[], metavar="X=PATH", help="of libraries"
    )
    parser.add_argument("--from", dest="sources", action="append", metavar="ZOO:MODEL")
    parser.add_argument("--to", dest="targets", action="append", metavar="ZOO:MODEL")
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="googlenet-pairs-") as name:
        pairs = (dict(each.split("=", 1) for each in texts) for texts in (given.python, given.path))
        bench = Bench(*pairs, Path(name))
        for family in FAMILIES:
            for source in family:
                for target in family:
                    if source not in (given.sources or family):
                        continue
                    if target not in (given.targets or family):
                        continue
                    rows.append(bench.pair(source, target))
                    print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
                    if given.json:
                        Path(given.json).write_text(json.dumps(rows, indent=1))
    wrong = [row for row in rows if "failed" in row or row.get("distance", 0) > BOUND]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
