"""How many threads a framework computes with that nobody told a number."""

import os
import subprocess
import sys

CODE = """
import os, sys, numpy, googlenet
asked = os.environ.get("OMP_NUM_THREADS")
backend = googlenet.get_backend(sys.argv[1])
assert os.environ.get("OMP_NUM_THREADS") == asked
model = googlenet.get_model("googlenet", sys.argv[1], input_shape=(1, 32, 32))
backend.forward(model, numpy.ones((8, 1, 32, 32), "float32"))
print(len(os.listdir("/proc/self/task")))
"""


def threads(framework, count=None):
    """The threads of a process after a pass, OMP_NUM_THREADS being `count`, or not set."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's own
    if count is not None:
        environment["OMP_NUM_THREADS"] = str(count)
    command = [sys.executable, "-W", "ignore", "-c", CODE, framework]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])
