"""Writes the tables and pages of mechanisms, from the layers themselves.

    python docs/generate.py            # writes
    python docs/generate.py --check    # fails if there is something to write

The README gets a short table of all mechanisms, and `docs/mechanisms.md` a section for
each. Formulas and costs come from the docstrings, arguments from the constructors, and
the rest from the facts that each class states.

The scores on probes come from `docs/results/probes/*/matrix.json`, which `keras-twa
probe` writes. They go into a file of the package, the guides and the sections.
"""

import argparse
import inspect
import re
import sys
from pathlib import Path

import probe_tables
from markdown_tables import markdown

from keras_twa import layers
from keras_twa.layers.attention.base import Attention
from keras_twa.layers.docstrings import cost
from keras_twa.layers.docstrings import paragraphs
from keras_twa.probing import recorded

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DETAILS = ROOT / "docs" / "mechanisms.md"
CHOOSING = ROOT / "docs" / "guides" / "choosing.md"
PROBES = ROOT / "docs" / "guides" / "probes.md"
BEGIN = "<!-- {}: written by docs/generate.py -->"
END = "<!-- end of {} -->"
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
    rows = [HEADER]
    for layer in layers.ATTENTION_LAYERS:
        name = layers.name_of(layer)
        link = f"[`{name}`](docs/mechanisms.md#{name})"
        rows.append([link, summary(layer), cost_class(layer)])
    return markdown(rows)


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
        facts=facts_list(layer) + probe_line(layer),
    )


def probe_line(layer):
    """The recorded scores of a mechanism on probes as a line of its facts, or ""."""
    found = probe_tables.mechanism_line(layers.name_of(layer))
    return f"\n- **[Probes](guides/probes.md):** {found}" if found else ""


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
    return with_part(text, "mechanisms", mechanisms_table())


def with_part(text, name, part):
    """A document with the part between two comments as it should be."""
    first, last = BEGIN.format(name), END.format(name)
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"The document must have the lines {first!r} and {last!r}.")
    return f"{before}{first}\n\n{part}\n\n{last}{after}"


def guide_to_probes(text):
    """The guide with its tables as they should be."""
    text = with_part(text, "probes", probe_tables.probe_table())
    text = with_part(text, "scores", probe_tables.matrix_table())
    return with_part(text, "published outcomes", probe_tables.published_table())


def guide_to_choosing(text):
    """The guide with the recorded scores as they should be."""
    return with_part(text, "scores", probe_tables.matrix_table())


def main():
    """Writes or checks, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args().check
    scores = probe_tables.recorded_text()
    if not check:
        # The tables are made from it.
        recorded.FILE.write_text(scores, encoding="utf-8")
    wanted = {
        recorded.FILE: scores,
        README: with_table(read(README)),
        DETAILS: details(),
        CHOOSING: guide_to_choosing(read(CHOOSING)),
        PROBES: guide_to_probes(read(PROBES)),
    }
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
