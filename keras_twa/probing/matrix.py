"""The matrix of what mechanisms can do: its tables and its report."""

import os
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_twa.experiments.comparison import COMPARISON_FILE
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import write_json
from keras_twa.experiments.summary import Summary
from keras_twa.probing.cells import Cell
from keras_twa.probing.facts import read_facts
from keras_twa.style import colours
from keras_twa.tasks import Settings
from keras_twa.tasks import probes

if TYPE_CHECKING:
    import pandas

MATRIX = "matrix.json"


class CapabilityMatrix:
    """What `keras_twa.probe` returns: the score of each mechanism on each probe.

    A score is from 0 (no better than the best guess) to 1 (perfect). In a notebook, the
    matrix shows itself as a table and a heat map; `print` shows the table.

    Args:
        folder: The folder of the results, which are read once.

    Raises:
        ValueError: If the folder has no matrix, or foreign results.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.facts = read_facts(self.folder)
        self.probes: tuple[str, ...] = tuple(self.facts["probes"])
        self.attentions: tuple[str, ...] = tuple(self.facts["attentions"])
        self.baselines: dict[str, dict[str, float]] = {}
        self.explanations: dict[str, str] = {}
        self.cells: dict[str, dict[str, Cell]] = {}
        for name in self.probes:
            self.cells[name] = self._cells(name)

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each mechanism in figures."""
        return colours(self.attentions)

    @property
    def all_cells(self) -> list[Cell]:
        """The cells, probe by probe."""
        return [cell for cells in self.cells.values() for cell in cells.values()]

    @property
    def results(self) -> list[Result]:
        """The result of each run, also of learning rates that were not chosen."""
        return [run for cell in self.all_cells for run in cell.tried]

    @property
    def skipped(self) -> dict[tuple[str, str], str]:
        """Why a mechanism cannot take a probe, by mechanism and probe."""
        return {
            (cell.attention, cell.probe.name): cell.skipped
            for cell in self.all_cells
            if cell.skipped
        }

    @property
    def table(self) -> "pandas.DataFrame":
        """The scores: a row for each mechanism, and a column for each probe.

        NaN where there is none. `intervals` has the same form.
        """
        return self._frame("score")

    @property
    def intervals(self) -> "pandas.DataFrame":
        """Half the width of the 95 % t interval of each score, over seeds.

        NaN with one seed.
        """
        return self._frame("interval")

    @property
    def details(self) -> "pandas.DataFrame":
        """A row for each mechanism and probe, with all that is known about it.

        The columns: `score`, `interval`, `values` (of each seed), `test` (the score as
        the task measures it), `chance`, `at_lengths` (the score by multiples of the
        training length), `parameters`, `learning_rate`, `seeds`, `improving` (whether
        the budget ended before a plateau), `partial` (whether runs are missing),
        `skipped` and `failed` (why).
        """
        import pandas

        frame = pandas.DataFrame([cell.to_json() for cell in self.all_cells])
        return frame.set_index(["attention", "probe"])

    def report(self, folder: str | os.PathLike[str] | None = None) -> Path:
        """Writes `report.html`, `report.md`, `matrix.json` and `runs.csv`.

        Args:
            folder: Where to. Defaults to the folder of the matrix.

        Returns:
            The path of the HTML file, which needs no other file.
        """
        from keras_twa.probing.report import write_report

        place = self.folder if folder is None else Path(folder)
        report = write_report(self, place)
        write_json(place / MATRIX, self.to_json())
        return report

    def to_json(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            **{name: x for name, x in self.facts.items() if name != "skipped"},
            "cells": [cell.to_json() for cell in self.all_cells],
        }

    def __str__(self) -> str:
        from keras_twa.probing.page import as_text

        return as_text(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from keras_twa.probing.page import as_html

        return as_html(self)

    def _frame(self, value: str) -> "pandas.DataFrame":
        import pandas

        found = {
            name: {text: cell.to_json()[value] for text, cell in cells.items()}
            for name, cells in self.cells.items()
        }
        frame = pandas.DataFrame(found, index=[*self.attentions], dtype="float64")
        frame.index.name, frame.columns.name = "attention", value
        return frame

    def _cells(self, name: str) -> dict[str, Cell]:
        """The cells of a probe."""
        probe = probes.get(name)
        settings: Settings = probe.presets[self.facts["preset"]]
        runs = {}
        if (self.folder / name / COMPARISON_FILE).exists():
            summary = Summary.load(self.folder / name)
            settings = Settings.from_json(summary.facts["settings"])
            self.baselines[name] = summary.facts["baselines"]
            self.explanations |= summary.facts.get("explanations") or {}
            runs = {each.name: each for each in summary.mechanisms}
        skipped = self.facts["skipped"].get(name, {})
        return {
            text: Cell.of(
                runs.get(text),
                attention=text,
                probe=probe,
                settings=settings,
                skipped=skipped.get(text, ""),
                rates=len(self.facts["learning_rates"]),
                seeds=len(self.facts["seeds"]),
            )
            for text in self.attentions
        }
