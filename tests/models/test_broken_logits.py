"""Logits that say nothing raise an error, where they are needed, and nowhere else."""

import numpy as np
import pytest
from keras import ops

from keras_twa.models import Sample
from keras_twa.models import beam_search
from keras_twa.models import sampling
from tests.models import test_causal_lm as causal
from tests.models import test_encoder_decoder as translation

INF = float("inf")
REFUSED = r"no token can be chosen.*Received: .*in rows \[{}\], for the new token {}"
SAMPLERS = ("greedy", "sample", Sample(top_k=3, top_p=0.9))
START, END = translation.START, translation.END


def spoil(variable, place, value):
    """Replace an entry, or a row, of a variable."""
    changed = np.array(ops.convert_to_numpy(variable.value))
    changed[place] = value
    variable.assign(changed)


def translate(made, source=translation.SOURCE, length=6, beam_size=1):
    """Return what the model writes."""
    return made.generate(source, length, START, END, beam_size=beam_size)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("value", [np.nan, pytest.param(INF, marks=pytest.mark.full)])
@pytest.mark.parametrize("token", [0, pytest.param(3, marks=pytest.mark.full)])
def test_language_model_with_a_broken_logit(sampler, value, token):
    made = causal.model()
    spoil(made.head.bias, token, value)
    with pytest.raises(ValueError, match=REFUSED.format("0, 1", 0)):
        made.generate([[5], [3]], 4, sampler, seed=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_language_model_without_a_token_to_choose(sampler):
    made = causal.model()
    spoil(made.head.bias, slice(1, None), -INF)
    with pytest.raises(ValueError, match=REFUSED.format("0, 1", 0)):
        made.generate([[5], [3]], 4, sampler, seed=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_language_model_with_forbidden_tokens(sampler):
    made = causal.model()
    spoil(made.head.bias, slice(3, None), -INF)
    spoil(made.head.bias, 0, -INF)
    texts = made.generate(causal.PROMPTS, 5, sampler, seed=0)
    for prompt, text in zip(causal.PROMPTS, texts, strict=True):
        assert {*text[len(prompt) :]} <= {1, 2} and len(text) == len(prompt) + 5


def scripted(steps, sampler="greedy"):
    """Return a sampler with tokens for some rows at some steps, by `(step, row)`."""
    sampler, count = sampling.get(sampler), iter(range(99))

    def choose(logits, seed):
        # Not even broken rows that are complete hand NaN to a sampler.
        assert not np.isnan(ops.convert_to_numpy(logits)).any()
        chosen = np.array(ops.convert_to_numpy(sampler(logits, seed=seed)))
        step = next(count)
        for row in range(len(chosen)):
            chosen[row] = steps.get((step, row), chosen[row])
        return chosen

    return choose


def test_language_model_names_row_and_token():
    made = causal.model()
    spoil(made.embedding.embeddings, 8, np.nan)
    spoil(made.head.bias, 8, -INF)
    with pytest.raises(ValueError, match=REFUSED.format(1, 0)):
        made.generate([[5, 1, 2], [8, 3], [4]], 3)
    with pytest.raises(ValueError, match=REFUSED.format(1, 3)):
        made.generate([[5], [1]], 9, scripted({(2, 1): 8}))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_complete_texts_may_break(sampler):
    made, stop = causal.model(), 8
    spoil(made.head.bias, stop, -INF)
    script = {(1, 0): stop}
    options = {"stop_tokens": stop, "seed": 0}
    want = made.generate([[5], [3]], 6, scripted(script, sampler), **options)
    assert len(want[0]) == 3 and len(want[1]) == 7
    # The complete text goes on reading its last token.
    spoil(made.embedding.embeddings, stop, np.nan)
    spoil(made.embedding.embeddings, 0, np.nan)
    assert made.generate([[5], [3]], 6, scripted(script, sampler), **options) == want


@pytest.mark.parametrize("choice", [0, 9, -1, 1.0, [1], True])
def test_refuses_samplers_that_choose_no_token(choice):
    with pytest.raises(ValueError, match=r"`sampler` must choose.*Received:"):
        causal.model().generate(
            [[1], [2]], 3, lambda logits, seed: np.array([choice, choice])
        )


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize("value", [np.nan, pytest.param(INF, marks=pytest.mark.full)])
@pytest.mark.parametrize("token", [0, pytest.param(3, marks=pytest.mark.full)])
def test_encoder_decoder_with_a_broken_logit(beam_size, value, token):
    made = translation.model()
    spoil(made.head.bias, token, value)
    with pytest.raises(ValueError, match=REFUSED.format("0, 1, 2", 0)):
        translate(made, beam_size=beam_size)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_encoder_decoder_without_a_token_to_choose(beam_size):
    made = translation.model()
    spoil(made.head.bias, slice(1, None), -INF)
    with pytest.raises(ValueError, match=REFUSED.format("0, 1, 2", 0)):
        translate(made, beam_size=beam_size)


@pytest.mark.parametrize("beam_size", [1, 3, 20])
def test_encoder_decoder_with_forbidden_tokens(beam_size):
    made = translation.model()
    spoil(made.head.bias, slice(3, None), -INF)
    found = translate(made, beam_size=beam_size)
    assert {*found.ravel().tolist()} <= {0, 1, END}
    assert (found[:, 0] > 0).all()


@pytest.mark.parametrize("beam_size", [1, 3])
def test_encoder_decoder_names_the_source(beam_size):
    made = translation.model()
    spoil(made.source_embedding.embeddings, 8, np.nan)
    with pytest.raises(ValueError, match=REFUSED.format(1, 0)):
        translate(made, beam_size=beam_size)


@pytest.mark.parametrize("beam_size, bias", [(1, 4.0), (3, 2.0)])
def test_targets_that_have_ended_may_break(beam_size, bias):
    made = translation.model(scale=0.7)
    spoil(made.head.bias, END, bias)
    want = translate(made, length=12, beam_size=beam_size)
    assert (want == END).any(axis=1).tolist() == [False, True, False]
    spoil(made.target_embedding.embeddings, END, np.nan)
    found = translate(made, length=12, beam_size=beam_size)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("beam_size", [1, 2, 4])
def test_sources_that_are_done_may_break(beam_size):
    shares = np.full((2, 8), 0.01)
    shares[:, [END, 3]] = [[0.9, 0.04], [0.04, 0.9]]
    good = np.log(np.repeat(shares, beam_size, axis=0)).astype("float32")

    def step(tokens, state, number):
        logits = good.copy()
        # The first source is done: nothing can be better than its one token.
        logits[:beam_size] = np.nan if number > 0 else logits[:beam_size]
        return ops.convert_to_tensor(logits), state

    found = beam_search.beam_search(step, {}, 2, 4, 1, END, beam_size)
    assert found[0].tolist() == [END, 0, 0, 0]
    assert found[1].tolist()[:3] == [3, 3, 3]
    with pytest.raises(ValueError, match=REFUSED.format(1, 0)):
        good[beam_size] = np.nan
        beam_search.beam_search(step, {}, 2, 4, 1, END, beam_size)
