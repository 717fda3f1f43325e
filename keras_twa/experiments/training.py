"""One model in training, which can stop at any batch and continue later."""

import dataclasses
import math
import os
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_twa.experiments.batches import rows_of
from keras_twa.experiments.batches import shape_of
from keras_twa.experiments.batches import with_tuples
from keras_twa.experiments.checkpoint import REMEDY
from keras_twa.experiments.checkpoint import load_checkpoint
from keras_twa.experiments.checkpoint import save_checkpoint
from keras_twa.experiments.clock import StepClock
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.generators import Generators
from keras_twa.experiments.means import Means
from keras_twa.experiments.results import Result
from keras_twa.experiments.schedule import LearningRate
from keras_twa.tasks import Rows
from keras_twa.tasks import get
from keras_twa.tasks.fingerprint import check_same_rows
from keras_twa.tasks.rows import Batches

# The attributes of a result in a checkpoint.
KEPT = ("steps", "curve", "best_epoch", "fingerprint")
# After every batch: the phase, the number of the batch, the number of all, and the
# loss and the metrics so far.
OnBatch = Callable[[str, int, int, dict[str, float]], None]


class Training:
    """A model in training, with all state that is needed to continue.

    The order of the batches follows from the seed and the epoch. The state consists
    of epoch and batch number, the variables of model and optimizer, the states of all
    random generators, and the best weights so far. A training that continues from it
    gives the same numbers as an uninterrupted one.

    Args:
        experiment: The `Experiment`.
        data: The rows of the task.
        model: A Keras model for them.
        result: The `Result` to fill in.
    """

    def __init__(
        self, experiment: Experiment, data: Rows, model: Any, result: Result
    ) -> None:
        self.experiment = experiment
        self.task = get(experiment.task)
        result.metric = self.task.metric
        self.settings = experiment.settings
        self.data = data
        self.model = model
        self.result = result
        self.batches = data.train_batches(self.settings.batch_size, experiment.seed)
        steps = len(self.batches) * self.settings.epochs
        self.total_steps = min(steps, self.settings.max_steps or steps)
        # The rate of each step, unless the task compiles the model.
        self.rates: Any = None
        self.by_batch = self._compile()
        if not model.built:
            model.build((self.settings.batch_size, None))
        # In half precision, Keras wraps the optimizer with a dynamic loss scale.
        self.optimizer = model.optimizer
        self.optimizer.build(model.trainable_variables)
        self.generators = Generators(model)
        self._beginning: dict[str, list[np.ndarray]] | None = None
        result.parameters = sum(
            math.prod(variable.shape) for variable in model.trainable_variables
        )
        self.epoch = 0
        self.batch = 0
        self.means = Means()
        self.best: list[np.ndarray] = []
        self.clock = StepClock()
        self._train_functions: dict[Any, Any] = {}
        self._test_functions: dict[Any, Any] = {}

    def _compile(self) -> bool:
        """Compiles the model, and returns whether its metrics are means over rows."""
        if self.task.compile is not None:
            rate = self.experiment.learning_rate
            self.task.compile(self.model, self.settings, self.total_steps, rate)
            return False
        self.rates = self._scheduled()
        optimizer = keras.optimizers.AdamW(
            # A variable, so that the same compiled step serves several rates.
            learning_rate=float(self.rates[0]),
            weight_decay=self.settings.weight_decay,
            beta_2=self.settings.beta_2,
            epsilon=self.settings.epsilon,
            clipnorm=self.settings.clipnorm,
        )
        metrics = self.task.metrics()
        self.model.compile(
            optimizer=optimizer,
            loss=self.task.loss(),
            # Rows of weight 0 only fill a batch.
            weighted_metrics=metrics,
        )
        # These add up over batches.
        return all(isinstance(m, keras.metrics.MeanMetricWrapper) for m in metrics)

    def _scheduled(self) -> np.ndarray:
        """Returns the learning rate of each step."""
        rate = self.experiment.learning_rate
        schedule = LearningRate(
            self.settings.learning_rate if rate is None else rate,
            self.settings.warmup_steps,
            self.settings.schedule,
            self.total_steps,
        )
        return np.asarray(
            keras.ops.convert_to_numpy(schedule(np.arange(self.total_steps)))
        )

    def keep_beginning(self) -> None:
        """Keeps the state before the first step, for `restart`."""
        self._beginning = {
            "model": self._values(self.model.variables),
            "optimizer": self._values(self.optimizer.variables),
            **self.generators.states(),
        }

    def restart(self, experiment: Experiment, result: Result) -> None:
        """Begins a run of another learning rate, with what has been compiled.

        It has the numbers of a run in a process of its own.

        Args:
            experiment: The `Experiment`, which differs in the learning rate only.
            result: The `Result` to fill in.

        Raises:
            ValueError: If it differs in more, or `keep_beginning` was not called.
        """
        rate = self.experiment.learning_rate
        same = dataclasses.replace(experiment, learning_rate=rate) == self.experiment
        if not same or self._beginning is None or self.rates is None:
            raise ValueError(
                "Only a run of another learning rate can begin with what this one has "
                f"compiled. Received: experiment={experiment}"
            )
        result.metric, result.parameters = self.task.metric, self.result.parameters
        self.experiment, self.result = experiment, result
        self.rates = self._scheduled()
        self._assign(self.model.variables, self._beginning["model"])
        self._assign(self.optimizer.variables, self._beginning["optimizer"])
        self.generators.restore(self._beginning)
        self.epoch = self.batch = 0
        self.means, self.best = Means(), []
        self.clock = StepClock()

    @property
    def _optimizer_state(self) -> list[Any]:
        """The variables of the optimizer without the rate, which the step decides."""
        if self.rates is None:
            return list(self.optimizer.variables)
        rate = self.optimizer.learning_rate
        return [each for each in self.optimizer.variables if each is not rate]

    @property
    def finished(self) -> bool:
        """Whether epochs or patience are used up, or the task is solved."""
        since_best = len(self.result.curve) - (self.result.best_epoch or 0)
        return (
            self.epoch >= self.settings.epochs
            or (self.result.steps >= self.total_steps and self.batch == 0)
            or since_best >= self.settings.patience
            or self.result.solved(self.task.solved)
        )

    def train_epoch(self, on_batch: OnBatch) -> None:
        """Trains the rest of an epoch, evaluates, and keeps the best weights.

        Args:
            on_batch: Called after every batch. If it raises an error, the epoch ends
                and can continue later.
        """
        planned = self.batches_of_epoch
        for inputs, targets, weights in self.batches.epoch(self.epoch, self.batch):
            if self.batch >= planned:
                break
            if self.rates is not None:
                self.optimizer.learning_rate = float(self.rates[self.result.steps])
            logs = self._timed("train", inputs, targets, weights)
            if not self.by_batch:
                # Others do not add up, and a stopped epoch could not continue.
                logs = {"loss": logs["loss"]}
            self.batch += 1
            self.result.steps += 1
            self.means.add(logs, rows_of(inputs, weights))
            self._check_finite("training", logs["loss"])
            on_batch("train", self.batch, planned, self.means.values)
        seconds = self.clock.epoch_seconds
        train = self.means.values
        validation = self.evaluate("validation", on_batch)
        self._check_finite("validation", validation["loss"])
        curve = self.result.curve
        is_best = self._is_best(validation)
        before = curve[-1]["total_seconds"] if curve else 0.0
        self.epoch += 1
        self.batch = 0
        self.means = Means()
        self.clock.start_epoch()
        curve.append(
            {
                "epoch": self.epoch,
                **{f"train_{name}": value for name, value in train.items()},
                **{f"validation_{name}": x for name, x in validation.items()},
                "seconds": seconds,
                "total_seconds": before + seconds,
            }
        )
        if is_best:
            self.result.best_epoch = self.epoch
            self.best = self._values(self.model.variables)

    def _is_best(self, validation: dict[str, float]) -> bool:
        """Whether an epoch is better than all before it.

        Of equal scores, the lower loss is better: few rows have few different scores.
        """
        earlier = self.result.best_epoch
        if earlier is None:
            return True
        best = self.result.curve[earlier - 1]
        score, other = validation[self.task.metric.name], self.result.validation(best)
        if score == other:
            return validation["loss"] < best["validation_loss"]
        return self.task.metric.better(score, other)

    @property
    def batches_of_epoch(self) -> int:
        """Number of batches of this epoch, limited by `max_steps`."""
        left = self.total_steps - self.result.steps + self.batch
        return min(len(self.batches), left)

    def evaluate(self, split: str, on_batch: OnBatch) -> dict[str, float]:
        """Returns loss and metrics on the `"validation"` or the `"test"` rows.

        It restores the random generators, so that a training that stops here starts
        the evaluation again with the same numbers.
        """
        batches = self.data.evaluation_batches(split, self.settings.batch_size)
        states = self.generators.states()
        try:
            if not self.by_batch:
                return self._evaluated(split, batches, on_batch)
            means = Means()
            for number, batch in enumerate(batches.epoch(), start=1):
                inputs, _, weights = batch
                means.add(self._timed("evaluate", *batch), rows_of(inputs, weights))
                on_batch(split, number, len(batches), means.values)
            return means.values
        finally:
            self.generators.restore(states)

    def _evaluated(
        self, split: str, batches: Batches, on_batch: OnBatch
    ) -> dict[str, float]:
        """The values of metrics that Keras accumulates over batches, such as an AUC."""

        def tell(batch: int, logs: Any) -> None:
            values = {name: float(value) for name, value in logs.items()}
            on_batch(split, batch + 1, len(batches), values)

        found: dict[str, float] = self.model.evaluate(
            (with_tuples(batch) for batch in batches.epoch()),
            steps=len(batches),
            verbose=0,
            callbacks=[keras.callbacks.LambdaCallback(on_test_batch_end=tell)],
            return_dict=True,
        )
        return {name: float(value) for name, value in found.items()}

    def use_best_weights(self) -> None:
        """Gives the model the weights of its best epoch."""
        self._assign(self.model.variables, self.best)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint."""
        self.result.compile_seconds = self.clock.compile_seconds
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.means.sums,
            "epoch_seconds": self.clock.epoch_seconds,
            "compilation": self.clock.compilation,
            "experiment": self.experiment.to_json(),
            **{name: getattr(self.result, name) for name in KEPT},
        }
        arrays = {
            "model": self._values(self.model.variables),
            "optimizer": self._values(self._optimizer_state),
            "best": self.best,
            **self.generators.states(),
        }
        save_checkpoint(path, arrays, state)

    def restore(self, path: str | os.PathLike[str]) -> bool:
        """Restores a checkpoint, and returns whether there was one.

        Raises:
            ValueError: If the file is not a checkpoint, or of another model,
                experiment or data.
        """
        loaded = load_checkpoint(path)
        if loaded is None:
            return False
        arrays, state = loaded
        self._check_own(arrays, state, path)
        self._assign(self.model.variables, arrays["model"])
        self._assign(self._optimizer_state, arrays["optimizer"])
        # Earlier versions saved only the generators of the model.
        if "backend" in arrays:
            self.generators.restore(arrays)
        self.best = arrays["best"]
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.means = Means(state["sums"])
        self.clock = StepClock(state["compilation"])
        self.clock.start_epoch(state["epoch_seconds"])
        for name in KEPT:
            setattr(self.result, name, state.get(name, getattr(self.result, name)))
        return True

    def _check_own(self, arrays: Any, state: Any, path: Any) -> None:
        """Raises `ValueError` for a checkpoint that does not fit."""
        check_same_rows(state.get("fingerprint"), self.data.fingerprint, path)
        values = state.get("experiment")
        if values is not None and Experiment.from_json(values) != self.experiment:
            raise ValueError(
                f"The checkpoint is of another experiment. {REMEDY}: {path}"
            )
        variables = {
            "model": self.model.variables,
            "optimizer": self._optimizer_state,
            # None before the first epoch ends.
            "best": self.model.variables if state["best_epoch"] else [],
        }
        for name, own in variables.items():
            found = [value.shape for value in arrays[name]]
            if found != [tuple(variable.shape) for variable in own]:
                raise ValueError(
                    f"A checkpoint of another model: its {name} has {len(found)} "
                    f"arrays for {len(own)} variables, or of other shapes. "
                    f"{REMEDY}: {path}"
                )

    def _check_finite(self, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The {what} loss is {loss} at batch {self.batch} of epoch "
                f"{self.epoch + 1}"
            )

    def _timed(
        self, kind: str, inputs: Any, targets: Any, weights: Any
    ) -> dict[str, float]:
        model, shape = self.model, shape_of(inputs)
        model.reset_metrics()
        start = time.perf_counter()
        # A function for each shape: after two lengths, TensorFlow would compile one
        # function for any length, which is slower.
        if kind == "train":
            model.train_function = self._train_functions.get(shape)
            step = model.train_on_batch
        else:
            model.test_function = self._test_functions.get(shape)
            step = model.test_on_batch
        logs = step(inputs, targets, sample_weight=weights, return_dict=True)
        # The values are on the host, so the device has finished.
        values = {name: float(value) for name, value in logs.items()}
        if kind == "train":
            self._train_functions[shape] = model.train_function
        else:
            self._test_functions[shape] = model.test_function
        self.clock.add(kind, shape, time.perf_counter() - start)
        return values

    @staticmethod
    def _values(variables: list[Any]) -> list[np.ndarray]:
        # A copy: the array may share the memory of the variable.
        return [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]

    @staticmethod
    def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
