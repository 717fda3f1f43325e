"""Blocks count real steps, in one call or many, and states update at their ends."""

import keras
import numpy as np
import pytest

from keras_twa.layers import BlockRecurrentAttention
from keras_twa.testing import harness
from keras_twa.testing.harness import assert_close
from keras_twa.testing.scenarios import normal
from keras_twa.testing.scenarios import random_mask

BATCH, LENGTH, WIDTH, BLOCK = 3, 23, 6, 4
GATES = ("fixed", "lstm")


def made(gate="fixed", **options):
    """Return a small layer, built, with random weights."""
    layer = BlockRecurrentAttention(
        2, 4, block_size=BLOCK, num_states=3, gate=gate, **options
    )
    layer.build((None, None, WIDTH))
    harness.randomise(layer)
    return layer


@pytest.mark.parametrize("gate", GATES)
def test_scattered_padding_equals_none(gate):
    layer = made(gate)
    x = normal(BATCH, LENGTH, WIDTH)
    mask = random_mask(BATCH, LENGTH)
    hidden = np.where(mask[..., None], x, np.nan)
    got = harness.to_numpy(layer(hidden, query_mask=mask))
    for row, real in enumerate(mask):
        alone = harness.to_numpy(layer(x[row : row + 1, real]))[0]
        assert_close(got[row, real], alone, f"row {row}", 1e-5)


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.full
@pytest.mark.parametrize("cuts", [(5, 1, 9, 8), (4, 4, 15), (3, 13, 7)])
def test_rows_with_padding_of_their_own_go_on_in_chunks(gate, cuts):
    layer = made(gate)
    x = normal(BATCH, LENGTH, WIDTH)
    mask = random_mask(BATCH, LENGTH)
    mask[1, :9] = False
    mask[2, 7:] = False
    whole = harness.to_numpy(layer(x, query_mask=mask))
    state, found, first = layer.initial_state(BATCH), [], 0
    for count in cuts:
        part = slice(first, first + count)
        output, state = layer(
            x[:, part], query_mask=mask[:, part], initial_state=state, return_state=True
        )
        found.append(harness.to_numpy(output))
        first += count
    assert_close(np.concatenate(found, axis=1), whole, "output", 1e-5)
    np.testing.assert_array_equal(harness.to_numpy(state["count"]), mask.sum(axis=1))


@pytest.mark.parametrize("gate", GATES)
def test_states_change_at_the_end_of_a_block(gate):
    layer = made(gate)
    state = layer.initial_state(1)
    x = normal(1, 2 * BLOCK, WIDTH)
    before = harness.to_numpy(state["states"])
    for i in range(2 * BLOCK):
        _, state = layer.step(x[:, i], state)
        after = harness.to_numpy(state["states"])
        moved = np.abs(after - before).max() > 1e-3
        assert moved == ((i + 1) % BLOCK == 0), f"step {i}"
        before = after


def test_steps_see_one_another_within_a_window_and_all_through_states():
    layer = made()
    x = normal(1, 3 * BLOCK, WIDTH)
    changed = x.copy()
    changed[:, 0] += 1.0
    outputs = [harness.to_numpy(layer(given)) for given in (x, changed)]
    moved = np.abs(outputs[1] - outputs[0]).max(axis=(0, 2)) > 1e-6
    assert moved[:BLOCK].all()
    # The next block has state vectors that saw the first step.
    assert moved[BLOCK:].all()
    names = harness.weight_names(layer)
    keep = names["states/keep_logits"]
    keep.assign(np.full(keep.shape, 1e4, "float32"))
    outputs = [harness.to_numpy(layer(given)) for given in (x, changed)]
    moved = np.abs(outputs[1] - outputs[0]).max(axis=(0, 2)) > 1e-6
    # With a gate that keeps everything, there is only the window.
    assert moved[:BLOCK].all()
    assert not moved[BLOCK:].any()


def test_a_state_holds_halves_but_for_the_vectors():
    state = made(dtype="mixed_bfloat16").initial_state(BATCH)
    dtypes = {n: keras.backend.standardize_dtype(x.dtype) for n, x in state.items()}
    halves = {"key": "bfloat16", "value": "bfloat16"}
    assert dtypes == {"count": "int32", "states": "float32", **halves}


@pytest.mark.parametrize(
    "options", [{"block_size": 0}, {"num_states": 2.5}, {"gate": "gru"}]
)
def test_refuses_bad_options(options):
    with pytest.raises(ValueError, match="Received:"):
        BlockRecurrentAttention(2, 4, **options)
