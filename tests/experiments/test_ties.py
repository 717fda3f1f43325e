"""Equal validation scores: the lower loss is better, for epochs and for rates."""

import dataclasses
import math

import pytest

from keras_twa.experiments.results import Result
from keras_twa.experiments.sweep import chosen_rate
from keras_twa.experiments.training import Training
from keras_twa.tasks import Metric
from keras_twa.tasks import get
from tests.experiments.canned_results import canned_result

pytestmark = pytest.mark.once


def best_epoch(points, metric):
    """The best epoch of a training with these scores and losses."""
    training = Training.__new__(Training)
    training.task = dataclasses.replace(get("listops"), metric=metric)
    training.result = Result(canned_result("dot_product", 0).experiment, metric=metric)
    for epoch, (score, loss) in enumerate(points, start=1):
        validation = {metric.name: score, "loss": loss}
        is_best = training._is_best(validation)
        point = {f"validation_{name}": value for name, value in validation.items()}
        training.result.curve.append(point)
        if is_best:
            training.result.best_epoch = epoch
    return training.result.best_epoch, training.result.best_loss


def test_of_epochs_with_equal_scores_the_lowest_loss_is_best():
    points = [(0.5, 1.0), (0.9, 0.7), (0.9, 0.4), (0.9, 0.4), (0.9, 0.6), (0.8, 0.1)]
    assert best_epoch(points, Metric()) == (3, 0.4)
    error = Metric("error", higher_is_better=False)
    assert best_epoch(points, error) == (1, 1.0)
    assert best_epoch([(0.5, 1.0), (0.5, 0.8), (0.6, 0.2)], error) == (2, 0.8)
    assert best_epoch([], Metric()) == (None, math.inf)


def test_of_rates_with_equal_scores_the_lowest_loss_is_chosen():
    runs = []
    for rate, loss in ((0.1, 0.5), (0.2, 0.3), (0.3, 0.4)):
        run = canned_result("dot_product", 0)
        run.experiment = dataclasses.replace(run.experiment, learning_rate=rate)
        run.curve[-1] |= {"validation_accuracy": 0.9, "validation_loss": loss}
        runs.append(run)
    assert chosen_rate(runs) == 0.2
    runs[2].curve[-1]["validation_accuracy"] = 0.91
    assert chosen_rate(runs) == 0.3
