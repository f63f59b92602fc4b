"""A backend that fails as `GOOGLENET_EXAMPLE_FAULT` says, to see what becomes of
the others' rows.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable

import numpy as np

import googlenet.reference as right
from googlenet.arrays import Array
from googlenet.reference import build, gradients, params_of, trainer, unbiased_running_variance
from googlenet.reference.network import Model

name = "faulty"


def _fail(fault: str) -> None:
    if fault == "import":
        raise ImportError("libmissing.so: cannot open shared object file")
    if fault == "crash":
        print("about to crash", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hang":
        print("still waiting", file=sys.stderr, flush=True)
        time.sleep(600)
    if fault == "exit":
        os._exit(7)
    if fault == "memory":
        np.ones((1 << 62) // 8)
    if fault == "raise":
        raise RuntimeError("no kernel for this operation\nand more lines")


fault = os.environ.get("GOOGLENET_EXAMPLE_FAULT", "")
if fault == "import":
    _fail(fault)


def forward(
    model: Model, images: Array, *, train: bool = False, taps: Iterable[str] = ()
) -> dict[str, Array]:
    print("a framework that prints on standard output")
    _fail(fault)
    outputs = right.forward(model, images, train=train, taps=taps)
    path = "b3.inception_3b.branch_5x5.conv.relu"
    if fault == "layer" and path in outputs:  # a pass without taps does not have it
        outputs[path] = outputs[path] * np.float32(1.0001)
    if fault == "nan":
        outputs["logits"] = outputs["logits"] * np.nan
    return outputs


__all__ = [
    "build",
    "forward",
    "gradients",
    "name",
    "params_of",
    "trainer",
    "unbiased_running_variance",
]
