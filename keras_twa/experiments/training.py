"""One model in training, which can stop at any batch and continue later."""

import math
import os
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_twa.experiments.checkpoint import REMEDY
from keras_twa.experiments.checkpoint import load_checkpoint
from keras_twa.experiments.checkpoint import save_checkpoint
from keras_twa.experiments.clock import StepClock
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.data import TaskData
from keras_twa.experiments.fingerprint import check_same_rows
from keras_twa.experiments.generators import Generators
from keras_twa.experiments.results import Result
from keras_twa.experiments.schedule import LearningRate

# The attributes of a result in a checkpoint.
KEPT = ("steps", "curve", "best_epoch", "fingerprint")
# After every batch: number of the batch, and the mean loss and accuracy so far.
OnBatch = Callable[[str, int, int, float, float], None]


class Training:
    """A model in training, with all state that is needed to continue.

    The order of the batches follows from the seed and the epoch. The state consists
    of epoch and batch number, the variables of model and optimizer, the states of all
    random generators, and the best weights so far. A training that continues from it
    gives the same numbers as an uninterrupted one.

    Args:
        experiment: The `Experiment`.
        data: The `TaskData`.
        model: A Keras model from tokens to logits.
        result: The `Result` to fill in.
    """

    def __init__(
        self, experiment: Experiment, data: TaskData, model: Any, result: Result
    ) -> None:
        self.experiment = experiment
        self.settings = experiment.settings
        self.data = data
        self.model = model
        self.result = result
        self.batches = data.train_batches(self.settings.batch_size, experiment.seed)
        steps = len(self.batches) * self.settings.epochs
        self.total_steps = min(steps, self.settings.max_steps or steps)
        optimizer = keras.optimizers.AdamW(
            learning_rate=LearningRate(
                self.settings.learning_rate,
                self.settings.warmup_steps,
                self.settings.schedule,
                self.total_steps,
            ),
            weight_decay=self.settings.weight_decay,
            beta_2=self.settings.beta_2,
            epsilon=self.settings.epsilon,
            clipnorm=self.settings.clipnorm,
        )
        model.compile(
            optimizer=optimizer,
            # Rows of weight 0 only fill a batch.
            loss=keras.losses.SparseCategoricalCrossentropy(
                from_logits=True, reduction="mean_with_sample_weight"
            ),
            weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        )
        if not model.built:
            model.build((self.settings.batch_size, None))
        # In half precision, Keras wraps the optimizer with a dynamic loss scale.
        self.optimizer = model.optimizer
        self.optimizer.build(model.trainable_variables)
        self.generators = Generators(model)
        result.parameters = sum(
            math.prod(variable.shape) for variable in model.trainable_variables
        )
        self.epoch = 0
        self.batch = 0
        self.sums = [0.0, 0.0, 0.0]
        self.best: list[np.ndarray] = []
        self.clock = StepClock()
        self._train_functions: dict[Any, Any] = {}
        self._test_functions: dict[Any, Any] = {}

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or `patience` is exceeded."""
        since_best = len(self.result.curve) - (self.result.best_epoch or 0)
        return (
            self.epoch >= self.settings.epochs
            or (self.result.steps >= self.total_steps and self.batch == 0)
            or since_best >= self.settings.patience
        )

    def train_epoch(self, on_batch: OnBatch) -> None:
        """Trains the rest of an epoch, evaluates, and keeps the best weights.

        Args:
            on_batch: Called after every batch. If it raises an error, the epoch ends
                and can continue later.
        """
        planned = self.batches_of_epoch
        for tokens, labels, weights in self.batches.epoch(self.epoch, self.batch):
            if self.batch >= planned:
                break
            loss, accuracy = self._timed("train", tokens, labels, weights)
            self.batch += 1
            self.result.steps += 1
            self._add(self.sums, loss, accuracy, weights)
            self._check_finite("training", loss)
            on_batch("train", self.batch, planned, *_means(self.sums))
        seconds = self.clock.epoch_seconds
        train_loss, train_accuracy = _means(self.sums)
        loss, accuracy = self.evaluate("validation", on_batch)
        self._check_finite("validation", loss)
        curve = self.result.curve
        best = self.result.best_validation_accuracy
        before = curve[-1]["total_seconds"] if curve else 0.0
        self.epoch += 1
        self.batch = 0
        self.sums = [0.0, 0.0, 0.0]
        self.clock.start_epoch()
        curve.append(
            {
                "epoch": self.epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "validation_loss": loss,
                "validation_accuracy": accuracy,
                "seconds": seconds,
                "total_seconds": before + seconds,
            }
        )
        if best is None or accuracy > best:
            self.result.best_epoch = self.epoch
            self.best = self._values(self.model.variables)

    @property
    def batches_of_epoch(self) -> int:
        """Number of batches of this epoch, limited by `max_steps`."""
        left = self.total_steps - self.result.steps + self.batch
        return min(len(self.batches), left)

    def evaluate(self, split: str, on_batch: OnBatch) -> tuple[float, float]:
        """Returns loss and accuracy on the `"validation"` or the `"test"` rows.

        It restores the random generators, so that a training that stops here starts
        the evaluation again with the same numbers.
        """
        batches = self.data.evaluation_batches(split, self.settings.batch_size)
        sums = [0.0, 0.0, 0.0]
        states = self.generators.states()
        try:
            for number, batch in enumerate(batches.epoch(), start=1):
                loss, accuracy = self._timed("evaluate", *batch)
                self._add(sums, loss, accuracy, batch[2])
                on_batch(split, number, len(batches), *_means(sums))
        finally:
            self.generators.restore(states)
        return _means(sums)

    def use_best_weights(self) -> None:
        """Gives the model the weights of its best epoch."""
        self._assign(self.model.variables, self.best)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a checkpoint."""
        self.result.compile_seconds = self.clock.compile_seconds
        state = {
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.sums,
            "epoch_seconds": self.clock.epoch_seconds,
            "compilation": self.clock.compilation,
            "experiment": self.experiment.to_json(),
            **{name: getattr(self.result, name) for name in KEPT},
        }
        arrays = {
            "model": self._values(self.model.variables),
            "optimizer": self._values(self.optimizer.variables),
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
        self._assign(self.optimizer.variables, arrays["optimizer"])
        # Earlier versions saved only the generators of the model.
        if "backend" in arrays:
            self.generators.restore(arrays)
        self.best = arrays["best"]
        self.epoch, self.batch = state["epoch"], state["batch"]
        self.sums = state["sums"]
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
            "optimizer": self.optimizer.variables,
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

    def _timed(self, kind: str, tokens: Any, labels: Any, weights: Any) -> Any:
        model, shape = self.model, tokens.shape
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
        logs = step(tokens, labels, sample_weight=weights, return_dict=True)
        # The values are on the host, so the device has finished.
        loss, accuracy = float(logs["loss"]), float(logs["accuracy"])
        if kind == "train":
            self._train_functions[shape] = model.train_function
        else:
            self._test_functions[shape] = model.test_function
        self.clock.add(kind, tokens.shape, time.perf_counter() - start)
        return loss, accuracy

    @staticmethod
    def _add(sums: list[float], loss: float, accuracy: float, weights: Any) -> None:
        rows = float(weights.sum())
        for index, value in enumerate((loss * rows, accuracy * rows, rows)):
            sums[index] += value

    @staticmethod
    def _values(variables: list[Any]) -> list[np.ndarray]:
        # A copy: the array may share the memory of the variable.
        return [np.array(keras.ops.convert_to_numpy(v.value)) for v in variables]

    @staticmethod
    def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _means(sums: list[float]) -> tuple[float, float]:
    loss, accuracy, rows = sums
    return loss / rows, accuracy / rows
