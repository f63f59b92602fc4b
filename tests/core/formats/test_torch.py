"""PyTorch's checkpoints, of today and from before 1.6."""

import numpy as np
import pytest

from googlenet.weights.formats import read_weights_file

from .writers import (
    BASE,
    Call,
    Global,
    Persistent,
    check,
    emit,
    pickled,
    refusal,
    tensor,
    torch_legacy,
    torch_zip,
    whole,
)

VIEWS = {
    "all": BASE.reshape(3, 4, 5),
    "transposed": BASE.reshape(3, 20).T,
    "channels_last": BASE.reshape(1, 3, 4, 5).transpose(0, 3, 1, 2),
    "rows": BASE.reshape(12, 5)[3:9:2],
    "column": BASE.reshape(12, 5)[:, 2],
    "one": BASE[38:39].reshape(()),
    "expanded": np.broadcast_to(BASE[4:9, None], (5, 7)),
    "none": BASE[9:9].reshape(0, 3),
}


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_views_of_one_storage(legacy, file):
    start = BASE.__array_interface__["data"][0]
    state = {}
    for name, view in VIEWS.items():
        offset = (view.__array_interface__["data"][0] - start) // 4 if view.size else 9
        strides = tuple(stride // 4 for stride in view.strides)
        state[name] = tensor(
            "7", "Float", 60, offset, view.shape, strides, view=(None,) if legacy else ()
        )
    content = (
        torch_legacy(state, {"7": (60, BASE.tobytes())})
        if legacy
        else torch_zip(state, {"7": BASE.tobytes()})
    )
    check(read_weights_file(file(content)), VIEWS)


def test_torch_storages_that_are_views_of_others(file):
    """Files of torch before 0.4 have them."""
    state = {"part": tensor("7", "Float", 60, 2, (3, 4), (4, 1), view=(("8", 10, 20),))}
    check(
        read_weights_file(file(torch_legacy(state, {"7": (60, BASE.tobytes())}))),
        {"part": BASE[12:24].reshape(3, 4)},
    )


def test_torch_big_endian_and_no_byte_order(file):
    arrays = {"w": BASE.reshape(12, 5)}
    big = torch_zip({"w": whole("0", arrays["w"])}, {"0": BASE.astype(">f4").tobytes()}, "big")
    check(read_weights_file(file(big)), arrays)
    check(
        read_weights_file(
            file(torch_zip({"w": whole("0", arrays["w"])}, {"0": BASE.tobytes()}, None))
        ),
        arrays,
    )


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "model_state"])
def test_torch_wrapped_state_dicts(wrapper, file):
    momentum = whole("0", BASE)
    inner = {
        "module.w": whole("0", BASE),
        "module.size": Call(Global("torch", "Size"), ((2, 3),)),
        "module.type": Global("torch", "float32"),
    }
    state = {
        "epoch": 3,
        wrapper: inner,
        "optimizer": {"state": {"w": momentum}},
        "best": 0.5,
        "name": None,
    }
    found = read_weights_file(file(torch_zip(state, {"0": BASE.tobytes()})))
    check(found, {"w": BASE})
    assert found.metadata == {"unwrapped": wrapper, "removed_prefix": "module."}


def test_torch_keeps_names_that_only_partly_have_the_prefix(file):
    state = {"module.w": whole("0", BASE), "head": whole("0", BASE), "epoch": 3}
    found = read_weights_file(file(torch_zip(state, {"0": BASE.tobytes()})))
    check(found, {"module.w": BASE, "head": BASE})
    assert found.metadata == {}


def test_torch_parameters_ordered_dicts_and_python_2(file):
    parameter = Call(
        Global("torch._utils", "_rebuild_parameter"),
        (whole("0", BASE), True, Call(Global("collections", "OrderedDict"), ())),
    )
    state = Call(
        Global("collections", "OrderedDict"),
        ([["w", parameter]],),
        {"_metadata": {"": {"version": 1}}},
    )
    check(read_weights_file(file(torch_zip(state, {"0": BASE.tobytes()}))), {"w": BASE})
    text = pickled({"w": whole("0", BASE)}).replace(
        emit("w"), b"U\x01w"
    )  # a string as Python 2 has it
    check(read_weights_file(file(torch_legacy(text, {"0": (60, BASE.tobytes())}))), {"w": BASE})


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (tensor("0", "Float", 60, 0, (61,), (1,)), "of a storage of 60 values"),
        (tensor("0", "Float", 60, 1, (60,), (1,)), "of a storage of 60 values"),
        (tensor("0", "Float", 60, 0, (3, 4), (20, 10)), "of a storage of 60 values"),
        (tensor("0", "Float", 60, -1, (3,), (1,)), "offset -1"),
        (tensor("0", "Float", 60, 9, (3,), (-1,)), "strides"),
        (tensor("0", "Float", 60, 0, (3, 4), (1,)), "strides"),
        (tensor("0", "Float", 60, 0, (2**40,), (0,)), "of a storage of 60 values"),
        (tensor("0", "Double", 60, 0, (3,), (1,)), "storage 0: bytes expected: 480, got 240"),
        (tensor("0", "Float", 60, 0, (3,), (1,), {"neg": True}), "negated"),
        (tensor("1", "Float", 60, 0, (3,), (1,)), "archive/data/1"),
        (tensor("0", "QInt8", 60, 0, (3,), (1,)), "torch.QInt8Storage"),
        (
            Call(Global("torch._utils", "_rebuild_tensor_v2"), (1, 0, (3,), (1,))),
            "without a storage",
        ),
        (Persistent(("module", 1, 2, 3, 4)), "'module'"),
    ],
)
def test_torch_tensors_that_reach_outside_or_mean_something_else(part, reason, file):
    assert reason in refusal(file(torch_zip({"w": part}, {"0": BASE.tobytes()})))


def test_torchscript_is_refused(file):
    assert "TorchScript" in refusal(
        file(torch_zip({"w": whole("0", BASE)}, {"0": BASE.tobytes()}, extra=["constants.pkl"]))
    )
