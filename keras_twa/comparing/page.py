"""A comparison as a text for terminals, and as HTML for notebooks."""

import io

from rich.console import Console

from keras_twa.experiments import figures
from keras_twa.experiments import tables
from keras_twa.experiments.document import Block
from keras_twa.experiments.document import block_html
from keras_twa.experiments.summary import Summary
from keras_twa.experiments.terminal import results_table
from keras_twa.figure import house_style

WIDTH = 100


def as_text(summary: Summary) -> str:
    """Returns the table of a comparison for a terminal."""
    runs = [run for each in summary.mechanisms for run in each.runs]
    table = results_table(runs, summary.facts["baselines"], summary.metric)
    text = io.StringIO()
    # In a notebook, rich would show it besides.
    console = Console(file=text, width=WIDTH, color_system=None, force_jupyter=False)
    console.print(table)
    lines = [text.getvalue().rstrip()]
    lines += [
        f"{run.experiment.name} {run.status}: {run.reason or 'killed, or running'}"
        for run in summary.runs
        if run.status != "completed"
    ]
    return "\n".join(lines)


@house_style()
def as_html(summary: Summary) -> str:
    """Returns the table and the plots of a comparison as a part of an HTML page."""
    blocks: list[Block] = [tables.summary_table(summary)]
    if any(each.completed for each in summary.mechanisms):
        blocks.append(figures.score_bars(summary))
    blocks.append(tables.baseline_table(summary))
    if summary.facts["learning_rates"]:
        blocks.append(tables.learning_rates_table(summary))
    if any(each.trained for each in summary.mechanisms):
        blocks.append(figures.learning_curves(summary))
    if any(run.status != "completed" for run in summary.runs):
        blocks.append(tables.unfinished(summary))
    return f"<div>{''.join(map(block_html, blocks))}</div>"
