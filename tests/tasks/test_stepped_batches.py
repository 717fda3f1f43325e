"""Epochs of so many batches: all rows occur equally often, and a run can continue."""

import numpy as np
import pytest

from keras_twa.tasks.array_rows import ArrayBatches
from keras_twa.tasks.array_rows import whole
from keras_twa.tasks.stepped_batches import SteppedBatches

pytestmark = pytest.mark.once


def batches(rows=7, batch_size=3, seed=1):
    values = np.arange(rows)
    return ArrayBatches([whole((values, values, None))], batch_size, seed)


def numbers(found):
    return [inputs.tolist() for inputs, _, _ in found]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 9])
def test_epochs_are_passes_one_after_another(steps):
    one = batches()
    stepped = SteppedBatches(one, steps)
    assert len(stepped) == steps
    passes = [batch for number in range(6) for batch in numbers(one.epoch(number))]
    found = [numbers(stepped.epoch(epoch)) for epoch in range(len(passes) // steps)]
    assert {len(epoch) for epoch in found} == {steps}
    flat = [batch for epoch in found for batch in epoch]
    assert flat == passes[: len(flat)]


@pytest.mark.parametrize("start", range(6))
def test_an_epoch_can_start_in_its_middle(start):
    stepped = SteppedBatches(batches(), 5)
    for epoch in range(3):
        whole_epoch = numbers(stepped.epoch(epoch))
        assert numbers(stepped.epoch(epoch, start)) == whole_epoch[start:]


@pytest.mark.parametrize("steps", [0, -1, 2.0, True])
def test_steps_are_checked(steps):
    with pytest.raises(ValueError, match=rf"positive integer. Received: steps={steps}"):
        SteppedBatches(batches(), steps)
