"""What a mechanism states about itself, as attributes of its class."""

from typing import ClassVar


class Facts:
    """The facts about attention layers, with their defaults.

    A mechanism overrides those that are not true of it. The contract tests hold it to
    the first ones. Searches, plots, the documentation and the benchmarks read the
    others, which do not change what a layer computes.
    """

    # "optional", "always" or "never": whether queries see only earlier keys.
    causality = "optional"
    # Whether values may be of another sequence than queries.
    cross_attention = True
    # Whether there are scores of pairs, which can be masked, dropped and returned.
    pairwise_mask = True
    # Whether later steps leave the outputs of a causal call for earlier ones unchanged:
    # then a sequence may come in chunks, with a state between them.
    prefix_invariant = True
    # Whether times may fall along a sequence.
    times_may_fall = True
    # Whether a gradient flows through a state, from later steps to earlier ones.
    state_gradient = True
    # Whether the layer counts steps whatever their times are: in windows or chunks.
    counts_steps = False
    # Whether the layer uses times, which by default are the numbers of the steps.
    uses_times = False
    # The `positions` that the mechanism is defined with: whether queries and keys may
    # be turned, and whether a bias may be added to scores.
    rotary = False
    position_bias = False

    # Values of constructor arguments that are worth a search, the default first.
    search_space: ClassVar[dict] = {}
    # Constructor arguments for sequences of some dozens of steps, where default windows
    # or patterns would leave nothing out.
    small_options: ClassVar[dict] = {}
    # Whether the time of a call grows linearly with the length.
    linear_time = False
    # A method from a length to what the layer weighs by position alone, whatever the
    # inputs are: a list of `profiles.Curves` and `profiles.Pairs`. `None` without that.
    position_profile = None

    def example_weights(self):
        """Pairs of a weight and a value that training might give it, for a plot.

        They are for weights that start without effect.
        """
        return []
