"""Draws the pictures of docs/draw.md, and writes their alternative texts and the ratios into the
page: `python benchmarks/pictures.py`.

Needs no framework. `--out FOLDER` writes elsewhere than into docs.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import googlenet

DOCS = Path(__file__).parents[1] / "docs"
#: The figures of section 8.4 of the book: the network, and the block, if it is one.
FIGURES = {
    "inception.svg": ("googlenet", "b3.inception_3a"),
    "googlenet.svg": ("googlenet", None),
}


def ratios():
    """The second table of `summary --depth 2`."""
    command = [sys.executable, "-m", "googlenet", "summary", "--depth", "2"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = text[text.index(" Block            Channels") :].partition("\n\n")[0].splitlines()
    return "\n".join(line.removeprefix(" ") for line in lines)


def replaced(pattern, text, page):
    """The page with `text` in place of the one match of `pattern`."""
    page, count = re.subn(pattern, lambda match: text, page, flags=re.DOTALL)
    assert count == 1, pattern
    return page


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DOCS)
    folder = parser.parse_args().out
    page = (DOCS / "draw.md").read_text(encoding="utf-8")
    for file, (network, block) in FIGURES.items():
        drawing = googlenet.draw(network, block=block)
        drawing.save(folder / file)
        page = replaced(rf"!\[[^]]*\]\({file}\)", f"![{drawing.alt}]({file})", page)
    page = replaced(r"```text\n.*?\n```", f"```text\n{ratios()}\n```", page)
    (folder / "draw.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
