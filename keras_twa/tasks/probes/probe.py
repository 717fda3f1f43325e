"""A probe: rows that need one ability, what solves them, and what a guess scores."""

import dataclasses
import functools
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_twa.tasks import presets
from keras_twa.tasks.generated import check_generated
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task
from keras_twa.tasks.token_classifier import accuracy
from keras_twa.tasks.token_classifier import cross_entropy

Inputs = dict[str, np.ndarray]
# Inputs, targets, and the weight of each time step: 1 where an answer is due, or 0.
Batch = tuple[Inputs, np.ndarray, np.ndarray]
ACCURACY = Metric("accuracy")
# Of targets that are numbers: 1 is perfect, and their mean scores 0.
EXPLAINED = Metric("explained_variance")
# The validation score at which nothing is left to learn.
SOLVED = 0.995
CAUSAL = {
    "prefix_invariant": "Later steps must not affect earlier ones: they may be answers."
}
# The seed of rows on which a guess is measured, other than those of the splits.
MEASURED = 3


@dataclasses.dataclass(frozen=True)
class Probe:
    """A generated task that needs one ability, and what trivial answers score.

    Args:
        name: Its name, which is also that of its task.
        title: What it asks for, in a few words.
        ability: What a mechanism that solves it can do, in one sentence.
        source: Who defined it.
        draw: Function from a generator, a number of rows, their length and the
            `Settings` to a batch: inputs, targets `(N, T)` and weights `(N, T)`. Inputs
            are a dictionary of "tokens" `(N, T)` or "values" `(N, T, F)`; and of
            "times" `(N, T)`, if the probe has times.
        solve: Function from such inputs and the `Settings` to the right answers
            `(N, T)`. Steps at which no answer is due do not count.
        guess: Function from a generator, inputs and the `Settings` to the answers of
            the best trivial strategy, `(N, T)`.
        outputs: Function from the `Settings` to the number of classes; 1 for targets
            that are numbers, and then the score is the explained variance.
        presets: `Settings` by the name of the preset. Their `max_length` is the length
            of training rows, and their `num_train` is the number of rows between two
            validations: training rows are fresh at every step.
        tokens: Function from the `Settings` to the number of tokens, if inputs are
            tokens.
        features: Function from the `Settings` to the number F, if inputs are values.
        formula: Function from the `Settings` to the expected score of `guess`. Defaults
            to its score on rows that are always the same.
        options: The probe's own settings, with their defaults.
        test_lengths: The lengths of test rows, as multiples of those in training.
        causal: Whether models are causal, because later steps may give answers away.
        uses_times: Whether rows have times, which mechanisms get if they use them.
        times_fall: Whether some steps have earlier times than the steps before.
        decodes: Whether the last step alone has to hold all answers.
    """

    name: str
    title: str
    ability: str
    source: str
    draw: Callable[[np.random.Generator, int, int, Settings], Batch]
    solve: Callable[[Inputs, Settings], np.ndarray]
    guess: Callable[[np.random.Generator, Inputs, Settings], np.ndarray]
    outputs: Callable[[Settings], int]
    presets: Mapping[str, Settings]
    tokens: Callable[[Settings], int] | None = None
    features: Callable[[Settings], int] | None = None
    formula: Callable[[Settings], float] | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    test_lengths: tuple[int, ...] = (1,)
    causal: bool = True
    uses_times: bool = False
    times_fall: bool = False
    decodes: bool = False

    @functools.cached_property
    def task(self) -> Task:
        """The task, which trains and tests models on the rows of the probe."""
        return Task(
            name=self.name,
            title=self.title,
            load=self.load,
            build_model=self.build_model,
            loss=self.loss,
            metrics=self.metrics,
            metric=self.metric,
            baselines=self.baselines,
            explanations={
                "chance": "a guess that does not search the row, often a value of it",
                "solver": "a program that answers from the inputs, without training",
            },
            options=self.options,
            presets=self.presets,
            requires=self.requires,
            solved=SOLVED,
            used=(
                "max_length",
                "positions",
                *presets.COUNTS,
                *presets.TRANSFORMER,
                *presets.TRAINING,
            ),
        )

    @property
    def requires(self) -> dict[str, str]:
        """The facts that must be true of a mechanism, with the reasons."""
        found = dict(CAUSAL) if self.causal else {}
        if self.times_fall:
            found["times_may_fall"] = "The times of queries are earlier than the last."
        return found

    @property
    def is_regression(self) -> bool:
        """Whether targets are numbers."""
        return self.metric is EXPLAINED

    @functools.cached_property
    def metric(self) -> Metric:
        """The accuracy, or the explained variance."""
        settings = next(iter(self.presets.values()))
        return EXPLAINED if self.outputs(settings) == 1 else ACCURACY

    def score(
        self, targets: np.ndarray, answers: np.ndarray, weights: np.ndarray
    ) -> float:
        """Returns the score of some answers.

        Args:
            targets: `(N, T)`.
            answers: `(N, T)`.
            weights: `(N, T)`.
        """
        if self.is_regression:
            right = 1.0 - np.square(targets - answers)
        else:
            right = (targets == answers).astype("float64")
        return float(np.sum(right * weights) / np.sum(weights))

    def chance(self, settings: Settings) -> float:
        """Returns the expected score of `guess`.

        Args:
            settings: The `Settings`.
        """
        if self.formula is not None:
            return self.formula(settings)
        key = repr(settings)
        if key not in self._chances:
            rng = np.random.default_rng((settings.data_seed, MEASURED))
            length = settings.max_length
            inputs, targets, weights = self.draw(rng, 2_000, length, settings)
            answers = self.guess(rng, inputs, settings)
            self._chances[key] = self.score(targets, answers, weights)
        return self._chances[key]

    @functools.cached_property
    def _chances(self) -> dict[str, float]:
        return {}

    def normalized(self, score: float, settings: Settings) -> float:
        """Returns a score from 0 (no better than `chance`) to 1 (perfect)."""
        chance = self.chance(settings)
        return min(1.0, max(0.0, (score - chance) / (1.0 - chance)))

    def load(
        self, data: str, settings: Settings, progress: Progress | None = None
    ) -> Any:
        """Returns the rows.

        Args:
            data: "auto" or "generated".
            settings: The `Settings`.
            progress: Not called: this takes no time.

        Raises:
            ValueError: If `data` is something else, or a number of rows is `None`.
        """
        from keras_twa.tasks.probes.rows import ProbeRows

        check_generated("The rows of probes", data, settings)
        return ProbeRows(self, settings)

    def build_model(self, attention: Any, settings: Settings, rows: Any) -> Any:
        """Returns the model of a mechanism; see `probes.model.build_model`."""
        from keras_twa.tasks.probes.model import build_model

        return build_model(self, attention, settings)

    def loss(self) -> Any:
        """Returns the loss, in which only answers count."""
        if self.is_regression:
            from keras_twa.tasks.probes.numbers import SquaredError

            return SquaredError()
        return cross_entropy()

    def metrics(self) -> list[Any]:
        """Returns the metric."""
        if self.is_regression:
            from keras_twa.tasks.probes.numbers import explained_variance

            return [explained_variance(self.metric.name)]
        return accuracy()

    def baselines(self, rows: Any) -> dict[str, float]:
        """Returns the test scores of the best guess and of the solver."""
        return {"chance": self.chance(rows.settings), "solver": rows.solved}
