"""The models of a search, all of about the same size."""

import bisect
import dataclasses
import math
import time
from collections.abc import Iterable
from typing import Any

import keras
import keras_tuner

from keras_twa.experiments.config import COMPARED
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.results import Result
from keras_twa.experiments.training import Training
from keras_twa.layers import mechanisms
from keras_twa.mechanism import Mechanism
from keras_twa.tasks import Rows
from keras_twa.tasks import Settings
from keras_twa.tasks import get
from keras_twa.tasks.settings import check_choice
from keras_twa.tuner.space import chosen_options
from keras_twa.tuner.space import declare

# The largest relative difference in parameters from the model of the experiment.
TOLERANCE = 0.02
# Widths are at most this many times that of the experiment.
WIDEST = 4


class AttentionHyperModel(keras_tuner.HyperModel):
    """Models for the task of an experiment, with one mechanism or another.

    What is chosen: the mechanism, its own arguments (what its class states as
    `search_space`, each in a scope of its own), the number of layers, dropout, learning
    rate and batch size. What follows: a model whose number of parameters is outside of
    2 % of the experiment's gets another width, and the same number of heads. So what a
    mechanism gains, it does not gain by size.

    Args:
        experiment: The `Experiment`. Its settings are the defaults of all that is
            chosen, and its model is the measure of size.
        attentions: Names of mechanisms. Defaults to those that a comparison trains.
        data: The rows. Defaults to those of the experiment.

    Raises:
        ValueError: If a mechanism is unknown, or does not fit the experiment.

    Example:

    >>> import keras_tuner
    >>> from keras_twa.experiments.config import Experiment
    >>> from keras_twa.tuner import AttentionHyperModel
    >>> experiment = Experiment.from_preset(
    ...     "imdb", "quick", "dot_product", data="sample", num_train=99, num_test=9
    ... )
    >>> hypermodel = AttentionHyperModel(experiment, ["linear", "multi_timescale"])
    >>> hp = keras_tuner.HyperParameters()
    >>> hp.values["attention"] = "multi_timescale"
    >>> model = hypermodel.build(hp)
    >>> abs(model.count_params() / hypermodel.parameters - 1) < 0.03
    True
    """

    def __init__(
        self,
        experiment: Experiment,
        attentions: Iterable[str] | None = None,
        data: Rows | None = None,
    ) -> None:
        super().__init__()
        self.attentions = check_attentions(attentions)
        self.experiment = experiment
        self.task = get(experiment.task)
        self.data = data or self.task.load(experiment.data, experiment.settings, None)
        self._sizes: dict[Any, tuple[int, int]] = {}
        self.parameters = self._count(experiment)
        for name in self.attentions:
            # Raises errors for invalid combinations here, before any training.
            self._count(self._changed(name, experiment.settings))

    @property
    def objective(self) -> str:
        """The name of the validation score in the logs."""
        return f"val_{self.task.metric.name}"

    @property
    def direction(self) -> str:
        """Whether the best score is the "max" or the "min"."""
        return "max" if self.task.metric.higher_is_better else "min"

    def declare_hyperparameters(self, hp: Any) -> None:
        declare(hp, self.attentions, self.experiment.settings)

    def configuration(self, hp: Any) -> Experiment:
        """Returns the `Experiment` that the hyperparameters describe."""
        self.declare_hyperparameters(hp)
        name = hp.get("attention")
        attention = str(Mechanism(name, chosen_options(hp, name)))
        settings = dataclasses.replace(
            self.experiment.settings,
            num_layers=hp.get("num_layers"),
            dropout=hp.get("dropout"),
            learning_rate=hp.get("learning_rate"),
            batch_size=hp.get("batch_size"),
        )
        key = (attention, settings.num_layers)
        if key not in self._sizes:
            self._sizes[key] = self._fit_size(self._changed(attention, settings))
        return self._changed(attention, _resized(settings, *self._sizes[key]))

    def build(self, hp: Any) -> Any:
        return self.make(self.configuration(hp))

    def make(self, configuration: Experiment) -> Any:
        """Returns the model of a configuration, with initial weights from the seed."""
        # Otherwise the memory of a search grows with each model.
        policy = keras.config.dtype_policy()
        keras.utils.clear_session()
        keras.config.set_dtype_policy(policy)
        keras.utils.set_random_seed(self.experiment.seed)
        return self._model(configuration)

    def fit(
        self,
        hp: Any,
        model: Any,
        callbacks: Iterable[Any] = (),
        epochs: int | None = None,
        initial_epoch: int = 0,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Trains a model on the data of the experiment.

        Args:
            hp: The hyperparameters of the model.
            model: The model.
            callbacks: Keras callbacks. They get "loss", "val_loss", and the metrics of
                the task likewise.
            epochs: Number of the last epoch. Defaults to the experiment's.
            initial_epoch: Number of earlier epochs. The learning-rate schedule restarts
                after them.
            verbose: Passed to the callbacks.

        Returns:
            "val_loss" and the validation score of the best epoch under the name
            `objective`, "params" and "seconds".
        """
        configuration = self.configuration(hp)
        return self.train(
            configuration, model, callbacks, epochs, initial_epoch, verbose
        )

    def train(
        self,
        configuration: Experiment,
        model: Any,
        callbacks: Iterable[Any] = (),
        epochs: int | None = None,
        initial_epoch: int = 0,
        verbose: int = 0,
    ) -> dict[str, float]:
        """Trains a model as `fit` does, with the settings of a configuration."""
        start = time.perf_counter()
        epochs = epochs or configuration.settings.epochs
        training = self._training(
            configuration,
            model,
            dataclasses.replace(configuration.settings, epochs=epochs - initial_epoch),
        )
        told = keras.callbacks.CallbackList(
            list(callbacks),
            model=model,
            epochs=epochs,
            steps=len(training.batches),
            verbose=verbose,
        )

        def on_batch(
            phase: str, batch: int, batches: int, logs: dict[str, float]
        ) -> None:
            if phase == "train":
                told.on_train_batch_end(batch - 1, logs)
                if batch < batches:
                    told.on_train_batch_begin(batch)
            else:
                told.on_test_batch_end(batch - 1, logs)

        model.stop_training = False
        told.on_train_begin()
        while not (training.finished or model.stop_training):
            epoch = initial_epoch + training.epoch
            told.on_epoch_begin(epoch)
            told.on_train_batch_begin(0)
            training.train_epoch(on_batch)
            told.on_epoch_end(epoch, _logs(training.result.curve[-1]))
        found = training.result
        best = found.curve[(found.best_epoch or 1) - 1]
        told.on_train_end(_logs(best))
        return {
            self.objective: found.validation(best),
            "val_loss": best["validation_loss"],
            "params": float(training.result.parameters or 0),
            "seconds": time.perf_counter() - start,
        }

    def test(self, configuration: Experiment, model: Any) -> float:
        """Returns the score of a trained model on the test rows."""
        training = self._training(configuration, model, configuration.settings)
        values = training.evaluate("test", lambda *_: None)
        return values[self.task.metric.name]

    def _training(
        self, configuration: Experiment, model: Any, settings: Settings
    ) -> Training:
        experiment = dataclasses.replace(configuration, settings=settings)
        return Training(experiment, self.data, model, Result(experiment))

    def _changed(self, attention: str, settings: Settings) -> Experiment:
        """The experiment with another attention and other settings."""
        return dataclasses.replace(
            self.experiment, attention=attention, settings=settings, defined_in=None
        )

    def _model(self, configuration: Experiment) -> Any:
        """The built model of an experiment."""
        attention, settings = configuration.attention, configuration.settings
        model = self.task.build_model(attention, settings, self.data)
        if not model.built:
            model.build((None, None))
        return model

    def _count(self, configuration: Experiment) -> int:
        """The number of trainable parameters, without creating their values."""
        # `make` clears Keras's global state of this.
        with keras.StatelessScope(initialize_variables=False):
            model = self._model(configuration)
        return sum(math.prod(variable.shape) for variable in model.trainable_variables)

    def _fit_size(self, configuration: Experiment) -> tuple[int, int]:
        """The widths that give a model as many parameters as the experiment."""
        settings, wanted = configuration.settings, self.parameters
        ratio = settings.intermediate_dim / settings.embedding_dim
        # Heads of even width: some mechanisms rotate pairs of channels.
        step = 2 * settings.num_heads

        def count(width: int, hidden: int) -> int:
            changed = _resized(settings, width, hidden)
            return self._count(dataclasses.replace(configuration, settings=changed))

        def in_proportion(steps: int) -> tuple[int, int]:
            return steps * step, max(1, round(ratio * steps * step))

        width, hidden = settings.embedding_dim, settings.intermediate_dim
        if not self._near(count(width, hidden)):
            steps = range(1, WIDEST * max(1, width // step) + 1)
            above = bisect.bisect_left(
                steps, wanted, key=lambda number: count(*in_proportion(number))
            )
            near = {in_proportion(max(1, above)), in_proportion(above + 1)}
            width, hidden = min(near, key=lambda sizes: abs(count(*sizes) - wanted))
            # The feed-forward networks take the rest: each channel costs the same.
            found = count(width, hidden)
            cost = count(width, hidden + 1) - found
            hidden = max(1, hidden + round((wanted - found) / cost))
        if not self._near(count(width, hidden)):
            raise ValueError(
                f"No width gives within {100 * TOLERANCE:.0f} % of {wanted:,} "
                f"parameters. Received: attention={configuration.attention}, "
                f"num_layers={settings.num_layers}"
            )
        return width, hidden

    def _near(self, count: int) -> bool:
        return abs(count - self.parameters) <= TOLERANCE * self.parameters


def check_attentions(attentions: Iterable[str] | None) -> tuple[str, ...]:
    """Returns the names of the mechanisms of a search, if all are known."""
    names = COMPARED if attentions is None else tuple(dict.fromkeys(attentions))
    if not names:
        raise ValueError("There is nothing to choose from. Received: attentions=[]")
    for name in names:
        check_choice("attention", name, mechanisms())
    return names


def _resized(settings: Settings, width: int, hidden: int) -> Settings:
    return dataclasses.replace(settings, embedding_dim=width, intermediate_dim=hidden)


def _logs(point: dict[str, float]) -> dict[str, float]:
    """The values of an epoch under the names that Keras gives them."""
    names = {"train_": "", "validation_": "val_"}
    return {
        f"{after}{name.removeprefix(before)}": value
        for before, after in names.items()
        for name, value in point.items()
        if name.startswith(before)
    }
