"""Compares attention mechanisms in a Keras model of the user's, on the user's data."""

import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_twa.comparing.data import Data
from keras_twa.comparing.model_comparison import ModelComparison
from keras_twa.comparing.prepare import prepare
from keras_twa.experiments.arguments import check_time_limit
from keras_twa.experiments.arguments import check_workers
from keras_twa.experiments.arguments import seeds_of
from keras_twa.experiments.sweep import check_rates


def compare(
    model: keras.Model,
    attention: Any,
    x: Any = None,
    y: Any = None,
    *,
    validation_data: Any = None,
    test_data: Any = None,
    epochs: int = 1,
    batch_size: int | None = None,
    seeds: int | Sequence[int] = 1,
    learning_rates: Sequence[float] = (),
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    validation_split: float = 0.0,
    steps_per_epoch: int | None = None,
    patience: int | None = None,
    primary: str | None = None,
    higher_is_better: bool | None = None,
    where: Any = None,
    initial_weights: str = "given",
    workers: int | None = 1,
    time_limit: float | None = None,
    output: str | os.PathLike[str] | None = None,
    verbose: int | bool = 1,
) -> ModelComparison:
    """Trains variants of a model with other attention, and compares them.

    The model as given is the baseline. Each variant is the model with its attention
    exchanged by `keras_twa.swap_attention`, and each variant and seed is trained in a
    process of its own, with the optimizer, loss and metrics that the model was compiled
    with. The epoch with the best validation score is tested once, on the test rows.

    A comparison continues where it was interrupted, when it is started again with the
    same arguments and `output`. More seeds and mechanisms can be added.

    Args:
        model: A compiled `keras.Model` with attention, which Keras can save. It stays
            as it is.
        attention: The mechanisms to compare: a list whose entries are each a name, a
            text such as `"local(window=32)"`, a `layers.Mechanism`, an attention layer,
            or a list of these with one for each exchanged layer of the model. `"all"`
            stands for all mechanisms that fit the model.
        x: Inputs of the training rows, as for `fit`: arrays, lists or dictionaries of
            arrays, or a data set of batches (`tf.data.Dataset`, PyTorch `DataLoader`,
            grain, `PyDataset`, or another iterable), which is read once.
        y: Targets, unless `x` is a data set.
        validation_data: `(x, y)`, `(x, y, weights)` or a data set, for the choice of
            the best epoch and learning rate. Defaults to a tenth of the training rows,
            drawn at random.
        test_data: Rows for the test, likewise. Defaults to a tenth of the training
            rows, drawn at random.
        epochs: Passes over the training rows.
        batch_size: Rows per step. Defaults to the size of the batches of a data set, or
            to 32.
        seeds: The number of runs of each variant, or a list of their seeds. A seed
            decides the initial values of weights that a variant does not keep, dropout,
            and the order of the rows.
        learning_rates: Learning rates to try. The first seed of each variant is trained
            with each of them, in place of the optimizer's own rate or schedule; the one
            with the best validation score is used for the other seeds. Defaults to
            none: the optimizer as it was compiled.
        sample_weight: Weights of the training rows, as for `fit`.
        class_weight: Weights of classes, as for `fit`.
        validation_split: The last part of the training rows to use for validation, from
            0 to 1, as for `fit`.
        steps_per_epoch: Number of batches to read of a data set. Defaults to all.
        patience: Epochs without a better validation score that end a run. Defaults to
            `epochs`: no run ends early.
        primary: The value that is compared: "loss", or the name of a metric. Defaults
            to the first metric, or to the loss if the model has no metric or several
            outputs.
        higher_is_better: Whether a higher value is better, if the name does not tell.
        where: Which attention layers to exchange, as for `swap_attention`.
        initial_weights: `"given"`: all runs start from the weights of the model.
            `"new"`: each seed starts from new values of those that are trained, as the
            model's initializers give them.
        workers: How many variants are trained at once, each with a GPU or an equal
            share of the processor's cores of its own. `None`: one per GPU, or else one
            per core.
        time_limit: Seconds after which the comparison stops; a later call continues it.
        output: The folder of the comparison. Defaults to a folder in `runs`, named
            after the model and the data.
        verbose: 0 for no output; otherwise the progress is shown.

    Returns:
        A `ModelComparison`. In a notebook it shows itself as a table with plots.

    Raises:
        ValueError: If the model has no attention, is not compiled or cannot be saved,
            the model or the loss refuses the rows, an attention does not fit the model,
            or the folder has another comparison. Nothing has been trained then.
        KeyboardInterrupt: After the runs have saved their state.

    Example:

    ```python
    comparison = keras_twa.compare(
        model, ["temporal_weighted", "local(window=32)"],
        x=x, y=y, validation_data=(x_val, y_val), test_data=(x_test, y_test),
        epochs=10, seeds=3,
    )
    comparison.table
    ```
    """
    rates = check_rates(learning_rates)
    check_workers(workers)
    check_time_limit(time_limit)
    chosen_seeds = seeds_of(seeds)
    data = Data(
        x,
        y,
        sample_weight,
        class_weight,
        validation_data,
        test_data,
        validation_split,
        steps_per_epoch,
    )
    prepared = prepare(
        model,
        attention,
        data,
        training={"epochs": epochs, "batch_size": batch_size, "patience": patience},
        primary=primary,
        higher_is_better=higher_is_better,
        where=where,
        initial_weights=initial_weights,
        output=output,
    )
    comparison = prepared.comparison(chosen_seeds, rates)
    found = ModelComparison(comparison, prepared.skipped)
    found.run(workers, time_limit, verbose=bool(verbose))
    return found
