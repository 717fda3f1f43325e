"""The checks of states fail on layers that lose, leak or misread them."""

import pytest
from keras import ops

from keras_twa.layers import DotProductAttention
from keras_twa.layers import LinearAttention
from keras_twa.layers import LocalAttention
from keras_twa.layers import TemporalWeightedAttention
from keras_twa.layers.attention.states import KeyValueCache
from keras_twa.testing import checks
from tests.contract.cases import PLAIN
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]

LINEAR = next(case for case in PLAIN if case.layer is LinearAttention)


class Forgets(DotProductAttention):
    """Starts without a past in every call."""

    def mix(self, call):
        """Attend to the steps of this call only."""
        state = None if call.state is None else self.initial_state(2)
        return super().mix(call.replace(state=state))


class ForgetsPadding(DotProductAttention):
    """Keeps padded steps in its cache as if they were real."""

    def mix(self, call):
        """Attend, and mark all steps as real."""
        outputs, weights, state = super().mix(call)
        if state is not None:
            state = {**state, "real": ops.ones_like(state["real"])}
        return outputs, weights, state


class StopsGradients(DotProductAttention):
    """Returns a state without its gradient."""

    def mix(self, call):
        """Attend, and stop the gradient of the state."""
        outputs, weights, state = super().mix(call)
        if state is not None:
            state = {k: ops.stop_gradient(x) for k, x in state.items()}
        return outputs, weights, state


class CacheThatStays(KeyValueCache):
    def shapes_after(self, shapes, steps):
        """State that the cache does not grow."""
        return shapes


class MisstatesShapes(DotProductAttention):
    """Has a growing cache, but states that it does not grow."""

    @property
    def state_kind(self):
        return CacheThatStays(self.projections())


class AcceptsAnyState(LinearAttention):
    def call(self, query, value=None, initial_state=None, **options):
        """Call without the state."""
        options["attention_mask"] = None
        return super().call(query, query, **options)


class CountsPadding(TemporalWeightedAttention):
    """Uses the index of a step as its time."""

    def counts(self, times):
        """Count padding too."""
        return False


class KeepsPaddingInItsWindow(LocalAttention):
    """Holds the last steps of the batch, whether they are real or not."""

    def mix(self, call):
        """Mark all steps in the state as real."""
        outputs, weights, state = super().mix(call)
        if state is not None:
            state = {**state, "real": ops.ones_like(state["real"])}
        return outputs, weights, state


@pytest.mark.parametrize("layer", [CountsPadding, KeepsPaddingInItsWindow])
def test_ragged_rows(layer):
    case = next(case for case in PLAIN if issubclass(layer, case.layer))
    with pytest.raises(AssertionError, match="padding in front"):
        checks.ragged_rows_equal_each_alone(case.with_layer(layer))


@pytest.mark.parametrize("layer", [Forgets, ForgetsPadding])
def test_parts(layer):
    assert rejects(checks.parts_equal_one_call, layer)


@pytest.mark.parametrize("layer", [Forgets, ForgetsPadding])
def test_steps(layer):
    assert rejects(checks.steps_equal_one_call, layer)


def test_gradients():
    assert rejects(checks.states_carry_gradients, StopsGradients)


def test_stopped_gradients():
    # The states of dot-product attention carry gradients.
    assert rejects(checks.states_stop_gradients, DotProductAttention)


def test_shapes():
    assert rejects(checks.states_have_the_stated_shapes, MisstatesShapes)


def test_bad_streams():
    with pytest.raises(AssertionError, match="nothing was raised"):
        checks.refuses_bad_streams(LINEAR.with_layer(AcceptsAnyState))
