"""Small files that ask for much are refused in one line, at once, and before memory is taken."""

import json
import os
import re
import socket
import tracemalloc
import warnings

import numpy as np
import pytest

from googlenet import WeightsError, get_network, save_params
from googlenet.spec.params import param_specs
from googlenet.weights import files
from googlenet.weights.files import network_metadata, read_safetensors, safetensors_bytes
from googlenet.weights.formats import WeightsFile, read_weights_file
from googlenet.weights.zoo import reopen_weights

from .hostile import BUDGET, HOSTILE, free_list
from .writers import BASE, check, hdf5, refusal, tensor, torch_zip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_before_memory_is_taken(name, file, monkeypatch):
    monkeypatch.setenv("GOOGLENET_BUDGET", BUDGET)
    make, said = HOSTILE[name]
    path = file(make())
    size = path.stat().st_size
    tracemalloc.start()  # NumPy's arrays count, too
    try:
        message = refusal(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert said in message
    assert len(message) < 1000
    assert peak < 2**24 + 25 * size


def test_the_variable_raises_the_budget(file, monkeypatch):
    """What the message says to set is enough."""
    state = {f"w{index}": tensor("0", "Float", 1, 0, (2**24,), (0,)) for index in range(4)}
    path = file(torch_zip(state, {"0": np.float32(3).tobytes()}))
    (advice,) = re.findall(r"GOOGLENET_BUDGET=(\S+)$", refusal(path))
    monkeypatch.setenv("GOOGLENET_BUDGET", advice)
    arrays = read_weights_file(path).arrays
    assert [array.shape for array in arrays.values()] == [(2**24,)] * 4
    assert {array[-1] for array in arrays.values()} == {np.float32(3)}


def test_a_large_file_may_become_what_it_is(file, monkeypatch):
    """Bounds are for what a file becomes beyond its size."""
    monkeypatch.setattr("googlenet.budget.LEAST_BYTES", 2**10)
    check(read_weights_file(file(torch_zip_of(BASE))), {"w": BASE})
    array = np.zeros(10**4, np.float32)
    check(read_weights_file(file(torch_zip_of(array))), {"w": array})


def torch_zip_of(array):
    return torch_zip(
        {"w": tensor("0", "Float", array.size, 0, array.shape, (1,))}, {"0": array.tobytes()}
    )


@pytest.mark.parametrize(
    "packing", [{"compression": "gzip"}, {"shuffle": True}, {"fletcher32": True}]
)
def test_chunks_that_frameworks_write_are_read(packing, file):
    values = np.random.default_rng(0).standard_normal((70, 90)).astype(np.float32)

    def fill(weights):
        weights.create_dataset("layers/dense/vars/0", data=values, chunks=(30, 40), **packing)

    check(read_weights_file(file(hdf5(fill))), {"layers/dense/vars/0": values})


def test_what_is_not_a_file_is_refused_and_not_waited_for(tmp_path):
    pipe, door = tmp_path / "pipe", tmp_path / "door"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(door))
        for path in (pipe, door, "/dev/zero", tmp_path):
            for read in (read_weights_file, read_safetensors):
                with pytest.raises(WeightsError, match=r": is a (folder|device|pipe|socket)"):
                    read(path)


@pytest.mark.parametrize("side", [60_000, 999_999_999])
def test_metadata_that_ask_for_a_huge_input(side, tmp_path):
    network = get_network("nin")
    metadata = network_metadata(network) | {"input_shape": f"3,{side},{side}"}
    file = WeightsFile(tmp_path / "w", "safetensors file", {"w": BASE}, metadata)
    with pytest.raises(WeightsError, match=r"w: asks for .* of memory, expected at most 268\.4 MB"):
        reopen_weights(file)
    with pytest.raises(WeightsError, match="is missing"):  # nobody asks for more than the user does
        reopen_weights(file, input_size=(224, 224))


def test_own_files_are_read_whatever_their_size(tmp_path):
    network = get_network("vgg11_small")
    specs = param_specs(network)
    params = {path: np.full(spec.shape, 0.5, np.float32) for path, spec in specs.items()}
    save_params(tmp_path / "w.safetensors", network, params)
    found = reopen_weights(read_weights_file(tmp_path / "w.safetensors"))
    assert all(np.array_equal(found.params[path], params[path]) for path in params)


def test_many_honest_names_are_read(file):
    arrays = {
        f"stage{index // 9}.branch{index}.weight": BASE[: index % 5 + 1] for index in range(1500)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read_weights_file(file(safetensors_bytes(arrays, {})))
    assert set(found.arrays) == set(arrays)


def test_a_safetensors_file_is_opened_once(tmp_path, monkeypatch):
    """What is charged is what is read, even if another file takes its place meanwhile."""
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_bytes({"w": BASE}, {"a": "b"}))
    read = files.bounded_json

    def replaced(text):
        (tmp_path / "other").write_bytes(b"")
        os.replace(tmp_path / "other", path)
        return read(text)

    monkeypatch.setattr(files, "bounded_json", replaced)
    arrays, metadata = read_safetensors(path)
    assert metadata == {"a": "b"}
    assert np.array_equal(arrays["w"], BASE)
    assert arrays["w"].flags.writeable


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"w": ("F32", [1], [0, 4])}, r"its arrays have 4 bytes, but it holds 8"),
        ({"w": ("F32", [3], [0, 8])}, r"'w' is in bytes 0 to 8, expected 12 at 0"),
        ({"w": ("F32", [1], [4, 8])}, r"'w' is in bytes 4 to 8, expected 4 at 0"),
        ({"w": ("F32", [2], [0, 8]), "v": ("F32", [1], [4, 8])}, r"'v' is in bytes 4 to 8"),
        ({"w": ("F32", [2], [0, 8]), "v": ("F32", [2], [0, 8])}, r"'w' is in bytes 0 to 8, exp"),
        ({"w": ("F32", [3], [0, 12])}, r"its arrays have 12 bytes, but it holds 8"),
        ({"w": ("F8_E4M3", [8], [0, 8])}, r"'w' has dtype F8_E4M3"),
    ],
)
def test_arrays_of_safetensors_lie_one_after_the_other(tmp_path, header, said):
    names = ("dtype", "shape", "data_offsets")
    text = json.dumps(
        {name: dict(zip(names, entry, strict=True)) for name, entry in header.items()}
    )
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text.encode() + bytes(8))
    with pytest.raises(WeightsError, match=said):
        read_safetensors(path)


def test_a_list_of_free_space_in_any_order_is_read(file):
    check(read_weights_file(file(free_list([48, 16, 1]))), {"layers/dense/vars/0": BASE})
