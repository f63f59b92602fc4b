"""The spec is strict, hashable and canonical; the constructors are lenient."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

from googlenet import Network, Recipe, SpecError, spec
from googlenet.architectures import get_network
from googlenet.spec import blocks
from googlenet.spec.loss import Loss
from googlenet.spec.serial import to_json


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: blocks.conv_layer(0, 3), "Conv.out_channels"),
        (lambda: blocks.conv_layer(4, 0), "Conv.kernel_size"),
        (lambda: blocks.conv_layer(4, 3, 0), "Conv.stride"),
        (lambda: blocks.conv_layer(4, 3, 1, -1), "Conv.padding"),
        (lambda: blocks.conv_layer(4, 3, 1, "valid"), "padding"),
        (lambda: blocks.conv_layer(4, 3, 1, 1.5), "padding"),
        (lambda: blocks.conv_layer(4, 3, 1, (1, 2, 3)), "padding"),
        (lambda: blocks.conv_layer(4, np.float32(3)), "Conv.kernel_size"),
        (lambda: blocks.conv_layer(4, 3, groups=3), "Conv.groups"),
        (lambda: blocks.conv_layer(True, 3), "Conv.out_channels"),
        (lambda: blocks.max_pool(3, 2, 2), "MaxPool.padding"),
        (lambda: blocks.max_pool(3, 2, spec.SAME, ceil_mode=True), "MaxPool.ceil_mode"),
        (lambda: blocks.batch_norm(eps=0), "BatchNorm.eps"),
        (lambda: blocks.batch_norm(momentum=0.0), "BatchNorm.momentum"),
        (lambda: blocks.local_response_norm(size=4), "LocalResponseNorm.size"),
        (lambda: blocks.local_response_norm(alpha=float("nan")), "LocalResponseNorm.alpha"),
        (lambda: spec.Dropout(1.0), "Dropout.rate"),
        (lambda: spec.Dense(-1, bias=True), "Dense.out_features"),
        (lambda: spec.Scale(2.0, "sometimes"), "Scale.when"),
        (lambda: spec.AdaptiveAvgPool((0, 1)), "AdaptiveAvgPool.output_size"),
        (lambda: spec.Sequential((("a", spec.ReLU()), ("a", spec.ReLU()))), "unique names"),
        (lambda: spec.Sequential((("a.b", spec.ReLU()),)), "names of lower-case letters"),
        (lambda: spec.Concat(()), "at least one branch"),
        (lambda: blocks.sequential(layer="relu"), "a layer of the spec"),
        (lambda: Network("n", blocks.sequential(), (1, 0, 5), ""), "Network.input_shape"),
    ],
)
def test_bad_fields_are_refused_by_name(make, field):
    with pytest.raises(SpecError, match=field.replace(".", r"\.")):
        make()


def test_auxiliary_heads_stand_on_the_main_path_only():
    aux = spec.Aux(blocks.sequential(pool=spec.GlobalAvgPool()), 0.3)
    for wrong in (
        lambda: blocks.concat(left=blocks.sequential(aux1=aux)),
        lambda: blocks.residual(blocks.sequential(aux1=aux)),
        lambda: spec.Aux(blocks.sequential(aux1=aux), 0.3),
    ):
        with pytest.raises(SpecError, match="no auxiliary head inside"):
            wrong()
    with pytest.raises(SpecError, match="unique names"):
        Network(
            "n",
            blocks.sequential(a=blocks.sequential(aux1=aux), b=blocks.sequential(aux1=aux)),
            (1, 5, 7),
            "",
        )


def test_logits_is_the_name_of_an_output_alone():
    aux = spec.Aux(blocks.sequential(pool=spec.GlobalAvgPool()), 0.3)
    for layers in (
        blocks.sequential(logits=spec.ReLU()),
        blocks.sequential(a=blocks.sequential(logits=aux)),
    ):
        with pytest.raises(SpecError, match="called 'logits', which is an output, got"):
            Network("n", layers, (1, 5, 7), "")


def test_constructors_normalise_to_one_form():
    assert blocks.conv_layer(4, 3, 2, 1) == blocks.conv_layer(4, (3, 3), (2, 2), ((1, 1), (1, 1)))
    assert blocks.max_pool(3, 2, (1, 0)).padding == ((1, 1), (0, 0))


def every_number(integer, number):
    """A network with each kind of layer that has numbers, all of these types."""
    norm = blocks.batch_norm(number(0.5), number(0.25))
    return Network(
        "numbers",
        blocks.sequential(
            conv=blocks.conv(
                integer(4), integer(3), (integer(1), integer(2)), integer(1), norm=norm
            ),
            lone=blocks.conv_layer(4, 3, 1, ((integer(1), 1), (1, 1)), groups=integer(2)),
            max=blocks.max_pool(integer(3), integer(2), (integer(1), integer(0))),
            mean=blocks.avg_pool((integer(3), integer(3)), integer(1), integer(1)),
            norm=blocks.local_response_norm(integer(3), number(0.5), number(0.75), number(2)),
            block=blocks.inception(*map(integer, (4, 2, 4, 2, 4, 4)), kernel_5x5=integer(3)),
            sum=spec.Residual(spec.ReLU(), blocks.sequential(), number(0.5)),
            aux1=spec.Aux(blocks.sequential(head=spec.Dense(integer(2), bias=True)), number(0.25)),
            small=spec.AdaptiveAvgPool((integer(2), integer(3))),
            drop=spec.Dropout(number(0.5)),
            scaled=spec.Scale(number(0.5), "always"),
            head=spec.Dense(integer(2), bias=True),
        ),
        (integer(1), integer(16), integer(20)),
        "",
    )


def test_numpys_numbers_are_stored_as_pythons():
    """So that two networks that are equal are also the same JSON."""
    given, expected = every_number(np.int64, np.float32), every_number(int, float)
    assert given == expected
    assert json.dumps(to_json(given)) == json.dumps(to_json(expected))
    recipe = Recipe(label_smoothing=np.float32(0.5), aux_weights=(np.float32(0.25), 1))
    assert json.loads(json.dumps(recipe.to_json()))["aux_weights"] == [0.25, 1.0]


@pytest.mark.parametrize("weights", [3, ("a",), "ab", (True,), (float("inf"),), (-1.0,), [None]])
def test_weights_of_heads_are_numbers(weights):
    for make in (Loss, Recipe):
        with pytest.raises(
            SpecError, match=r"`aux_weights`: expected finite numbers of at least 0"
        ):
            make(aux_weights=weights)


def test_an_integer_is_stored_as_the_float_that_it_is():
    """So that two networks that are equal are also the same JSON, and the same native calls."""
    layers = {
        "norm": lambda one: blocks.batch_norm(one, one),
        "lrn": lambda one: blocks.local_response_norm(3, one, one, one),
        "scaled": lambda one: spec.Scale(one, "always"),
        "sum": lambda one: blocks.residual(spec.ReLU(), scale=one),
        "drop": lambda one: spec.Dropout(one - 1),
        "aux1": lambda one: spec.Aux(blocks.sequential(), one),
    }
    for name, make in layers.items():
        integer, number = make(1), make(1.0)
        assert json.dumps(to_json(integer)) == json.dumps(to_json(number)), name
    for value in (True, 10**400):
        with pytest.raises(SpecError, match=r"BatchNorm\.eps: expected a number above 0, got"):
            blocks.batch_norm(value)


@pytest.mark.parametrize("label", ["_Foo", "__Foo", "__init__", "__class__"])
def test_a_label_with_an_underscore_in_front_is_refused(label):
    """Inside a class Python makes another name of `__Foo`, and takes `__init__` for its own."""
    with pytest.raises(SpecError, match=r"Sequential\.block: expected a name such as"):
        spec.Sequential((), block=label)


def test_networks_are_hashable_values():
    one, two = get_network("googlenet_paper", aux=True), get_network("googlenet_paper", aux=True)
    assert one == two
    assert hash(one) == hash(two)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "other"


def test_outputs_are_named_in_the_order_of_execution():
    assert get_network("googlenet_paper", aux=True).outputs == ("logits", "aux1", "aux2")
    assert get_network("googlenet").outputs == ("logits",)


@pytest.mark.parametrize(
    "values", [{"momentum": 0.99999999999}, {"learning_rate": 1e-50}, {"learning_rate": 1e300}]
)
def test_a_recipe_is_checked_as_float32(values):
    (name,) = values
    with pytest.raises(SpecError, match=rf"`{name}`: expected a number"):
        Recipe(**values)
