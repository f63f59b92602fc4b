"""Pictures: axes follow the data, legends say what is drawn, and text is text."""

import itertools
import math
import warnings
import xml.dom.minidom

import numpy as np
import pytest
from matplotlib.text import Text

from googlenet import DataError, Recipe
from googlenet.drawing.costs import costs_figure, draw_costs
from googlenet.drawing.figures import MARGIN, TEXT, WIDTH
from googlenet.training.captions import VISIBLE, divergence_note, settings_text
from googlenet.training.checkpoint import Epoch
from googlenet.training.curves import axis_limits, curves_figure, curves_of, draw_curves

CHANCE = math.log(10)
LARGEST = float(np.finfo(np.float64).max)  # what a log has for infinity


def run(losses, test_losses=None, accuracy=0.5):
    tests = losses if test_losses is None else test_losses
    return [
        Epoch(number, 0.1, loss, accuracy, test, accuracy, 1.0, 1.0)
        for number, (loss, test) in enumerate(zip(losses, tests, strict=True), 1)
    ]


def row(name, convolution=5, dense=1, norm=0, shape=(1, 96, 96)):
    return {
        "name": name,
        "input_shape": list(shape),
        "parameters": (convolution + dense + norm) * 10**6,
        "convolution_parameters": convolution * 10**6,
        "dense_parameters": dense * 10**6,
        "norm_parameters": norm * 10**6,
        "multiply_adds": 276_000_000,
        "activation_bytes": 5 * 2**20,
    }


def legend(figure):
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def limits(*runs, chance=None):
    return axis_limits(curves_of({"torch": runs}), "loss", chance)


# Axes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [None, CHANCE])
def test_a_loss_that_stays_lies_in_the_middle(chance):
    low, high = limits(run([2.3030, 2.3021, 2.3028] * 3), chance=chance)
    assert 0.4 < (2.3026 - low) / (high - low) < 0.6
    figure = curves_figure({"torch": [run([2.3026] * 10)]}, "plain", chance=chance)
    assert figure.axes[0].get_ylim() == pytest.approx((low, high), abs=0.01)


@pytest.mark.parametrize("losses", [[1.9, 0.5, 0.05], [0.07, 0.02, 0.01], [12.0, 9.0, 8.0]])
def test_axes_follow_the_data(losses):
    low, high = limits(run(losses))
    span = max(losses) - min(losses)
    assert min(losses) - 0.1 * span < low < min(losses)
    assert max(losses) < high < max(losses) + 0.1 * span


def test_chance_widens_the_axis_only_from_near():
    far, near = run([0.07, 0.02]), run([1.9, 0.5])
    assert limits(far, chance=CHANCE) == limits(far)
    assert limits(near, chance=CHANCE)[1] > CHANCE
    one = legend(curves_figure({"torch": [far]}, "", chance=CHANCE))
    assert "training loss at chance: 2.303, above the panel" in one
    one = legend(curves_figure({"torch": [near]}, "", chance=CHANCE))
    assert "training loss at chance: 2.303" in one


def test_accuracies_that_hardly_differ_are_not_blown_up():
    for accuracy in (0.0, 0.1, 0.98, 1.0):
        low, high = axis_limits(curves_of({"a": [run([1.0], accuracy=accuracy)]}), "accuracy", None)
        assert 0.2 <= high - low < 0.25
        assert -0.02 < low < accuracy < high < 1.02


@pytest.mark.parametrize("beyond", [1e5, LARGEST, math.inf, math.nan])
@pytest.mark.parametrize("chance", [None, CHANCE])
def test_a_loss_off_the_scale_leaves_the_rest_its_room(beyond, chance):
    given = run([2.3, 1.9, 1.5, beyond, 1.2], [2.3, 1.8, beyond, beyond, 1.3])
    figure = curves_figure({"torch": [given]}, "", chance=chance)
    low, high = figure.axes[0].get_ylim()
    assert (low, high) == limits(given, chance=chance)
    assert 2.3 < high < 2.6
    arrows = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    assert [list(line.get_xdata()) for line in arrows] == [[4], [3, 4]]
    assert f"off the scale, up to {'100,000' if beyond == 1e5 else 'infinity'}" in legend(figure)
    figure.draw_without_rendering()  # no overflow


def test_one_epoch_is_a_point_in_the_middle():
    figure = curves_figure({"torch": [run([1.5])]}, "one epoch")
    for axes in figure.axes:
        assert all(line.get_marker() == "o" for line in axes.lines if len(line.get_xdata()))
        assert sum(axes.get_xlim()) == 2
        assert [tick for tick in axes.get_xticks() if 0.5 <= tick <= 1.5] == [1]


# Legends and text ---------------------------------------------------------------------------------


def test_the_legend_has_frameworks_and_styles():
    figure = curves_figure(
        {"torch": [run([2, 1])], "mxnet": [run([2, 1])]}, "", labels={"mxnet": "M"}
    )
    assert legend(figure) == ["torch", "M", "test", "training"]
    solid = {line.get_linestyle() for line in figure.axes[0].lines if len(line.get_xdata())}
    assert solid == {"-", "--"}


def test_the_legend_counts_seeds():
    three, two = [run([2, 1]), run([3, 2]), run([4])], [run([2, 1]), run([4, 3]), []]
    band = "lowest to highest of {}; the line is their mean"
    assert band.format("3 seeds") in legend(curves_figure({"torch": three}, ""))
    both = legend(curves_figure({"torch": three, "mxnet": two}, ""))
    assert both[:2] == ["torch (3 seeds)", "mxnet (2 seeds)"]
    assert band.format("the seeds") in both
    left = curves_figure({"torch": three, "mxnet": [[]]}, "").axes[0]
    assert list(left.lines[0].get_ydata()) == [3.0, 1.5]


def test_no_runs_are_an_empty_picture():
    assert legend(curves_figure({"torch": [[]]}, "", chance=CHANCE)) == []


def test_svg_text_is_text(tmp_path):
    path = tmp_path / "a.svg"
    title, settings, note = "a $5 <title> \udc80数", "batches of 64", "why not"
    draw_curves(path, {"torch": [run([2, 1])]}, title, settings=settings, note=note)
    texts = [
        node.firstChild.data
        for node in xml.dom.minidom.parse(str(path)).getElementsByTagName("text")
    ]
    expected = {r"a $5 <title> \x80数", settings, note, "torch", "test", "training", "loss (nats)"}
    assert expected <= set(texts)
    assert "Verdana" in path.read_text()
    assert "sans-serif" in path.read_text()


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_input_is_the_same_file(tmp_path, ending):
    import matplotlib

    runs = {"torch": [run([2, 1]), run([2.1, 1])]}
    files = []
    for number in range(2):
        with matplotlib.rc_context({"font.size": 5 + 20 * number, "axes.facecolor": "red"}):
            draw_curves(tmp_path / f"{number}.{ending}", runs, "a title")
            draw_costs(tmp_path / f"costs{number}.{ending}", [row("googlenet")])
        files.append(
            [(tmp_path / f"{what}{number}.{ending}").read_bytes() for what in ("", "costs")]
        )
    assert files[0] == files[1]


def test_other_endings_are_refused(tmp_path):
    for draw, given in ((draw_curves, ({}, "")), (draw_costs, ([row("a")],))):
        with pytest.raises(
            DataError, match=r"a\.jpg: expected a name that ends in \.png, \.svg or"
        ):
            draw(tmp_path / "a.jpg", *given)
        with pytest.raises(DataError, match=r"a\.png: cannot be written \(No such file"):
            draw(tmp_path / "no" / "a.png", *given)
    with pytest.raises(DataError, match="`rows`: expected at least one network"):
        draw_costs(tmp_path / "a.png", [])
    assert not list(tmp_path.iterdir())


def boxes(figure):
    """The bounding boxes of what stands around the axes, and of the axes with all their text, in
    inches.
    """
    figure.draw_without_rendering()
    artists = [*figure.texts, *figure.legends, *figure.axes]
    return [a.get_tightbbox().transformed(figure.dpi_scale_trans.inverted()) for a in artists]


TWELVE = {f"framework{i} 1.2.3": [run([2, 1]), run([2.2, 1.2])] for i in range(12)}
FIGURES = {
    "curves": lambda: curves_figure({"torch": [run([2, 1])]}, "a title", chance=CHANCE),
    "much text": lambda: curves_figure(
        TWELVE, "a long title " * 9, settings="word " * 40, note="x" * 300, chance=CHANCE
    ),
    "one network": lambda: costs_figure([row("googlenet")]),
    "13 networks": lambda: costs_figure([row("torchvision:" + "x" * 60, norm=1)] * 13),
    "absurd": lambda: costs_figure([{**row("a"), "multiply_adds": 10**30}]),
}


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_nothing_is_cut_covered_or_small(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = make()
        found = boxes(figure)
    width, height = figure.get_size_inches()
    assert width == WIDTH
    assert TEXT >= 13
    for box in found:
        assert box.x0 > 0
        assert box.y0 > 0
        assert box.x1 < width
        assert box.y1 < height
    for one, two in itertools.combinations(found, 2):
        assert min(one.x1, two.x1) <= max(one.x0, two.x0) or min(one.y1, two.y1) <= max(
            one.y0, two.y0
        )
    texts = [text for text in figure.findobj(Text) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 13
    assert max(box.x1 for box in found) > WIDTH - 4 * MARGIN  # the width is used


def test_kinds_of_layers_that_no_network_has_are_not_in_the_legend():
    assert legend(costs_figure([row("a"), row("b", dense=0)])) == ["convolutions", "dense layers"]
    assert legend(costs_figure([row("a", dense=0, norm=3)])) == ["convolutions", "batch norm"]
    assert "batch norm (too few to see)" in legend(costs_figure([row("a", dense=999, norm=1)]))


def test_inputs_stand_in_the_title_or_at_each_network():
    alike = costs_figure([row("a"), row("zoo:b")])
    assert [text.get_text() for text in alike.texts][1] == "for one image of 1×96×96"
    assert [text.get_text() for text in alike.axes[0].get_yticklabels()] == ["a", "zoo:\nb"]
    other = costs_figure([row("a"), row("b", shape=(3, 32, 48))])
    assert [text.get_text() for text in other.axes[0].get_yticklabels()] == [
        "a\n1×96×96",
        "b\n3×32×48",
    ]
    assert "cannot be compared" in [text.get_text() for text in other.texts][1]


# Captions -----------------------------------------------------------------------------------------


def test_settings_in_words():
    assert settings_text(Recipe(epochs=1)) == "1 epoch, batch size 128, learning rate 0.1, seed 0"
    recipe = Recipe(
        momentum=0.9, weight_decay=1e-4, schedule="step", aux_weights=(0.3, 0.5), seed=4
    )
    assert settings_text(recipe, seeds=3) == (
        "10 epochs, batch size 128, learning rate 0.1 (×0.1 every 3 epochs),"
        " momentum 0.9, weight decay 0.0001, auxiliary loss weights 0.3 and 0.5, seeds 4 to 6"
    )


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ((0.4,), "auxiliary loss weight 0.4, seed 0"),
        ((0.3, 0.5), "auxiliary loss weights 0.3 and 0.5, seed 0"),
        ((0.4, 0.3, 0.2), "auxiliary loss weights 0.4, 0.3 and 0.2, seed 0"),
    ],
)
def test_weights_of_auxiliary_heads_in_words(weights, words):
    assert settings_text(Recipe(aux_weights=weights)).endswith(words)


def test_curves_that_part_are_explained():
    same = run([2.0, 1.0, 0.5])
    span = np.subtract(*limits(same)[::-1])
    close = run([2.0, 1.0 + 0.5 * VISIBLE * span, 0.5])
    apart = run([2.0, 1.0 + 2 * VISIBLE * span, 0.5])
    assert divergence_note({}) == ""
    assert divergence_note({"torch": [same, apart]}) == ""  # one framework, two seeds
    assert divergence_note({"torch": [same], "mxnet": [close]}) == ""
    note = divergence_note({"torch": [same], "mxnet": [apart]})
    assert note.startswith("Why the curves drift apart from epoch 2 on: ")
    assert "`googlenet.parity(..., train_steps=10)`" in note
    assert "--" not in note
    assert "dropout" not in note
    assert "dropout masks" in divergence_note({"torch": [same], "mxnet": [apart]}, dropout=True)


def test_only_the_same_seeds_are_compared():
    one, two = run([2.0, 1.0]), run([1.8, 0.5])
    assert divergence_note({"torch": [one, two], "mxnet": [one]}) == ""
    assert divergence_note({"torch": [one, two], "mxnet": [[], two]}) == ""  # its first run failed
    assert "epoch 1" in divergence_note({"torch": [one, two], "mxnet": [one, one]})
    infinite = run([2.0, LARGEST])
    assert divergence_note({"torch": [infinite], "mxnet": [infinite]}) == ""
    assert "epoch 2" in divergence_note({"torch": [infinite], "mxnet": [one]})
