"""The training loops of docs/frameworks.md, run as they stand there, on the framework named by
`GOOGLENET_FRAMEWORK`.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ["README.md", "README.zh-CN.md"]
FRAMEWORKS = ["docs/frameworks.md", "docs/frameworks.zh-CN.md"]


def run(page, marker, folder):
    """The output of the code after `marker`, run from a file of its own as a reader would:
    MindSpore reads its source.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    (code,) = re.findall(rf"<!-- {marker} -->\n```python\n(.*?)```", text, re.DOTALL)
    (folder / "script.py").write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", FRAMEWORKS)
def test_the_loss_falls_as_printed(page, framework, tmp_path):
    losses = [
        float(line.split()[1])
        for line in run(page, framework, tmp_path).splitlines()
        if re.fullmatch(r"\d [\d.e-]+", line)
    ]
    assert len(losses) == 10
    assert min(losses[5:]) < losses[0]
