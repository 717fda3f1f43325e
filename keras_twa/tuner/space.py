"""The space of a search."""

from typing import Any

from keras_twa import layers
from keras_twa.experiments.config import Experiment
from keras_twa.tasks import Settings

# The settings that a search chooses, or that follow from its choices.
SEARCHED = (
    "num_layers",
    "embedding_dim",
    "intermediate_dim",
    "dropout",
    "learning_rate",
    "batch_size",
)


def chosen(experiment: Experiment) -> dict[str, Any]:
    """Returns what a search chose: the attention and some settings."""
    found = {name: getattr(experiment.settings, name) for name in SEARCHED}
    return {"attention": experiment.attention, **found}


def search_space(attention: str) -> dict[str, tuple[Any, ...]]:
    """Returns the arguments of a mechanism's own that are worth a search.

    Args:
        attention: Name of the mechanism. One that states no `search_space` is tried as
            it is.

    Returns:
        A dictionary from each argument to its values, the layer's default first.
    """
    found: dict[str, tuple[Any, ...]] = layers.mechanisms()[attention].search_space
    return found


def declare(hp: Any, attentions: tuple[str, ...], settings: Settings) -> None:
    """Declares the search space; the defaults are those of `settings`.

    Args:
        hp: A `keras_tuner.HyperParameters`.
        attentions: Names of mechanisms.
        settings: The `Settings` at the centre of the search.
    """
    hp.Choice("attention", list(attentions))
    for name in attentions:
        for option, values in search_space(name).items():
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
    for option, values in search_space(attention).items():
        text = hp.get(f"{attention}.{option}")
        value = {str(value): value for value in values}[text]
        if value != values[0]:
            found[option] = value
    return found
