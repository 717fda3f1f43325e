"""What a layer weighs as a function of position, if it can say."""

from keras_twa.layers.facts import fact


def has_profile(layer):
    """Whether a layer weighs positions by themselves."""
    return fact(layer, "position_profile") is not None


def profile(layer, length):
    """The panels that say what a layer weighs by position alone.

    Args:
        layer: A built attention layer.
        length: How many steps.

    Returns:
        A list of `Curves` and `Pairs`.
    """
    if not has_profile(layer):
        raise ValueError(
            "What this mechanism weighs depends on what is in a sequence, not on "
            "positions alone: give `inputs` to measure it. "
            f"Received: {type(layer).__name__}"
        )
    return layer.position_profile(length)
