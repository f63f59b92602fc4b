"""The frameworks and the reference are one function, on real images, each in its own
environment.

`GOOGLENET_PYTHONS` names the interpreters: "torch=PATH tensorflow=PATH ...". `GOOGLENET_IMAGES` may
name an IDX file of images to use instead of the embedded digits.
"""

import json
import os
import subprocess
import sys

import pytest

from googlenet.backend.discovery import SHIPPED

from ..named import LACKS

PYTHONS = os.environ["GOOGLENET_PYTHONS"].split()
IMAGES = ["--images", os.environ["GOOGLENET_IMAGES"]] if "GOOGLENET_IMAGES" in os.environ else []
COMPARED = ["numpy", *SHIPPED]


def parity(*arguments):
    pythons = [word for pair in PYTHONS for word in ("--python", pair)]
    # Named, since a third party's backend may be installed beside them, and need not do all.
    names = [word for name in COMPARED for word in ("--framework", name)]
    command = [sys.executable, "-m", "googlenet", "parity", *arguments, *names, *pythons, *IMAGES]
    return subprocess.run([*command, "--json"], stdout=subprocess.PIPE, text=True)


def test_every_shipped_framework_is_here():
    assert sorted(pair.partition("=")[0] for pair in PYTHONS) == sorted(SHIPPED)


@pytest.mark.parametrize(
    ("arguments", "parameters"),
    [
        (("googlenet", "--count", "16", "--train-steps", "10"), 5_977_530),
        (("googlenet_paper", "--aux", "--size", "224", "--count", "4", "--chunk", "2"), 13_378_280),
    ],
    ids=["googlenet", "googlenet_paper"],
)
def test_all_are_one_function(arguments, parameters):
    done = parity(*arguments)
    report = json.loads(done.stdout)
    assert report["parameters"] == parameters
    print(
        f"\n{report['name']} {report['input_shape']} on {report['image_count']} images from"
        f" {report['images']}"
    )
    for result in report["frameworks"]:
        assert result["error"] is None, f"{result['framework']}: {result['error']}"
        assert result["passed"], f"{result['framework']}: {result['first_divergence']}"
        logits = next(row for row in result["outputs"] if row["name"] == "logits")
        compared = {"logits": logits}
        lacking = LACKS.get(result["framework"]) or frozenset()
        assert bool(result["gradients"]) != ("gradients" in lacking), result["framework"]
        if result["gradients"]:
            gradient = max(result["gradients"], key=lambda row: row["error"] / row["limit"])
            compared[f"worst gradient {gradient['name']}"] = gradient
        if report["train_steps"] and "trainer" not in lacking:
            worst = max(result["trajectory"], key=lambda row: row["error"] / row["limit"])
            compared[f"worst of training, {worst['name']}"] = worst
        errors = ", ".join(
            f"{what} {row['error']:.1e} of {row['limit']:.1e}" for what, row in compared.items()
        )
        print(
            f"  {result['framework']} {result['versions'][result['framework']]}: {errors};"
            f" {result['seconds']:.0f} s"
        )
    assert [result["framework"] for result in report["frameworks"]] == COMPARED
    assert done.returncode == 0
