"""The training loops of docs/frameworks.md, run as they stand there, on the framework named by
`GOOGLENET_FRAMEWORK`. The Chinese pages have the same code, which tests/core/test_docs.py holds.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


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


def test_the_loss_falls_as_printed(framework, tmp_path):
    losses = [
        float(line.split()[1])
        for line in run("docs/frameworks.md", framework, tmp_path).splitlines()
        if re.fullmatch(r"\d [\d.e-]+", line)
    ]
    assert len(losses) == 10
    assert min(losses[5:]) < losses[0]
