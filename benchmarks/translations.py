"""Users' models translated from every framework into every other, and back: `python
benchmarks/translations.py --python torch=PATH --python paddle=PATH ... book`.

What is translated: `book`, the book's GoogLeNet as its readers write it (`handwritten_*.py`);
`printed`, what `googlenet code` prints of it; `googlenet_bn`, `inception_v3` (with its auxiliary
head) and `inception_resnet_v2`, as printed; and `library`, the Inception-v3 classes of torchvision,
Keras and Gluon, where an interpreter has them. Prints a row a translation: seconds, the largest
share of a limit of the user's model and of the written one, and the bits that differ; with `--back`
also whether the way back gives the same layers and the same bits of weights. Exits with 1 if one is
not proved. `--json FILE` keeps the rows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import googlenet
from googlenet import GoogLeNetError
from googlenet.proof.conformance.tracing import outline, same_arrays

#: Each network as it is printed: its arguments, and the input shape at which it is translated.
NETWORKS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "printed": ({"network": "googlenet"}, (1, 96, 96)),
    "googlenet_bn": ({"network": "googlenet_bn"}, (1, 96, 96)),
    # Its head's kernels fit no smaller image.
    "inception_v3": ({"network": "inception_v3", "aux": True}, (3, 299, 299)),
    "inception_resnet_v2": ({"network": "inception_resnet_v2"}, (3, 107, 107)),
}
#: Those of libraries, likewise. torchvision's returns its auxiliary output in training mode only,
#: which cannot be carried, so it is made without; Gluon's last pool fits no smaller image, and
#: its own small initial weights would leave too little to prove.
LIBRARIES: dict[str, tuple[str, tuple[int, int, int]]] = {
    "torch": (
        "from zoo_models import import_torchvision\n\n"
        "net = import_torchvision().models.inception_v3(\n"
        "    weights=None, aux_logits=False, init_weights=False\n)\n",
        (3, 107, 107),
    ),
    "tensorflow": (
        "import keras\n\nkeras.utils.set_random_seed(0)\n"
        "net = keras.applications.InceptionV3(\n"
        "    weights=None, input_shape=(107, 107, 3), classifier_activation=None\n)\n",
        (3, 107, 107),
    ),
    "mxnet": (
        "import mxnet\nfrom mxnet.gluon.model_zoo import vision\n\n"
        "mxnet.random.seed(0)\nnet = vision.inception_v3()\n"
        "net.initialize(mxnet.init.Xavier())\n",
        (3, 299, 299),
    ),
}


def sources(what: str, framework: str, folder: Path, pythons: dict[str, str]) -> Iterator[Any]:
    """The file and name of a user's model, and its input shape."""
    if what == "book":
        yield Path(__file__).with_name(f"handwritten_{framework}.py"), "construct", (1, 96, 96)
    elif what == "library":
        if framework in LIBRARIES:
            file = folder / f"library_{framework}.py"
            source, shape = LIBRARIES[framework]
            file.write_text(source)
            yield file, "net", shape
    else:
        arguments, shape = NETWORKS[what]
        found = googlenet.code(
            **arguments, frameworks=[framework], input_shape=shape, interpreters=pythons
        )
        (source,) = found.sources
        file = folder / f"{what}_{framework}.py"
        start = "from mxnet import init\n" if framework == "mxnet" else ""
        more = f"\n\ndef made():\n    net = {source.name}()\n    net.initialize(init.Xavier())\n"
        more += "    return net\n"
        file.write_text(start + source.text + (more if framework == "mxnet" else ""))
        yield file, "made" if framework == "mxnet" else source.name, shape


def row(
    what: str,
    framework: str,
    to: str,
    given: Any,
    folder: Path,
    pythons: dict[str, str],
    back: bool,
) -> dict[str, Any]:
    file, name, shape = given
    out = folder / f"{what}-{framework}-{to}"
    start = time.perf_counter()
    answer: dict[str, Any] = {"what": what, "from": framework, "to": to}
    options = {"input_shape": shape, "interpreters": pythons}
    try:
        found = googlenet.translate(f"{file}:{name}", to, out, own_framework=framework, **options)
        reports = [each for each in (found.parity, found.moved) if each is not None]
        shares = [
            max(result.comparison.largest_share for result in both)
            for both in zip(*(each.results for each in reports), strict=True)
        ]
        answer["moved"] = found.moved is not None
        bits = [
            None if each.exact is None or not each.exact.count else each.exact.differences
            for each in found.parity.results
        ]
        answer |= {"passed": found.passed, "verdict": found.verdict, "shares": shares, "bits": bits}
        if back:
            again = folder / f"{what}-{framework}-{to}-back"
            googlenet.translate(
                f"{out}/load.py:load", framework, again, own_framework=to, **options
            )
            first, last = (
                googlenet.own_network(f"{place}/load.py:load", own_framework=one, **options)
                for place, one in ((out, to), (again, framework))
            )
            same = outline(first.network) == outline(last.network)
            answer["back"] = same and same_arrays(first.params, last.params)
    except GoogLeNetError as error:
        answer |= {"passed": False, "verdict": str(error)}
    return answer | {"seconds": round(time.perf_counter() - start, 1)}


def shown(answer: dict[str, Any]) -> str:
    """A row as text."""
    told = f"{answer['what']}: {answer['from']} → {answer['to']}: {answer['verdict']}"
    if "shares" in answer:
        shares = " and ".join(f"{each:.2g}" for each in answer["shares"])
        told += f", largest shares {shares}, bits that differ {answer['bits']}"
    if "back" in answer:
        told += f", back {'the same' if answer['back'] else 'DIFFERENT'}"
    return f"{told} ({answer['seconds']} s)"


def main() -> int:
    """Translate what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", nargs="+", choices=["book", *NETWORKS, "library"])
    parser.add_argument("--python", action="append", required=True, metavar="X=PATH")
    parser.add_argument("--from", dest="sources", action="append", metavar="X")
    parser.add_argument("--to", dest="targets", action="append", metavar="X")
    parser.add_argument("--back", action="store_true")
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    pythons = dict(pair.split("=", 1) for pair in given.python)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="googlenet-translations-") as name:
        folder = Path(name)
        for what in given.what:
            for framework in given.sources or pythons:
                for found in sources(what, framework, folder, pythons):
                    for to in given.targets or pythons:
                        if to == framework:
                            continue
                        rows.append(row(what, framework, to, found, folder, pythons, given.back))
                        print(shown(rows[-1]), flush=True)
                        if given.json:
                            Path(given.json).write_text(json.dumps(rows, indent=1))
    return 0 if all(each["passed"] and each.get("back", True) for each in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
