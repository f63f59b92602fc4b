"""A user's model takes part in the proof only as what it is: a fake one, around the reference."""

import numpy as np
import pytest

from googlenet import TraceError, get_backend
from googlenet.proof.own import BASE, own_backend
from googlenet.proof.parity.compare import compare, measure
from googlenet.proof.parity.problem import random_problem
from googlenet.spec import blocks
from googlenet.spec.analysis import zero_gradients
from googlenet.spec.layers import (
    NO_PADDING,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    GlobalAvgPool,
    Network,
)
from googlenet.spec.params import param_specs
from googlenet.weights.samples import random_params

NETWORK = Network(
    "own",
    blocks.sequential(
        c=blocks.conv(48, 3), b=BatchNorm(1e-3, 0.1, True), p=GlobalAvgPool(), d=Dense(5, True)
    ),
    (2, 6, 5),
    "a test",
)
ONE = Network("one", blocks.sequential(p=GlobalAvgPool(), d=Dense(1, False)), (1, 3, 3), "a test")
REFERENCE = get_backend("numpy")


class Own:
    """A model of `network` whose arrays are named otherwise, with a buffer that nothing uses."""

    def __init__(self, network=NETWORK, *, is_alone=False):
        self.network = network
        self.params = random_params(network)
        self.unused = {} if is_alone else {"unused": np.array(3, np.float32)}
        self.frozen = self.noise = self.more = 0

    def arrays(self):
        return {**self.unused, **{f"my {k}": v for k, v in self.params.items()}}

    def assign(self, arrays):
        assert all(arrays[name].shape == () for name in self.unused)
        self.params = {path: np.array(arrays[f"my {path}"]) for path in self.params}

    def model(self):
        return REFERENCE.build(self.network, self.params)

    def outputs(self, images, *, train):
        model = self.model()
        found = [*REFERENCE.forward(model, images, train=train).values()]
        self.params = REFERENCE.params_of(model)
        noise = np.random.default_rng().normal(size=found[0].shape).astype(np.float32)
        found[0] = found[0] + train * self.noise * noise
        return found + [found[0]] * (self.more if train else 0)

    def gradients(self, images, labels, *, loss, train):
        model = self.model()
        total, grads = REFERENCE.gradients(model, images, labels, loss=loss, train=train)
        self.params = REFERENCE.params_of(model)
        return total, {f"my {k}": v for k, v in list(grads.items())[self.frozen :]}


def backend_of(own, weights=None):
    return own_backend(
        REFERENCE, own, own.network, ("logits",), weights or (lambda: dict(own.params))
    )


def compared(network, own):
    problem = random_problem(network, batch=6, classes=5)
    return compare(backend_of(own), problem, measure(problem, train_steps=2))


def test_it_is_proved_with_all_its_arrays():
    found = compared(NETWORK, Own())
    assert found.passed, found
    assert found.first_divergence is None


def test_one_number_is_found():
    backend = backend_of(Own(ONE, is_alone=True))
    params = random_params(ONE, seed=4)
    assert backend.params_of(backend.build(ONE, params)) == params


def test_each_number_has_its_place():
    """There are more than one digit counts."""
    own = Own()
    assert sum(array.size for array in own.params.values()) > BASE
    backend = backend_of(own)
    params = random_params(NETWORK, seed=4)
    model = backend.build(NETWORK, params)
    images = np.ones((2, *NETWORK.input_shape), np.float32)
    right = REFERENCE.forward(REFERENCE.build(NETWORK, params), images)["logits"]
    assert np.array_equal(backend.forward(model, images)["logits"], right)
    assert all(np.array_equal(own.params[path], array) for path, array in params.items())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frozen": 1}, "is frozen"),
        ({"noise": 1}, "draws random numbers in training mode"),
        ({"more": 2}, "returns 1 outputs in evaluation mode, and 3 in training mode"),
        ({"unused": {"unused": np.array(3.0)}}, "computes in float64"),
    ],
)
def test_what_cannot_take_part_is_refused(changed, message):
    own = Own()
    vars(own).update(changed)
    with pytest.raises(TraceError, match=message):
        backend_of(own)


def test_weights_that_are_not_its_arrays_are_refused():
    own = Own()

    def weights():
        return {path: array * array for path, array in own.params.items()}

    with pytest.raises(TraceError, match="is none of the model's own parameters"):
        backend_of(own, weights)


def test_a_bias_before_a_batch_norm_has_no_gradient():
    two, three = (Conv(count, (1, 1), (1, 1), NO_PADDING, 1, True) for count in (2, 3))
    branches = blocks.sequential(
        k=Concat((("a", two), ("b", blocks.sequential(c=three)))),
        b=BatchNorm(1e-3, 0.1, True),
        c=two,
        p=GlobalAvgPool(),
    )
    network = Network("zero", branches, (2, 6, 5), "a test")
    biases = {path for path in param_specs(network) if path.endswith("bias")}
    zero = zero_gradients(network)
    problem = random_problem(network, batch=3, classes=2)
    model = REFERENCE.build(network, problem.params, dtype=np.float64)
    _, grads = REFERENCE.gradients(model, problem.images, problem.labels)
    small = {path for path in biases if np.abs(grads[path]).max() < 1e-12}
    assert zero == small != set()
