"""Experiments that take a second, and a model for them that is no Transformer.

As a script it runs one of them, or a comparison, and may kill itself on the way:
`python -m tests.experiments.tiny {run,compare} FOLDER [STEPS]`.
"""

import os
import signal
import sys

import keras

from keras_twa.experiments import run as run_module
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import Experiment
from keras_twa.tasks import load

SIZES = {
    "num_train": 192,
    "num_validation": 48,
    "num_test": 48,
    "max_length": 25,
    "max_buckets": 2,
    "embedding_dim": 8,
    "num_heads": 2,
    "intermediate_dim": 8,
    "num_layers": 1,
    "batch_size": 16,
    "dropout": 0.1,
    "epochs": 3,
    "warmup_steps": 2,
}


def tiny_experiment(attention="dot_product", seed=0, **changes):
    return Experiment.from_preset(
        "listops", "quick", attention, seed, "generated", **{**SIZES, **changes}
    )


def build_model(experiment, data):
    """Embedding, dropout (so that random states count), mean, logits.

    One dropout has a seed and one has none: PyTorch draws these in different ways.
    """
    inputs = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(data.vocabulary_size, 8)(inputs)
    x = keras.layers.Dropout(0.2, seed=experiment.seed)(x)
    x = keras.layers.Dropout(0.2)(x)
    x = keras.layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, keras.layers.Dense(data.num_classes)(x))


def run_tiny(folder, kill_at=None):
    """Runs one experiment, with a checkpoint after every batch."""
    run_module.SECONDS_BETWEEN_CHECKPOINTS = -1.0
    run_module.SECONDS_BETWEEN_EVENTS = -1.0

    def on_event(event):
        if kill_at is not None and event.get("steps_done", 0) >= kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return run_module.run(
        tiny_experiment(), folder, on_event=on_event, build_model=build_model
    )


def compare_tiny(folder, kill_at=None):
    """Compares two mechanisms; at a step of the second everything is killed."""
    experiments = [tiny_experiment("dot_product"), tiny_experiment("gravitational")]
    first = experiments[0]
    data = load(first.task, first.data, first.settings)
    comparison = Comparison(folder, experiments, keras.backend.backend())
    comparison.prepare(data)

    def on_event(experiment, event):
        if (
            kill_at is not None
            and experiment is experiments[1]
            and event.get("steps_done", 0) >= kill_at
        ):
            os.killpg(os.getpgrp(), signal.SIGKILL)

    return comparison.run(on_event)


if __name__ == "__main__":
    what, folder, *steps = sys.argv[1:]
    {"run": run_tiny, "compare": compare_tiny}[what](folder, *map(int, steps))
