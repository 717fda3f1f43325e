"""Several comparisons of the same mechanisms, on one data set each, in one table."""

import functools
from collections.abc import Mapping
from pathlib import Path

from keras_twa.experiments.document import Block
from keras_twa.experiments.document import Heading
from keras_twa.experiments.document import Paragraph
from keras_twa.experiments.document import Table
from keras_twa.experiments.document import write_markdown
from keras_twa.experiments.markup import literal
from keras_twa.experiments.ranks import Ranking
from keras_twa.experiments.ranks import rank_figure
from keras_twa.experiments.ranks import ranking
from keras_twa.experiments.results import Estimate
from keras_twa.experiments.summary import MechanismRuns
from keras_twa.experiments.summary import Summary
from keras_twa.figure import house_style
from keras_twa.style import colours

NOT_THERE = "–"


class Across:
    """Comparisons by the name of their data set.

    Args:
        summaries: The `Summary` of each comparison. They have the same metric.

    Raises:
        ValueError: If there is none, or their metrics differ.
    """

    def __init__(self, summaries: Mapping[str, Summary]) -> None:
        metrics = {summary.metric for summary in summaries.values()}
        if len(metrics) != 1:
            raise ValueError(
                "There must be comparisons, all with the same metric. "
                f"Received: {len(summaries)} comparisons with {len(metrics)} metrics"
            )
        self.summaries = dict(summaries)
        (self.metric,) = metrics
        self.runs: dict[str, dict[str, MechanismRuns]] = {}
        for name, summary in self.summaries.items():
            for each in summary.mechanisms:
                if each.score is not None:
                    self.runs.setdefault(each.name, {})[name] = each

    @property
    def labels(self) -> dict[str, str]:
        """The name of each mechanism for people."""
        return {
            name: next(iter(runs.values())).label for name, runs in self.runs.items()
        }

    @property
    def colours(self) -> dict[str, str]:
        """The colour of each mechanism."""
        return colours(self.runs)

    @functools.cached_property
    def ranking(self) -> Ranking | None:
        """The ranking of the mechanisms that have a score on every data set.

        `None` for fewer than three mechanisms or two data sets.
        """
        complete = {
            name: [self._score(name, each).mean for each in self.summaries]
            for name, runs in self.runs.items()
            if len(runs) == len(self.summaries)
        }
        if len(complete) < 3 or len(self.summaries) < 2:
            return None
        return ranking(complete, self.metric.higher_is_better)

    @property
    def order(self) -> list[str]:
        """The mechanisms by their mean rank, and then those without one."""
        ranked = list(self._mean_ranks)
        return [*ranked, *(name for name in self.runs if name not in ranked)]

    def score_table(self) -> Table:
        """A row for each mechanism, with its mean score on each data set.

        The best mean of each data set is bold.
        """
        ranks = self._mean_ranks
        best = {
            name: self.metric.best(
                self._score(each, name).mean
                for each, runs in self.runs.items()
                if name in runs
            )
            for name in self.summaries
        }
        rows = []
        for name in self.order:
            cells = []
            for each in self.summaries:
                if each not in self.runs[name]:
                    cells.append(NOT_THERE)
                    continue
                score = self._score(name, each)
                text = self._text(score)
                cells.append(f"**{text}**" if score.mean == best[each] else text)
            rank = f"{ranks[name]:.1f}" if name in ranks else NOT_THERE
            rows.append([literal(self.labels[name]), rank, *cells])
        tints = [self.colours[name] for name in self.order]
        return Table(self._header("mechanism", "mean rank"), rows, tints)

    def baseline_table(self) -> Table:
        """A row for each baseline without attention."""
        facts = {name: each.facts["baselines"] for name, each in self.summaries.items()}
        names = dict.fromkeys(name for found in facts.values() for name in found)
        rows = [
            [
                literal(name),
                *(
                    self.metric.plain(found[name]) if name in found else NOT_THERE
                    for found in facts.values()
                ),
            ]
            for name in names
        ]
        return Table(self._header("baseline"), rows)

    def explanation_table(self) -> Table:
        """What the baselines are."""
        found: dict[str, str] = {}
        for summary in self.summaries.values():
            found |= summary.facts.get("explanations") or {}
        rows = [[literal(name), literal(text)] for name, text in found.items()]
        return Table(("baseline", "what it gives"), rows, text=True)

    def data_table(self) -> Table:
        """The rows of each data set, and how many runs are complete."""
        rows = []
        for name, summary in self.summaries.items():
            counts = summary.facts["rows"]
            done = sum(len(each.completed) for each in summary.mechanisms)
            rows.append(
                [
                    literal(name),
                    *(f"{counts[split]:,}" for split in counts),
                    f"{done} of {len(summary.runs)}",
                    literal(summary.facts["note"]) or NOT_THERE,
                ]
            )
        splits = next(iter(self.summaries.values())).facts["rows"]
        header = ("data set", *(f"{name} rows" for name in splits), "runs", "note")
        return Table(header, rows, text=True)

    def rank_text(self) -> str:
        """What the ranks say, in sentences."""
        found = self.ranking
        if found is None:
            return "Ranks need three mechanisms with a score on each of the data sets."
        count = len(found.mean_ranks)
        return (
            f"Friedman's test on {found.count} data sets: χ² = {found.statistic:.1f}, "
            f"p = {found.p_value:.2g}. Two mechanisms differ if their mean ranks "
            f"differ by at least {found.critical_difference:.1f} (Nemenyi's test, "
            f"α = {found.alpha:g}): {len(found.pairs_that_differ)} of "
            f"{count * (count - 1) // 2} pairs do."
        )

    @house_style()
    def blocks(self, title: str) -> list[Block]:
        """Returns the tables and the figure under a heading."""
        runs = [run for each in self.summaries.values() for run in each.runs]
        seeds = sorted({run.experiment.seed for run in runs})
        unit = "per cent" if self.metric.percent else self.metric.title
        blocks: list[Block] = [
            Heading(title, 1),
            Paragraph(
                f"Test {self.metric.title} in {unit}: the mean over the seeds "
                f"{', '.join(map(str, seeds))}, and half the width of its 95 % t "
                "interval. Bold: the best mean of a data set."
            ),
            self.score_table(),
            Heading("Ranks"),
            Paragraph(self.rank_text()),
        ]
        found = self.ranking
        if found is not None:
            blocks.append(rank_figure(found, self.labels, self.colours))
        return [
            *blocks,
            Heading("Without attention"),
            self.baseline_table(),
            self.explanation_table(),
            Heading("Data"),
            self.data_table(),
        ]

    def write(self, path: Path, title: str) -> None:
        """Writes Markdown, and the figure in a folder `figures` beside it.

        Args:
            path: The file.
            title: Its heading.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_markdown(self.blocks(title), path)

    @property
    def _mean_ranks(self) -> Mapping[str, float]:
        return {} if self.ranking is None else self.ranking.mean_ranks

    def _score(self, name: str, data_set: str) -> Estimate:
        found = self.runs[name][data_set].score
        if found is None:
            raise ValueError(f"There is no score. Received: {name} on {data_set}")
        return found

    def _text(self, score: Estimate) -> str:
        text = self.metric.plain(score.mean)
        if score.half_width is None:
            return text
        return f"{text} ± {self.metric.plain(score.half_width)}"

    def _header(self, *first: str) -> list[str]:
        return [*first, *map(literal, self.summaries)]
