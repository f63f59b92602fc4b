"""The pages agree with each other and with the project."""

import re
from pathlib import Path

import pytest

from googlenet.backend import SHIPPED

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def test_both_readmes_have_the_same_code():
    english, chinese = (re.findall(r"```.*?```", read(page), re.DOTALL) for page in ("README.md", "README.zh-CN.md"))
    assert english == chinese
    assert len(english) >= 10


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_project_lead_somewhere(page):
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
        assert (folder / target).exists(), target


def test_tested_versions_are_those_of_the_constraints():
    text = read("README.md")
    for name in SHIPPED:
        pinned = dict(line.split("==") for line in read(f"constraints/{name}.txt").split())
        distribution = {"paddle": "paddlepaddle"}.get(name, name)
        assert f"| {pinned[distribution]}" in text


def test_ci_runs_the_test_command_of_the_readme():
    assert "pip install tox && tox" in read("README.md")
    assert read(".ci/run").strip().endswith("pip install tox && tox")
