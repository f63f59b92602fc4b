"""Pictures of architectures: widths are channels, every layer's shape is there, nothing covers
anything else, and what is read aloud is in the order of execution.
"""

import inspect
import itertools
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import googlenet
from googlenet import NETWORKS, DataError, Network, ShapeError, UnknownNameError, get_network
from googlenet.architectures import designators
from googlenet.architectures import googlenet as table
from googlenet.drawing.items import FOLLOWING
from googlenet.drawing.page import FILLS, PAGE, SHEET, SIZE
from googlenet.drawing.scene import Line, Words, text_width, wrapped
from googlenet.spec import Aux, Concat, Dense, GlobalAvgPool, Leaf, Residual, walk
from googlenet.spec.blocks import concat, conv, conv_layer, max_pool, residual, sequential
from googlenet.spec.outline import blocks, parts, words_of
from googlenet.spec.shapes import size_text

from .networks import networks

SVG = "{http://www.w3.org/2000/svg}"
#: Every shape of block once: the dialects have the same or fewer.
CHOSEN = ("googlenet", "googlenet_paper", "bn_inception", "inception_v3", "inception_v4")
CHOSEN += ("inception_resnet_v1", "inception_resnet_v2", "alexnet", "vgg11_small", "nin")


@cache
def network_of(name):
    aux = "aux" in inspect.signature(NETWORKS[name.rpartition(":")[2]]).parameters
    return get_network(name, aux=aux)


@cache
def drawing_of(name, block=None):
    return googlenet.draw(network_of(name), block=block)


def block_paths(network):
    return [part.path for part in blocks(parts(network))]


def unlike(network):
    """The paths of its blocks, without those that are equal to one before."""
    found = {
        (part.site.layer, part.site.in_shape): part.path for part in blocks(parts(network))[::-1]
    }
    return [path for path in block_paths(network) if path in found.values()]


BLOCKS = [(name, path) for name in CHOSEN for path in unlike(network_of(name))]
WHOLE = [(name, None) for name in designators()]


def parsed(drawing):
    return ElementTree.fromstring(drawing.svg.encode())


def in_detail(drawing):
    """Whether it has every layer of a block, and not cells."""
    return "Stages" not in {group.get("aria-label") for group in parsed(drawing).iter(f"{SVG}g")}


# Widths are channels ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "block"), [*WHOLE, *BLOCKS])
def test_widths_are_in_proportion_to_channels(name, block):
    drawing, network = drawing_of(name, block), network_of(name)
    shapes = {part.path: part.out_shape for part in every_part(network)}
    boxes = [box for box in parsed(drawing).iter(f"{SVG}rect") if box.get("data-channels")]
    assert boxes
    scales = {1: set(), 3: set()}
    for box in boxes:
        path, channels = box.get("data-path"), int(box.get("data-channels"))
        shape = shapes[path] if path else None
        if path:
            assert shape[0] == channels, path
            scales[len(shape)].add((float(box.get("width")), channels))
    for found in scales.values():
        if not found:
            continue
        width, channels = max(found)
        for other, count in found:
            assert other == pytest.approx(count * width / channels, abs=0.001)
    if len(scales[1]) and len(scales[3]) and max(scales[1])[1] <= max(scales[3])[1]:
        (wide, values), (width, channels) = max(scales[1]), max(scales[3])
        assert wide / values == pytest.approx(width / channels, rel=1e-3)


def every_part(network):
    return parts(network).below()


def test_the_books_block():
    """Section 8.4: 64 : 128 : 32 : 32 = 2 : 4 : 1 : 1, from 192 channels by 1/2 and 1/12."""
    drawing = drawing_of("googlenet", "b3.inception_3a")
    joined = [box for box in drawing.boxes if box.path.startswith("b3.inception_3a.branch")]
    ends = {box.path: box for box in joined if box.path.count(".") == 2}
    first = ends["b3.inception_3a.branch_1x1"].width
    assert [round(box.width / first, 6) for box in ends.values()] == [1, 2, 0.5, 0.5]
    texts = words_in(drawing)
    assert {"64 : 128 : 32 : 32 = 2 : 4 : 1 : 1", "192 → 96 = 1/2", "192 → 16 = 1/12"} <= texts
    texts = words_in(drawing_of("googlenet", "inception_3b"))
    assert {"128 : 192 : 96 : 64 = 4 : 6 : 3 : 2", "256 → 128 = 1/2", "256 → 32 = 1/8"} <= texts


def test_a_changed_number_of_channels_is_drawn(monkeypatch):
    monkeypatch.setitem(table.INCEPTION, "3a", (64, 120, 128, 16, 32, 40))
    drawing = googlenet.draw("googlenet", block="inception_3a")
    texts = words_in(drawing)
    assert {"64 : 128 : 32 : 40 = 8 : 16 : 4 : 5", "192 → 120 = 5/8", "120×12×12"} <= texts
    assert "264×12×12" in texts
    widths = {box.path: (box.width, box.channels) for box in drawing.boxes}
    wide, channels = widths["b3.inception_3a.branch_3x3.reduce.conv"]
    assert channels == 120
    assert wide == pytest.approx(widths["b3.inception_3a.branch_1x1.conv"][0] * 120 / 64)
    whole = words_in(googlenet.draw("googlenet"))
    assert {"64 : 128 : 32 : 40", "192 → 120 = 5/8", "264×12×12"} <= whole


# Words --------------------------------------------------------------------------------------------


def text_of(drawing):
    """All words in the order of reading, as if lines were not broken."""
    return " ".join(each.text for each in drawing.scene.root.walk() if isinstance(each, Words))


def words_in(drawing):
    return {each.text for each in drawing.scene.root.walk() if isinstance(each, Words)}


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_a_block_has_every_layer(name, block):
    drawing, network = drawing_of(name, block), network_of(name)
    texts = text_of(drawing)
    (part,) = [part for part in blocks(parts(network)) if part.path == block]
    assert size_text(part.site.in_shape) in texts
    assert size_text(part.out_shape) in texts
    for site in part.leaves():
        path = site.path.removeprefix(f"{block}.")
        said = f"{path}: {words_of(site.layer)}, {size_text(site.out_shape)}."
        assert said in drawing.description or not in_detail(drawing)
    if not in_detail(drawing):
        return
    boxes = {box.path for box in drawing.boxes}
    again = set(block_paths(network)) - set(unlike(network)) - {block}
    for site in part.leaves():
        assert size_text(site.out_shape) in texts, site.path
        assert words_of(site.layer) in texts, site.path
        repeated = any(site.path.startswith(f"{path}.") for path in again)
        assert site.path in boxes or isinstance(site.layer, FOLLOWING) or repeated, site.path


@pytest.mark.parametrize(("name", "block"), WHOLE)
def test_the_whole_has_every_stage_and_every_layer_or_block_in_it(name, block):
    drawing, network = drawing_of(name), network_of(name)
    shown = words_in(drawing)
    for stage in parts(network).children:
        assert stage.name in {text.partition(":")[0] for text in shown}, stage.name
        assert size_text(stage.out_shape) in shown
    for part in blocks(parts(network)):
        if isinstance(part.site.layer, (Concat, Residual)):
            assert size_text(part.out_shape) in shown, part.path
    for output in network.outputs[1:]:
        assert any(text.startswith(f"{output}, from ") for text in shown)


def test_equal_blocks_are_drawn_once():
    text = text_of(drawing_of("inception_resnet_v2"))
    for count in (10, 20, 9):
        assert f"block_1 … block_{count} (×{count})" in text
    assert "block_2" not in text.replace("block_20", "")
    assert "mixed_6c and mixed_6d (×2)" in text_of(drawing_of("torchvision:inception_v3"))


# Nothing covers anything else ---------------------------------------------------------------------


def meet(a, b, slack=0.5):
    return (
        a[0] + slack < b[2] and b[0] + slack < a[2] and a[1] + slack < b[3] and b[1] + slack < a[3]
    )


def faults(drawing):
    """What covers what, or is cut off."""
    scene = drawing.scene
    elements = list(scene.root.walk())
    words = [each for each in elements if isinstance(each, Words)]
    for each in words:
        left, top, right, bottom = each.extent
        if left < 0 or top < 0 or right > scene.width or bottom > scene.height:
            yield f"{each.text} is cut off"
    for one, other in itertools.combinations(words, 2):
        if meet(one.extent, other.extent):
            yield f"{one.text} on {other.text}"
    for box in drawing.boxes:
        place = (box.x, box.y, box.x + box.width, box.y + box.height)
        if place[0] < 0 or place[2] > scene.width or place[3] > scene.height:
            yield f"{box.path} is cut off"
        yield from (f"{each.text} on {box.path}" for each in words if meet(each.extent, place))
    for line in (each for each in elements if isinstance(each, Line)):
        for (x0, y0), (x1, y1) in itertools.pairwise(line.points):
            spots = [(x0 + (x1 - x0) * k / 50, y0 + (y1 - y0) * k / 50) for k in range(51)]
            for each in words:
                left, top, right, bottom = each.extent
                if any(left < x < right and top + 3 < y < bottom - 3 for x, y in spots):
                    yield f"a line through {each.text}"


@pytest.mark.parametrize(("name", "block"), [*WHOLE, *BLOCKS])
def test_nothing_covers_anything_else(name, block):
    drawing = drawing_of(name, block)
    assert not list(faults(drawing))
    assert drawing.scene.width <= PAGE
    assert drawing.scene.height <= SHEET
    assert min(e.size for e in drawing.scene.root.walk() if isinstance(e, Words)) >= SIZE


def test_widths_of_text_are_those_of_the_font():
    assert text_width("iiii", 15) < text_width("iiii", 15, True) < text_width("MMMM", 15)
    assert text_width("MMMM", 30) == pytest.approx(2 * text_width("MMMM", 15))
    assert wrapped("3×3 convolution, stride 2", 15, 180) == ["3×3 convolution,", "stride 2"]
    assert wrapped("a_very_long_name", 15, 70) == ["a_very_", "long_", "name"]
    assert "".join(wrapped("averylongname", 15, 50)) == "averylongname"
    assert max(text_width(line, 15) for line in wrapped("averylongname", 15, 50)) <= 50


# Reading aloud ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "block"), [("googlenet", None), ("googlenet", "b3.inception_3a"), *BLOCKS[-6:]]
)
def test_a_screen_reader_finds_a_title_and_lists_in_order(name, block):
    drawing = drawing_of(name, block)
    root = parsed(drawing)
    assert root.get("role") == "graphics-document document"
    ids = {each.get("id"): each for each in root.iter() if each.get("id")}
    assert ids[root.get("aria-labelledby")].tag == f"{SVG}title"
    assert ids[root.get("aria-labelledby")].text == drawing.title
    assert ids[root.get("aria-describedby")].tag == f"{SVG}desc"
    assert ids[root.get("aria-describedby")].text == drawing.description
    groups = {each for each in root.iter(f"{SVG}g") if each.get("role")}
    assert {each.get("role") for each in groups} == {"list", "listitem"}
    assert all(each.get("aria-label") for each in groups if each.get("role") == "listitem")
    parents = {child: parent for parent in root.iter() for child in parent}
    for each in groups:
        if each.get("role") == "listitem":
            assert nearest(each, parents).get("role") == "list"
    for shape in ("rect", "polyline", "polygon"):
        for each in root.iter(f"{SVG}{shape}"):
            if parents[each].tag != f"{SVG}pattern":
                assert each.get("aria-hidden") == "true"


def nearest(element, parents):
    """The group with a role that an element is in."""
    while True:
        element = parents[element]
        if element.get("role"):
            return element


@pytest.mark.parametrize(("name", "block"), [*WHOLE, *BLOCKS])
def test_the_order_of_reading_is_that_of_execution(name, block):
    """Of the boxes that stand for leaves; what joins branches comes after them."""
    drawing, network = drawing_of(name, block), network_of(name)
    order = {site.path: place for place, site in enumerate(walk(network))}
    read = [order[box.path] for box in drawing.boxes if box.path in order]
    heads = [path for path in order if any(f"{n}." in f"{path}." for n in network.outputs[1:])]
    if not (block or "").endswith(network.outputs[1:] or "none"):  # heads come last
        read = [place for place in read if place not in {order[path] for path in heads}]
    assert read == sorted(read)


def test_alt_texts():
    assert drawing_of("googlenet", "b3.inception_3a").alt == (
        "b3.inception_3a of googlenet: from 192×12×12 to 256×12×12, 4 branches side by side, which"
        " give 64, 128, 32 and 32 channels, 2 : 4 : 1 : 1; 1×1 convolutions first reduce 192"
        " channels to 96 (1/2) and 192 channels to 16 (1/12)."
    )
    assert drawing_of("googlenet").alt == (
        "googlenet: from 1×96×96 to 10 through b1 (64×24×24), b2 (192×12×12), b3 (480×6×6), b4"
        " (832×3×3), b5 (1024), head (10)."
    )


def test_heads_are_no_stages_of_the_path():
    head = Aux(sequential(pool=GlobalAvgPool(), dense=Dense(3, bias=True)), 0.3)
    stages = {"a": conv(3, 1), "b": sequential(aux=head), "aux2": head, "pool": GlobalAvgPool()}
    network = Network("n", sequential(**stages, dense=Dense(3, bias=True)), (3, 9, 7), "a test")
    expected = "n: from 3×9×7 to 3 through a (3×9×7), pool (3), dense (3)."
    assert googlenet.draw(network).alt == expected


def test_a_long_stage_of_single_layers_fits_a_sheet():
    stage = sequential(**{f"conv_{i}": conv(4 + i % 2, 3, padding=1) for i in range(20)})
    network = Network("n", sequential(stage=stage, end=conv(3, 1)), (3, 9, 7), "a test")
    scene = googlenet.draw(network, block="stage").scene
    assert scene.height <= SHEET * scene.width / PAGE


# Networks of one's own ----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(networks())
def test_any_network_can_be_drawn(network):
    for path in (None, *block_paths(network)):
        drawing = googlenet.draw(network, block=path)
        assert not list(faults(drawing))
        parsed(drawing)


def labelled(draw, layer):
    """`layer` with random labels on it and on what is in it."""
    if isinstance(layer, Leaf):
        return layer
    label = draw(st.sampled_from(["", "A", "InceptionA", "AVeryLongLabelOfABlockThatIsNotWide"]))
    if isinstance(layer, Residual):
        body, shortcut = (labelled(draw, each) for each in (layer.body, layer.shortcut))
        return replace(layer, body=body, shortcut=shortcut, block=label)
    inside = tuple((name, labelled(draw, each)) for name, each in layer.children)
    return replace(layer, children=inside, block=label)


@settings(max_examples=60, deadline=None)
@given(networks(), st.data())
def test_any_network_with_labels_can_be_drawn(network, data):
    """The whole, as the only stage of another, and each part that is not one layer."""
    stage = labelled(data.draw, network.layers)
    network = replace(network, layers=sequential(stage=stage))
    inner = [part.path for part in every_part(network) if part.children]
    for path in dict.fromkeys((None, *filter(None, inner))):
        drawing = googlenet.draw(network, block=path)
        assert not list(faults(drawing)), path


def test_a_line_into_a_block_does_not_cross_its_name():
    one, two = (concat(a=conv_layer(4, 1)) for _ in range(2))
    stage = sequential(
        inception_3a=replace(one, block="InceptionA"), reduction_3b=replace(two, block="ReductionB")
    )
    network = Network("labels", sequential(stage=stage), (3, 8, 8), "a test")
    drawing = googlenet.draw(network, block="stage")
    assert "reduction_3b: ReductionB" in words_in(drawing)
    assert not list(faults(drawing))


def test_odd_networks():
    branch = sequential(one=conv(3, 1), two=conv(5, (1, 7), padding=(0, 3)))
    wide = concat(**{f"branch_with_a_long_name_{i}": branch for i in range(12)})
    odd = Network(
        "odd <&> \N{SNOWMAN}",
        sequential(
            first=sequential(),
            aux0=Aux(sequential(pool=GlobalAvgPool(), dense=Dense(3, bias=True)), 0.3),
            stage=sequential(
                wide=wide,
                aux1=Aux(sequential(pool=GlobalAvgPool(), dense=Dense(3, bias=True)), 0.3),
                sum=residual(conv_layer(60, 3, 1, 1), conv_layer(60, 1), scale=0.5),
                plain=residual(sequential()),
                last=concat(only=max_pool(3, 2)),
            ),
            thisstagehasanamewithoutanyunderscoreinit=Dense(3, bias=True),
        ),
        (2, 9, 11),
        "a test",
    )
    for path in (None, *block_paths(odd), "stage.wide.branch_with_a_long_name_3"):
        drawing = googlenet.draw(odd, block=path)
        assert not list(faults(drawing)), path
        assert parsed(drawing).find(f"{SVG}title").text == drawing.title
    assert {"aux0", "aux1"} <= {text.partition(",")[0] for text in words_in(googlenet.draw(odd))}
    only = Network("one", sequential(conv=conv_layer(3, 1)), (2, 5, 7), "a test")
    assert "3×5×7" in words_in(googlenet.draw(only))
    nothing = Network("none", sequential(), (2, 5, 7), "a test")
    assert "2×5×7" in words_in(googlenet.draw(nothing))


def test_a_branch_has_its_reduction():
    assert "192 → 96 = 1/2" in words_in(drawing_of("googlenet", "b3.inception_3a.branch_3x3"))


def test_a_block_of_the_networks_own_input():
    small = replace(get_network("googlenet"), input_shape=(3, 224, 192))
    assert "64×28×24" in words_in(googlenet.draw(small, block="b3.inception_3a.branch_1x1"))


# Files and arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_files_are_the_same_each_time(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        googlenet.draw("googlenet", block="inception_3a").save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths
    if suffix == ".png":
        with Image.open(paths[0]) as picture:
            assert picture.size[0] == 2500
            assert len(picture.getcolors(1 << 24)) > 10


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(UnknownNameError, match=r"`block`: googlenet has no 'inception_3'; did you"):
        googlenet.draw("googlenet", block="inception_3")
    with pytest.raises(UnknownNameError, match=r"it has b1, b2, b3, b3\.inception_3a, "):
        googlenet.draw("googlenet", block="")
    with pytest.raises(UnknownNameError, match=r"the path of one: inception_a\.block_1, "):
        googlenet.draw("inception_v4", block="block_1")
    with pytest.raises(ShapeError, match=r"smallest square image that fits is 75×75"):
        googlenet.draw("inception_v3", input_shape=(3, 20, 20))
    drawing = googlenet.draw("nin")
    with pytest.raises(DataError, match=r"nin\.gif: expected a name that ends in \.png, \.svg"):
        drawing.save("nin.gif")
    for suffix in (".svg", ".png"):
        with pytest.raises(DataError, match=r"cannot be written \(No such file or directory\)"):
            drawing.save(f"/no/such/folder/nin{suffix}")


def run(*arguments, folder):
    command = [sys.executable, "-m", "googlenet", "draw", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def test_the_command(tmp_path):
    done = run("torchvision:googlenet", "--block", "inception_3a", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    assert path.name == "torchvision-googlenet_paper-inception_3a.svg"
    assert f"Picture: {path.name}" in done.stdout
    assert "2 : 4 : 1 : 1" in done.stdout
    done = run(
        *("googlenet", "--size", "64", "--out", "a.svg", "--out", "b.png", "--json"),
        folder=tmp_path,
    )
    answer = json.loads(done.stdout)
    assert answer["files"] == ["a.svg", "b.png"]
    assert answer["input_shape"] == [1, 64, 64]
    assert answer["ratios"][0] == {
        "path": "b3.inception_3a",
        "channels": [64, 128, 32, 32],
        "terms": [2, 4, 1, 1],
    }
    assert answer["reductions"][1]["scale"] == [1, 12]
    assert {box["path"] for box in answer["boxes"]} >= {"b1.conv.conv", "head.dense"}
    assert all((tmp_path / name).stat().st_size > 1000 for name in answer["files"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--block", "b9"), "--block: googlenet has no 'b9'"),
        (("--out", "a.bmp"), "a.bmp: expected a name that ends in .png, .svg or .pdf"),
        (("--out", "no/a.svg"), "no/a.svg: its folder does not exist; make it first"),
        (("--out", "a.svg", "--out", "no/b.svg"), "no/b.svg: its folder does not exist"),
        (("inception_v3", "--size", "20"), "the smallest square image that fits is 75×75"),
    ],
)
def test_the_commands_errors(arguments, message, tmp_path):
    done = run(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_fills_differ_in_black_and_white():
    """By lightness, or by pattern."""

    def grey(fill):
        red, green, blue = (int(fill.colour[i : i + 2], 16) for i in (1, 3, 5))
        return (0.3 * red + 0.59 * green + 0.11 * blue) / 255

    for (one, a), (other, b) in itertools.combinations(FILLS.items(), 2):
        if a.pattern == b.pattern:
            assert abs(grey(a) - grey(b)) > 0.07, (one, other)
