"""How near a right backend comes to its limits, over many seeds: `python benchmarks/false_alarms.py
torch --seeds 100`.

Each seed draws other weights and takes other digits, or with `--images` what a kind of image makes
of them. A backend that is right must never be called different. Printed are the largest share of a
limit that it used, and what share of all tensors these images and weights cannot prove. Exits with
1 on a false alarm.
"""

import argparse
import json
import sys
from collections import Counter

import numpy as np

import googlenet
from googlenet.data.images import load_image_set
from googlenet.proof.parity.compare import compare, measure
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.rows import Group
from googlenet.spec.loss import Loss
from googlenet.spec.params import param_specs
from googlenet.spec.traversal import num_classes


def _noise(images, seed):
    drawn = np.random.default_rng(seed).standard_normal(images.shape)
    return drawn.astype(np.float32)


#: What is made of the digits (N, C, H, W) of one seed, or comes in their place.
KINDS = {
    "digits": lambda images, seed: images,
    "noise": _noise,
    "constant": lambda images, seed: np.ones_like(images),
    "identical": lambda images, seed: np.repeat(images[:1], len(images), axis=0),
    "black": lambda images, seed: np.zeros_like(images),
    "x255": lambda images, seed: images * np.float32(255),
    "x1e-30": lambda images, seed: images * np.float32(1e-30),
    "x1e-38": lambda images, seed: images * np.float32(1e-38),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--network", default="googlenet")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--aux", action="store_true")
    parser.add_argument("--images", choices=KINDS, default="digits")
    parser.add_argument("--norm-bias", type=float, default=0.0, help="of every batch norm")
    parser.add_argument("--train-steps", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    backend = googlenet.get_backend(arguments.framework)
    channels = googlenet.get_network(arguments.network).input_shape[0]
    shape = (channels, arguments.side, arguments.side)
    network = googlenet.get_network(
        arguments.network, num_classes=10, input_shape=shape, aux=arguments.aux
    )
    digits = load_image_set(None, shape, num_classes(network))
    nearest, alarms, unproved, proved = Counter(), [], Counter(), 0
    for seed in range(arguments.seeds):
        params = googlenet.init_params(network, seed=seed, initializer="he_normal")
        for path, spec in param_specs(network).items():
            if path.removesuffix("bias") + "running_mean" in params and spec.name == "bias":
                params[path] += np.float32(arguments.norm_bias)
        taken = (np.arange(arguments.count) + seed * arguments.count) % len(digits.images)
        images = KINDS[arguments.images](digits.images[taken], seed)
        problem = Problem(network, params, images, digits.labels[taken], Loss(label_smoothing=0.1))
        measured = measure(problem, train_steps=arguments.train_steps)
        comparison = compare(backend, problem, measured)
        for group in Group:
            rows = comparison[group]
            if group is not Group.WEIGHTS and rows:
                shares = [row.ratio for row in rows if row.provable]
                nearest[group.key] = max([nearest[group.key], *shares])
                unproved[group.key] += sum(not row.provable for row in rows) / len(rows)
        proved += comparison.proved
        if not comparison.passed:
            alarms.append({"seed": seed, "first_divergence": comparison.first_divergence})
            print(f"seed {seed}: false alarm at the {comparison.first_divergence}", file=sys.stderr)
        if sys.stderr.isatty():
            print(f"\r{seed + 1}/{arguments.seeds}", end="", file=sys.stderr)
    answer = {
        **vars(arguments),
        "false_alarms": alarms,
        "proved": proved,
        "largest_share_of_limit": dict(nearest),
        "share_not_provable": {what: total / arguments.seeds for what, total in unproved.items()},
    }
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        shares = ", ".join(f"{what} {share:.2g}" for what, share in nearest.items())
        without = ", ".join(
            f"{what} {100 * share:.1f} %" for what, share in answer["share_not_provable"].items()
        )
        print(
            f"{arguments.framework}, {arguments.network} at {arguments.side},"
            f" {arguments.count} images ({arguments.images}): {len(alarms)} false alarms in"
            f" {arguments.seeds} seeds, {proved} of them proved; largest share of a limit:"
            f" {shares}; not provable: {without}"
        )
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
