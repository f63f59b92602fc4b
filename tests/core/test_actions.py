"""What each command does, as a function: typed results, without the command."""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import googlenet
from googlenet import (
    DataError,
    Recipe,
    SpecError,
    UnknownNameError,
    WeightsError,
    get_network,
    init_params,
    load_params,
    save_params,
)
from googlenet.actions.code import Code
from googlenet.data.dataset import DataSet, Split
from googlenet.data.preprocessing import find_preprocessing
from googlenet.data.sets import load_data
from googlenet.training.loop import read_log

RECIPE = Recipe(learning_rate=0.01, momentum=0.9, epochs=1, batch_size=16)
SMALL = {"input_shape": (1, 8, 8)}


@pytest.fixture(scope="module")
def shades():
    """Fifty images of two classes, dark and bright, at 8×8."""
    rng = np.random.default_rng(0)

    def split(count):
        labels = np.arange(count) % 2
        noise = rng.integers(0, 100, (count, 1, 8, 8))
        return Split((noise + 140 * labels[:, None, None, None]).astype(np.uint8), labels)

    return DataSet("shades", "two shades", ("dark", "bright"), split(40), split(10))


def test_every_action_is_public_and_documented():
    for name in googlenet._ACTIONS:
        function = getattr(googlenet, name)
        assert inspect.isfunction(function)
        assert name in googlenet.__all__
        assert "Raises" in function.__doc__
    folder = Path(googlenet.__file__).parent / "actions"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "arguments", "common"}
    modules -= {"translated", "translating"}  # the result of `translate`, and its workers' tasks
    modules -= {"own_weights", "own_lifted"}  # weights of a user's model
    modules -= {"ambiguous", "expected"}  # what `convert` and `predict` share, and what is compared
    # Several may share a module, and it may have another name.
    assert modules == {googlenet._MODULES.get(name, name) for name in googlenet._ACTIONS}


def test_importing_the_package_imports_no_action():
    code = "import sys, googlenet; print([m for m in sys.modules if 'googlenet.actions' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_library_speaks_of_no_option():
    """Arguments have Python's names everywhere but in the command, which translates them."""
    root = Path(googlenet.__file__).parent
    found = []
    for path in root.rglob("*.py"):
        if path.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = node.value.replace("`", " ").replace("(", " ").split()
                found += [
                    (path.name, word) for word in words if word[:2] == "--" and word[2:3].isalpha()
                ]
    # What other programs are started with.
    others = {"--nproc-per-node", "--worker_num", "--local_worker_num", "--join"}
    assert [each for each in found if each[1] not in others] == []


def test_train(shades, tmp_path):
    trained = googlenet.train(
        "googlenet", shades, RECIPE, framework="numpy", out=tmp_path / "run", **SMALL
    )
    assert trained.finished
    assert trained.step == 3
    assert trained.run.network == get_network("googlenet", num_classes=2, input_shape=(1, 8, 8))
    low, high = trained.interval
    assert 0 <= low < trained.epochs[-1].test_accuracy < high <= 1 or trained.epochs[
        -1
    ].test_accuracy in (0, 1)
    load_params(trained.weights, trained.run.network)
    start, *steps, epoch = read_log(tmp_path / "run" / "log.jsonl")
    assert start["recipe"] == RECIPE.to_json()
    assert [step["event"] for step in steps] == ["step"] * 3
    assert epoch["loss"] == trained.to_json()["epochs"][0]["loss"]


def test_train_stops_when_it_is_told_to(shades, tmp_path):
    arguments = {"framework": "numpy", "out": tmp_path / "run", **SMALL}
    first = googlenet.train("googlenet", shades, RECIPE, stop=lambda: True, **arguments)
    assert (first.finished, first.step) == (False, 1)
    rest = googlenet.train("googlenet", shades, RECIPE, resume=True, **arguments)
    assert (rest.finished, rest.step) == (True, 3)
    with pytest.raises(
        googlenet.TrainingError, match="continue it with `resume=True`, or give another `out`"
    ):
        googlenet.train("googlenet", shades, RECIPE, **arguments)


def test_a_race_trains_its_recipe(shades, tmp_path):
    """The same rate, momentum and epochs as asked for, so the same bits as a run by itself."""
    raced = googlenet.race(
        "googlenet",
        shades,
        RECIPE,
        frameworks=["numpy"],
        seeds=(3,),
        out=tmp_path / "race",
        **SMALL,
    )
    assert raced.passed
    (run,) = raced.runs
    recipe = Recipe.from_json({**RECIPE.to_json(), "seed": 3})
    alone = googlenet.train(
        "googlenet", shades, recipe, framework="numpy", out=tmp_path / "run", **SMALL
    )
    ours, theirs = (read_log(folder / "log.jsonl") for folder in (run.folder, tmp_path / "run"))
    assert ours[0]["recipe"] == recipe.to_json()
    assert [e["loss"] for e in ours if e["event"] == "step"] == [
        e["loss"] for e in theirs if e["event"] == "step"
    ]
    assert (run.folder / "weights.safetensors").read_bytes() == alone.weights.read_bytes()
    assert json.loads(raced.results.read_text()) == raced.to_json()["frameworks"]


def test_a_race_of_a_network_of_ones_own(shades, tmp_path):
    """Which no name can build: workers get the network itself."""
    from googlenet.spec.blocks import conv, sequential
    from googlenet.spec.layers import Dense, GlobalAvgPool

    network = googlenet.Network(
        "own",
        sequential(stem=conv(4, 3, padding=1), pool=GlobalAvgPool(), head=Dense(2, bias=True)),
        (1, 8, 8),
        "tests",
    )
    raced = googlenet.race(network, shades, RECIPE, frameworks=["numpy"], out=tmp_path / "race")
    assert raced.passed
    load_params(raced.runs[0].folder / "weights.safetensors", network)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ((), "`seeds`: expected at least one"),
        (iter(()), "`seeds`: expected at least one"),
        (0, "`seeds`: expected an integer of at least 1, got 0"),
        ([0.5], "`seeds`: expected an integer of at least 0, got 0.5"),
        ([-1], "`seeds`: expected an integer of at least 0, got -1"),
    ],
)
def test_seeds_of_a_race_that_cannot_be(shades, seeds, message):
    with pytest.raises(SpecError, match=message):
        googlenet.race("googlenet", shades, RECIPE, seeds=seeds, **SMALL)


def test_a_race_refuses_its_arguments_before_it_starts(shades, tmp_path):
    recipe = Recipe(epochs=1, batch_size=41)
    with pytest.raises(DataError, match="`batch_size`: 41 is larger than the number of images"):
        googlenet.race(
            "googlenet", shades, recipe, frameworks=["numpy"], out=tmp_path / "race", **SMALL
        )
    assert not (tmp_path / "race").exists()


def test_numpys_integers_and_generators_are_taken(shades, tmp_path):
    recipe = Recipe(learning_rate=np.float32(0.01), epochs=np.int64(1), batch_size=16.0)
    raced = googlenet.race(
        "googlenet",
        shades,
        recipe,
        frameworks=(name for name in ["numpy"]),
        seeds=np.arange(2),
        out=tmp_path / "race",
        input_shape=tuple(np.array((1, 8, 8))),
    )
    assert [run.seed for run in raced.runs] == [0, 1]
    json.dumps(raced.to_json())
    report = googlenet.parity(
        "googlenet", "numpy", seed=np.int64(1), count=np.int32(1), gradients=False, **SMALL
    )
    json.dumps(report.to_json())
    assert report.passed
    moved = googlenet.diff("googlenet", "googlenet", count=np.int64(1), seed=np.int64(2), **SMALL)
    assert json.loads(json.dumps(moved.to_json()))["logits"]["seed"] == 2


ONE, TWO = np.int64(1), np.int32(2)


@pytest.mark.parametrize(
    ("action", "given", "arguments"),
    [
        (
            "parity",
            ["googlenet", "numpy"],
            {
                "label_smoothing": np.float32(0.1),
                "count": TWO,
                "seed": ONE,
                "num_classes": np.int64(10),
                "train_steps": ONE,
                "jobs": ONE,
                "threads": ONE,
                "chunk": TWO,
                "timeout": np.float32(300),
                "exact": np.False_,
                "input_shape": tuple(np.array((1, 32, 32))),
            },
        ),
        ("compare", ["nin"], {"num_classes": TWO, "channels": ONE, "input_size": np.full(2, 224)}),
        ("diff", ["nin", "nin"], {"num_classes": TWO, "logits": np.False_}),
        ("draw", ["googlenet_paper"], {"num_classes": TWO, "aux": np.True_}),
        ("summary", ["googlenet"], {"num_classes": TWO, "depth": TWO, "timeout": np.int64(9)}),
        ("summary", ["nin"], {"framework": "numpy", "timeout": np.float64(9), "num_classes": TWO}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numpys_numbers_are_taken(action, given, arguments):
    found = getattr(googlenet, action)(*given, **arguments)
    for each in found if isinstance(found, list) else [found]:
        json.dumps(each.to_json())
        assert getattr(each, "passed", True)


def test_numpys_numbers_are_taken_to_train_and_convert(shades, weights, tmp_path):
    given = {"threads": ONE, **SMALL}
    raced = googlenet.race(
        "googlenet",
        shades,
        RECIPE,
        frameworks="numpy",
        seeds=TWO,
        timeout=np.float16(300),
        out=tmp_path / "race",
        **given,
    )
    assert [(run.seed, run.error) for run in raced.runs] == [(0, None), (1, None)]
    trained = googlenet.train(
        "googlenet",
        shades,
        RECIPE,
        framework="numpy",
        out=tmp_path / "run",
        checkpoint_minutes=np.float32(1),
        resume=np.True_,
        **given,
    )
    json.dumps(trained.to_json())
    size = tuple(np.array((40, 32)))
    converted = googlenet.convert(weights, tmp_path / "w.npz", framework="numpy", input_size=size)
    assert converted.to_json()["input_shape"] == [1, 40, 32]


MAPPING = "`{}`: expected a mapping from frameworks to {}, as in {{'torch': …}}, got "
PYTHON = "the path of a Python interpreter"
PATH = "`{}`: expected a path, got {}; '.' is the current folder"
FLAG = "`{}`: expected True or False, got 'no'"


@pytest.mark.parametrize(
    ("action", "given", "arguments", "message"),
    [
        *(
            (action, [], {"block": block}, f"`block`: expected a path or a name, got {block!r}; ")
            for action in ("code", "draw")
            for block in (3, True, Path("b3"))
        ),
        ("code", [], {"dialect": 3}, "dialect: expected a name such as 'torchvision', got 3"),
        ("draw", ["vgg11"], {"dialect": []}, "dialect: expected a name such as 'torchvision'"),
        ("code", [], {"num_classes": np.ones(2, int)}, "`num_classes`: expected an integer of"),
        ("code", [], {"frameworks": 3}, "`frameworks`: expected a name, or several, got 3"),
        ("parity", [], {"frameworks": True}, "`frameworks`: expected a name, or several, got True"),
        ("race", [], {"frameworks": 3}, "`frameworks`: expected a name, or several, got 3"),
        ("summary", [], {"framework": 3}, "`framework`: expected a name, or several, got 3"),
        ("traps", [None], {}, "`names`: expected a name, or several, got None"),
        ("traps", [3], {}, "`names`: expected a name, or several, got 3"),
        ("traps", [[[]]], {}, "`names`: no trap '[]'"),
        ("traps", [], {"frameworks": 3}, "`frameworks`: expected a name, or several, got 3"),
        ("compare", [None], {}, "`networks`: expected a name, or several, got None"),
        ("compare", [3], {}, "`networks`: expected a name, or several, got 3"),
        ("compare", [], {"input_size": 3}, "`input_size`: expected (height, width), each at least"),
        ("compare", [], {"input_size": "ab"}, "`input_size`: expected an integer of at least 1"),
        ("convert", ["w", "v"], {"input_size": 3}, "`input_size`: expected (height, width), each"),
        ("convert", ["w", "v"], {"model": 3}, "`model`: expected a name, got 3"),
        ("train", [], {"recipe": {}}, "`recipe`: expected a Recipe, got {}"),
        ("race", [], {"recipe": None}, "`recipe`: expected a Recipe, got None"),
        ("train", [], {"checkpoint_minutes": "5"}, "`checkpoint_minutes`: expected a number of"),
        ("train", [], {"checkpoint_minutes": np.nan}, "`checkpoint_minutes`: expected a number of"),
        *(
            (action, [], {"interpreters": given}, MAPPING.format("interpreters", PYTHON) + "['t")
            for action in ("code", "parity", "race", "summary", "traps")
            for given in (["torch"],)
        ),
        ("parity", [], {"devices": "cpu"}, MAPPING.format("devices", "the name of a device")),
        *(
            (
                "code",
                [],
                {"interpreters": {"torch": given}},
                f"`interpreters`: expected {PYTHON} for 'torch', got {given!r}",
            )
            for given in ("", None, 3)
        ),
        *(
            (action, [], {"timeout": given}, "`timeout`: expected a finite number of at least 1, ")
            for action in ("code", "parity", "race", "summary", "traps")
            for given in (None, "5", 0, -1, np.nan, np.inf, True)
        ),
        ("parity", [], {"initializer": 3}, "`initializer`: expected a name, got 3"),
        ("parity", [], {"images": np.zeros((2, 1))}, PATH.format("images", "array([[0.], [0.]])")),
        ("predict", [None, "w"], {}, PATH.format("images", None)),
        ("predict", [[3], "w"], {}, PATH.format("images", 3)),
        ("predict", ["im.png", {}], {}, PATH.format("weights", {})),
        ("train", [], {"data": None}, PATH.format("data", None)),
        # An empty path would mean the current folder.
        ("predict", ["", "w"], {}, PATH.format("images", "''")),
        ("predict", [["im.png", ""], "w"], {}, PATH.format("images", "''")),
        ("predict", ["im.png", ""], {}, PATH.format("weights", "''")),
        ("parity", [], {"images": ""}, PATH.format("images", "''")),
        ("parity", [], {"weights": ""}, PATH.format("weights", "''")),
        ("diff", ["nin", "nin"], {"images": ""}, PATH.format("images", "''")),
        ("train", [], {"data": ""}, PATH.format("data", "''")),
        ("train", [], {"out": ""}, PATH.format("out", "''")),
        ("train", [], {"data_dir": ""}, PATH.format("data_dir", "''")),
        ("race", [], {"data": ""}, PATH.format("data", "''")),
        ("race", [], {"out": ""}, PATH.format("out", "''")),
        ("convert", ["", "w"], {}, PATH.format("source", "''")),
        ("convert", ["w", ""], {}, PATH.format("target", "''")),
        ("convert", ["w", "v.safetensors"], {"classes": ""}, PATH.format("classes", "''")),
        ("traps", [], {"page": ""}, PATH.format("page", "''")),
        *(
            (action, given, {name: "no"}, FLAG.format(name))
            for action, given, names in (
                ("parity", [], ("aux", "exact", "gradients", "compiled")),
                ("parity", [get_network("nin")], ("aux",)),
                ("diff", ["nin", "nin"], ("aux", "logits")),
                ("train", [], ("aux", "resume", "parallel")),
                ("race", [], ("aux",)),
                ("draw", [], ("aux",)),
                ("convert", ["w", "v"], ("aux",)),
            )
            for name in names
        ),
    ],
    ids=str,
)
def test_arguments_of_another_kind_are_named(
    action, given, arguments, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    needed = {"train": {"framework": "numpy"}, "race": {"frameworks": "numpy"}}.get(action, {})
    with pytest.raises(googlenet.GoogLeNetError) as caught:
        getattr(googlenet, action)(*given, **{**needed, **arguments})
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_results_name_their_arguments_too(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = googlenet.predict(np.zeros((1, 1, 32, 32), np.float32), weights)
    assert len(found.top(np.int64(2))[0]) == 2
    for count in ("2", -1, 0, 1.5):
        with pytest.raises(SpecError, match="`count`: expected an integer of at least 1, got"):
            found.top(count)
    drawn, written = googlenet.draw("nin"), Code(get_network("nin"), None, ())
    for name, result in (("out", found), ("path", drawn), ("path", written)):
        for path in ("", 3):
            with pytest.raises(DataError) as caught:
                result.save(path)
            assert str(caught.value) == PATH.format(name, repr(path))
    with pytest.raises(UnknownNameError, match="`preprocessing`: expected one of unit"):
        find_preprocessing(3)
    with pytest.raises(DataError, match="that exists, got an empty one"):
        load_data("", (1, 8, 8))


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 0},
        {"count": 1.5},
        {"seed": -1},
        {"chunk": 0},
        {"jobs": 0},
        {"threads": 0},
        {"threads": "two"},
        {"train_steps": -1},
        {"num_classes": 0},
        {"label_smoothing": 1},
        {"label_smoothing": "a"},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_named(arguments):
    (name,) = arguments
    with pytest.raises(googlenet.GoogLeNetError, match=f"`{name}`: expected"):
        googlenet.parity("googlenet", ["numpy"], **{"input_shape": (1, 8, 8), **arguments})


@pytest.mark.parametrize("arguments", [{"count": 0}, {"count": 1.5}, {"seed": -1}], ids=str)
def test_numbers_of_a_diff_that_cannot_be_are_named(arguments):
    (name,) = arguments
    with pytest.raises(SpecError, match=f"`{name}`: expected"):
        googlenet.diff("googlenet", "googlenet_bn", **arguments)


def test_a_proof_of_nothing_is_none():
    with pytest.raises(UnknownNameError, match="`frameworks`: expected at least one, got none"):
        googlenet.parity("googlenet", [])
    from googlenet.proof.parity.run import Report

    assert not Report(None, None, 0, ()).passed


def test_a_folder_is_written_by_one_process_at_a_time(shades, tmp_path):
    from googlenet.training.loop import locked

    with locked(tmp_path), pytest.raises(googlenet.TrainingError, match="another process"):
        googlenet.train("googlenet", shades, RECIPE, framework="numpy", out=tmp_path, **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_weights_to_train_from_are_arrays_or_a_file(shades, tmp_path):
    network = get_network("googlenet", num_classes=2, input_shape=(1, 8, 8))
    params = init_params(network, seed=7)
    save_params(tmp_path / "w.safetensors", network, params)
    ends = [
        googlenet.train(
            network, shades, RECIPE, framework="numpy", out=tmp_path / name, weights=weights
        ).weights.read_bytes()
        for name, weights in (("a", params), ("b", tmp_path / "w.safetensors"))
    ]
    assert ends[0] == ends[1]


def test_threads_of_one_call_are_not_those_of_the_next(weights):
    """In a process of its own: what the environment says is asked once."""
    code = (
        "import os, sys, numpy as np, googlenet; from googlenet.jobs.workers import"
        " worker_environment as e; before = e()['OMP_NUM_THREADS'];"
        " googlenet.predict(np.zeros((1, 1, 32, 32), np.float32), sys.argv[1], threads=1);"
        " assert os.environ['OMP_NUM_THREADS'] == '1'; assert e()['OMP_NUM_THREADS'] == before"
    )
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code, str(weights)], env=clean, check=True)


def test_standard_error_survives_imports_that_overlap():
    """Of two threads that import at once, the first ends in the middle of the second."""
    code = """
import os, sys, threading, time
from googlenet.backend.threads import importing_quietly

def hold(before, meanwhile):
    time.sleep(before)
    with importing_quietly():
        time.sleep(meanwhile)

real = os.fstat(2)
work = [threading.Thread(target=hold, args=times) for times in ((0, 0.4), (0.2, 0.4))]
for each in work: each.start()
for each in work: each.join()
assert os.path.samestat(real, os.fstat(2))
print("heard", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "heard\n"


def test_parity():
    heard = []
    report = googlenet.parity(
        "googlenet",
        ["numpy"],
        count=2,
        input_shape=(1, 32, 32),
        train_steps=1,
        progress=lambda *told: heard.append(told),
    )
    assert report.passed
    assert [result.framework for result in report.results] == ["numpy"]
    stages = {(who, stage) for who, stage, _, _ in heard}
    assert stages >= {
        (who, stage)
        for who in ("reference", "numpy")
        for stage in ("images", "gradient passes", "training steps")
    }
    assert ("numpy", "starting") in stages
    # Of a worker not all is heard, but the end is.
    assert heard[-1] == ("numpy", "training steps", 1, 1)
    ends = [told for told in heard if told[:2] == ("reference", "gradient passes")]
    assert ends[0][2] == 0
    assert ends[-1][2] == ends[-1][3]


def test_parity_of_an_interpreter_that_is_not_there():
    with pytest.raises(
        UnknownNameError, match="`interpreters`: /nowhere, given for 'torch', is not a file"
    ):
        googlenet.parity("googlenet", interpreters={"pytorch": "/nowhere"})


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    network = get_network("googlenet", num_classes=3, input_shape=(1, 32, 32))
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_params(path, network, init_params(network), extra={"classes": '["a", "b", "c"]'})
    return path


def test_predict_images_and_arrays(weights, tmp_path):
    from PIL import Image

    pixels = np.arange(32 * 32, dtype=np.uint8).reshape(32, 32)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    found = googlenet.predict(tmp_path / "one.png", weights)
    (guesses,) = found.top(2)
    assert [guess.name for guess in guesses] == [found.classes[g.index] for g in guesses]
    assert guesses[0].probability >= guesses[1].probability
    np.testing.assert_allclose(found.probabilities.sum(1), 1)
    array = (pixels / np.float32(255)).astype(np.float32)[None, None]
    same = googlenet.predict(array, weights, taps=(path for path in ["b1"]))
    np.testing.assert_array_equal(same.outputs["logits"], found.outputs["logits"])
    assert same.outputs["b1"].shape[0] == 1
    same.save(tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as saved:
        assert sorted(saved) == ["b1", "logits"]


def test_predict_takes_numpys_integers(weights):
    zeros = np.zeros((1, 1, 32, 32), np.float32)
    found = googlenet.predict(zeros, weights, threads=np.int64(1))
    assert found.outputs["logits"].shape == (1, 3)
    with pytest.raises(SpecError, match="`threads`: expected an integer of at least 1, got 0"):
        googlenet.predict(zeros, weights, threads=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"taps": ["b9"]}, UnknownNameError, "`taps=b9`: network 'googlenet' has no such layer"),
        ({"model": "nin"}, WeightsError, "holds weights of network 'googlenet', but `model` says"),
        ({"preprocessing": "none"}, UnknownNameError, "preprocessing"),
    ],
)
def test_predict_says_what_is_wrong(weights, tmp_path, arguments, error, message):
    from PIL import Image

    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "one.png")
    with pytest.raises(error, match=message):
        googlenet.predict([tmp_path / "one.png"], weights, **arguments)


def test_predict_takes_float32_of_the_right_shape(weights):
    with pytest.raises(DataError, match="expected float32 of shape"):
        googlenet.predict(np.zeros((1, 1, 32, 32), np.uint8), weights)
    with pytest.raises(googlenet.ShapeError, match="expected"):
        googlenet.predict(np.zeros((1, 3, 32, 32), np.float32), weights)


def test_convert(weights, tmp_path):
    converted = googlenet.convert(weights, tmp_path / "w.npz", framework="numpy")
    assert converted.framework == "numpy"
    assert converted.to_json()["num_classes"] == 3
    assert converted.left_over == ()
    with pytest.raises(WeightsError, match="is also the input"):
        googlenet.convert(weights, weights)
    with pytest.raises(WeightsError, match="for a framework's own file give `framework`"):
        googlenet.convert(weights, tmp_path / "w.ckpt")


def test_diff():
    found = googlenet.diff("googlenet", "googlenet_bn", logits=False)
    assert found.movement is None
    assert found.differences
    assert not found.same_in_evaluation
    moved = googlenet.diff("googlenet", "googlenet", input_shape=(1, 32, 32), count=1)
    assert moved.same_in_evaluation
    assert moved.movement.logits == 0


def test_compare_is_the_books_exercise_by_default():
    found = googlenet.compare()
    assert [each.network.name for each in found] == ["alexnet", "vgg11", "nin", "googlenet"]
    assert {each.network.input_shape[1:] for each in found} == {(224, 224)}
    assert found[0].budget.parameters == 46_764_746
    own = googlenet.compare([get_network("nin")], channels=3, input_size=(200, 224))
    assert own[0].network.input_shape == (3, 200, 224)


def test_summary():
    found = googlenet.summary("googlenet", num_classes=3)
    assert found.stages == googlenet.stages(found.network)
    assert found.parameters == sum(stage.parameters for stage in found.stages)
    native = googlenet.summary("googlenet", num_classes=3, framework="numpy")
    assert (native.stages, native.parameters) == (found.stages, found.parameters)
    assert native.to_json()["framework_version"] == np.__version__


def test_listing_names_all_networks_and_frameworks():
    found = googlenet.listing()
    assert [each.name for each in found.networks] == list(googlenet.NETWORKS)
    frameworks = {each.name: each for each in found.frameworks}
    assert frameworks["numpy"].version == np.__version__
    assert frameworks.keys() >= {
        "torch",
        "tensorflow",
        "mxnet",
        "paddle",
        "mindspore",
        "jax",
        "onnx",
    }
    json.dumps(found.to_json())


def test_minimum_sizes_are_public():
    network = get_network("inception_v3")
    assert [size.side for size in googlenet.minimum_sizes(network)] == [75, 107, 139]
