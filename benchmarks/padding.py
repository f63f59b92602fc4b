"""How far TensorFlow's `padding="same"` moves the logits of the book's GoogLeNet at 96×96:
`python benchmarks/padding.py`.

The same weights and images in both networks, in the float64 reference: 64 of scikit-learn's digits,
and as many of noise. Prints the relative L2 distance of the logits for each initialiser and seed,
and the smallest and largest on digits and on all. Needs no framework.
"""

import json
from dataclasses import replace

import numpy as np

import googlenet
from googlenet.data.images import load_image_set
from googlenet.proof.parity.tolerance import distance
from googlenet.reference import build, forward
from googlenet.spec.layers import SAME, Conv, MaxPool
from googlenet.spec.rewrite import map_leaves

COUNT = 64
SEEDS = range(3)


def same_for_all(leaf):
    return replace(leaf, padding=SAME) if isinstance(leaf, (Conv, MaxPool)) else leaf


def main():
    network = googlenet.get_network()
    padded = map_leaves(network, same_for_all)
    kinds = {
        "digits": load_image_set(None, network.input_shape, 10, count=COUNT).images,
        "noise": np.random.default_rng(0).random((COUNT, *network.input_shape)),
    }
    found = {kind: [] for kind in kinds}
    for initializer in ("xavier_uniform", "he_normal"):
        for seed in SEEDS:
            params = googlenet.init_params(network, initializer=initializer, seed=seed)
            models = [build(each, params, dtype=np.float64) for each in (network, padded)]
            for kind, images in kinds.items():
                ours, theirs = (forward(model, images)["logits"] for model in models)
                found[kind].append(distance(theirs, ours))
            distances = {kind: round(moved[-1], 4) for kind, moved in found.items()}
            print(json.dumps({"initializer": initializer, "seed": seed, **distances}), flush=True)
    found["all"] = [moved for kind in kinds for moved in found[kind]]
    print(json.dumps({k: [round(min(v), 4), round(max(v), 4)] for k, v in found.items()}))


if __name__ == "__main__":
    main()
