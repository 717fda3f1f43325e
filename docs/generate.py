"""Writes the tables and pages of mechanisms, from the layers themselves.

    python docs/generate.py            # writes
    python docs/generate.py --check    # fails if there is something to write

The README gets a short table of all mechanisms, and `docs/mechanisms.md` a section for
each. Formulas and costs come from the docstrings, arguments from the constructors, and
the rest from the facts that each class states.
"""

import argparse
import inspect
import re
import sys
from pathlib import Path

from keras_twa import layers
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.docstrings import cost
from keras_twa.layers.docstrings import paragraphs

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DETAILS = ROOT / "docs" / "mechanisms.md"
BEGIN = "<!-- mechanisms: written by docs/generate.py -->"
END = "<!-- end of mechanisms -->"
HEADER = ("Mechanism", "What it is", "Time")
CAUSALITY = {
    "optional": "causal or not",
    "always": "always causal",
    "never": "never causal",
}
# An expression in brackets, which may hold further brackets, before the word "time".
TIME = re.compile(r"O\(((?:[^()]|\([^()]*\))*)\) time")
TITLE = """\
<!-- Written by docs/generate.py: change the docstrings instead. -->

# Mechanisms

`B` is the number of sequences, `T` that of queries and `S` that of keys in each, `H`
that of heads, and `D` their width. Costs are those of one layer in training. Each
section links to the code, whose docstring describes every argument.
"""
SECTION = """\
## `{name}`

[`{title}`](../{source})

{description}

{facts}
"""
FACTS = """\
- **Own arguments:** {arguments}
- **Cost:** {cost}
- **Supports:** {supports}
- **Streaming:** {streaming}
- **Attention weights:** {weights}
- **Reference:** {reference}"""


def source(layer):
    """The file that defines a layer, from the root of the repository."""
    path = Path(inspect.getsourcefile(layer)).resolve().relative_to(ROOT)
    return path.as_posix()


def mechanisms_table():
    """The README's Markdown table of all attention layers."""
    rows = [HEADER, ["---"] * len(HEADER)]
    for layer in layers.ATTENTION_LAYERS:
        name = layers.name_of(layer)
        link = f"[`{name}`](docs/mechanisms.md#{name})"
        rows.append([link, summary(layer), cost_class(layer)])
    # On GitHub a bar ends a cell, even inside code.
    rows = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def summary(layer):
    """The first line of the docstring, without what all layers have in common."""
    text = paragraphs(layer)[0].removeprefix("Multi-head ")
    return text[0].upper() + text[1:]


def details():
    """The document with a section for each mechanism."""
    sections = [section(layer) for layer in layers.ATTENTION_LAYERS]
    return "\n".join([TITLE, *sections])


def section(layer):
    """The section of one mechanism."""
    return SECTION.format(
        name=layers.name_of(layer),
        title=layer.__name__,
        source=source(layer),
        description=description(layer),
        facts=facts_list(layer),
    )


def description(layer):
    """The docstring down to its cost and its arguments."""
    text, _, _ = inspect.getdoc(layer).partition("\n\nArgs:")
    text, _, _ = text.partition("\n\nCost")
    return text


def facts_list(layer):
    """What a user looks up about a mechanism, as a Markdown list."""
    _, _, reference = inspect.getdoc(layer).partition("\nReference:\n")
    arguments = [f"`{argument}`" for argument in own_arguments(layer)]
    return FACTS.format(
        arguments=", ".join(arguments) or "none",
        cost=cost(layer),
        supports=", ".join(facts(layer)),
        streaming=streaming(layer),
        weights="yes" if layer.pairwise_mask else "no, there are no scores of pairs",
        reference=" ".join(reference.split()),
    )


def cost_class(layer):
    """How the time of a layer grows with the length, in a word.

    Where a docstring states several, the first one is the general case.
    """
    expressions = TIME.findall(cost(layer))
    if not expressions:
        # Stated as that of dot-product attention, with other constants.
        return cost_class(layers.DotProductAttention)
    return " or ".join(dict.fromkeys(growth(x) for x in expressions))


def growth(expression):
    """How an expression such as `T S D` grows with the length."""
    if "T S" in expression or "T^2" in expression:
        return "quadratic"
    return "T log T" if "log T" in expression else "linear"


def streaming(layer):
    """Whether a sequence may come in parts, and how large a state is then."""
    if not layer.prefix_invariant:
        return "no, it needs whole sequences"
    made = layer(num_heads=2, key_dim=8)
    made.build((None, 48, 16))
    kind = "of fixed size" if made.has_fixed_state() else "that grows"
    return f"yes, with a state {kind}"


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
        yield "pairwise masks"
    yield "cross-attention" if layer.cross_attention else "self-attention only"
    if layer.rotary:
        yield "rotary positions"
    if layer.position_bias:
        yield "position biases"
    if layer.convolves:
        yield "a short convolution"
    if len(layer.allowed_directions) > 1:
        yield "directions " + ", ".join(f"`{x}`" for x in layer.allowed_directions)


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
    wanted = {README: with_table(read(README)), DETAILS: details()}
    stale = [path for path, text in wanted.items() if read(path) != text]
    for path in stale:
        if check:
            name = path.relative_to(ROOT).as_posix()
            message = f"{name} is out of date: run python docs/generate.py"
            print(message, file=sys.stderr)
        else:
            path.write_text(wanted[path], encoding="utf-8")
    return 1 if check and stale else 0


def read(path):
    """The text of a document, empty if there is none yet."""
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
