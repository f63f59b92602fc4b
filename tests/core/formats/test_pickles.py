"""Pickles that are programs are refused, and nothing of them runs."""

import os
import pickle

import numpy as np
import pytest

from googlenet.weights.formats import paddle, read_weights_file, torch

from .writers import (
    FORMATS,
    Global,
    check,
    emit,
    example,
    pickled,
    refusal,
    torch_legacy,
    torch_zip,
    whole,
    write_npz,
    write_torch_legacy,
)


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


CONTAINERS = {
    "bare": lambda program: program,
    "torch zip": lambda program: torch_zip(program, {}),
    "torch legacy": lambda program: torch_legacy(program, {}),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_and_named(container, protocol, file, tmp_path):
    trace = tmp_path / "trace"
    path = file(CONTAINERS[container](pickle.dumps({"weight": Attack(trace)}, protocol)))
    message = refusal(path)
    assert f"'{os.system.__module__}.system'" in message
    assert "before anything ran" in message
    assert not trace.exists()


def test_the_attack_above_works(tmp_path):
    pickle.loads(pickle.dumps(Attack(tmp_path / "trace")))
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "name",
    [
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("builtins", "map"),
        ("argparse", "FileType"),
        ("pathlib", "Path.unlink"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch", "Size.__class__"),
        ("collections", "OrderedDict.__reduce__"),
        ("numpy", "load"),
        ("numpy.core.multiarray", "fromfile"),
        ("googlenet.weights.formats.torch", "pickles"),
        ("torchvision.models.googlenet", "GoogLeNet"),
    ],
    ids=".".join,
)
def test_other_names_are_refused(container, name, file):
    assert f"'{'.'.join(name)}'" in refusal(
        file(CONTAINERS[container](pickled({"weight": Global(*name)})))
    )


@pytest.mark.parametrize(
    ("container", "format"), [("bare", "Paddle parameters"), ("torch zip", "PyTorch checkpoint")]
)
def test_no_pickle_changes_how_the_next_is_read(container, format, file):
    """`BUILD` sets attributes of whatever is on the stack: of every name in the tables, it can set
    none.
    """
    table = {"bare": paddle._ALLOWED, "torch zip": torch._ALLOWED}[container]
    for name, allowed in table.items():
        before = repr(vars(allowed)) if hasattr(allowed, "__dict__") else repr(allowed)
        for state in (
            {"dtype": "<i4", "code": 1, "_call": 1},
            (None, {"dtype": "<i4", "_call": None, "__call__": 1, "array": 1}),
        ):
            refusal(
                file(CONTAINERS[container](b"\x80\x02" + emit(Global(*name)) + emit(state) + b"b."))
            )
        assert (repr(vars(allowed)) if hasattr(allowed, "__dict__") else repr(allowed)) == before
    check(read_weights_file(file(FORMATS[format](example()))), example(), format)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"\x80\x02\x82\x01.", "extension registry"),  # whose names are looked up past the table
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "names entry 2147483647"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "2147483647"),
        (b"\x80\x02" + b"(" * 9999 + b".", ""),
        (b"\x80\x04\x8c\x05os\n\nx\x8c\x06system\x93.", "'os x.system'"),
        (
            pickled({}) + b"more",
            {"bare": "after the end", "torch zip": "after the end", "torch legacy": ""},
        ),
    ],
)
def test_pickles_that_go_round_the_table_or_fill_the_memory(container, program, reason, file):
    assert (reason if isinstance(reason, str) else reason[container]) in refusal(
        file(CONTAINERS[container](program))
    )


def test_names_that_would_break_the_line(file):
    assert "'a b' has dtype" in refusal(file(write_npz({"a\nb": np.array(["text"])})))


def test_bytes_after_the_last_storage(file):
    assert "bytes after the last storage: 4" in refusal(
        file(write_torch_legacy(example()) + b"more")
    )


def test_a_pickle_of_something_else(file):
    for content in (
        pickle.dumps([1, 2]),
        pickle.dumps("text"),
        torch_zip([1], {}),
        torch_zip(whole("0", np.ones(3)), {"0": bytes(24)}),
    ):
        assert "expected" in refusal(file(content))
    assert "got one tensor" in refusal(file(torch_zip(whole("0", np.ones(3)), {"0": bytes(24)})))
