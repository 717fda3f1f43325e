"""The facts that a mechanism states about itself, as class attributes."""

from typing import ClassVar


class Facts:
    """The facts about attention layers, with their defaults.

    A mechanism overrides those that are not true of it. The contract tests check the
    facts of the first part. Searches, plots, the documentation and the benchmarks use
    the others, which do not change what a layer computes.
    """

    # "optional", "always" or "never": whether a query sees no later keys.
    causality = "optional"
    # Whether values may come from another sequence than queries.
    cross_attention = True
    # Whether there are scores of pairs, which can be masked, dropped and returned.
    pairwise_mask = True
    # Whether, in causal calls, later steps never change the outputs of earlier ones. If
    # so, a sequence may come in chunks, with a state between them.
    prefix_invariant = True
    # Whether times may decrease along a sequence.
    times_may_fall = True
    # Whether rows may be packed: steps see, and states carry, only their own segment.
    packs = False
    # Whether a gradient flows through a state, from later steps to earlier ones.
    state_gradient = True
    # Whether the layer counts steps, for example in windows, whatever their times are.
    counts_steps = False
    # Whether the layer uses times, which by default are the numbers of the steps.
    uses_times = False
    # The `positions` that the mechanism supports: whether queries and keys may be
    # rotated, and whether a bias may be added to scores.
    rotary = False
    position_bias = False
    # Whether there may be a `convolution` of queries, keys and values.
    convolves = False
    # The values of `direction` that the mechanism supports.
    allowed_directions = ("forward",)

    # Values of constructor arguments for hyperparameter search, the default first.
    search_space: ClassVar[dict] = {}
    # Constructor arguments whose default has changed, and their former default. Saved
    # configurations that do not name one were written before.
    former_defaults: ClassVar[dict] = {}
    # Constructor arguments for sequences of a few dozen steps, where default windows or
    # patterns would cover everything.
    small_options: ClassVar[dict] = {}
    # Whether the time of a call grows linearly with the length.
    linear_time = False
    # A method that takes a length and returns how the layer weighs steps by position
    # alone, whatever the inputs: a list of `profiles.Curves` and `profiles.Pairs`.
    # `None` if there is nothing to show.
    position_profile = None

    def example_weights(self):
        """Pairs of a weight and a value that training might give it, for a plot.

        Only for weights that have no effect at their initial value.
        """
        return []
