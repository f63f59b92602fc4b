"""Stages, blocks, branches and layers, with the ratios and reductions of section 8.4; and what
`summary` shows of them.
"""

import json
import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from functools import cache
from types import SimpleNamespace

import pytest
from hypothesis import given, settings

import googlenet
from googlenet import BackendError, Network, SpecError, UnknownNameError, get_network
from googlenet.architectures import designators
from googlenet.architectures import googlenet as table
from googlenet.backend.call import Call
from googlenet.jobs import native as native_module
from googlenet.spec import Conv, GlobalAvgPool, walk
from googlenet.spec.blocks import concat, conv, conv_layer, max_pool, residual, sequential
from googlenet.spec.outline import (
    Level,
    Ratio,
    Reduction,
    blocks,
    find,
    outline,
    parts,
    ratios,
    reductions,
)

from .networks import networks


def row_of(name, path, depth=2):
    (row,) = [row for row in outline(get_network(name), depth) if row.path == path]
    return row


# Ratios and reductions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "channels", "terms", "scales"),
    [  # as the book's section tells them
        ("b3.inception_3a", (64, 128, 32, 32), (2, 4, 1, 1), {96: (1, 2), 16: (1, 12)}),
        ("b3.inception_3b", (128, 192, 96, 64), (4, 6, 3, 2), {128: (1, 2), 32: (1, 8)}),
    ],
)
def test_the_books_ratios(path, channels, terms, scales):
    row = row_of("googlenet", path)
    (ratio,) = row.ratios
    assert (ratio.channels, ratio.terms) == (channels, terms)
    assert {each.after: each.scale for each in row.reductions} == {
        after: Fraction(*scale) for after, scale in scales.items()
    }


@pytest.mark.parametrize("name", table.INCEPTION)
def test_ratios_and_reductions_are_the_tables(name):
    one, reduce_3, three, reduce_5, five, pool = table.INCEPTION[name]
    row = row_of("googlenet_bn", f"b{name[0]}.inception_{name}")
    assert row.ratios[0].channels == (one, three, five, pool)
    assert [each.after for each in row.reductions] == [reduce_3, reduce_5]
    assert {each.before for each in row.reductions} == {row.in_shape[0]}


def test_a_changed_number_of_channels_is_summed_up(monkeypatch):
    monkeypatch.setitem(table.INCEPTION, "3b", (128, 64, 192, 32, 96, 64))
    row = row_of("googlenet", "b3.inception_3b")
    assert [str(each) for each in row.reductions] == ["256 → 64 = 1/4", "256 → 32 = 1/8"]
    assert "256 → 64 = 1/4" in printed("summary", "--depth", "2", table=(128, 64, 192, 32, 96, 64))


def test_words():
    assert str(Ratio("", (64, 128, 32, 32))) == "64 : 128 : 32 : 32 = 2 : 4 : 1 : 1"
    assert str(Ratio("", (3, 5))) == "3 : 5"
    assert str(Reduction("", 192, 16)) == "192 → 16 = 1/12"


def test_what_is_a_reduction():
    """A 1×1 convolution with fewer channels, before another convolution of its branch."""
    block = concat(
        lone=conv(3, 1),
        wide=sequential(more=conv(20, 1), last=conv(4, 3, 1, 1)),
        same=sequential(as_many=conv(9, 1), last=conv(4, 3, 1, 1)),
        large=sequential(first=conv(3, 3, 1, 1), last=conv(4, 3, 1, 1)),
        pooled=sequential(pool=max_pool(3, 1, 1), project=conv(5, 1)),
        twice=sequential(one=conv(6, 1), two=conv(2, 1), three=conv(4, 5, 1, 2)),
        split=sequential(reduce=conv(3, 1), sides=concat(one=conv(2, 1), other=conv(7, 3, 1, 1))),
        added=sequential(
            reduce=conv_layer(3, 1), sum=residual(conv_layer(3, 3, 1, 1), conv_layer(3, 1))
        ),
    )
    network = Network("n", sequential(b=sequential(block=block, up=conv(30, 1))), (9, 5, 7), "a")
    found = {each.path.removeprefix("b.block."): each for each in reductions(parts(network))}
    assert {path: (each.before, each.after) for path, each in found.items()} == {
        "twice.one.conv": (9, 6),
        "twice.two.conv": (6, 2),
        "split.reduce.conv": (9, 3),
        "added.reduce": (9, 3),
    }
    (ratio,) = ratios(parts(network))
    assert ratio.channels == (3, 4, 4, 4, 5, 4, 9, 3)


# Rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", designators())
def test_every_depth_adds_up(name):
    network = get_network(name)
    stages = googlenet.stages(network)
    by_depth = {depth: outline(network, depth) for depth in Level}
    assert [row.path for row in by_depth[1]] == [stage.name for stage in stages]
    for row, stage in zip(by_depth[1], stages, strict=True):
        assert (row.out_shape, row.parameters) == (stage.output_shape, stage.parameters)
        assert (row.multiply_adds, row.receptive_field) == (
            stage.multiply_adds,
            stage.receptive_field,
        )
    for depth, rows in by_depth.items():
        assert max(row.level for row in rows) <= depth
        assert [row for row in rows if row.level < depth] == [
            row for row in by_depth[4] if row.level < depth
        ]
        # Every leaf is in exactly one of the rows without rows of their own.
        inside = [path for row in ends(rows) for path in leaves_of(network, row.path)]
        assert sorted(inside) == sorted(site.path for site in walk(network))
        assert sum(row.parameters for row in ends(rows)) == googlenet.count_parameters(network)
    assert all(row.level == Level.LAYER or lone(network, row) for row in ends(by_depth[4]))


def ends(rows):
    indents = [*(row.indent for row in rows[1:]), 0]
    return [row for row, below in zip(rows, indents, strict=False) if below <= row.indent]


@cache
def leaf_paths(network):
    return tuple(site.path for site in walk(network))


def leaves_of(network, path):
    return [leaf for leaf in leaf_paths(network) if f"{leaf}.".startswith(f"{path}.")]


def lone(network, row):
    return leaves_of(network, row.path) == [row.path]


def test_names_are_paths_in_the_row_above():
    for name in ("googlenet", "inception_resnet_v2"):
        above = []
        for row in outline(get_network(name), 4):
            above = above[: row.indent]
            whole = f"{above[-1].path}.{row.name}" if above else row.name
            assert row.path == whole
            above.append(row)


def test_levels():
    rows = {row.path: row for row in outline(get_network("inception_v3", aux=True), 4)}
    assert rows["mixed_7"].level == Level.STAGE
    assert rows["mixed_7.mixed_7b"].level == rows["mixed_6.aux"].level == Level.BLOCK
    assert rows["mixed_7.mixed_7b.branch_3x3"].level == Level.BRANCH
    split = rows["mixed_7.mixed_7b.branch_3x3.split.conv_1x3.conv"]
    assert (split.level, split.kind) == (Level.LAYER, "1×3 convolution")
    assert rows["mixed_7.mixed_7b"].kind == "InceptionC"
    assert rows["mixed_6.aux"].out_shape == (1000,)


@settings(max_examples=100, deadline=None)
@given(networks())
def test_any_network_has_an_outline(network):
    for depth in Level:
        inside = [
            path for row in ends(outline(network, depth)) for path in leaves_of(network, row.path)
        ]
        assert sorted(inside) == sorted(site.path for site in walk(network))


def test_blocks_are_found_by_path_or_name():
    network = get_network("inception_v4")
    assert find(network, "stem.mixed_4a").path == find(network, "mixed_4a").path == "stem.mixed_4a"
    assert find(network, "stem.mixed_4a.branch_7x7.conv").out_shape == (96, 71, 71)
    with pytest.raises(UnknownNameError, match=r"did you mean stem\.mixed_4a\?|mixed_4a\?"):
        find(network, "mixed_4")
    with pytest.raises(UnknownNameError, match="'branch_3x3' is the name of 9 parts"):
        find(get_network("googlenet"), "branch_3x3")
    with pytest.raises(UnknownNameError, match="is the name of 3 parts of inception_v4"):
        find(network, "block_2")
    assert [part.path for part in blocks(parts(get_network("nin")))] == ["b1", "b2", "b3", "b4"]


def test_a_block_goes_before_a_layer_of_its_name():
    mixed = concat(a=conv_layer(3, 1), b=conv_layer(2, 1))
    network = Network(
        "n",
        sequential(s=sequential(mixed=mixed), t=sequential(u=sequential(mixed=conv_layer(4, 1)))),
        (2, 5, 7),
        "a test",
    )
    assert find(network, "mixed").path == "s.mixed"
    assert find(network, "u").path == "t.u"


# The command --------------------------------------------------------------------------------------


def run(*arguments, **settings):
    command = [sys.executable, "-m", "googlenet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, **settings)


def printed(*arguments, table=None):
    """What a command prints; with `table`, with other channels for the block 3b."""
    if table is None:
        return run(*arguments).stdout
    program = (
        "import sys; from googlenet.architectures import googlenet as g;"
        f"g.INCEPTION['3b'] = {table}; sys.argv = ['googlenet', *{list(arguments)}];"
        "from googlenet.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_shows_blocks_and_their_ratios():
    text = printed("summary", "--depth", "2")
    assert "64 : 128 : 32 : 32 = 2 : 4 : 1 : 1     192 → 96 = 1/2" in text
    assert "192 → 16 = 1/12" in text
    assert "   inception_3a  Inception" in text
    assert "branch" not in text.lower().replace("branches", "")
    assert "branch_5x5" in printed("summary", "--depth", "3")
    deep = printed("summary", "--depth", "4")
    assert "reduce.conv   1×1 convolution" in deep
    for row in outline(get_network("googlenet"), 4):
        assert f"{row.parameters:,}" in deep


def test_json_has_the_rows():
    answer = json.loads(printed("summary", "nin", "--depth", "4", "--json"))
    assert answer["depth"] == 4
    assert [row["path"] for row in answer["rows"]][:3] == ["b1", "b1.conv", "b1.conv.conv"]
    found = json.loads(printed("summary", "--depth", "2", "--json"))["rows"]
    (block,) = [row for row in found if row["path"] == "b3.inception_3a"]
    assert block["ratios"][0]["terms"] == [2, 4, 1, 1]
    assert block["reductions"][1]["scale"] == [1, 12]


@pytest.mark.parametrize("depth", ["0", "5", "two"])
def test_a_depth_that_is_none_is_refused(depth):
    done = run("summary", "--depth", depth)
    assert done.returncode == 2
    assert done.stderr.startswith("googlenet: --depth")
    assert done.stderr.count("\n") == 1


def test_arguments():
    with pytest.raises(UnknownNameError, match=r"`depth`: expected at most 4, .*; got 5"):
        googlenet.summary(depth=5)
    with pytest.raises(SpecError, match=r"`depth`: expected an integer of at least 1"):
        googlenet.summary(depth=0)
    with pytest.raises(UnknownNameError, match="is not a file"):
        googlenet.summary(interpreters={"torch": "/no/such/python"})
    with pytest.raises(BackendError, match="`interpreters` mxnet=PATH"):
        googlenet.summary(framework=["numpy", "mxnet"])


# Native models ------------------------------------------------------------------------------------


def test_frameworks_side_by_side():
    """Each in a process of its own; neither of these tells its layers."""
    found = googlenet.summary(
        "googlenet", framework=["numpy", "example"], depth=2, input_shape=(1, 32, 32)
    )
    assert [each.framework for each in found.natives] == ["numpy", "example"]
    assert found.framework is None
    for each in found.natives:
        assert each.axes == "NCHW"
        assert each.input_shape == (None, 1, 32, 32)
        assert each.layers[""].parameters == 5_977_530
        for row in found.rows:
            layer = each.layers[row.path]
            assert layer.native_shape == (None, *row.out_shape)
            assert layer.parameters == row.parameters
            assert layer.classes == ()
    text = printed("summary", "--framework", "numpy", "--framework", "example", "--size", "32")
    assert "(N, 480, 2, 2)" in text
    assert text.count("552,432") == 1


def test_a_framework_that_cannot_be_imported_is_named():
    done = run(
        *("summary", "--framework", "numpy", "--framework", "faulty", "--size", "32", "--json"),
        env=environment(GOOGLENET_EXAMPLE_FAULT="import"),
    )
    assert done.returncode == 2
    assert "framework 'faulty'" in done.stderr


def environment(**more):
    import os

    return {**os.environ, **more}


class Spelling:
    """The reference, telling layers as a framework with channels last would."""

    def __init__(self, backend):
        self._backend = backend

    def __getattr__(self, name):
        return getattr(self._backend, name)

    @property
    def spelling(self):
        def leaf(site):
            if isinstance(site.layer, Conv):
                return (Call(Pad, (3,)), Call(Convolution, (site.layer.out_channels,)))
            return (Call(Other),)

        return SimpleNamespace(leaf=leaf, channels_last=True)


class Cropping(Spelling):
    """A backend whose first layer loses a column."""

    def forward(self, *arguments, **named):
        found = self._backend.forward(*arguments, **named)
        return {**found, "b1": found["b1"][..., :-1]}


class Pad:
    pass


class Convolution:
    pass


class Other:
    pass


def test_layers_and_axes_of_a_framework(monkeypatch):
    backend = Spelling(googlenet.get_backend("numpy"))
    monkeypatch.setattr(native_module, "prepared_backend", lambda framework: backend)
    network = Network(
        "n", sequential(b1=conv(4, 3), b2=sequential(pool=GlobalAvgPool())), (2, 5, 7), "a test"
    )
    found = googlenet.summary(network, framework="numpy", depth=2)
    (native,) = found.natives
    assert native.axes == "NHWC"
    assert native.input_shape == (None, 5, 7, 2)
    assert native.layers["b1"].native_shape == (None, 3, 5, 4)
    assert native.layers["b1"].classes == ("Pad", "Convolution", "Other")
    assert native.layers["b1.conv"].spelled == ("Pad(3)", "Convolution(4)")
    assert native.layers["b2"].native_shape == (None, 4)
    assert native.layers["b1"].parameters == math.prod((4, 2, 3, 3)) + 4
    assert native.layers[""].counted == "Pad, Convolution, 2 Other"
    assert found.stages == googlenet.stages(network)
    empty = replace(network, layers=sequential(none=sequential(), b1=conv(4, 3)))
    (native,) = googlenet.summary(empty, framework="numpy").natives
    assert native.layers["none"].native_shape == (None, 5, 7, 2)
    answer = found.to_json()
    assert answer["frameworks"][0]["rows"][0]["native_shape"] == [None, 3, 5, 4]
    json.dumps(answer)


def test_the_shapes_are_those_of_the_native_model(monkeypatch):
    backend = Cropping(googlenet.get_backend("numpy"))
    monkeypatch.setattr(native_module, "prepared_backend", lambda framework: backend)
    network = Network(
        "n", sequential(b1=conv(4, 3), b2=sequential(pool=GlobalAvgPool())), (2, 5, 7), "a test"
    )
    found = googlenet.summary(network, framework="numpy", depth=1)
    (native,) = found.natives
    assert {row.path: row.out_shape for row in found.rows}["b1"] == (4, 3, 5)
    assert native.layers["b1"].output_shape == (4, 3, 4)
    assert native.layers["b1"].native_shape == (None, 3, 4, 4)
