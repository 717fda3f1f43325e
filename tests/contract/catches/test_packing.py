"""The checks of packed rows fail on layers that mix up the segments of a row."""

from dataclasses import replace

import numpy as np
import pytest
from keras import ops

from keras_twa.layers import DotProductAttention
from keras_twa.layers import LinearAttention
from keras_twa.layers import RetentionAttention
from keras_twa.testing import checks
from tests.contract.cases import PLAIN
from tests.contract.catches.faults import rejects

pytestmark = [pytest.mark.full, pytest.mark.once]


class IgnoresSegments(DotProductAttention):
    """Sees all segments of a row."""

    def mix(self, call):
        """Attend without segments."""
        mask = replace(call.mask, query_segments=None, key_segments=None)
        return super().mix(call.replace(mask=mask))


class SpreadsNaN(DotProductAttention):
    """Adds zero times all inputs of a row."""

    def call(
        self,
        query,
        value=None,
        use_causal_mask=False,
        query_positions=None,
        key_positions=None,
        segment_ids=None,
        key_segment_ids=None,
    ):
        """Attend, and add the sum."""
        outputs = super().call(
            query,
            value,
            use_causal_mask=use_causal_mask,
            query_positions=query_positions,
            key_positions=key_positions,
            segment_ids=segment_ids,
            key_segment_ids=key_segment_ids,
        )
        if segment_ids is None:
            return outputs
        x = query if value is None else value
        real = ops.not_equal(segment_ids if value is None else key_segment_ids, 0)
        real = ops.where(real[..., None], x, 0.0)
        return outputs + 0.0 * ops.sum(real, axis=(1, 2), keepdims=True)


class CannotReset(RetentionAttention):
    """Keeps its memory from segment to segment."""

    def attend(self, call):
        """Attend without segments."""
        mask = replace(call.mask, query_segments=None, key_segments=None)
        return super().attend(call.replace(mask=mask))


class ResetsAtChunks(LinearAttention):
    """Lets a segment begin with the next chunk of three steps."""

    def moved(self, run):
        """Return the segments that steps seem to belong to."""
        return ops.take(run, np.arange(run.shape[1]) // 3 * 3, axis=1)

    def attend(self, call):
        """Attend with other segments."""
        run = call.mask.key_segments
        run = None if run is None else self.moved(run)
        mask = replace(call.mask, query_segments=run, key_segments=run)
        return super().attend(call.replace(mask=mask))


class ResetsLate(ResetsAtChunks):
    """Lets the first step of a segment see the segment before it."""

    def moved(self, run):
        """Return the segments of the steps before."""
        return ops.concatenate([run[:, :1], run[:, :-1]], axis=1)


def plain(layer):
    """The plain case of the mechanism, with this layer."""
    case = next(case for case in PLAIN if issubclass(layer, case.layer))
    return case.with_layer(layer)


@pytest.mark.parametrize("layer", [CannotReset, ResetsAtChunks, ResetsLate])
def test_recurrent_segments(layer):
    with pytest.raises(AssertionError):
        checks.packed_rows_equal_segments(plain(layer), None)


def test_segments():
    assert rejects(checks.packed_rows_equal_segments, IgnoresSegments, None)
    assert rejects(checks.packed_rows_attend_across, IgnoresSegments, None)


def test_numbers_that_are_not_finite():
    for check in (checks.packed_rows_equal_segments, checks.packed_rows_attend_across):
        assert not rejects(check, SpreadsNaN, None)
        assert rejects(check, SpreadsNaN, np.nan)


def test_refusals():
    # Dot-product attention supports packed rows.
    assert rejects(checks.refuses_packed_rows, DotProductAttention)
