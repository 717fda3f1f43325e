"""The space of a search."""

from dataclasses import dataclass
from typing import Any

from keras_twa.experiments.settings import Settings

_DISCOUNTS = ((0.6, 0.9, 0.99), (0.9, 0.99), (0.3, 0.9), (0.5, 0.8, 0.95, 0.99))

# Arguments of a mechanism's own that are worth a search, each with its values. The
# first is the layer's default. A mechanism that is not here is tried as it is.
OPTIONS: dict[str, dict[str, tuple[Any, ...]]] = {
    "temporal_weighted": {
        "temporal_function": ("linear", "exponential", "sinusoidal", "learned"),
        "mode": ("multiplicative", "log_additive"),
        "applies_to": ("key", "lag"),
        "time_scale": (100.0, 10.0, 1000.0),
    },
    "gravitational": {
        "exponent": (2.0, 1.0, 3.0),
        "softening": (0.5, 0.1, 2.0),
        "normalization": ("softmax", "force"),
    },
    "multi_timescale": {
        "discounts": _DISCOUNTS,
        "trainable_discounts": (False, True),
        "discount": ("multiplicative", "additive"),
    },
    "gravitational_multi_timescale": {
        "discounts": _DISCOUNTS,
        "discount": ("multiplicative", "additive"),
        "exponent": (2.0, 1.0, 3.0),
        "normalization": ("softmax", "force"),
    },
    "linear": {"feature_map": ("elu_plus_one", "relu", "softplus", "squared_relu")},
    "performer": {"num_features": (None, 32, 128)},
    "local": {"window": (128, 8, 32)},
    "block_recurrent": {
        "block_size": (128, 16, 32),
        "num_states": (64, 16),
        "gate": ("fixed", "lstm"),
    },
    "multi_timescale_retention": {
        "discounts": _DISCOUNTS,
        "decoder": ("learned", "tikhonov"),
    },
    "lsh": {"num_hashes": (4, 2, 8), "bucket_size": (64, 16)},
    "rwkv": {"version": (4, 7)},
    "sparse": {"pattern": ("bigbird", "strided", "fixed"), "block_size": (64, 16)},
}

# The settings that a search chooses, or that follow from its choices.
SEARCHED = (
    "num_layers",
    "embedding_dim",
    "intermediate_dim",
    "dropout",
    "learning_rate",
    "batch_size",
)


@dataclass(frozen=True)
class Configuration:
    """One model of a search, and how it is trained.

    Args:
        attention: Name of the mechanism.
        options: Its own arguments that differ from their defaults.
        settings: The `Settings`.
    """

    attention: str
    options: dict[str, Any]
    settings: Settings

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        options = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.options.items()
        }
        chosen = {name: getattr(self.settings, name) for name in SEARCHED}
        return {"attention": self.attention, "options": options, **chosen}


def declare(hp: Any, attentions: tuple[str, ...], settings: Settings) -> None:
    """Declares the search space; the defaults are those of `settings`.

    Args:
        hp: A `keras_tuner.HyperParameters`.
        attentions: Names of mechanisms.
        settings: The `Settings` at the centre of the search.
    """
    hp.Choice("attention", list(attentions))
    for name in attentions:
        for option, values in OPTIONS.get(name, {}).items():
            with hp.conditional_scope("attention", [name]):
                # As text: a choice needs values of one type, and a worker receives
                # numbers from its chief in single precision.
                hp.Choice(f"{name}.{option}", [str(value) for value in values])
    depth, rate, size = settings.num_layers, settings.learning_rate, settings.batch_size
    hp.Int("num_layers", max(1, depth - 1), depth + 1, default=depth)
    rates = sorted({0.0, 0.1, 0.2, settings.dropout})
    hp.Choice("dropout", rates, default=settings.dropout)
    hp.Float("learning_rate", rate / 4, rate * 4, sampling="log", default=rate)
    sizes = sorted({max(1, size // 2), size, size * 2})
    hp.Choice("batch_size", sizes, default=size)


def chosen_options(hp: Any, attention: str) -> dict[str, Any]:
    """Returns the mechanism's own arguments that differ from their defaults."""
    found = {}
    for option, values in OPTIONS.get(attention, {}).items():
        text = hp.get(f"{attention}.{option}")
        value = {str(value): value for value in values}[text]
        if value != values[0]:
            found[option] = value
    return found
