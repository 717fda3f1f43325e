"""Gravity by other distances and another law."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_twa import layers
from keras_twa.layers.attention.gravity import LAWS
from keras_twa.layers.attention.gravity import METRICS
from keras_twa.ops import Force
from keras_twa.ops import squared_distance
from keras_twa.ops.softmax import distances
from keras_twa.ops.softmax import tile_loop
from keras_twa.ops.softmax import tiled
from keras_twa.testing import checks
from keras_twa.testing import harness
from keras_twa.testing.scenarios import everything_for
from keras_twa.testing.scenarios import itself
from keras_twa.testing.scenarios import normal
from keras_twa.visualization import position_weights
from tests.contract.case import uneven
from tests.contract.gravity_cases import GRAVITY
from tests.contract.gravity_cases import KINDS
from tests.contract.gravity_cases import gravity
from tests.references.gravitational import SQUARED_DISTANCES

BOTH = layers.GravitationalAttention, layers.GravitationalMultiTimescaleAttention
each_layer = pytest.mark.parametrize("layer", BOTH)
each_law = pytest.mark.parametrize("law", LAWS)


@pytest.mark.parametrize("case", KINDS, ids=lambda case: case.id)
def test_equals_the_loop(case):
    checks.equals_reference(case, everything_for(case))
    checks.gradients_equal_reference(case)


@pytest.mark.once
@each_layer
@each_law
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("normalization", ["softmax", "force"])
@pytest.mark.parametrize(
    ("heads", "key_dim", "features"),
    [(2, 8, 8), (2, 64, 64), (2, 256, 256), (1, 64, 64), (8, 64, 512)],
)
def test_starts_neither_uniform_nor_saturated(
    layer, metric, law, normalization, heads, key_dim, features
):
    keras.utils.set_random_seed(0)
    options = {"metric": metric, "law": law, "normalization": normalization}
    made = layer(heads, key_dim, **options)
    x = normal(2, 64, features)
    _, weights = made(x, return_attention_scores=True)
    weights = harness.to_numpy(weights).astype("float64")
    entropy = -(weights * np.log(weights + 1e-30)).sum(-1).mean() / np.log(64)
    assert 0.3 < entropy < 0.95


@each_layer
@pytest.mark.parametrize(
    "options",
    [
        {"metric": "manhatten"},
        {"metric": 2},
        {"metric": None},
        {"metric": keras.layers.Dense(3)},
        {"law": "coulomb"},
        {"law": "yukawa", "screening_length": 0.0},
        {"law": "yukawa", "screening_length": -1.0},
        {"law": "yukawa", "exponent": 0.0},
        {"screening_length": 2.0},
        {"metric": "cosine", "gravity": 0.0},
        {"metric": "manhattan", "positions": "rotary"},
        {"metric": "mahalanobis", "positions": "rotary"},
    ],
)
def test_refuses_bad_options(layer, options):
    with pytest.raises(ValueError, match="Received:"):
        layer(2, 4, **options)


def test_refuses_what_cannot_be_compared():
    class Unhashable:
        def __call__(self, query, key):
            return distances.inner_product(query, key)

        def __eq__(self, other):
            return True

    with pytest.raises(ValueError, match=r"hashable.*Received: metric="):
        layers.GravitationalAttention(2, 4, metric=Unhashable())


def test_refuses_results_that_are_no_pairs():
    layer = layers.GravitationalAttention(2, 4, metric=lambda query, key: query)
    with pytest.raises(ValueError, match=r"r\^2 for each pair.*Received:"):
        layer(**itself())


@each_layer
@pytest.mark.parametrize(
    "metric", [lambda query, key: key, functools.partial(uneven)], ids=["λ", "partial"]
)
def test_unregistered_functions_are_not_saved(layer, metric):
    made = layer(2, 4, metric=metric)
    with pytest.raises(ValueError, match=r"register.*Received: metric="):
        made.get_config()


@keras.saving.register_keras_serializable("tests")
@dataclasses.dataclass(frozen=True)
class Stretched:
    """A squared distance with a constant of its own."""

    factor: float

    def __call__(self, query, key):
        return squared_distance(query, key) * self.factor

    def get_config(self):
        return {"factor": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@each_layer
def test_a_registered_class_may_be_the_distance(layer, tmp_path):
    x = normal(2, 5, 6)
    inputs = keras.Input((None, 6))
    made = layer(2, 4, metric=Stretched(3.0))
    model = keras.Model(inputs, made(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[-1].gravity.force == made.gravity.force
    want, got = (harness.to_numpy(m(x)) for m in (model, again))
    harness.assert_close(got, want, "output of the loaded model", 1e-6)


def test_equal_options_are_one_score():
    # Else JAX would compile each layer's score again.
    for metric in (*METRICS, uneven):
        for law in LAWS:
            options = {"metric": metric, "law": law}
            first, second = (
                layers.GravitationalAttention(2, 4, **options).gravity.force
                for _ in range(2)
            )
            assert first == second
            assert hash(first) == hash(second)


def test_directions_and_scaled_channels_keep_the_fast_score():
    for metric in ("euclidean", "cosine", "mahalanobis"):
        made = layers.GravitationalAttention(2, 4, metric=metric)
        assert made.gravity.force == Force(2.0, 0.5)


@each_law
def test_mahalanobis_starts_as_euclidean(law):
    x, outputs = itself(), []
    for metric in ("euclidean", "mahalanobis"):
        options = {"metric": metric, "law": law, "kernel_initializer": "ones"}
        layer = layers.GravitationalAttention(2, 4, **options)
        outputs.append(harness.run(layer, x).output)
    harness.assert_close(outputs[1], outputs[0], "output", 1e-6)


def test_a_long_screening_length_is_newtons_law():
    call = itself()
    newton = harness.built(gravity("newton"), call)
    case = gravity("yukawa", law="yukawa")
    yukawa = harness.built(case, call)
    length = harness.weight_names(yukawa)["gravity/log_length"]
    for name, variable in harness.weight_names(yukawa).items():
        if variable is not length:
            variable.assign(harness.weight_names(newton)[name].value)
    want = harness.run(newton, call).output
    assert np.abs(harness.run(yukawa, call).output - want).max() > 1e-3
    length.assign(np.full((2, 1), 20.0))
    harness.assert_close(harness.run(yukawa, call).output, want, "output", 1e-5)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1.0, 30.0])
def test_hyperbolic_distance_at_any_scale(factor):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(1, 9, 1, 4)) * factor
    k = rng.normal(size=(1, 7, 1, 4)) * factor
    k[:, 0] = q[:, 0]
    distance = distances.Hyperbolic()
    query, key = distance.prepare(
        *(ops.convert_to_tensor(x * 0.5, "float32") for x in (q, k))
    )
    found = distance(query[:, :, 0], ops.swapaxes(key[:, :, 0], 1, 2))
    found = harness.to_numpy(found)[0]
    for i, j in np.ndindex(9, 7):
        expected = SQUARED_DISTANCES["hyperbolic"](q[0, i, 0], k[0, j, 0])
        error = abs(found[i, j] - expected)
        assert error < 1e-5 * expected + 1e-6 * (1 + factor**2)


@each_law
@pytest.mark.parametrize("normalization", ["softmax", "force"])
@pytest.mark.parametrize("metric", [*METRICS, uneven])
def test_gradients_are_finite_where_all_points_coincide(metric, law, normalization):
    options = {"metric": metric, "law": law, "normalization": normalization}
    case = gravity("coincident", **options)
    x = np.ones((2, 5, 6), "float32")
    layer = harness.built(case, {"query": x, "value": x})
    names = harness.weight_names(layer)
    for kind in ("kernel", "bias"):
        names[f"query/{kind}"].assign(names[f"key/{kind}"].value)
    assert_finite(layer, x)


@each_law
@pytest.mark.parametrize("metric", METRICS)
def test_gradients_are_finite_at_zero_vectors(metric, law):
    case = gravity("zeros", metric=metric, law=law)
    x = np.zeros((2, 5, 6), "float32")
    layer = harness.built(case, {"query": x, "value": x})
    names = harness.weight_names(layer)
    for side in ("query", "key"):
        names[f"{side}/bias"].assign(np.zeros((2, 4)))
    assert_finite(layer, x)


def assert_finite(layer, x):
    output = harness.run(layer, {"query": x, "value": x}).output
    harness.assert_finite(output, "output")
    cotangent = normal(*output.shape, seed=3)
    got = harness.run_with_gradients(layer, {"query": x, "value": x}, cotangent)
    for name, gradient in got.gradients().items():
        harness.assert_finite(gradient, f"gradient to {name}")


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "hyperbolic"])
def test_rotary_positions_act_by_lag_alone(metric):
    case = gravity("turned", metric=metric, positions="rotary", law="yukawa")
    call = itself()
    layer = harness.built(case, call)
    times = np.arange(7.0)
    first, second = (
        harness.run(layer, {**call, "query_positions": times + shift}).output
        for shift in (0.0, 5.0)
    )
    harness.assert_close(second, first, "output at later times", 1e-4)


@pytest.mark.parametrize("metric", ["manhattan", uneven])
@each_layer
def test_tiles_have_room_for_each_channel(layer, metric, monkeypatch):
    # At most so many numbers at a time, whatever the length and the discount are.
    length, key_dim, most = 96, 8, 4096
    sizes = []

    class Watched(distances.Custom):
        def __call__(self, query, key):
            sizes.append(query.shape[0] * query.shape[1] * key.shape[2] * key_dim)
            return super().__call__(query, key)

    monkeypatch.setattr(distances, "Custom", Watched)
    monkeypatch.setattr(distances, "Manhattan", lambda: Watched(uneven))
    monkeypatch.setattr(tile_loop, "TILE_ELEMENTS", most)
    options = {"discounts": (0.1,)} if layer is BOTH[1] else {}
    made = layer(2, key_dim, metric=metric, **options)
    made(normal(2, length, 6))
    assert sizes
    assert max(sizes) <= tile_loop.TILE_QUERIES * length


def test_other_distances_are_tiled_on_any_device():
    for metric in ("manhattan", "hyperbolic"):
        layer = layers.GravitationalAttention(2, 4, metric=metric)
        layer(**itself())
        query, key = layer.gravity(*(normal(1, 256, 2, n) for n in (4, 4, 1, 1)))
        value = ops.zeros((1, 256, 2, 4))
        assert tiled.route(layer.gravity.force, query, key, value) == "tiled"


@pytest.mark.parametrize(
    ("metric", "longest"),
    [
        ("euclidean", 4.0),
        ("manhattan", 8.0),
        ("cosine", 2.0),
        ("hyperbolic", 3.0),
        ("mahalanobis", 4.0),
        (uneven, 4.0),
    ],
)
def test_forces_are_those_of_the_formula(metric, longest):
    case = gravity("shown", metric=metric, law="yukawa", exponent=3.0, softening=0.2)
    layer = harness.built(case, itself())
    axes = position_weights(layer, 12).axes[0]
    distance = axes.lines[0].get_xdata()
    assert distance.max() == pytest.approx(longest)
    weights = harness.weights_of(layer)
    softened = np.sqrt(distance**2 + 0.2**2)
    for head, line in enumerate(axes.lines):
        constant = np.exp(weights["gravity/log_gravity"][head, 0])
        length = np.exp(weights["gravity/log_length"][head, 0])
        by_hand = constant * np.exp(-softened / length) / softened**3
        np.testing.assert_allclose(line.get_ydata(), by_hand, rtol=1e-5)


@each_layer
def test_initial_constants(layer):
    def first(name, **options):
        made = layer(1, 9, **options)
        made(**itself())
        variable = harness.weight_names(made)[f"gravity/{name}"]
        return float(np.exp(harness.to_numpy(variable.value))[0, 0])

    assert first("log_gravity") == pytest.approx(18)
    assert first("log_gravity", metric="mahalanobis") == pytest.approx(18)
    assert first("log_gravity", metric=uneven) == pytest.approx(18)
    assert first("log_gravity", metric="manhattan") == pytest.approx(81)
    assert first("log_gravity", metric="cosine", exponent=3.0) == pytest.approx(8)
    assert first("log_gravity", metric="hyperbolic") == pytest.approx(2)
    assert first("log_gravity", law="yukawa") == pytest.approx(18 * np.e)
    assert first("log_gravity", law="yukawa", gravity=5.0) == pytest.approx(5)
    assert first("log_length", law="yukawa") == pytest.approx(18**0.5)
    length = {"law": "yukawa", "screening_length": 3.0}
    assert first("log_length", **length) == pytest.approx(3)


def test_old_configs_are_newtons_law():
    config = layers.GravitationalAttention(2, 4).get_config()
    for name in ("metric", "law", "screening_length"):
        del config[name]
    again = layers.GravitationalAttention.from_config(config)
    assert again.gravity.force == Force(2.0, 0.5)
    assert GRAVITY[0] is type(again)
