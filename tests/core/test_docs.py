"""The pages agree with each other and with the project."""

import ast
import configparser
import inspect
import itertools
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from googlenet import (
    NETWORKS,
    Backend,
    count_multiply_adds,
    count_parameters,
    diff,
    get_network,
)
from googlenet.architectures import designators
from googlenet.backend.discovery import SHIPPED
from googlenet.cli.diff import _lines as lines_of_diff
from googlenet.data.sets import load_data
from googlenet.proof.conformance import mutants
from googlenet.spec import Conv
from googlenet.spec.analysis import budget, minimum_sizes, smallest_input
from googlenet.spec.traversal import walk
from googlenet.weights.zoo import find_model, zoo_models

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "backends/*/README.md")
    for path in ROOT.glob(pattern)
)
CHINESE = [page for page in PAGES if page.endswith(".zh-CN.md")]
ENGLISH = [page for page in PAGES if page not in CHINESE]


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def in_both(page):
    """A page in English, and in Chinese."""
    return [f"{page}.md", f"{page}.zh-CN.md"]


def code_of(page):
    return re.findall(r"^```.*?^```$", read(page), re.DOTALL | re.MULTILINE)


def rows(page):
    """The tables' rows as lists of cells, by what the first cell holds."""
    lines = [line for line in read(page).splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row for row in table}


# Languages ----------------------------------------------------------------------------------------


def test_the_main_pages_are_in_chinese_too():
    names = ["README", "docs/check", "docs/frameworks", "docs/networks", "docs/translate"]
    names += ["docs/weights"]
    assert sorted(f"{name}.zh-CN.md" for name in names) == CHINESE


@pytest.mark.parametrize("chinese", CHINESE)
def test_both_languages_have_the_same_code(chinese):
    english = chinese.replace(".zh-CN", "")
    assert code_of(english) == code_of(chinese)
    assert code_of(english)
    assert f"[中文]({Path(chinese).name})" in read(english)
    assert f"[English]({Path(english).name})" in read(chinese)


# Form ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_project_lead_somewhere(page):
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
        assert (folder / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_the_marks_of_a_merge(page):
    assert not re.findall(r"^(?:<{7}|={7}|>{7})(?: .*)?$", read(page), re.MULTILINE)


def prose(page):
    """The lines that are wrapped by hand: no code, table or picture; without what is not shown."""
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->|(?<=\])\(\S+?\)", "", text)
    return [line for line in text.splitlines() if not line.startswith(("|", "!["))]


@pytest.mark.parametrize("page", ENGLISH)
def test_prose_is_wrapped(page):
    assert not [line for line in prose(page) if len(line) > 120]


# Versions -----------------------------------------------------------------------------------------


def pythons(project):
    """The versions of Python that a pyproject.toml declares: [(3, 11), ...]."""
    classifiers = tomllib.loads(read(project))["project"]["classifiers"]
    found = [re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", c) for c in classifiers]
    return sorted((3, int(match[1])) for match in found if match)


def stated(cell):
    """The same of a cell, "3.11 to 3.13" or "3.11, 3.12"."""
    minors = [int(minor) for minor in re.findall(r"3\.(\d+)", cell)]
    return [(3, minor) for minor in range(min(minors), max(minors) + 1)]


@pytest.mark.parametrize("page", in_both("docs/frameworks"))
@pytest.mark.parametrize("name", SHIPPED)
def test_the_frameworks_table_has_the_tested_versions(page, name):
    pinned = dict(line.split("==") for line in read(f"constraints/{name}.txt").split())
    distribution = {"paddle": "paddlepaddle"}.get(name, name)
    (row,) = [row for title, row in rows(page).items() if title.lower() in (name, *SHIPPED[name])]
    assert row[1].startswith(pinned[distribution])
    assert stated(row[2]) == pythons(f"backends/{name}/pyproject.toml")


@pytest.mark.parametrize("page", in_both("docs/frameworks"))
def test_the_frameworks_table_has_the_cores_versions(page):
    assert stated(rows(page)["NumPy"][2]) == pythons("pyproject.toml")


def test_tox_has_an_environment_for_each_declared_python():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    names = {
        "".join(choice)
        for section in tox.sections()
        for name in re.split(r",\s*(?![^{]*\})", section.removeprefix("testenv:"))
        for choice in itertools.product(*(part.split(",") for part in re.split(r"[{}]", name)))
    }
    projects = {name: f"backends/{name}/pyproject.toml" for name in SHIPPED}
    for name, project in {"core": "pyproject.toml", **projects}.items():
        found = {each for each in names if re.fullmatch(rf"(py3\d+-)?{name}", each)}
        later = {f"py3{minor}-{name}" for _, minor in pythons(project) if minor > 11}
        assert found == {name, *later}


def test_ci_runs_the_test_command_of_the_readme():
    assert "pip install tox && tox" in read("README.md")
    assert read(".ci/run").strip().endswith("pip install tox && tox")


# Bugs of the frameworks ---------------------------------------------------------------------------

BUGS = "docs/framework-bugs.md"
FAULTY = [name for name in SHIPPED if (ROOT / f"tests/native/test_bugs_{name}.py").exists()]


def bugs_in(name):
    """Each test of the bugs of a framework, and the names that decorate it."""
    tree = ast.parse(read(f"tests/native/test_bugs_{name}.py"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    tests = [each for each in functions if each.name.startswith("test_")]
    return {test.name: [ast.unparse(each) for each in test.decorator_list] for test in tests}


def section_of(name):
    """The page's heading and text on a framework."""
    titles = (name, *SHIPPED[name])
    sections = [each.partition("\n") for each in read(BUGS).split("\n## ")[1:]]
    (found,) = [each for each in sections if each[0].split()[0].lower() in titles]
    return found[0], found[2]


@pytest.mark.parametrize("name", FAULTY)
def test_the_page_of_bugs_has_every_bug_and_its_version(name):
    heading, text = section_of(name)
    listed = re.findall(r"\| `(test_\w+)` \|$", text, re.MULTILINE)
    assert sorted(listed) == sorted(bugs_in(name))
    pinned = dict(line.split("==") for line in read(f"constraints/{name}.txt").split())
    distributions = [{"paddle": "paddlepaddle"}.get(name, name)]
    distributions += [each for each in ("keras",) if each in pinned]
    assert re.findall(r"\d[\d.]+", heading) == [pinned[each] for each in distributions]


@pytest.mark.parametrize("name", FAULTY)
def test_a_bug_is_strict_and_knows_nothing_of_this_project(name):
    tests = bugs_in(name)
    assert tests
    for test, decorators in tests.items():
        assert decorators[0].startswith("bug("), test
    code = read(f"tests/native/test_bugs_{name}.py")
    assert not re.search(r"^\s*(import|from) googlenet", code, re.MULTILINE)
    assert "raises=AssertionError, strict=True" in read("tests/native/bugs.py")


def test_the_page_of_bugs_names_the_frameworks_without_any():
    assert set(SHIPPED) - set(FAULTY) == {"torch", "jax"}
    assert "In PyTorch no bug was found, and in JAX none." in " ".join(read(BUGS).split())
    assert sorted(ROOT.glob("tests/native/test_bugs_*.py")) == [
        ROOT / f"tests/native/test_bugs_{name}.py" for name in FAULTY
    ]
    # Which of them runs where is in tests/native/conftest.py.
    assert re.search(r"^    python -m pytest .* tests/native ", read("tox.ini"), re.MULTILINE)


# Networks and zoos --------------------------------------------------------------------------------


def with_aux(name):
    """The network called `name` with its auxiliary heads, None if it has none."""
    has = "aux" in inspect.signature(NETWORKS[name]).parameters
    return get_network(name, aux=True) if has else None


@pytest.mark.parametrize("page", in_both("docs/networks"))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_networks_table_is_the_specs(page, name):
    network, heads = get_network(name), with_aux(name)
    (row,) = [row for title, row in rows(page).items() if f"`{name}`" in title]
    assert f"{count_parameters(network):,}" in row[2]
    assert heads is None or f"{count_parameters(heads):,}" in row[2]
    assert f"{count_multiply_adds(network) / 1e6:,.1f} M" in row[3]


@pytest.mark.parametrize("page", in_both("README"))
def test_the_readme_names_every_network(page):
    names = read(page).partition("docs/networks")[0].rpartition("\n## ")[2]
    assert set(re.findall(r"`(\w+)`", names)) == set(NETWORKS)


def test_the_page_of_code_has_every_designator():
    """Each framework's tests hold the numbers of lines."""
    names = {title.split()[0].strip("`") for title in rows("docs/code.md")}
    assert names >= set(designators())


@pytest.mark.parametrize("page", in_both("docs/networks"))
def test_the_picture_says_what_dense_layers_hold(page):
    for name in ("alexnet", "vgg11"):
        assert f"{100 * budget(get_network(name)).dense_share:.0f} %" in read(page)


@pytest.mark.parametrize("page", in_both("docs/weights"))
def test_the_lines_of_diff_are_those_of_a_run(page):
    (a, b) = re.search(r"googlenet diff (\S+) (\S+)", read(page)).groups()
    printed = lines_of_diff(diff(a, b, logits=False).differences)
    (shown,) = [code for code in code_of(page) if code.startswith("```text")]
    assert set(shown.splitlines()[1:-1]) <= set(printed)


def test_the_zoo_page_verifies_every_model():
    table = read("docs/zoo.md").partition("<!-- table -->")[2].partition("<!-- /table -->")[0]
    others = read("docs/zoo.md").partition("<!-- others -->")[2].partition("<!-- /others -->")[0]
    missing = [
        model
        for model in zoo_models()
        if model not in verified_models() and f"`{model}`" not in others
    ]
    only_read = re.search(
        r"Read in their sources and not run: (.*?)\.\n", read("docs/zoo.md"), re.DOTALL
    )
    assert missing == re.findall(r"`(.*?)`", only_read[1])
    worst = max(float(error) for error in re.findall(r"\d\.\de[+-]\d\d", table))
    for page in in_both("docs/weights"):
        said = float(re.search(r"\de-\d", read(page))[0])
        assert worst <= said < 2 * worst


# Pictures -----------------------------------------------------------------------------------------


def test_the_page_of_pictures_is_what_its_command_writes(tmp_path):
    command = [sys.executable, ROOT / "benchmarks/pictures.py", "--out", tmp_path]
    subprocess.run(command, check=True)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["draw.md", "googlenet.svg", "inception.svg"]
    for name in written:
        assert (tmp_path / name).read_bytes() == (ROOT / "docs" / name).read_bytes(), name


# Counts -------------------------------------------------------------------------------------------

#: A number in a page that the project can count stands between `<!-- count: NAME -->` and
#: `<!-- /count -->`, in digits or, if it is small, as a word. This is what each NAME is.
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def listed(numbers):
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}"


def verified_models():
    table = read("docs/zoo.md").partition("<!-- table -->")[2].partition("<!-- /table -->")[0]
    return [name for name in zoo_models() if name in table]


def libraries(model):
    return sum(
        name.endswith(f":{model}") and ":" in find_model(name).network
        for name in zoo_models()
        if not name.startswith("d2l_")  # a book
    )


def biases_of_convolutions(network):
    return sum(
        site.layer.out_channels
        for site in walk(network)
        if isinstance(site.layer, Conv) and site.layer.bias
    )


def lines_of_the_test_file():
    (code,) = re.findall(
        r"^## The test file\n\n```python\n(.*?)```", read("docs/adding-a-backend.md"), re.S | re.M
    )
    return len([line for line in code.splitlines() if line])


@cache
def counts():
    plain, paper = get_network("googlenet"), get_network("googlenet_paper")
    heads = with_aux("googlenet_paper")
    digits = load_data("digits", (1, 8, 8))
    train, test = len(digits.train.images), len(digits.test.images)
    numpys = {re.search(r"^numpy==(.*)$", read(f"constraints/{n}.txt"), re.M)[1] for n in SHIPPED}
    members = {*Backend.__annotations__, *(n for n in vars(Backend) if not n.startswith("_"))}
    return {
        "mutants": len(mutants()),
        "zoo models": len(zoo_models()),
        "libraries with googlenet": libraries("googlenet"),
        "libraries with inception_v3": libraries("inception_v3"),
        "required members of a backend": len(members),
        "lines of a test file": lines_of_the_test_file(),
        "versions of numpy": len(numpys),
        "digits": train + test,
        "digits to train": train,
        "digits to test": test,
        "parameters of googlenet": count_parameters(plain),
        "parameters of googlenet_paper": count_parameters(paper),
        "parameters of googlenet_paper with aux": count_parameters(heads),
        "multiply-adds of googlenet": count_multiply_adds(plain),
        "multiply-adds of googlenet_paper": count_multiply_adds(paper),
        "multiply-adds of googlenet_paper with aux": count_multiply_adds(heads),
        "biases of convolutions": biases_of_convolutions(plain),
        "parameters without them": count_parameters(plain) - biases_of_convolutions(plain),
        "smallest side of googlenet_paper": smallest_input(paper),
        "smallest side of googlenet_paper with aux": smallest_input(heads),
        "smallest sides of googlenet": listed(size.side for size in minimum_sizes(plain)),
    }


def marked(page):
    return re.findall(r"<!-- count: (.*?) -->(.*?)<!-- /count -->", read(page), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_counts_are_counted(page):
    for name, text in marked(page):
        count = counts()[name]
        words = WORDS[count : count + 1] if isinstance(count, int) else ()
        digits = f"{count:,}" if isinstance(count, int) else count
        assert text in (digits, *words), name
    assert read(page).count("<!-- count") == len(marked(page))
    # At the beginning of a line a comment is a block of HTML, in which nothing is formatted.
    assert not re.search(r"^\s*<!-- count", read(page), re.MULTILINE)


def test_every_count_is_in_a_page():
    assert {name for page in PAGES for name, _ in marked(page)} == set(counts())
