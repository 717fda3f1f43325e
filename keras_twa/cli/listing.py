"""`keras-twa list`: the mechanisms, their features and their costs."""

import argparse
import dataclasses
from typing import Any

from keras_twa.cli import common
from keras_twa.tasks import probes
from keras_twa.tasks.settings import check_choice

EXAMPLES = """\
examples:
  keras-twa list
  keras-twa list --json
  keras-twa list --by parity

causal: whether a causal mask is optional, or always or never applied.
cross: whether queries and keys may be different sequences.
pairs: whether it supports masks and attention weights of pairs of steps.
streams: whether a sequence may come in several calls, with a state between them.
B sequences of T queries and S keys, H heads of width D. --json adds the formula and
the full cost of each mechanism. --by sorts by the scores that were recorded when this
version was made, from 0 (no better than the best guess) to 1 (perfect); `keras-twa
probe` measures them.
"""


def add(commands: Any) -> None:
    """Adds the command."""
    parser = common.add_command(commands, "list", "list the mechanisms", EXAMPLES)
    common.add_import(parser)
    parser.add_argument(
        "--by",
        metavar="PROBE",
        help="sort by the recorded score on a probe, and show it: "
        f"{', '.join(probes.names())}",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Prints the mechanisms as a table or as JSON."""
    from keras_twa.experiments.fitted_table import FittedTable

    if options.by is not None:
        check_choice("probe", options.by, probes.names())
    _, mechanisms = common.load_mechanisms(options.modules)
    described = [describe(name, layer) for name, layer in mechanisms.items()]
    if options.by is not None:
        described = sorted_by(described, options.by)
    if options.json:
        common.print_json({"mechanisms": described})
        return 0
    cost = "cost of a layer in training"
    headings = ["name", "causal", "cross", "pairs", "streams", cost]
    needed = [cost]
    if options.by is not None:
        headings.insert(1, options.by)
        needed.append(options.by)
    wraps = {cost: 20, options.by: 14}
    table = FittedTable(headings, "name", needed, text=headings, wraps=wraps)
    for facts in described:
        abilities = ("cross_attention", "pairwise_mask", "streaming")
        table.add_row(
            facts["name"],
            *([] if options.by is None else [_score_text(facts)]),
            facts["causality"],
            *("yes" if facts[ability] else "no" for ability in abilities),
            facts["cost"].partition(". ")[0].removesuffix("."),
        )
    console = common.console(options)
    console.print(table)
    if options.by is not None and not any(facts["score"] for facts in described):
        console.print(
            f"No scores on {options.by} are recorded in this version, so the order is "
            f"the usual one. `keras-twa probe --probes {options.by}` measures them."
        )
    return 0


def sorted_by(described: list[dict[str, Any]], probe: str) -> list[dict[str, Any]]:
    """Returns descriptions with their recorded scores on a probe, the best first.

    Args:
        described: What `describe` returned for each mechanism.
        probe: The name of the probe.
    """
    from keras_twa.probing.recorded import recorded
    from keras_twa.probing.recorded import score_on

    scores = recorded()
    found = []
    for facts in described:
        best = score_on(scores, facts["name"], probe)
        score = None
        if best is not None:
            text, measured = best
            score = {"attention": text, **dataclasses.asdict(measured)}
        found.append({**facts, "score": score})
    # Those without a score come last.
    return sorted(found, key=lambda facts: -(facts["score"] or {"mean": -1})["mean"])


def _score_text(facts: dict[str, Any]) -> str:
    from keras_twa.probing.cells import score_text

    score = facts["score"]
    if score is None:
        return "–"
    text = score_text(score["mean"], score["half_width"])
    # The options that it was measured with.
    return text + score["attention"].removeprefix(facts["name"])


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
