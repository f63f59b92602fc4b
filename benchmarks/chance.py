"""What helps a network that stays at chance: the book's GoogLeNet on all of Fashion-MNIST, by its
recipe with one thing changed; the mean losses of ten steps each.

    python benchmarks/chance.py torch --data-dir DIR

prints a line for each. What `googlenet train` says of a network at chance rests on it
(docs/training.md).
"""

import argparse
import json
import tempfile
from pathlib import Path
from statistics import fmean

import googlenet
from googlenet.training.loop import read_log

BOOK = googlenet.Recipe()
#: What is changed: the network, the recipe, the rule that draws the weights.
CHANGES = {
    "the book's": ("googlenet", BOOK, "xavier_uniform"),
    "rate 0.01": ("googlenet", googlenet.Recipe(learning_rate=0.01), "xavier_uniform"),
    "He's weights": ("googlenet", BOOK, "he_normal"),
    "batch norm": ("googlenet_bn", BOOK, "xavier_uniform"),
}


def losses(network, recipe, initializer, steps, framework, data_dir):
    """The loss of each step."""
    taken = 0

    def stop():
        nonlocal taken
        taken += 1
        return taken >= steps

    with tempfile.TemporaryDirectory() as out:
        googlenet.train(
            network,
            "fashion-mnist",
            recipe,
            framework=framework,
            initializer=initializer,
            data_dir=data_dir,
            out=out,
            stop=stop,
        )
        events = read_log(Path(out) / "log.jsonl")
    return [event["loss"] for event in events if event["event"] == "step"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("framework")
    parser.add_argument("--data-dir")
    parser.add_argument("--steps", type=int, default=70)
    parser.add_argument("--only", choices=CHANGES)
    given = parser.parse_args()
    for name, settings in CHANGES.items():
        if given.only in (None, name):
            found = losses(*settings, given.steps, given.framework, given.data_dir)
            means = {k: round(fmean(found[k : k + 10]), 4) for k in range(0, len(found) - 9, 10)}
            print(json.dumps({"changed": name, "loss_of_ten_steps_from": means}), flush=True)


if __name__ == "__main__":
    main()
