"""How near a right backend comes to its limits, over many seeds: `python benchmarks/false_alarms.py
torch --seeds 100`.

Each seed draws other weights and takes other digits. A backend that is right must never fail; the
largest share of a limit that it used is printed. Exits with 1 on a false alarm.
"""

import argparse
import json
import sys

import numpy as np

import googlenet
from googlenet.data.images import load_image_set
from googlenet.proof.parity.compare import compare, measure
from googlenet.proof.parity.problem import Problem
from googlenet.proof.parity.rows import Group
from googlenet.spec.traversal import num_classes

BATCH = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--network", default="googlenet")
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    backend = googlenet.get_backend(arguments.framework)
    shape = (
        googlenet.get_network(arguments.network).input_shape[0],
        arguments.side,
        arguments.side,
    )
    network = googlenet.get_network(arguments.network, num_classes=10, input_shape=shape)
    digits = load_image_set(None, shape, num_classes(network))
    nearest, alarms = [], []
    for seed in range(arguments.seeds):
        params = googlenet.init_params(network, seed=seed, initializer="he_normal")
        chosen = np.arange(BATCH) + seed * BATCH
        images, labels = digits.images[chosen], digits.labels[chosen]
        problem = Problem(network, params, images, labels)
        comparison = compare(backend, problem, measure(problem))
        worst = {
            group.key: max((row.ratio for row in comparison[group]), default=0.0)
            for group in Group
            if group not in (Group.WEIGHTS, Group.TRAJECTORY)
        }
        nearest.append(worst)
        if not comparison.passed:
            alarms.append({"seed": seed, "first_divergence": comparison.first_divergence})
            print(f"seed {seed}: false alarm at the {comparison.first_divergence}", file=sys.stderr)
        if sys.stderr.isatty():
            print(f"\r{seed + 1}/{arguments.seeds}", end="", file=sys.stderr)
    shares = {what: max(worst[what] for worst in nearest) for what in nearest[0]}
    answer = {
        "framework": arguments.framework,
        "seeds": arguments.seeds,
        "false_alarms": alarms,
        "largest_share_of_limit": shares,
    }
    if arguments.json:
        print(json.dumps(answer, indent=2))
    else:
        print(
            f"{arguments.framework}: {len(alarms)} false alarms in {arguments.seeds} seeds; largest"
            f" share of a limit: {shares}"
        )
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
