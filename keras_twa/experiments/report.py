"""Writes the report of a comparison from its results; never trains."""

import json
import os
from pathlib import Path
from typing import Any

from keras_twa.experiments import figures
from keras_twa.experiments import pictures
from keras_twa.experiments import tables
from keras_twa.experiments.document import Block
from keras_twa.experiments.document import Bullets
from keras_twa.experiments.document import Heading
from keras_twa.experiments.document import Paragraph
from keras_twa.experiments.document import Table
from keras_twa.experiments.document import write_html
from keras_twa.experiments.document import write_markdown
from keras_twa.experiments.markup import code
from keras_twa.experiments.markup import literal
from keras_twa.experiments.results import Result
from keras_twa.experiments.summary import Summary
from keras_twa.experiments.text import bytes_text
from keras_twa.experiments.text import note_heading
from keras_twa.figure import house_style
from keras_twa.tasks import get

HTML_NAME = "report.html"
MARKDOWN_NAME = "report.md"


def write_report(
    directory: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Writes `report.html` and `report.md` of a comparison.

    Args:
        directory: The folder of the comparison.
        output: The folder of the report. Defaults to that of the comparison.

    Returns:
        The path of the HTML file.

    Raises:
        ValueError: If the folder has no comparison, or a foreign result.
    """
    folder = Path(directory)
    summary = Summary.load(folder)
    blocks = report_blocks(summary, folder)
    place = folder if output is None else Path(output)
    place.mkdir(parents=True, exist_ok=True)
    write_markdown(blocks, place / MARKDOWN_NAME)
    write_html(blocks, place / HTML_NAME)
    return place / HTML_NAME


@house_style()
def report_blocks(summary: Summary, folder: Path) -> list[Block]:
    """Returns the report as blocks."""
    blocks: list[Block] = _head(summary)
    completed = [m for m in summary.mechanisms if m.completed]
    blocks += [Heading("Summary"), tables.summary_table(summary)]
    if completed:
        blocks += [Heading("Score"), figures.score_bars(summary)]
    blocks += [Heading("Without attention"), tables.baseline_table(summary)]
    if summary.facts["learning_rates"]:
        blocks += [Heading("Learning rates"), tables.learning_rates_table(summary)]
        blocks += [Paragraph(_SWEEP_NOTE)]
    if any(m.trained for m in summary.mechanisms):
        blocks += [Heading("Learning"), figures.learning_curves(summary)]
        blocks += [
            tables.convergence_table(summary),
            Paragraph(_convergence_note(summary)),
        ]
    if completed:
        blocks += [Heading("Time and memory"), figures.efficiency(summary)]
        blocks += [tables.efficiency_table(summary), Paragraph(_memory_note(summary))]
    blocks += [Heading(f"Relative improvement over {summary.baseline_phrase}")]
    blocks += _improvement(summary)
    drawings = [
        ("At a glance", pictures.radar(summary)),
        ("What they attend to", pictures.attention_maps(summary, folder)),
    ]
    for title, figure in drawings:
        if figure is not None:
            blocks += [Heading(title), figure]
    blocks += _example(summary, folder)
    blocks += [Heading("Failed and unfinished runs"), tables.unfinished(summary)]
    blocks += [Heading("Caveats"), Bullets(_caveats(summary))]
    blocks += [Heading("Settings"), tables.settings_table(summary)]
    blocks += [Heading("Versions and hardware"), *_environment(summary)]
    return blocks


_SWEEP_NOTE = (
    "The best validation score of the first seed with each learning rate. The rate "
    "with the best one was chosen, and the other seeds ran with it; the test rows had "
    "no part in this. Where the chosen rate is at the end of the sweep, a wider sweep "
    "might find a better one."
)


def _convergence_note(summary: Summary) -> str:
    return (
        "The validation score is measured after every epoch, so these are upper "
        "bounds. 90 % of its own best favours a mechanism that learns little. The "
        f"{summary.baseline_text} gain is the gain of {summary.baseline_phrase} with "
        "the same seed over the most trivial baseline. Seconds exclude compilation and "
        "validation."
    )


def _head(summary: Summary) -> list[Block]:
    facts = summary.facts
    task = literal(facts.get("title") or get(facts["task"]).title)
    source = literal(facts.get("source", ""))
    seeds = sorted({run.experiment.seed for run in summary.runs})
    rows = facts.get("rows", {})
    blocks: list[Block] = [Heading(f"Attention mechanisms on {task}: {source}", 1)]
    parts = [
        f"Preset **{literal(facts['preset'])}**, "
        f"**{literal(facts['backend'])}** backend",
        f"seeds {', '.join(map(str, seeds)) or 'none'}",
        f"{sum(len(m.completed) for m in summary.mechanisms)} of "
        f"{len(summary.runs)} started runs complete",
    ]
    if rows:
        counts = ", ".join(f"{count:,} {literal(name)}" for name, count in rows.items())
        parts.append(f"rows: {counts}")
    blocks.append(Paragraph(f"{'; '.join(parts)}."))
    if source.startswith("sample"):
        blocks.append(
            Paragraph(
                f"**S{source[1:]}.** These rows were generated. The numbers show that "
                "everything runs, but say nothing about the task.",
                notice=True,
            )
        )
    if facts.get("note"):
        note = f"**{note_heading(facts)}.** {literal(facts['note'])}"
        blocks.append(Paragraph(note, notice=True))
    return blocks


def _memory_note(summary: Summary) -> str:
    if any(run.memory.get("device_peak") for run in summary.runs):
        return "Peak memory is that of the device, as the backend counts it."
    return (
        "Peak memory is the growth of the process (resident set, from after its "
        "imports and data to its peak), including compilation. It is approximate."
    )


def _improvement(summary: Summary) -> list[Block]:
    if summary.baseline is None:
        return [Paragraph(f"The baseline, `{summary.facts['baseline']}`, was not run.")]
    figure = figures.improvement(summary)
    if figure is None:
        return [Paragraph("There is no complete pair of runs with the same seed yet.")]
    return [tables.improvement_table(summary), figure]


def _example(summary: Summary, folder: Path) -> list[Block]:
    for run in summary.runs:
        symbols = pictures.load_maps(folder, run).get("symbols")
        if symbols is not None:
            space = " " if any(len(str(symbol)) > 1 for symbol in symbols) else ""
            text = space.join(map(str, symbols))
            return [Paragraph(f"The example: {code(' '.join(text.split()))}")]
    return []


def _caveats(summary: Summary) -> list[str]:
    tuned = "nothing is tuned for any of them"
    if summary.facts["learning_rates"]:
        tuned = "the learning rate, which was chosen in the same way for each of them"
    found = [
        f"Runs differ only in the mechanism, and {tuned}. "
        "Parameters differ if a mechanism has more projections.",
        "The test uses the weights of the epoch with the best validation score. "
        "The test rows were read once, at the end of each run.",
        "Intervals are t intervals over seeds, without correction for several "
        "mechanisms. With few seeds they are wide. With one seed there is no interval.",
    ]
    if summary.metric.percent:
        found.append(
            f"One run on {summary.facts.get('rows', {}).get('test', 0):,} test rows is "
            f"known to ± {_sampling_half_width(summary):.1f} points at best, before "
            "the variance between seeds."
        )
    smaller = summary.facts["preset"] in ("quick", "small", "mvp")
    if smaller and summary.facts.get("published", True):
        found.append(
            f"The preset {summary.facts['preset']} is smaller than the published "
            "settings. Do not compare its numbers with published ones."
        )
    caveats = summary.facts.get("caveats")
    if caveats is None:
        # Of an earlier version.
        caveats = get(summary.facts["task"]).caveats
    return [*found, *map(literal, caveats)]


def _sampling_half_width(summary: Summary) -> float:
    rows = summary.facts.get("rows", {}).get("test") or 1
    best = max((m.score.mean for m in summary.mechanisms if m.score), default=0.5)
    return float(100 * 1.96 * (best * (1 - best) / rows) ** 0.5)


def _environment(summary: Summary) -> list[Block]:
    groups: dict[str, list[Result]] = {}
    for run in summary.runs:
        if run.environment:
            key = json.dumps(run.environment, sort_keys=True)
            groups.setdefault(key, []).append(run)
    if not groups:
        return [Paragraph("No run has recorded them.")]
    blocks: list[Block] = []
    for key, runs in groups.items():
        if len(groups) > 1:
            names = ", ".join(code(run.experiment.name) for run in runs)
            blocks.append(Paragraph(f"Of {names}:"))
        environment: dict[str, Any] = json.loads(key)
        rows = [
            [literal(name), _fact(name, value)]
            for name, value in environment.items()
            if value is not None
        ]
        blocks.append(Table(("what", "which"), rows, text=True))
    return blocks


def _fact(name: str, value: Any) -> str:
    return bytes_text(value) if name == "memory" else literal(str(value))
