"""Peak memory of processes that run `googlenet` alone: `python benchmarks/memory.py torch`.

Each row is a process of its own that makes one model, the book's code by hand or ours, and runs it
on a batch, or trains it by a few steps; what importing the framework takes is in all of them. For
`numpy`, the reference, there is no code by hand.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
from functools import partial

import numpy as np

CALLS = 5
RATE = 1e-6


def used(framework, form, batch):
    """MiB at most of a process that runs it."""
    import googlenet
    from googlenet.backend.threads import prepared_backend

    backend = prepared_backend(framework)
    images = np.random.default_rng(0).random((batch, 1, 96, 96), dtype=np.float32)
    network = googlenet.get_network()
    params = googlenet.init_params(network, initializer="he_normal")
    if form == "by hand":
        by_hand = importlib.import_module(f"handwritten_{framework}")
        run = partial(by_hand.predict, by_hand.build(params), images)
    else:
        model = backend.build(network, params)
        if form == "native":
            run = partial(backend.forward, model, images)
        elif form == "compiled":
            run = partial(backend.compile(model, input_shape=network.input_shape), images)
        else:
            recipe = googlenet.Recipe(learning_rate=RATE, batch_size=batch)
            step = backend.trainer(model, recipe).step
            run = partial(step, images, np.arange(batch) % 10, learning_rate=RATE, seed=0)
    for _ in range(CALLS):
        run()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework")
    parser.add_argument("--batch", type=int, default=32)
    forms = ("by hand", "native", "compiled", "step")
    parser.add_argument("--form", choices=forms, help="this one alone, in this process")
    asked = parser.parse_args()
    if asked.form:
        print(json.dumps(used(asked.framework, asked.form, asked.batch)))
        return
    first = None
    for form in forms[1:] if asked.framework in ("numpy", "onnx", "jax") else forms:
        if (asked.framework, form) == ("onnx", "step"):
            continue
        command = [sys.executable, __file__, asked.framework, "--batch", str(asked.batch)]
        done = subprocess.run([*command, "--form", form], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found = float(done.stdout.splitlines()[-1])
        first = first or found
        print(f"{asked.framework:10} {form:10} {found:8,.0f} MiB  {found / first:.2f}")


if __name__ == "__main__":
    main()
