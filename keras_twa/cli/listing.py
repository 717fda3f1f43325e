"""`keras-twa list`: the mechanisms, their features and their costs."""

import argparse
from typing import Any

from keras_twa.cli import common

EXAMPLES = """\
examples:
  keras-twa list
  keras-twa list --json

causal: whether a causal mask is optional, or always or never applied.
cross: whether queries and keys may be different sequences.
pairs: whether it supports masks and attention weights of pairs of steps.
streams: whether a sequence may come in several calls, with a state between them.
B sequences of T queries and S keys, H heads of width D. --json adds the formula and
the full cost of each mechanism.
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(commands, "list", "list the mechanisms", EXAMPLES)
    common.add_import(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the mechanisms as a table or as JSON."""
    from keras_twa.experiments.fitted_table import FittedTable

    _, mechanisms = common.load_mechanisms(options.modules)
    described = [describe(name, layer) for name, layer in mechanisms.items()]
    if options.json:
        common.print_json({"mechanisms": described})
        return 0
    cost = "cost of a layer in training"
    headings = ("name", "causal", "cross", "pairs", "streams", cost)
    table = FittedTable(headings, "name", [cost], text=headings, wraps={cost: 20})
    for facts in described:
        abilities = ("cross_attention", "pairwise_mask", "streaming")
        table.add_row(
            facts["name"],
            facts["causality"],
            *("yes" if facts[ability] else "no" for ability in abilities),
            facts["cost"].partition(". ")[0].removesuffix("."),
        )
    common.console(options).print(table)
    return 0


def describe(name: str, layer: Any) -> dict[str, Any]:
    """Returns the description of a mechanism, as plain values."""
    from keras_twa.layers.docstrings import paragraphs
    from keras_twa.layers.docstrings import stated_cost

    # Only the docstring of the layer itself: a layer may have none.
    found = paragraphs(layer) if layer.__doc__ else []
    summary, computes, *_ = [*found, "", ""]
    return {
        "name": name,
        "class": layer.__name__,
        "summary": summary,
        "computes": computes,
        "causality": layer.causality,
        "cross_attention": layer.cross_attention,
        "pairwise_mask": layer.pairwise_mask,
        "streaming": layer.prefix_invariant,
        "cost": stated_cost(layer) or "Not stated.",
    }
