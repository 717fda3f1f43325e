"""The share of rows of which every token is right."""

import numpy as np

from keras_twa.tasks.rows_right import rows_right

LABELS = np.array([[1, 2], [2, 0], [1, 1], [0, 0]])
# Right, right but for padding, wrong, padding only.
FOUND = np.array([[1, 2], [2, 1], [1, 2], [1, 2]])


def test_a_row_is_right_if_all_of_it_is():
    logits = np.eye(3, dtype="float32")[FOUND]
    metric = rows_right("whole")
    metric.update_state(LABELS, logits)
    assert float(metric.result()) == 1 / 4
    # Over batches, each row counts the same.
    metric.update_state(LABELS[:1], logits[:1])
    np.testing.assert_allclose(float(metric.result()), 2 / 5)
    metric = rows_right("whole", padding=0)
    metric.update_state(LABELS, logits)
    assert (metric.name, float(metric.result())) == ("whole", 3 / 4)
