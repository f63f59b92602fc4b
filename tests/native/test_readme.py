"""The training loops of the README, run as they stand there, on the framework named by `GOOGLENET_FRAMEWORK`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_loss_falls_as_printed(page, framework, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    (code,) = re.findall(rf"<!-- {framework} -->\n```python\n(.*?)```", text, re.DOTALL)
    # A file of its own, as a reader would run it: MindSpore reads the source of what it differentiates.
    script = tmp_path / "train.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    losses = [float(line.split()[1]) for line in done.stdout.splitlines() if re.fullmatch(r"\d [\d.e-]+", line)]
    assert len(losses) == 10
    assert min(losses[5:]) < losses[0]
