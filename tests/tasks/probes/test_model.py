"""The models of probes: of the same size, and with the positions asked for."""

import keras
import numpy as np
import pytest

from keras_twa import layers
from keras_twa import tasks
from keras_twa.tasks import probes
from keras_twa.tasks.probes import recipes
from keras_twa.tasks.probes.model import sized
from tests.tasks.tiny import tiny_settings
from tests.tasks.tiny import trained

NAMES = sorted(layers.mechanisms())


def model_of(probe, attention, **changes):
    task = tasks.get(probe)
    settings = task.presets["quick"].changed(**changes)
    return task.build(attention, settings, None)


@pytest.mark.once
@pytest.mark.parametrize("preset", ["quick", "standard"])
def test_all_mechanisms_have_the_parameters_of_conventional_attention(preset):
    settings = probes.get("associative_recall").presets[preset]

    def parameters(attention):
        layer, width = sized(attention, settings)
        return layer.count_params() + (2 * settings.embedding_dim + 1) * width

    conventional = parameters("dot_product")
    assert sized("dot_product", settings)[1] == settings.intermediate_dim
    for name in (
        *NAMES,
        "gated_delta(convolution=4)",
        "multi_timescale(discounts=(0.5, 0.9))",
    ):
        assert abs(parameters(name) / conventional - 1) < 0.01, name


@pytest.mark.once
def test_a_hybrid_and_a_layer_are_built():
    layer = layers.DotProductAttention(num_heads=2, key_dim=4)
    whole = model_of("parity", "dot_product").count_params()
    for attention in ("[linear, gated_delta]", layer, "[local(window=4), rwkv]"):
        model = model_of("parity", attention)
        assert abs(model.count_params() / whole - 1) < 0.01


@pytest.mark.once
@pytest.mark.parametrize("positions", ["rotary", "learned", "none", "sinusoidal"])
def test_positions_are_those_asked_for(positions):
    model = model_of("parity", "dot_product", positions=positions)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert ("LearnedPositions" in kinds) == (positions == "learned")
    assert ("SinusoidalPositions" in kinds) == (positions == "sinusoidal")
    block = next(x for x in model.layers if isinstance(x, layers.TransformerEncoder))
    inside = block.attention_layer.positions
    assert (inside is not None) == (positions == "rotary")
    # The longest test rows have positions too.
    length = 4 * tasks.get("parity").presets["quick"].max_length
    tokens = np.ones((1, length), "int32")
    assert model({"tokens": tokens}).shape == (1, length, 2)


@pytest.mark.once
def test_recurrent_mechanisms_have_no_positions():
    for positions in ("rotary", "learned", "sinusoidal"):
        model = model_of("parity", "gated_delta", positions=positions)
        assert not any("Positions" in type(layer).__name__ for layer in model.layers)
    # Pairs that cannot be rotated get positions at the input instead.
    model = model_of("parity", "additive", positions="rotary")
    assert any("Sinusoidal" in type(layer).__name__ for layer in model.layers)


@pytest.mark.once
def test_mechanisms_that_do_not_fit_are_named_with_the_reason():
    with pytest.raises(ValueError, match=r"they may be answers.*attention='lsh'"):
        tasks.get("parity").check("lsh")
    with pytest.raises(ValueError, match=r"times.*attention='retention'"):
        tasks.get("timed_recall").check("retention")
    tasks.get("nested_decay").check("retention")


@pytest.mark.once
def test_later_tokens_do_not_reach_earlier_outputs():
    model = model_of("associative_recall", "dot_product")
    tokens = np.arange(1, 33, dtype="int32")[None]
    changed = tokens.copy()
    changed[:, 20:] = 3
    one, other = (
        keras.ops.convert_to_numpy(model({"tokens": x})) for x in (tokens, changed)
    )
    np.testing.assert_allclose(one[:, :20], other[:, :20], atol=1e-5)
    assert abs(one[:, 20:] - other[:, 20:]).max() > 1e-3


@pytest.mark.once
def test_a_row_is_decoded_from_its_last_step():
    model = model_of("compression", "dot_product")
    tokens = np.arange(1, 17, dtype="int32")[None]
    changed = tokens.copy()
    changed[:, -1] = 0
    one, other = (
        keras.ops.convert_to_numpy(model({"tokens": x})) for x in (tokens, changed)
    )
    assert (abs(one - other).max(axis=2) > 1e-4).all()


@pytest.mark.parametrize("name", ["parity", "timed_recall", "compression"])
def test_a_probe_is_trained_and_tested(name, tmp_path):
    sizes = {"max_length": 20, "num_train": 64}
    result, rows, _ = trained(name, tmp_path, "temporal_weighted", **sizes)
    assert result.steps == 4
    assert [*result.further_tests] == [*rows.further_tests]
    assert (result.further_tests == {}) == (name == "compression")
    for values in result.further_tests.values():
        assert 0.0 < values["accuracy"] < 0.8
    assert "solver" in tasks.get(name).baselines(rows)


def test_numbers_are_measured_by_the_explained_variance(tmp_path):
    sizes = {"max_length": 20, "num_test": 16}
    result, rows, model = trained("nested_decay", tmp_path, "multi_timescale", **sizes)
    inputs, targets, _ = rows.splits["test"]
    error = np.square(model.predict(inputs, verbose=0)[..., 0] - targets).mean()
    np.testing.assert_allclose(result.score, 1 - error, rtol=1e-3)


@pytest.mark.full
def test_a_solved_probe_ends_early(tmp_path):
    settings = tiny_settings("memorization")
    sizes = {"facts": 2, "max_length": 4, "num_train": 1_600, "epochs": 9}
    sizes |= {"learning_rate": 1e-2, "warmup_steps": 1}
    result, _, _ = trained("memorization", tmp_path, **sizes)
    assert result.solved(0.995) and len(result.curve) < 9
    assert not result.improving
    assert settings.options == {"facts": 128}


@pytest.mark.once
def test_each_preset_has_the_rates_of_a_sweep():
    for name in probes.names():
        for preset in probes.get(name).presets:
            assert len(recipes.rates(preset)) >= 3
    with pytest.raises(ValueError, match=r"Did you mean 'quick'.*preset='quik'"):
        recipes.rates("quik")
