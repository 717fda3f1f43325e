"""The tables of a report."""

from collections.abc import Callable
from collections.abc import Sequence

from keras_twa.experiments.document import Block
from keras_twa.experiments.document import Paragraph
from keras_twa.experiments.document import Table
from keras_twa.experiments.markup import code
from keras_twa.experiments.markup import literal
from keras_twa.experiments.results import Estimate
from keras_twa.experiments.summary import Mechanism
from keras_twa.experiments.summary import Summary
from keras_twa.experiments.text import accuracy_text
from keras_twa.experiments.text import bytes_text
from keras_twa.experiments.text import seconds_text


def summary_table(summary: Summary) -> Table:
    """The main table."""
    rows = []
    for mechanism in summary.mechanisms:
        validation = [m.best_validation_accuracy for m in mechanism.completed]
        best = max((v for v in validation if v is not None), default=None)
        rows.append(
            [
                literal(mechanism.label),
                _percent(mechanism.accuracy),
                _points(summary.difference(mechanism)),
                _text(mechanism.mean("parameters"), lambda value: f"{value:,.0f}"),
                f"{len(mechanism.completed)} of {len(mechanism.runs)}",
                accuracy_text(best),
                _text(mechanism.mean("test_loss"), lambda value: f"{value:.3f}"),
                _text(mechanism.mean("seconds_per_epoch"), seconds_text),
                _text(mechanism.mean("model_memory"), bytes_text),
            ]
        )
    header = (
        "mechanism",
        "test accuracy",
        "percentage points over conventional",
        "parameters",
        "runs",
        "best validation",
        "test loss",
        "epoch",
        "peak memory",
    )
    return Table(header, rows, _colours(summary.mechanisms))


def baseline_table(summary: Summary) -> Table:
    """The baselines without attention."""
    explanations = {
        "majority": "the most frequent label of the training rows, always",
        "root operator": "the most frequent label for the first operator",
    }
    rows = [
        [
            literal(name),
            accuracy_text(value),
            explanations.get(name, "which byte n-grams occur"),
        ]
        for name, value in summary.facts["baselines"].items()
    ]
    return Table(("baseline", "test accuracy", "what it gives"), rows, text=True)


def convergence_table(summary: Summary) -> Table:
    """How fast the mechanisms learn."""
    rows = [
        [
            literal(mechanism.label),
            *_reached([summary.to_own_best(run) for run in mechanism.trained]),
            *_reached([summary.to_baseline_gain(run) for run in mechanism.trained]),
        ]
        for mechanism in summary.mechanisms
    ]
    header = (
        "mechanism",
        "epochs to 90 % of own best",
        "seconds",
        "epochs to 90 % of conventional gain",
        "seconds",
    )
    return Table(header, rows, _colours(summary.mechanisms))


def _reached(found: Sequence[tuple[int, float] | None]) -> list[str]:
    """Returns mean epochs and seconds of the runs that reached the accuracy."""
    there = [value for value in found if value is not None]
    if not there:
        return ["not reached", "–"]
    epochs = sum(value[0] for value in there) / len(there)
    seconds = sum(value[1] for value in there) / len(there)
    text = f"{epochs:.1f}".removesuffix(".0")
    if len(there) < len(found):
        text += f" ({len(there)} of {len(found)} runs)"
    return [text, seconds_text(seconds)]


def improvement_table(summary: Summary) -> Table:
    """The absolute and relative improvement of each mechanism."""
    shown = [m for m in summary.mechanisms if summary.difference(m) is not None]
    rows = []
    for mechanism in shown:
        difference = summary.difference(mechanism)
        relative = _points(summary.improvement(mechanism))
        rows.append(
            [
                literal(mechanism.label),
                _points(difference),
                relative if relative == "–" else f"{relative} %",
                str(len(difference.values) if difference else 0),
            ]
        )
    header = ("mechanism", "percentage points", "relative improvement", "pairs of runs")
    return Table(header, rows, _colours(shown))


def efficiency_table(summary: Summary) -> Table:
    """Time and memory."""
    rows = []
    for mechanism in summary.mechanisms:
        memory = [run.memory for run in mechanism.completed]
        rows.append(
            [
                literal(mechanism.label),
                _text(mechanism.mean("seconds_per_epoch"), seconds_text),
                _text(mechanism.mean("compile_seconds"), seconds_text),
                _text(mechanism.mean("wall_seconds"), seconds_text),
                *(
                    bytes_text(
                        max((m.get(name) or 0 for m in memory), default=0) or None
                    )
                    for name in ("before_model", "peak", "device_peak")
                ),
            ]
        )
    header = (
        "mechanism",
        "epoch",
        "compilation",
        "whole run",
        "process before the model",
        "process peak",
        "device peak",
    )
    return Table(header, rows, _colours(summary.mechanisms))


def unfinished(summary: Summary) -> Block:
    """The runs that are not complete, and why."""
    runs = [run for run in summary.runs if run.status != "completed"]
    if not runs:
        return Paragraph("None.")
    rows = [
        [
            literal(run.experiment.attention.replace("_", " ")),
            str(run.experiment.seed),
            run.status,
            literal(run.reason) or "killed, or still running",
            str(len(run.curve)),
        ]
        for run in runs
    ]
    return Table(("mechanism", "seed", "status", "why", "epochs done"), rows, text=True)


def settings_table(summary: Summary) -> Table:
    """Every setting."""
    facts = summary.facts
    names = ("task", "preset", "data", "backend")
    rows = [[name, code(str(facts.get(name)))] for name in names]
    rows += [
        [literal(name.replace("_", " ")), code(str(value))]
        for name, value in facts["settings"].items()
    ]
    rows += [["optimizer", "AdamW"]]
    return Table(("setting", "value"), rows, text=True)


def _colours(mechanisms: Sequence[Mechanism]) -> list[str | None]:
    return [mechanism.colour for mechanism in mechanisms]


def _text(found: Estimate | None, text: Callable[[float], str]) -> str:
    return "–" if found is None else text(found.mean)


def _percent(found: Estimate | None) -> str:
    if found is None or found.half_width is None:
        return _text(found, accuracy_text)
    return f"{100 * found.mean:.1f} ± {100 * found.half_width:.1f} %"


def _points(found: Estimate | None) -> str:
    """Returns 0.009 as `+0.9`, with its interval."""
    if found is None:
        return "–"
    text = f"{100 * found.mean:+.1f}"
    if found.half_width is not None:
        text += f" ± {100 * found.half_width:.1f}"
    return text
