"""What is PyTorch's own about its models."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import googlenet
import googlenet_torch
from googlenet.errors import UnknownNameError
from googlenet.proof.conformance.networks import architectures, composites
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.tolerance import distance, forward_yardstick, limit
from googlenet.reference import build
from googlenet.reference.network import Pass
from googlenet.timing.cases import ROUNDOFF
from googlenet.weights.samples import random_images, random_params
from googlenet_torch import compiling

from .networks import NETWORKS, PAPER, as_tuple, first_divergence
from .test_readme import run

backend = googlenet.get_backend("torch")


def test_moves_to_a_device():
    moved = googlenet.get_model(PAPER, framework="torch", device="cpu").to(torch.float64)
    images = torch.from_numpy(random_images(PAPER))
    assert moved(images.double())[0].dtype == torch.float64


def test_loads_the_compiler_only_to_compile():
    """It takes longer to load than all the rest of PyTorch."""
    program = "import sys, googlenet_torch; print('torch._dynamo' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert found.stdout.strip() == b"False"


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")
def test_bfloat16_stays_within_its_own_limit(monkeypatch):
    """Which is float32's by the ratio of their roundoffs; and it is not float32 in disguise."""
    monkeypatch.setattr(compiling, "_has_bfloat16", lambda device: True)  # slower, but the same
    network = googlenet.get_network(num_classes=3, input_shape=(1, 64, 64))
    params = googlenet.init_params(network, initializer="he_normal")
    images = random_images(network)
    double = build(network, params, dtype=np.float64)
    double.run(images, passed := Pass())
    model = googlenet.get_model(network, "torch", weights=params)
    compiled = googlenet_torch.compile(model, input_shape=network.input_shape, dtype="bfloat16")
    found = distance(compiled(images)["logits"], passed.outputs["logits"])
    yardstick = forward_yardstick(Problem(network, params, images), chunk=8)["logits"]
    assert limit(yardstick) < found < ROUNDOFF["bfloat16"] * limit(yardstick)
    assert compiled.dtype == "bfloat16"


def test_bfloat16_is_refused_where_the_processor_lacks_it(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    model = googlenet.get_model(framework="torch")
    with pytest.raises(UnknownNameError, match="torch compiles for float32 here, got 'bfloat16'"):
        googlenet_torch.compile(model, input_shape=(1, 96, 96), dtype="bfloat16")


def test_names_the_compiler_that_is_missing(tmp_path):
    program = (
        "import googlenet, numpy as np\n"
        "from googlenet.spec import Conv, GlobalAvgPool, Network, ReLU, Sequential\n"
        "conv = Conv(2, (3, 3), (1, 1), ((1, 1), (1, 1)), 1, True)\n"
        "layers = Sequential((('conv', conv), ('relu', ReLU()), ('pool', GlobalAvgPool())))\n"
        "network = Network('tiny', layers, (1, 8, 8), 'a test')\n"
        "backend = googlenet.get_backend('torch')\n"
        "model = googlenet.get_model(network, framework='torch')\n"
        "backend.compiled(model, 'torch.compile')(np.zeros((1, 1, 8, 8), np.float32))\n"
    )
    environment = {
        **os.environ,
        "CXX": str(tmp_path / "none"),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
    }
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 1
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith("googlenet.errors.BackendError: torch: torch.compile failed: ")
    assert last.endswith("; install a C++ compiler, such as g++")


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_exports_with_a_free_batch_axis(network):
    """Also for batches of other sizes than the one that was traced."""
    model = backend.build(network, random_params(network)).eval()
    traced = torch.from_numpy(random_images(network, batch=3))
    free = ({0: torch.export.Dim("batch")},)
    exported = torch.export.export(model, (traced,), dynamic_shapes=free).module()
    for batch in (1, 2, 5):
        images = torch.from_numpy(random_images(network, seed=batch, batch=batch))
        found, expected = as_tuple(exported(images)), as_tuple(model(images))
        assert all(map(torch.equal, found, expected))
        assert [tuple(output.shape) for output in found] == [
            tuple(output.shape) for output in expected
        ]


SCRIPTED = {
    name: network
    for name, network in {
        **architectures(),
        **composites(),
        "googlenet_paper": googlenet.get_network("googlenet_paper", input_shape=(3, 64, 79)),
    }.items()
    if len(network.outputs) == 1
}


def test_every_network_is_scripted_below():
    assert {network.name for network in SCRIPTED.values()} >= set(googlenet.NETWORKS)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("network", SCRIPTED.values(), ids=SCRIPTED)
def test_becomes_torchscript(network, tmp_path):
    """Every network without auxiliary heads, as a file that needs nothing of this project."""
    model = backend.build(network, random_params(network)).eval()
    images = torch.from_numpy(random_images(network))
    torch.jit.script(model).save(str(tmp_path / "model.pt"))
    scripted = torch.jit.load(str(tmp_path / "model.pt"))
    with torch.no_grad():
        assert torch.equal(scripted(images), model(images))


def test_the_readmes_example(tmp_path):
    printed = run("README.md", "example", tmp_path)
    assert "(inception_3a): Concatenation(" in printed
    assert printed.splitlines()[-1] == "(2, 10) (2, 256, 12, 12)"
    assert (tmp_path / "googlenet.safetensors").stat().st_size > 4 * 5_977_530


class AdaptiveMaxPool(torch.nn.AdaptiveMaxPool2d):
    """The head that the book's PyTorch tab once had (d2l-en#1571)."""

    def __init__(self):
        super().__init__(1)

    def forward(self, x):
        return super().forward(x).flatten(1)


def test_max_pooling_in_the_head_is_caught():
    network = googlenet.get_network("googlenet", input_shape=(1, 64, 64))
    model = backend.build(network, random_params(network))
    model.b5.pool = AdaptiveMaxPool()
    assert first_divergence(backend, model, network) == "b5.pool"


def test_the_check_of_the_page_is_as_printed(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- own model -->\n```python\n(.*?)```", text, re.DOTALL)
    (printed,) = re.findall(r"<!-- its check -->\n```text\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mynet.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "googlenet", "check", "mynet.py:net", "--framework", "torch"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 1, found.stderr
    assert found.stdout.split() == printed.split()
