"""A task: rows, a model for them, and the metric that mechanisms are compared by."""

import dataclasses
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from keras_twa.mechanism import listed
from keras_twa.tasks.settings import Settings

# Conventional attention.
BASELINE = "dot_product"
# `Task.requires` of tasks that predict the next token.
PREDICTS_NEXT = {
    "prefix_invariant": "Later bytes must not affect the outputs of earlier ones: "
    "a model would see what it predicts."
}
# The name of a model whose attention is not exchanged.
AS_GIVEN = "as_given"
# Called with the numbers of finished rows and of all rows.
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Metric:
    """What the runs of a task are compared by.

    Args:
        name: Its name in the logs of the model.
        higher_is_better: Whether a larger value is better.
        percent: Whether it is a share from 0 to 1, which people read in percent.
    """

    name: str = "accuracy"
    higher_is_better: bool = True
    percent: bool = True

    @classmethod
    def from_json(cls, values: Mapping[str, Any] | None) -> "Metric":
        """Returns a metric from plain values; earlier results had accuracies only."""
        return cls(**values) if values else cls()

    def better(self, value: float, other: float) -> bool:
        """Returns whether a value is better than another one."""
        return value > other if self.higher_is_better else value < other

    def best(self, values: Any) -> float | None:
        """Returns the best of some values, `None` without values."""
        values = list(values)
        if not values:
            return None
        return float(max(values) if self.higher_is_better else min(values))

    def text(self, value: float | None) -> str:
        """Returns 0.3642 as `36.4 %`, or as `0.3642` if it is no share."""
        if value is None:
            return "–"
        return f"{100 * value:.1f} %" if self.percent else f"{value:.4g}"

    def plain(self, value: float, sign: str = "") -> str:
        """Returns a value or a difference without its unit, 0.009 as `0.9`."""
        return f"{100 * value:{sign}.1f}" if self.percent else f"{value:{sign}.3g}"

    @property
    def scale(self) -> float:
        """What a value is multiplied by before people read it."""
        return 100.0 if self.percent else 1.0

    @property
    def axis(self) -> str:
        """The label of an axis: the name, and its unit."""
        return f"{self.title} (%)" if self.percent else self.title

    @property
    def title(self) -> str:
        """The name for people."""
        return self.name.replace("_", " ")


@dataclasses.dataclass(frozen=True)
class Task:
    """A task that mechanisms are compared on.

    `keras_twa.tasks.register` adds one of your own.

    Args:
        name: Its name in commands and results.
        load: Function from the value of `--data`, the `Settings`, and a `Progress` or
            `None`, to the rows of the task (see `keras_twa.tasks.Rows`).
        build_model: Function from an attention (whatever `attention` of a block takes),
            the `Settings` and the rows to a Keras model.
        loss: Function without arguments to a Keras loss.
        presets: `Settings` by the name of the preset.
        metrics: Function without arguments to a list of Keras metrics, of which one has
            the name of `metric`.
        metric: The `Metric` that chooses the best epoch, and that reports compare.
        baselines: Function from the rows to test scores without attention, by name. The
            first is the most trivial one. Defaults to none.
        explanations: What each baseline is, by its name.
        note: Function from the rows and the `Settings` to how the rows differ from the
            published task, or "".
        caveats: What readers of a report should know about the task.
        options: The task's own settings, with their defaults.
        title: The name in headings. Defaults to `name`.
        models: Models that have no attention to exchange, by a name that may stand
            among those of mechanisms: functions from the `Settings` and the rows to a
            Keras model.
        baseline: The mechanism, or the name in `models`, that reports compare the
            others with. Defaults to conventional attention.
        compile: Function that compiles a model, from the model, the `Settings`, the
            number of training steps, and the learning rate of a sweep or `None`.
            Defaults to AdamW with the settings' schedule, `loss` and `metrics`.
        used: Names of the settings that have an effect, for reports. Defaults to all.
        published: Whether the task is a published one, from which rows and settings may
            differ. If not, `note` is about the rows.
        requires: Class attributes of attention layers that must be true of a mechanism,
            such as "prefix_invariant", with a sentence that says why.
        solved: The validation score at which nothing is left to learn: training ends
            when two epochs in a row reach it. Defaults to `None`, never.

    Raises:
        ValueError: If the name, or one in `models`, is no identifier, or there are no
            presets.
    """

    name: str
    load: Callable[[str, Settings, Progress | None], Any]
    build_model: Callable[[Any, Settings, Any], Any]
    loss: Callable[[], Any]
    presets: Mapping[str, Settings]
    metrics: Callable[[], list[Any]] = list
    metric: Metric = dataclasses.field(default_factory=Metric)
    baselines: Callable[[Any], dict[str, float]] = lambda rows: {}
    explanations: Mapping[str, str] = dataclasses.field(default_factory=dict)
    note: Callable[[Any, Settings], str] = lambda rows, settings: ""
    caveats: tuple[str, ...] = ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    title: str = ""
    models: Mapping[str, Callable[[Settings, Any], Any]] = dataclasses.field(
        default_factory=dict
    )
    baseline: str = BASELINE
    compile: Callable[[Any, Settings, int, float | None], None] | None = None
    used: tuple[str, ...] | None = None
    published: bool = True
    requires: Mapping[str, str] = dataclasses.field(default_factory=dict)
    solved: float | None = None

    def check(self, attention: Any) -> None:
        """Checks that a mechanism fits the task, before any model is built.

        Args:
            attention: What `attention` of a block may be, or a name in `models`.

        Raises:
            ValueError: If something that `requires` names is not true of it.
        """
        if not self.requires or attention in self.models:
            return
        # Keras takes seconds to import, and the command line needs only names.
        from keras_twa.layers import get
        from keras_twa.layers import mechanisms
        from keras_twa.layers.registry import mechanism_of

        known = mechanisms()
        for each in listed(mechanism_of(attention)):
            layer = known.get(each.name)
            if layer is not None and each.options:
                # Some options change what a layer states about itself.
                layer = get(each, num_heads=2, key_dim=8)
            for fact, reason in self.requires.items():
                if not getattr(layer, fact, True):
                    raise ValueError(
                        f"{reason} Received: attention={str(each)!r}, which is not "
                        f"`{fact}`, for the task {self.name!r}"
                    )

    def build(self, attention: str, settings: Settings, rows: Any) -> Any:
        """Returns the model of a mechanism, or the one of `models` with this name.

        Args:
            attention: What `attention` of a block may be, or a name in `models`.
            settings: The `Settings`.
            rows: The rows of the task.

        Raises:
            ValueError: If the mechanism does not fit.
        """
        self.check(attention)
        if attention in self.models:
            return self.models[attention](settings, rows)
        return self.build_model(attention, settings, rows)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(
                "The name of a task must be letters, digits and underscores. "
                f"Received: name={self.name!r}"
            )
        if not self.presets:
            raise ValueError(
                f"A task needs at least one preset. Received: {self.name} with none"
            )
        for name in self.models:
            if not name.isidentifier():
                raise ValueError(
                    "The names in `models` must be letters, digits and underscores. "
                    f"Received: {name!r} in the task {self.name!r}"
                )
        object.__setattr__(self, "title", self.title or self.name)
