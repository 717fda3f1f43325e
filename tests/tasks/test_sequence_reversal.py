"""The task of reversing sequences."""

import numpy as np
import pytest

from keras_twa.tasks import get
from tests.tasks.tiny import tiny_settings
from tests.tasks.tiny import trained

NAME = "sequence_reversal"


@pytest.mark.once
def test_targets_are_the_rows_from_behind():
    rows = get(NAME).load("auto", tiny_settings(NAME, max_length=5), None)
    seen = set()
    for inputs, targets, weights in rows.splits.values():
        assert inputs.shape[1] == 5
        assert [list(row)[::-1] for row in inputs] == targets.tolist()
        assert weights is None
        seen |= {tuple(row) for row in inputs}
    assert rows.counts == {"train": 32, "validation": 8, "test": 8}
    # The splits are not the same rows.
    assert len(seen) > 40
    again = get(NAME).load("generated", tiny_settings(NAME, max_length=5), None)
    assert again.fingerprint == rows.fingerprint
    other = tiny_settings(NAME, max_length=5, data_seed=1)
    assert get(NAME).load("auto", other, None).fingerprint != rows.fingerprint


@pytest.mark.once
def test_chance_is_what_a_random_choice_gets():
    rows = get(NAME).load("auto", tiny_settings(NAME, num_test=4_000), None)
    _, targets, _ = rows.splits["test"]
    guess = np.random.default_rng(7).integers(16, size=targets.shape)
    chance = get(NAME).baselines(rows)["chance"]
    np.testing.assert_allclose((guess == targets).mean(), chance, rtol=0.05)


@pytest.mark.once
def test_other_data_is_refused():
    with pytest.raises(ValueError, match=r"Received: data='file\.txt'"):
        get(NAME).load("file.txt", tiny_settings(NAME), None)
    with pytest.raises(ValueError, match="Received: num_test=None"):
        get(NAME).load("auto", tiny_settings(NAME, num_test=None), None)


def test_a_model_learns_to_reverse(tmp_path):
    stack = "[temporal_weighted, dot_product]"
    sizes = {"num_train": 512, "max_length": 3, "epochs": 6, "learning_rate": 1e-2}
    sizes |= {"num_layers": 2, "embedding_dim": 32, "intermediate_dim": 32}
    result, rows, model = trained(NAME, tmp_path, stack, **sizes)
    assert result.score > 0.5
    inputs, targets, _ = rows.splits["test"]
    right = model.predict(inputs, verbose=0).argmax(axis=-1) == targets
    np.testing.assert_allclose(result.test["symbols_right"], right.mean(), rtol=1e-6)
    whole = right.all(axis=1).mean()
    np.testing.assert_allclose(result.test["sequences_right"], whole, rtol=1e-6)
    # Also measured on the batches of training.
    assert "train_sequences_right" in result.curve[0]
