"""The training loops of the README, run as they stand there, on the framework named by `GOOGLENET_FRAMEWORK`."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_loss_falls_as_printed(page, framework):
    text = (ROOT / page).read_text(encoding="utf-8")
    (code,) = re.findall(rf"<!-- {framework} -->\n```python\n(.*?)```", text, re.DOTALL)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, page, "exec"), {})
    losses = [float(line.split()[1]) for line in printed.getvalue().splitlines()]
    assert len(losses) == 10
    assert min(losses[5:]) < losses[0]
