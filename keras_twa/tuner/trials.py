"""How KerasTuner runs the trials of a search."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.stop import Stopped
from keras_twa.experiments.stop import StopSignal
from keras_twa.tuner.hypermodel import AttentionHyperModel
from keras_twa.tuner.space import chosen

ALGORITHMS = ("random", "bayesian", "hyperband")
# Folder of KerasTuner's own files in that of a search.
TRIALS = "trials"
WEIGHTS = "best.weights.h5"

View = Callable[[dict[str, Any]], None]


class OutOfTime(keras_tuner.errors.FatalError):
    """It is time to stop. KerasTuner turns other errors into failed trials."""


class Runner:
    """Trains configurations, saves their best weights, and reports progress.

    Args:
        hypermodel: The `AttentionHyperModel`.
        stop: Decides when to stop.
        view: Called with each event to show.
    """

    def __init__(
        self, hypermodel: AttentionHyperModel, stop: StopSignal, view: View
    ) -> None:
        self.hypermodel = hypermodel
        self.stop = stop
        self.view = view

    def run(
        self,
        name: str,
        configuration: Experiment,
        weights: Path,
        initial_weights: Path | None = None,
        epochs: int | None = None,
        initial_epoch: int = 0,
    ) -> dict[str, float]:
        """Trains one configuration.

        Args:
            name: Its name for `view`.
            configuration: The `Experiment`.
            weights: File for the weights of the best epoch.
            initial_weights: File with initial weights.
            epochs: Number of the last epoch.
            initial_epoch: Number of earlier epochs.

        Returns:
            What `AttentionHyperModel.fit` returns.

        Raises:
            OutOfTime: If it is time to stop.
        """
        epochs = epochs or configuration.settings.epochs
        show = {
            "trial": name,
            "epochs": epochs,
            "hyperparameters": chosen(configuration),
        }
        self.check()
        self.view({"event": "start", **show})
        model = self.hypermodel.make(configuration)
        if initial_weights is not None:
            model.load_weights(initial_weights)
        checkpoint = keras.callbacks.ModelCheckpoint(
            weights,
            monitor=self.hypermodel.objective,
            mode=self.hypermodel.direction,
            save_best_only=True,
            save_weights_only=True,
        )
        return self.hypermodel.train(
            configuration,
            model,
            [checkpoint, _Progress(self, name)],
            epochs,
            initial_epoch,
        )

    def load(self, configuration: Experiment, weights: Path) -> Any:
        """Returns the trained model of a configuration."""
        model = self.hypermodel.make(configuration)
        model.load_weights(weights)
        return model

    def check(self) -> None:
        """Raises `OutOfTime` if it is time to stop."""
        try:
            self.stop.check()
        except Stopped as stopped:
            raise OutOfTime(str(stopped)) from None


class _Progress(keras.callbacks.Callback):
    """Shows the progress of `fit`, and stops it."""

    def __init__(self, runner: Runner, trial: str) -> None:
        super().__init__()
        self.runner = runner
        self.trial = trial
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._show("batch", logs, batch=batch + 1, batches=self.params["steps"])
        self.runner.check()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.runner.check()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._show("epoch", logs)

    def _show(self, event: str, logs: Any, **more: Any) -> None:
        place = {"event": event, "trial": self.trial, "epoch": self.epoch + 1}
        self.runner.view({**place, **more, **logs})


class AttentionTuner(keras_tuner.Tuner):
    """KerasTuner's search with models, weights and progress of a `Runner`.

    It runs trials itself. KerasTuner's own method needs TensorBoard on TensorFlow, and
    builds a model twice if it continues from the weights of another.

    Args:
        oracle: A `keras_tuner.Oracle`.
        runner: The `Runner`.
        directory: Folder of the search.
        on_end: Called after each trial.
    """

    def __init__(
        self,
        oracle: Any,
        runner: Runner,
        directory: Path,
        on_end: Callable[[Any], None] = lambda trial: None,
    ) -> None:
        self.runner = runner
        self.on_end = on_end
        super().__init__(
            oracle, runner.hypermodel, directory=str(directory), project_name=TRIALS
        )

    def _populate_initial_space(self) -> None:
        # Declares the whole space at once. KerasTuner would build models until each
        # mechanism was chosen once.
        hp = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(hp)
        self.oracle.update_space(hp)

    def reload(self) -> None:
        # KerasTuner finds trials by a pattern, in which brackets of the folder name
        # have a special meaning.
        for path in Path(self.project_dir).glob("trial_*/trial.json"):
            trial = keras_tuner.engine.trial.Trial.load(str(path))
            self.oracle.trials[trial.trial_id] = trial
        super().reload()

    def run_trial(self, trial: Any, **options: Any) -> dict[str, float]:
        values = trial.hyperparameters.values
        # Later rounds of Hyperband continue the best trials of earlier rounds.
        earlier = values.get("tuner/trial_id")
        return self.runner.run(
            trial.trial_id,
            self.hypermodel.configuration(trial.hyperparameters),
            self.weights(trial.trial_id),
            None if earlier is None else self.weights(earlier),
            values.get("tuner/epochs"),
            values.get("tuner/initial_epoch", 0),
        )

    def load_model(self, trial: Any) -> Any:
        configuration = self.hypermodel.configuration(trial.hyperparameters)
        return self.runner.load(configuration, self.weights(trial.trial_id))

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        self.on_end(trial)

    def weights(self, trial_id: str) -> Path:
        """Returns the file with the best weights of a trial."""
        return Path(self.get_trial_dir(trial_id)) / WEIGHTS


def make_oracle(
    algorithm: str, max_trials: int, max_epochs: int, seed: int, objective: Any
) -> Any:
    """Returns the oracle, which chooses the trials.

    Args:
        algorithm: One of `ALGORITHMS`.
        max_trials: Largest number of trials.
        max_epochs: Epochs of a full training.
        seed: Seed of the choices.
        objective: The `keras_tuner.Objective`.
    """
    options = {
        "objective": objective,
        # In KerasTuner, 0 means no seed.
        "seed": seed + 1,
        # Otherwise the search would end with an error and without a result.
        "max_consecutive_failed_trials": max_trials + 1,
    }
    if algorithm == "random":
        return keras_tuner.oracles.RandomSearchOracle(max_trials=max_trials, **options)
    if algorithm == "bayesian":
        return keras_tuner.oracles.BayesianOptimizationOracle(
            max_trials=max_trials,
            # The default, three for each hyperparameter, is more than all trials.
            num_initial_points=max(3, max_trials // 3),
            **options,
        )
    oracle = keras_tuner.oracles.HyperbandOracle(
        max_epochs=max_epochs,
        # Each iteration has at least one trial, so the number of trials is the limit.
        hyperband_iterations=max_trials,
        **options,
    )
    oracle.max_trials = max_trials
    return oracle


def role() -> str:
    """Whether this process searches "alone", or is a "chief" or a "worker".

    `KERASTUNER_ORACLE_IP` and `KERASTUNER_TUNER_ID` decide this, as in KerasTuner.
    """
    if "KERASTUNER_ORACLE_IP" not in os.environ:
        return "alone"
    return "chief" if "chief" in os.environ.get("KERASTUNER_TUNER_ID", "") else "worker"
