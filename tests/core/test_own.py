"""Users' own models in files: loaded by a worker, traced, and taken where a network is; with a toy
for a framework. tests/native/test_own_torch.py does it with a real one.
"""

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import googlenet
from googlenet import (
    BackendError,
    CaptureError,
    ModelFileError,
    TraceError,
    UnknownNameError,
    get_network,
)
from googlenet.jobs.bounds import Bounds
from googlenet.jobs.own import framework_of, is_own, own_of
from googlenet.spec import blocks
from googlenet.spec.layers import Aux, Network
from googlenet.tracing.flat import flat

from .plugins import FORWARD, plugin

TOYLIB = """
import numpy as np

class Model:
    def __init__(self, channels=1, outputs=2):
        self.weight = np.full((outputs, channels, 1, 1), 0.5, np.float32)

    def forward(self, images):
        return np.einsum("nchw,oc->no", images, self.weight[:, :, 0, 0]) / images[0, 0].size

    __call__ = forward
"""
TRACING = (
    FORWARD
    + """
import toylib
from googlenet.backend.graph import Graph, Op
from googlenet.errors import CaptureError, TraceError

def trace(model, images):
    try:
        outputs = model(images)
        if getattr(model, "branches", False):
            raise CaptureError("toy: the model runs, but its path depends on values")
    except CaptureError:
        raise
    except Exception as error:
        raise TraceError("toy: cannot be run") from error
    shape = (*outputs.shape, *images.shape[2:])
    conv = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}
    ops = [Op("a", "conv", ("x",), shape, conv, {"weight": model.weight.copy()}, "net.conv")]
    for name, kind in (("b", "toy.odd"), ("c", "toy.even")):
        if getattr(model, "odd", False):
            ops.append(Op(name, kind, (ops[-1].name,), shape, {}, {}, f"net.{name}"))
    mean = {"axes": (2, 3), "keepdims": False}
    ops.append(Op("m", "mean", (ops[-1].name,), outputs.shape, mean, {}, "net.mean"))
    graph = Graph("x", images.shape, tuple(ops), (ops[-1].name,))
    return graph, [outputs.astype(np.float64)]
"""
).replace("from googlenet.reference", "import numpy as np\nfrom googlenet.reference", 1)
FILE = """
import functools, os, sys, threading, time
import numpy as np
import toylib
from neighbour import THREE

print("x" * 5_000_000)
assert sys.argv == [__file__], sys.argv
assert __name__ == "mynet" and sys.modules["mynet"].__dict__ is globals()
os.chdir("/")

class Net(toylib.Model):
    pass

class Wider(Net):
    def __init__(self, channels):
        super().__init__(channels)

class Odd(Net):
    odd = True

class Broken(Net):
    def __call__(self, images):
        return self.inner(images)

    def inner(self, images):
        raise RuntimeError("\\x1b[1mnot\\x1b[0m\\nthis")

class Branches(Net):
    branches = True

class Strict(Net):
    __call__ = staticmethod(ord)

class Infinite(Net):
    def __init__(self):
        super().__init__()
        self.weight[1] = float("inf")

class Double(Net):
    def __init__(self):
        super().__init__()
        self.weight = self.weight.astype(float) / 3

net = Net()
def functional(images): return net(images)
functional.weight = net.weight
def widths(channels): return Net(channels)
def both(channels, images): return Net(channels)(images)
threes = [THREE]
three = functools.partial(Net, 1, THREE)
def nothing(): Net()
def leaves(): sys.exit("now")
def ends(): os._exit(5)
def crashes(): os.kill(os.getpid(), 11)
def never():
    while True: pass
def asks(): return input("?")
def crowds():
    for number in range(400):
        if os.fork() == 0:
            os.setsid() if number % 2 else None
            time.sleep(60)
            os._exit(0)
def spins():
    for _ in range(60):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    time.sleep(60)
def grows():
    held = []
    while True: held.append(np.ones(1_000_000))
def grow_together():
    for _ in range(4):
        if not os.fork():
            held = np.ones(40_000_000)
            time.sleep(60)
    time.sleep(60)
def shares():
    held = np.ones(40_000_000)
    children = []
    for _ in range(4):
        children.append(os.fork())
        if not children[-1]:
            held.sum()
            time.sleep(1)
            os._exit(0)
    for each in children:
        os.waitpid(each, 0)
    return Net()
def raises():
    try:
        len(5)
    except TypeError as error:
        raise ValueError("worse") from error
class OwnError(Exception): pass
def deep():
    raise OwnError("Traceback (most recent call last):\\n  at x.cc\\nOwnError: of C++")
def forks():
    if os.fork() == 0:
        raise ValueError("in the child")
    return Net()
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """An installation of the toy, and a user's folder with their files."""
    folder = tmp_path_factory.mktemp("site")
    plugin(folder, "toy", TRACING, frameworks={"toy": "toylib"})
    plugin(folder, "mute", FORWARD, frameworks={"mute": "mutelib"})
    plugin(folder, "missing", "raise ImportError", frameworks={"missing": "missinglib"})
    (folder / "toylib.py").write_text(TOYLIB)
    (folder / "mutelib.py").write_text("class Model:\n    def __call__(self): pass\n")
    return folder


@pytest.fixture
def place(site, tmp_path, monkeypatch):
    path = [str(site), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    Path("mynet.py").write_text(FILE)
    Path("neighbour.py").write_text("THREE = 3\n")
    Path("folder.py").mkdir()
    return tmp_path


def own(which, **arguments):
    return googlenet.own_network(which, input_shape=(1, 8, 9), timeout=60, **arguments)


def running(name):
    """The processes of this one's workers in whose command there is a name."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            mine = f"GOOGLENET_PARENT={os.getpid()}".encode() in (process / "environ").read_bytes()
            if mine and name.encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def write(text, name="other.py"):
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())


@pytest.mark.parametrize("name", ["net", "Net", "forks", "functional"])
def test_a_model_or_what_makes_one(place, name):
    found = own(f"mynet.py:{name}")
    assert found.framework == "toy"
    assert found.network.name == name
    assert found.network.input_shape == (1, 8, 9)
    assert found.places == {"conv_1": "net.conv", "global_pool_1": "net.mean"}
    np.testing.assert_array_equal(
        found.params["conv_1.weight"], np.full((2, 1, 1, 1), 0.5, np.float32)
    )
    assert found.outputs == ("logits",)
    assert not list(place.glob("__pycache__"))


def test_a_file_in_another_folder_has_its_neighbours(place):
    (place / "sub").mkdir()
    for name in ("mynet.py", "neighbour.py"):
        (place / name).rename(place / "sub" / name)
    assert own("sub/mynet.py:three").params["conv_1.weight"].shape[0] == 3


def test_a_file_may_be_called_as_a_module_that_is_loaded(place):
    write("import toylib\nnet = toylib.Model()\n", "json.py")
    write("import toylib\nfrom numpy import array\nnet = toylib.Model()\n", "toylib.py")
    Path("toylib.py").unlink()
    assert own("json.py:net").network.name == "net"


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("nosuch.py:net", "nosuch.py: does not exist"),
        ("mynt.py:net", "mynt.py: does not exist; did you mean 'mynet.py'?"),
        ("folder.py:net", "folder.py: is a folder, expected a file that ends in .py"),
        ("net.ipynb:net", "net.ipynb: is a notebook, expected a file that ends in .py; export it"),
        ("./net.txt:net", "./net.txt: expected a Python file, whose name ends in .py"),
        ("mynet.py", "mynet.py: expected FILE:NAME, a file and the name in it of a model, or"),
        ("mynet.py:a b", "mynet.py: expected a Python name after the colon, got 'a b'"),
        (
            "mynet.py:Nets",
            "mynet.py: has no 'Nets'; it has Net, Wider, Odd, Broken, Branches,",
        ),
        (
            "mynet.py:net.inner",
            "mynet.py: has no 'net.inner'; it has no models, classes or functions",
        ),
        ("mynet.py:threes", "mynet.py: 'threes' is not a model of toy, but a list"),
        ("mynet.py:nothing", "mynet.py: 'nothing' gives None when it is called, expected a model"),
        ("mynet.py:Wider", "mynet.py: 'Wider' needs the argument 'channels'; write a function"),
        ("mynet.py:both", "mynet.py: 'both' needs the arguments 'channels', 'images'; write a fun"),
        (
            "mynet.py:ends",
            "mynet.py: while the model was being made, the process exited with code 5",
        ),
        (
            "mynet.py:crashes",
            "mynet.py: while the model was being made, the process was killed by SIGS",
        ),
    ],
)
def test_what_is_no_model_is_said(place, which, message):
    with pytest.raises(ModelFileError) as caught:
        own(which)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_nearly_there(place):
    with pytest.raises(ModelFileError, match="did you mean 'three'"):
        own("mynet.py:thre")


@pytest.mark.parametrize(
    ("name", "message", "lines"),
    [
        (
            "raises",
            "in raises: ValueError: worse",
            ["len(5)", 'raise ValueError("worse") from error'],
        ),
        (
            "deep",
            "in deep: OwnError: of C++",
            ['raise OwnError("Traceback (most recent call last):\\n  at x.cc\\nOwnError: of C++")'],
        ),
        (
            "leaves",
            "in leaves: ends the interpreter (exit code 'now')",
            ['def leaves(): sys.exit("now")'],
        ),
        (
            "asks",
            "in asks: EOFError: EOF when reading a line; input() cannot",
            ['def asks(): return input("?")'],
        ),
    ],
)
def test_an_error_of_the_users_shows_their_lines_only(place, name, message, lines):
    with pytest.raises(ModelFileError) as caught:
        own(f"mynet.py:{name}")
    assert message in str(caught.value)
    shown = caught.value.details.splitlines()
    files = [line for line in shown if line.startswith("  File ")]
    assert all(f'"{place}/mynet.py"' in line for line in files)
    code = [shown[shown.index(line) + 1].strip() for line in files]
    assert code == lines


def test_an_error_while_the_model_runs_has_the_users_lines(place):
    with pytest.raises(
        TraceError, match=r"mynet.py: toy: cannot be run; for .* `input_shape`"
    ) as e:
        own("mynet.py:Broken")
    assert "in inner" in e.value.details
    assert "RuntimeError: not\nthis" in e.value.details
    assert "plugin" not in e.value.details


def test_a_check_of_a_model_of_other_images_says_how_to_give_them(place):
    with pytest.raises(TraceError, match=r"mynet.py: toy: cannot be run; for .* `input_shape`"):
        googlenet.check_file("mynet.py:Strict", input_shape=(1, 64, 64))


def test_a_function_of_something_else_than_images_is_said(place):
    with pytest.raises(
        TraceError,
        match=r"mynet.py: toy: cannot be run; .*'widths' needs the argument 'channels', so it was"
        r" called with the images: if it makes a model, write a function without arguments around"
        r" it, such as 'def made\(\): return widths\(channels=…\)', and name that: mynet.py:made",
    ):
        own("mynet.py:widths")


@pytest.mark.parametrize(
    ("text", "message", "detail"),
    [
        ("import toylib\nx = (1,\n", "line 2: SyntaxError: '(' was never closed: x = (1,", "x ="),
        ("import toylib\nif 1:\nx = 1\n", "line 3: IndentationError: ", "x = 1"),
        (b"import toylib\n\0", "SyntaxError: source code string cannot contain null", "null"),
        (b"import toylib\nx = '\xff'\n", "line 2: SyntaxError: (unicode error)", "0xff"),
        ("import toylib, nosuch\n", "ModuleNotFoundError: No module named 'nosuch'; install", "n"),
        ("import toylib\nfrom bad import x\n", "bad.py, line 1: SyntaxError: ", "def ("),
    ],
)
def test_a_file_that_cannot_be_run(place, text, message, detail):
    write("def (\n", "bad.py")
    write(text)
    with pytest.raises(ModelFileError) as caught:
        own("other.py:net")
    assert message in str(caught.value)
    assert detail in caught.value.details


def test_code_that_never_ends_is_killed(place):
    with pytest.raises(
        ModelFileError, match=r"while the model was being made, .* killed after 4 s"
    ):
        googlenet.own_network("mynet.py:never", timeout=4)


def test_code_that_starts_processes_without_end_is_killed_with_all_of_them(place):
    message = r"while the model was being made, the process started more than 128 processes, and"
    with pytest.raises(ModelFileError, match=message):
        own("mynet.py:crowds")
    deadline = time.monotonic() + 10
    while (left := running("googlenet.jobs.worker")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def test_code_that_starts_threads_without_end_is_killed(place, monkeypatch):
    monkeypatch.setattr("googlenet.jobs.own.BOUNDS", Bounds(threads=50))
    with pytest.raises(ModelFileError, match="the process started more than 50 threads, and was"):
        own("mynet.py:spins")


def test_code_that_takes_memory_without_end_is_killed(place, monkeypatch):
    monkeypatch.setattr("googlenet.jobs.bounds.total_memory", lambda: 1 << 30)
    message = r"the process needed more than 0.8 GiB of memory, and was killed"
    with pytest.raises(ModelFileError, match=message):
        own("mynet.py:grows")


def test_processes_that_take_memory_together_are_killed(place, monkeypatch):
    """Four of 0.3 GiB each, with a bound of 0.8 GiB."""
    monkeypatch.setattr("googlenet.jobs.bounds.total_memory", lambda: 1 << 30)
    with pytest.raises(ModelFileError, match=r"needed more than 0.8 GiB of memory, and was killed"):
        own("mynet.py:grow_together")


def test_memory_that_processes_share_counts_once(place, monkeypatch):
    """Five with the same 0.3 GiB, with a bound of 0.8 GiB."""
    monkeypatch.setattr("googlenet.jobs.bounds.total_memory", lambda: 1 << 30)
    assert own("mynet.py:shares").network.name == "shares"


def test_what_is_no_network_is_refused_with_its_place(place):
    with pytest.raises(TraceError) as caught:
        own("mynet.py:Odd")
    assert str(caught.value) == (
        "mynet.py: is not one of the spec's networks: the spec does not have these layers:"
        " toy.odd at net.b, toy.even at net.c"
    )
    with pytest.raises(TraceError, match=r"mynet.py: net.conv: its weight holds infinity"):
        own("mynet.py:Infinite")
    found = own("mynet.py:Double")
    with pytest.raises(TraceError, match=r"mynet.py: net.conv: its weight is float64"):
        _ = found.params


def test_the_framework_is_what_the_file_imports(place):
    write("from d2l import toylib as d2l  # not mutelib\n")
    assert framework_of(own_of("other.py:net"), None) == "toy"
    write("import os, mutelib\n    import toylib\n")
    with pytest.raises(ModelFileError, match=r"other.py: imports mute and toy; name the fr"):
        framework_of(own_of("other.py:net"), None)
    write("'toylib'\n")
    with pytest.raises(ModelFileError, match=r"other.py: imports no framework; name the fr"):
        framework_of(own_of("other.py:net"), None)


def test_another_framework_than_is_named(place):
    write("import toylib\nfrom mutelib import Model\nnet = Model()\nmute = Model\n")
    with pytest.raises(ModelFileError, match=r"'net' is a model of mute \(mutelib.Model\), but"):
        own("other.py:net", own_framework="toy")
    with pytest.raises(BackendError, match=r"'mute': its backend cannot trace models yet"):
        own("other.py:net", own_framework="mute")
    write("import toylib\n")
    with pytest.raises(ModelFileError, match=r"imports toy, but the framework named is 'tensorf"):
        own("other.py:net", own_framework="tensorflow")
    write("import missinglib\n")
    with pytest.raises(ModelFileError, match=r"the file is for missing, but the framework nam"):
        own("other.py:net", own_framework="toy")


def test_an_interpreter_without_the_plugin(place, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH= exec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    with pytest.raises(BackendError, match=r"has no googlenet; install it and the plugin there: "):
        own("mynet.py:net", interpreters={"toy": str(python)})


def test_what_means_a_file():
    assert is_own("net.py:net")
    assert is_own("./net:net")
    assert is_own("net.py")
    assert not is_own("torchvision:googlenet")
    assert not is_own("googlenet")
    assert not is_own(get_network("nin"))


def test_every_action_takes_a_file(place):
    which, shape = "mynet.py:net", (1, 8, 9)
    assert googlenet.summary(which, input_shape=shape).parameters == 2
    assert [box.path for box in googlenet.draw(which, input_shape=shape).boxes][:1] == ["conv_1"]
    (costs,) = googlenet.compare([which], input_size=(8, 9))
    assert costs.budget.parameters == 2
    report = googlenet.parity(which, ["numpy"], input_shape=(1, 8, 9), gradients=False, count=2)
    assert report.network.name == "net"
    wide = googlenet.diff(which, "mynet.py:three", input_shape=shape)
    assert [each.words for each in wide.differences] == ["channels 2 → 3"]
    assert wide.place("conv_1") == "net.conv"
    for given in ({"num_classes": 3}, {"aux": True}, {"dialect": "keras"}):
        with pytest.raises(UnknownNameError, match="applies only to a network given by name"):
            googlenet.summary(which, **given)
    for action in (googlenet.summary, googlenet.draw, googlenet.compare, googlenet.parity):
        with pytest.raises(UnknownNameError, match="`own_framework`: applies only to a model"):
            action("nin", own_framework="toy")


def test_parity_and_diff_have_the_models_own_weights(place, monkeypatch):
    seen = {}
    from googlenet.actions import diff, parity

    def run_parity(network, chosen, images, params, **rest):
        seen["parity"] = params
        assert set(images.labels) == {0, 1}  # the digits' ten, for a model of two classes

    def movement(a, b, images, *, seed, given):
        seen["diff"] = given

    monkeypatch.setattr(parity, "run_parity", run_parity)
    monkeypatch.setattr(diff, "movement", movement)
    googlenet.parity("mynet.py:net", ["numpy"], input_shape=(1, 8, 9))
    googlenet.diff("mynet.py:net", "mynet.py:net", input_shape=(1, 8, 9))
    for params in seen.values():
        assert list(params) == ["conv_1.weight"]
        assert (params["conv_1.weight"] == 0.5).all()


def test_the_command_shows_the_users_traceback_and_one_line(place):
    command = [sys.executable, "-m", "googlenet", "summary", "mynet.py:raises", "--from", "toy"]
    done = subprocess.run(command, capture_output=True, text=True)
    *traceback, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert last.startswith("googlenet: mynet.py, line ")
    assert traceback[-1] == "ValueError: worse"
    command[-3:] = ["mynet.py:net", "--size", "8x9", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert json.loads(done.stdout)["input_shape"] == [1, 8, 9]


def test_a_model_without_one_graph_is_unclear(place):
    found = googlenet.check_file("mynet.py:Branches", input_shape=(1, 64, 64))
    assert (found.verdict, found.differences) == ("unclear", ())
    assert found.lines()[1:] == ["The model runs, but its path depends on values."]
    with pytest.raises(CaptureError, match="toy: the model runs"):
        own("mynet.py:Branches")
    command = [sys.executable, "-m", "googlenet", "check", "mynet.py:Branches"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.startswith("Unclear whether this is the same function as googlenet")


def test_a_flat_network_has_the_names_of_a_traced_one():
    network = get_network("googlenet_bn", input_shape=(1, 64, 64))
    found = flat(network)
    assert found.places["concat_1.branch_3.conv_2"] == "b3.inception_3a.branch_5x5.conv.conv"
    assert flat(found.network).network == found.network


def test_a_flat_network_keeps_sums_and_heads():
    body = blocks.sequential(conv=blocks.conv_layer(4, 1))
    head = Aux(blocks.sequential(conv=blocks.conv_layer(2, 1)), 0.5)
    layers = blocks.sequential(sum=blocks.residual(body, scale=0.5), head=head)
    found = flat(Network("n", layers, (4, 8, 8), "a test"))
    assert found.places == {
        "sum_1.body.conv_1": "sum.body.conv",
        "sum_1": "sum",
        "aux_1.conv_1": "head.conv",
    }
    assert dict(found.network.layers.children)["sum_1"].scale == 0.5
