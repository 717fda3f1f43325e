"""The result of a search, as a table in the terminal."""

from typing import Any

from keras_twa.experiments.fitted_table import FittedTable
from keras_twa.experiments.text import seconds_text
from keras_twa.mechanism import Mechanism
from keras_twa.tuner.result import TuningResult

HEADINGS = (
    "trial",
    "attention",
    "layers",
    "rate",
    "dropout",
    "batch",
    "weights",
    "training",
    "validation",
    "test",
)


def tuning_table(result: TuningResult, width: int | None = None) -> FittedTable:
    """Returns the default and all trials, the best first, beside the baselines.

    Args:
        result: The `TuningResult`.
        width: Width of the terminal in characters. A narrow table keeps the scores and
            names its hidden columns. Defaults to the width of the console.
    """
    needed = {"trial": 8, "validation": 10, "test": 6}
    table = FittedTable(
        HEADINGS, "attention", needed, text=("trial",), wraps=needed, width=width
    )

    def add(name: str, cells: dict[str, str], style: str = "") -> None:
        table.add_row(
            name, *(cells.get(heading, "") for heading in HEADINGS[1:]), style=style
        )

    if result.default is not None:
        add("default", _cells(result.default, result))
    # Failed trials come last.
    sign = -1 if result.metric.higher_is_better else 1
    failed = float("inf")

    def place(trial: dict[str, Any]) -> float:
        score = trial["score"]
        return failed if score is None else sign * float(score)

    for trial in sorted(result.trials, key=place):
        if result.best is not None and trial["id"] == result.best["id"]:
            add("best", _cells(result.best, result), style="bold")
        else:
            add(f"trial {trial['id']}", _cells(trial, result))
    for name, score in result.baselines.items():
        cells = {"attention": name, "test": result.metric.text(score)}
        add("", cells, style="dim")
    return table


def _cells(found: dict[str, Any], result: TuningResult) -> dict[str, str]:
    """The cells of a row by the headings of their columns."""
    chosen = found["hyperparameters"]
    mechanism = Mechanism.parse(chosen["attention"])
    # Earlier versions had the options beside the name.
    options = {**mechanism.options, **chosen.get("options", {})}
    lines = [f"{name}={value}" for name, value in options.items()]
    cells = {
        "layers": f"{chosen['num_layers']} x {chosen['embedding_dim']}",
        "rate": f"{chosen['learning_rate']:.2g}",
        "dropout": f"{chosen['dropout']:.2g}",
        "batch": f"{chosen['batch_size']}",
    }
    if found["score"] is None:
        lines.append(found.get("message", ""))
        cells["validation"] = "failed"
    else:
        cells["weights"] = f"{found['parameters']:,}"
        cells["training"] = seconds_text(found["seconds"])
        cells["validation"] = result.metric.text(found["score"])
    if result.test_name in found:
        cells["test"] = result.metric.text(found[result.test_name])
    told = "\n".join([mechanism.name, *(f"  {line}" for line in lines if line)])
    return {"attention": told, **cells}
