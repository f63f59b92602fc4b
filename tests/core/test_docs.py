"""The pages agree with each other and with the project."""

import re
from pathlib import Path

import pytest

from googlenet import count_multiply_adds, count_parameters, get_network
from googlenet.architectures import NETWORKS
from googlenet.backend.discovery import SHIPPED
from googlenet.weights.zoo import zoo_models

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "README.zh-CN.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")),
]


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def test_both_readmes_have_the_same_code():
    english, chinese = (
        re.findall(r"```.*?```", read(page), re.DOTALL) for page in ("README.md", "README.zh-CN.md")
    )
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


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_table_is_the_specs(page, name):
    network = get_network(name)
    (row,) = [
        line
        for line in read(page).splitlines()
        if line.startswith("| `") and f"`{name}`" in line.split("|")[1]
    ]
    assert f"{count_parameters(network):,}" in row
    assert f"{count_multiply_adds(network) / 1e6:,.1f} M" in row


def test_the_zoo_page_verifies_every_model():
    table = read("docs/zoo.md").partition("<!-- table -->")[2].partition("<!-- /table -->")[0]
    missing = [model for model in zoo_models() if f"{model}" not in table]
    assert not missing
