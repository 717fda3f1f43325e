"""Writes the table of mechanisms into the README, from the layers themselves.

    python docs/generate.py            # writes
    python docs/generate.py --check    # fails if there is something to write

What a mechanism computes and costs is read from its docstring, its own arguments
from its constructor, and what it can do from the facts it states.
"""

import argparse
import inspect
import sys
from pathlib import Path

from keras_twa import layers
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.docstrings import cost
from keras_twa.layers.docstrings import paragraphs

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN = "<!-- mechanisms: written by docs/generate.py -->"
END = "<!-- end of mechanisms -->"
HEADER = (
    "Name and class",
    "What it computes",
    "Its own arguments",
    "Cost",
    "Masks and positions",
)
CAUSALITY = {"optional": "causal or not", "always": "causal", "never": "not causal"}


def source(layer):
    """The file that defines a layer, from the root of the repository."""
    path = Path(inspect.getsourcefile(layer)).resolve().relative_to(ROOT)
    return path.as_posix()


def mechanisms_table():
    """The Markdown table of all attention layers."""
    found = [row(layer) for layer in layers.ATTENTION_LAYERS]
    rows = [HEADER, ["---"] * len(HEADER), *found]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(layer):
    """One layer's cells."""
    cells = (
        f"`{layers.name_of(layer)}`<br>[`{layer.__name__}`]({source(layer)})",
        paragraphs(layer)[1],
        "<br>".join(f"`{argument}`" for argument in own_arguments(layer)) or "none",
        cost(layer),
        ", ".join(facts(layer)),
    )
    # On GitHub a bar ends a cell, even inside code.
    return [cell.replace("|", r"\|") for cell in cells]


def own_arguments(layer):
    """The arguments that not every layer has, with defaults."""
    shared = inspect.signature(Attention).parameters
    own = inspect.signature(layer).parameters
    return [
        str(argument)
        for name, argument in own.items()
        if name not in shared and argument.kind is not argument.VAR_KEYWORD
    ]


def facts(layer):
    """What the layer says it can do; the contract tests hold it to that."""
    yield CAUSALITY[layer.causality]
    yield "padding"
    if layer.pairwise_mask:
        yield "pairs"
    yield "cross-attention" if layer.cross_attention else "self-attention only"
    if layer.rotary:
        yield "rotary"
    if layer.position_bias:
        yield "position biases"
    if not layer.prefix_invariant:
        yield "whole sequences only"


def with_table(text):
    """The README with the table as it should be."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The README must have the lines {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n\n{mechanisms_table()}\n\n{END}{after}"


def main():
    """Writes or checks, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    text = README.read_text(encoding="utf-8")
    wanted = with_table(text)
    if wanted == text:
        return 0
    if check:
        print("README.md is out of date: run python docs/generate.py", file=sys.stderr)
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
