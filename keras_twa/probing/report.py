"""The report of a matrix, as Markdown, as one HTML file, and as a table of runs."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from keras_twa import files
from keras_twa.experiments.document import Block
from keras_twa.experiments.document import Bullets
from keras_twa.experiments.document import Heading
from keras_twa.experiments.document import Paragraph
from keras_twa.experiments.document import write_html
from keras_twa.experiments.document import write_markdown
from keras_twa.experiments.markup import literal
from keras_twa.experiments.report import HTML_NAME
from keras_twa.experiments.report import MARKDOWN_NAME
from keras_twa.figure import house_style
from keras_twa.probing import figures
from keras_twa.probing import tables

if TYPE_CHECKING:
    from keras_twa.probing.matrix import CapabilityMatrix

RUNS = "runs.csv"
COLUMNS = (
    "probe",
    "attention",
    "seed",
    "learning_rate",
    "status",
    "updates",
    "validation",
    "test",
    "parameters",
    "improving",
    "seconds",
)
CAVEATS = (
    "A score says what a small model of a mechanism learned from few updates. It does "
    "not say what a larger one could learn.",
    "The test uses the weights of the validation with the best score. Test rows were "
    "read once, at the end of each run, and training rows are fresh at every step.",
    "Intervals are t intervals over seeds, without correction for many cells. With one "
    "seed there is none.",
    "Scores of different probes are not comparable with each other: each has sizes of "
    "its own.",
)


def write_report(matrix: "CapabilityMatrix", place: Path) -> Path:
    """Writes the files of a report, and returns the path of the HTML file."""
    blocks = report_blocks(matrix)
    place.mkdir(parents=True, exist_ok=True)
    write_markdown(blocks, place / MARKDOWN_NAME)
    write_html(blocks, place / HTML_NAME)
    write_runs(matrix, place / RUNS)
    return place / HTML_NAME


@house_style()
def report_blocks(matrix: "CapabilityMatrix") -> list[Block]:
    """Returns the report as blocks."""
    facts = matrix.facts
    rates = ", ".join(f"{rate:g}" for rate in facts["learning_rates"])
    sweep = (
        f"The first seed ran with the learning rates {rates}. The one with the best "
        "validation score was chosen, and the other seeds ran with it."
        if rates
        else "All runs had the learning rate of the preset."
    )
    done = sum(run.status == "completed" for run in matrix.results)
    blocks: list[Block] = [
        Heading("What attention mechanisms can do", 1),
        Paragraph(
            f"Preset **{literal(facts['preset'])}**, **{literal(facts['backend'])}** "
            f"backend; positions of scores of pairs: "
            f"{literal(facts['positions'] or 'those of the preset')}; seeds "
            f"{', '.join(map(str, facts['seeds']))}; {done} of {len(matrix.results)} "
            "started runs complete."
        ),
        Paragraph(
            "Test scores from 0 (no better than the best guess) to 1 (perfect): the "
            "mean over seeds, and half the width of its 95 % t interval. Bold: the "
            f"best of a probe. {sweep}"
        ),
        tables.matrix_table(matrix),
        *tables.note_blocks(matrix),
        figures.heat_map(matrix),
        Heading("The probes"),
        tables.probe_table(matrix),
    ]
    if matrix.explanations:
        blocks.append(
            Bullets(
                [
                    f"**{literal(name)}**: {literal(text)}"
                    for name, text in matrix.explanations.items()
                ]
            )
        )
    learning, lengths = figures.learning_curves(matrix), figures.length_curves(matrix)
    if learning is not None:
        blocks += [Heading("Learning"), learning]
    if lengths is not None:
        blocks += [Heading("Longer rows than in training"), lengths]
        for name in matrix.probes:
            cell = next(iter(matrix.cells[name].values()))
            if len(cell.probe.test_lengths) > 1:
                title = literal(cell.probe.title)
                blocks += [Heading(title, 3), tables.length_table(matrix, name)]
    blocks += [
        Heading("Test scores as measured"),
        Paragraph(
            "In per cent: the accuracy, or the explained variance where targets are "
            "numbers."
        ),
        tables.test_table(matrix),
    ]
    if rates:
        blocks += [
            Heading("Learning rates"),
            Paragraph(
                "The rate that was chosen. Bold: it is at an end of the sweep, so a "
                "wider sweep might find a better one."
            ),
            tables.rate_table(matrix),
        ]
    return [
        *blocks,
        Heading("Parameters"),
        Paragraph(
            "Trainable weights of each model. The width of the feed-forward networks "
            "makes up for what a mechanism has more or fewer."
        ),
        tables.parameter_table(matrix),
        Heading("Caveats"),
        Bullets(CAVEATS),
    ]


def write_runs(matrix: "CapabilityMatrix", path: Path) -> None:
    """Writes a table of all runs."""
    with files.whole(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for cell in matrix.all_cells:
            for run in cell.tried:
                experiment = run.experiment
                scores = [
                    "" if score is None else round(score, 4)
                    for score in (run.best_validation, run.score)
                ]
                writer.writerow(
                    [
                        cell.probe.name,
                        cell.attention,
                        experiment.seed,
                        experiment.learning_rate or cell.settings.learning_rate,
                        run.status,
                        run.steps,
                        *scores,
                        run.parameters,
                        run.improving,
                        round(run.wall_seconds, 1),
                    ]
                )
