"""`python tests/install.py LOCK ARGUMENTS…` is `pip install ARGUMENTS…`, of one environment at a
time: setuptools builds in the checkout, and tox may run environments side by side. Nothing is
compiled before it is imported: few modules of a framework are.
"""

import fcntl
import subprocess
import sys
from pathlib import Path


def main():
    lock, *arguments = sys.argv[1:]
    Path(lock).parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", *arguments]
        return subprocess.run(command).returncode


if __name__ == "__main__":
    sys.exit(main())
