"""Which value is compared, and what trivial predictions get."""

import keras
import numpy as np
import pytest

from keras_twa.comparing.outputs import outputs_of
from keras_twa.comparing.scoring import primary_metric
from keras_twa.comparing.trivial import trivial_scores
from keras_twa.tasks import Metric
from keras_twa.tasks.array_rows import whole

RNG = np.random.default_rng(0)


@pytest.mark.once
@pytest.mark.parametrize(
    ("names", "name", "higher", "percent"),
    [
        (["accuracy", "loss"], "accuracy", True, True),
        (["loss"], "loss", False, False),
        (["mean_absolute_error", "loss"], "mean_absolute_error", False, False),
        (["mae", "loss"], "mae", False, False),
        (["auc_3", "loss"], "auc_3", True, False),
        (["r2_score", "loss"], "r2_score", True, False),
        (["sparse_top_k_categorical_accuracy", "loss"], None, True, True),
        (["false_positives", "loss"], "false_positives", False, False),
        (["root_mean_squared_error", "loss"], None, False, False),
        (["cosine_similarity", "loss"], None, True, False),
        # Several outputs.
        (["a_accuracy", "a_loss", "b_loss", "b_mae", "loss"], "loss", False, False),
    ],
)
def test_the_first_metric_is_compared(names, name, higher, percent):
    assert primary_metric(names) == Metric(name or names[0], higher, percent)


@pytest.mark.once
def test_another_value_is_compared_on_demand():
    names = ["accuracy", "my_value", "loss"]
    assert primary_metric(names, "loss") == Metric("loss", False, False)
    assert primary_metric(names, "val_accuracy") == Metric("accuracy")
    assert primary_metric(names, "my_value", True).higher_is_better
    with pytest.raises(ValueError, match=r"higher_is_better.*primary='my_value'"):
        primary_metric(names, "my_value")
    with pytest.raises(ValueError, match=r"Did you mean 'accuracy'.*'acuracy'"):
        primary_metric(names, "acuracy")


def scores(loss, metrics, predictions, train, test, x=None, weights=None, **compiled):
    """The trivial scores of a model with these outputs."""
    groups = {
        name: [whole((np.zeros((len(y), 2), int) if x is None else x[name], y, w))]
        for name, y, w in (("train", train, None), ("test", test, weights))
    }
    outputs = outputs_of(None, loss, predictions, test)
    arguments = {"loss": loss, "metrics": metrics, **compiled}
    return lambda metric: trivial_scores(outputs, groups, arguments, metric)


@pytest.mark.parametrize("from_logits", [True, False])
def test_classes_are_guessed_by_their_shares(from_logits):
    train, test = np.array([0, 1, 1, 1]), np.array([1, 1, 0, 2])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    found = scores(loss, ["accuracy"], np.zeros((4, 3)), train, test)
    assert found("accuracy") == {"majority": 0.5}
    shares = np.array([0.25, 0.75, 1e-7])
    expected = -np.log(shares / shares.sum())[test].mean()
    assert found("loss")["majority"] == pytest.approx(expected, rel=1e-3)


def test_classes_of_each_step_are_guessed():
    train, test = np.array([[0, 1], [1, 1]]), np.array([[1, 0]])
    loss = "sparse_categorical_crossentropy"
    found = scores(loss, ["accuracy"], np.zeros((1, 2, 3)), train, test)
    assert found("accuracy") == {"majority": 0.5}


def test_labels_are_guessed_by_their_shares():
    train = np.array([[1, 0], [1, 0], [0, 1.0]])
    test = np.array([[1, 1.0], [1, 0]])
    for logits in (True, False):
        loss = keras.losses.BinaryCrossentropy(from_logits=logits)
        found = scores(loss, [], np.zeros((2, 2)), train, test)("loss")
        p = train.mean(axis=0)
        expected = -(test * np.log(p) + (1 - test) * np.log(1 - p)).mean()
        assert found["majority"] == pytest.approx(expected, rel=1e-5)


def test_numbers_are_guessed_by_mean_and_median():
    train, test = np.array([0.0, 1.0, 5.0]), np.array([1.0, 3.0])
    found = scores("mse", ["mae"], np.zeros((2, 1)), train, test)
    assert found("mae") == {"mean": 1.0, "median": 1.0}
    assert found("loss") == {"mean": 1.0, "median": 2.0}
    # The last step of the input, which has one channel.
    x = {"train": np.zeros((3, 4, 1), "float32")}
    x["test"] = np.arange(8, dtype="float32").reshape(2, 4, 1)
    found = scores("mse", ["mae"], np.zeros((2, 1)), train, test, x)
    assert found("mae")["last value"] == pytest.approx((abs(3 - 1) + abs(7 - 3)) / 2)
    # Several channels cannot stand for one number.
    x = {name: np.repeat(each, 2, axis=2) for name, each in x.items()}
    found = scores("mse", ["mae"], np.zeros((2, 1)), train, test, x)
    assert "last value" not in found("mae")


def test_weights_of_rows_count():
    train, test = np.array([0.0, 2.0]), np.array([1.0, 3.0])
    weights = np.array([3.0, 1.0])
    found = scores(
        "mse",
        [],
        np.zeros((2, 1)),
        train,
        test,
        None,
        weights,
        weighted_metrics=["mae"],
    )
    names = found("mae") or found("weighted_mae")
    assert names["mean"] == pytest.approx((3 * 0 + 1 * 2) / 4)


def test_several_outputs_are_guessed_together():
    train = {"a": np.array([0, 0, 1]), "b": np.array([[1.0], [2.0], [3.0]])}
    test = {"a": np.array([0, 1]), "b": np.array([[2.0], [4.0]])}
    loss = {
        "a": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "b": "mse",
    }
    predictions = {"a": np.zeros((2, 2)), "b": np.zeros((2, 1))}
    outputs = outputs_of(None, loss, predictions, test)
    groups = {
        name: [whole((np.zeros((len(y["a"]), 2)), y, None))]
        for name, y in (("train", train), ("test", test))
    }
    arguments = {"loss": loss, "metrics": {"a": ["accuracy"], "b": ["mae"]}}
    assert trivial_scores(outputs, groups, arguments, "a_accuracy") == {"constant": 0.5}
    assert trivial_scores(outputs, groups, arguments, "b_mae") == {"constant": 1.0}


def test_an_unknown_loss_has_no_trivial_score():
    def loss(y_true, y_pred):
        return y_pred

    found = scores(loss, [], np.zeros((2, 1)), np.zeros(2), np.zeros(2))
    assert found("loss") == {}
