"""Printed source is the same function as the native model: written to files, it runs in a process
that has the framework alone, loads the native weights file, and gives the same bits.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings

import googlenet
from googlenet.architectures import designators
from googlenet.backend.protocols import capabilities
from googlenet.backend.threads import asked_for
from googlenet.source.write import write
from googlenet.spec.analysis import smallest_input
from googlenet.weights.samples import random_images, random_params

from ..core.networks import RESIDUALS, networks
from ..frameworks import written
from .networks import NETWORKS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "code.md"

#: Larger networks are left to `benchmarks/code.py`: most of them is a few dense layers.
MOST_PARAMETERS = 30_000_000
#: How many designators are drawn, and the seed that draws them.
DRAWN, SEED = 2, 13

pytestmark = [
    # Keras 3.15 on numpy 2 warns of itself when it saves (convert_to_numpy).
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    ),
]


def small(name):
    """The network of a designator on the smallest images that it takes, not square."""
    network = googlenet.get_network(name)
    side = smallest_input(network)
    for height, width in ((side + 3, side), (side + 1, side), (side, side)):
        try:
            return googlenet.get_network(
                name, num_classes=7, input_shape=(network.input_shape[0], height, width)
            )
        except googlenet.ShapeError:
            continue
    raise AssertionError(name)


def sample():
    names = [
        name
        for name in designators()
        if googlenet.count_parameters(googlenet.get_network(name)) < MOST_PARAMETERS
    ]
    return [small(name) for name in random.Random(SEED).sample(names, DRAWN)]


def test_a_sample_gives_the_same_bits_in_a_process_without_this_project(
    framework, backend, tmp_path
):
    expected = []
    for i, network in enumerate([*NETWORKS.values(), *sample()]):
        folder = tmp_path / f"{i}"
        folder.mkdir()
        source = write(network, backend)
        params, images = random_params(network), random_images(network)
        found = written.prepare(folder, source, backend, network, params, images)
        expected.append((folder, *found))
    folders = [str(folder) for folder, *_ in expected]
    # Without the numbers of threads that other tests may have set in this process alone.
    done = subprocess.run(
        [sys.executable, written.__file__, framework, *folders],
        capture_output=True,
        text=True,
        env=asked_for(),
    )
    assert done.returncode == 0, done.stderr
    for folder, about, arrays in expected:
        assert json.loads((folder / "written.json").read_text()) == about
        differing, values = written.differing(folder, arrays)
        assert differing == 0, f"{folder}: {differing} of {values}"
        assert values > 0


def test_other_weights_give_other_bits(framework, backend, native, tmp_path):
    """The comparison above can fail."""
    network = NETWORKS["own layers"]
    source, images = write(network, backend), random_images(network)
    params = random_params(network, seed=1)
    _, arrays = written.prepare(tmp_path, source, backend, network, params, images)
    _, others = written.prepare(tmp_path, source, backend, network, random_params(network), images)
    np.savez(tmp_path / "written.npz", *others)
    differing, values = written.differing(tmp_path, arrays)
    assert differing > values / 2


@settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(networks())
@example(RESIDUALS)
def test_any_network_gives_the_same_bits(framework, backend, native, tmp_path_factory, network):
    folder = tmp_path_factory.mktemp("written")
    source = write(network, backend)
    params, images = random_params(network), random_images(network)
    about, arrays = written.prepare(folder, source, backend, network, params, images)
    written.run(framework, folder)
    assert json.loads((folder / "written.json").read_text()) == about
    assert written.differing(folder, arrays)[0] == 0


def test_the_backend_writes(backend):
    assert "source" in capabilities(backend)


def test_every_designator_is_written_within_the_width(backend):
    for name in designators():
        text = write(googlenet.get_network(name), backend).text
        assert max(map(len, text.splitlines())) <= 100, name
        compile(text, f"{name}.py", "exec")


# The page -----------------------------------------------------------------------------------------


def test_the_page_shows_what_is_printed(framework, backend):
    """`GOOGLENET_WRITE_GOLDEN=1` writes it."""
    text = write(googlenet.get_network("googlenet"), backend, block="inception_3a").text
    page = PAGE.read_text(encoding="utf-8")
    opening = f"<!-- code: {framework} -->\n```python\n"
    before, _, rest = page.partition(opening)
    shown, fence, after = rest.partition("```\n")
    assert fence
    if os.environ.get("GOOGLENET_WRITE_GOLDEN"):
        PAGE.write_text(before + opening + text + fence + after, encoding="utf-8")
        shown = text
    assert shown == text


def test_the_pages_table_has_the_right_lines(framework, backend):
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("<!-- table -->")[2].partition("<!-- /table -->")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().split("\n")
    ]
    column = rows[0].index(framework)
    found = {row[0].replace("`", ""): (row[1], row[column]) for row in rows[2:]}
    for name, (parameters, lines) in found.items():
        network = googlenet.get_network(name.split()[0], aux=name.endswith(" with aux"))
        assert parameters == f"{googlenet.count_parameters(network):,}", name
        assert int(lines) == len(write(network, backend).text.splitlines()), name
