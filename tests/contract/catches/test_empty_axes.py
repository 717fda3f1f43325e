"""The checks of empty axes fail on layers with wrong results for empty inputs."""

import pytest
from keras import ops

from keras_twa.layers import DotProductAttention
from keras_twa.testing import checks
from tests.contract.catches.faults import Broken
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class AddsARow(Broken):
    """Returns one row for an empty batch."""

    def after(self, result, arguments):
        """Add a row if there is none."""
        return ops.zeros((1, *result.shape[1:])) if result.shape[0] == 0 else result


class IsNotANumber(Broken):
    """Divides by the number of keys."""

    def after(self, result, arguments):
        """Scale by a ratio that is undefined without keys."""
        keys = arguments["value"].shape[1] * ops.ones(())
        return result * (keys / keys)


class ShowsNothing(Broken):
    """Gives 1 for queries without keys, but 0 for queries whose keys are hidden."""

    def after(self, result, arguments):
        """Replace the output where there are no keys."""
        return ops.ones_like(result) if arguments["value"].shape[1] == 0 else result


class CountsEmptyChunks(DotProductAttention):
    """Adds a step to its state for an empty chunk."""

    def mix(self, call):
        """Attend, and add one step to the state if the chunk is empty."""
        outputs, weights, state = super().mix(call)
        if state is not None and outputs.shape[1] == 0:
            state = {**state, "real": ops.ones_like(state["real"])}
            state["time"] = state["time"] + 1.0
        return outputs, weights, state


@pytest.mark.parametrize("layer", [AddsARow, IsNotANumber])
def test_empty_axes(layer):
    assert rejects(checks.empty_axes_are_answered, layer)


def test_no_keys():
    assert rejects(checks.no_keys_are_hidden_keys, ShowsNothing)


def test_empty_chunks():
    assert rejects(checks.empty_chunks_leave_states, CountsEmptyChunks)
