"""The spec is strict, hashable and canonical; the constructors are lenient."""

import dataclasses
import pickle

import pytest

from googlenet import Network, SpecError, spec
from googlenet.architectures import get_network
from googlenet.spec import blocks


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: blocks.conv_layer(0, 3), "Conv.out_channels"),
        (lambda: blocks.conv_layer(4, 0), "Conv.kernel_size"),
        (lambda: blocks.conv_layer(4, 3, 0), "Conv.stride"),
        (lambda: blocks.conv_layer(4, 3, 1, -1), "Conv.padding"),
        (lambda: blocks.conv_layer(4, 3, 1, "valid"), "padding"),
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
