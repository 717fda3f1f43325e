"""The tables of a report."""

from collections.abc import Callable
from collections.abc import Sequence

from keras_twa.experiments.document import Block
from keras_twa.experiments.document import Paragraph
from keras_twa.experiments.document import Table
from keras_twa.experiments.markup import code
from keras_twa.experiments.markup import literal
from keras_twa.experiments.results import Estimate
from keras_twa.experiments.results import Result
from keras_twa.experiments.summary import MechanismRuns
from keras_twa.experiments.summary import Summary
from keras_twa.experiments.sweep import chosen_rate
from keras_twa.experiments.text import attention_text
from keras_twa.experiments.text import bytes_text
from keras_twa.experiments.text import seconds_text
from keras_twa.tasks import Metric
from keras_twa.tasks import get

# Relative improvements are shares, whatever the metric is.
SHARE = Metric("share")


def summary_table(summary: Summary) -> Table:
    """The main table."""
    metric = summary.metric
    rows = []
    for mechanism in summary.mechanisms:
        validation = [m.best_validation for m in mechanism.completed]
        best = metric.best(v for v in validation if v is not None)
        rows.append(
            [
                literal(mechanism.label),
                _score(mechanism.score, metric),
                _difference(summary.difference(mechanism), metric),
                _text(mechanism.mean("parameters"), lambda value: f"{value:,.0f}"),
                f"{len(mechanism.completed)} of {len(mechanism.runs)}",
                metric.text(best),
                _text(mechanism.loss, lambda value: f"{value:.3f}"),
                _text(mechanism.mean("seconds_per_epoch"), seconds_text),
                _text(mechanism.mean("model_memory"), bytes_text),
            ]
        )
    header = (
        "mechanism",
        f"test {metric.title}",
        f"{_unit(metric)} over {summary.baseline_text}",
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
    metric = summary.metric
    explanations = summary.facts.get("explanations")
    if explanations is None:
        # Of an earlier version.
        explanations = get(summary.facts["task"]).explanations
    rows = [
        [literal(name), metric.text(value), literal(explanations.get(name, ""))]
        for name, value in summary.facts["baselines"].items()
    ]
    header = ("baseline", f"test {metric.title}", "what it gives")
    return Table(header, rows, text=True)


def learning_rates_table(summary: Summary) -> Table:
    """The validation score of each learning rate of a sweep, and the chosen one."""
    rates = summary.facts["learning_rates"]
    rows = []
    for mechanism in summary.mechanisms:
        chosen = chosen_rate(mechanism.tried)
        first = min(run.experiment.seed for run in mechanism.tried)
        scores = {
            run.experiment.learning_rate: run.best_validation
            for run in mechanism.tried
            if run.experiment.seed == first
        }
        texts = [
            "failed" if scores.get(rate) is None else summary.metric.text(scores[rate])
            for rate in rates
        ]
        edge = len(rates) > 1 and chosen in (min(rates), max(rates))
        which = "–" if chosen is None else f"{chosen:g}"
        rows.append(
            [
                literal(mechanism.label),
                *texts,
                f"{which} (at the end)" if edge else which,
            ]
        )
    header = ("mechanism", *(f"{rate:g}" for rate in rates), "chosen")
    return Table(header, rows, _colours(summary.mechanisms))


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
        f"epochs to 90 % of {summary.baseline_text} gain",
        "seconds",
    )
    return Table(header, rows, _colours(summary.mechanisms))


def _reached(found: Sequence[tuple[int, float] | None]) -> list[str]:
    """Returns mean epochs and seconds of the runs that reached the score."""
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
        relative = _difference(summary.improvement(mechanism), SHARE)
        rows.append(
            [
                literal(mechanism.label),
                _difference(difference, summary.metric),
                relative if relative == "–" else f"{relative} %",
                str(len(difference.values) if difference else 0),
            ]
        )
    unit = _unit(summary.metric)
    header = ("mechanism", unit, "relative improvement", "pairs of runs")
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
            literal(attention_text(run.experiment.attention)),
            _seed_text(run),
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
    settings = dict(facts["settings"])
    used = facts.get("used")
    if used is not None:
        settings = {name: settings[name] for name in (*used, "options")}
    settings = settings | settings.pop("options")
    settings.setdefault("optimizer", "AdamW")
    if facts["learning_rates"]:
        settings["learning_rate"] = "chosen in the sweep"
    names = ("task", "preset", "data", "backend")
    rows = [[name, code(str(facts.get(name)))] for name in names]
    rows += [
        [literal(name.replace("_", " ")), code(str(value))]
        for name, value in settings.items()
    ]
    return Table(("setting", "value"), rows, text=True)


def _seed_text(run: Result) -> str:
    rate = run.experiment.learning_rate
    seed = str(run.experiment.seed)
    return seed if rate is None else f"{seed}, learning rate {rate:g}"


def _colours(mechanisms: Sequence[MechanismRuns]) -> list[str | None]:
    return [mechanism.colour for mechanism in mechanisms]


def _text(found: Estimate | None, text: Callable[[float], str]) -> str:
    return "–" if found is None else text(found.mean)


def _score(found: Estimate | None, metric: Metric) -> str:
    if found is None or found.half_width is None:
        return _text(found, metric.text)
    unit = " %" if metric.percent else ""
    return f"{metric.plain(found.mean)} ± {metric.plain(found.half_width)}{unit}"


def _difference(found: Estimate | None, metric: Metric) -> str:
    """Returns 0.009 as `+0.9`, with its interval."""
    if found is None:
        return "–"
    text = metric.plain(found.mean, "+")
    if found.half_width is not None:
        text += f" ± {metric.plain(found.half_width)}"
    return text


def _unit(metric: Metric) -> str:
    return "percentage points" if metric.percent else metric.title
