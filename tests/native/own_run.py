"""A user's own model, run by its framework and compared with the network that it was traced as."""

from dataclasses import replace

import googlenet
from googlenet.actions.trace import drawn_images
from googlenet.proof.own import own_backend
from googlenet.proof.parity.compare import compare, measure
from googlenet.proof.parity.problem import random_problem
from googlenet.spec import BatchNorm
from googlenet.spec.rewrite import map_leaves
from googlenet.tracing.lift import lift
from googlenet.tracing.named import as_named, renamed


def named(backend, model, shape):
    """The model as a network with the user's names, as `googlenet translate` has it."""
    graph, _ = backend.trace(model, drawn_images(shape, 0))
    found = as_named(lift(graph, ones=True), graph, "own", shape, "a test")
    return renamed(found, frozenset(backend.spelling.attributes))


def own_backend_of(backend, model, found, shape):
    """The backend whose model of the network that was found is the user's `model`."""
    own = backend.own(model, found.network, found.outputs)
    return own_backend(
        backend, own, found.network, found.outputs, lambda: named(backend, model, shape).params
    )


def compared(framework, model, shape, **norm):
    """The comparison of `model` with its network, in which each batch norm has other settings if
    there are any.
    """
    backend = googlenet.get_backend(framework)
    found = named(backend, model, shape)
    network = map_leaves(
        found.network,
        lambda leaf: replace(leaf, **norm) if isinstance(leaf, BatchNorm) else leaf,
    )
    theirs = own_backend_of(backend, model, replace(found, network=network), shape)
    problem = random_problem(network, batch=8, classes=5)
    return compare(theirs, problem, measure(problem, train_steps=3))
