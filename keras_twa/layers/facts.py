"""What a mechanism may state of itself, beyond what the contract holds it to.

Searches, pictures, the documentation and the benchmarks read these facts from the
class. A class that does not state one has the default. None of them changes what a
layer computes.

- `search_space`: dictionary from a constructor argument to the values that are worth a
  search, the default first.
- `small_options`: dictionary of constructor arguments for sequences of some dozens of
  steps, where default windows or patterns would leave nothing out.
- `linear_time`: whether the time of a call grows linearly with the length.
- `position_profile(length)`: method that returns what the layer weighs by position
  alone, whatever the inputs are: a list of `profiles.Curves` and `profiles.Pairs`.
- `example_weights()`: method that returns pairs of a weight and a value that training
  might give it, for a picture; for weights that start without effect.
"""

DEFAULTS = {
    "search_space": {},
    "small_options": {},
    "linear_time": False,
    "position_profile": None,
    "example_weights": list,
}


def fact(mechanism, name):
    """Returns a fact of an attention layer or of its class.

    Args:
        mechanism: The layer or the class.
        name: Name of the fact.

    Example:

    >>> from keras_twa.layers import DotProductAttention, PerformerAttention
    >>> fact(PerformerAttention, "search_space")
    {'num_features': (None, 32, 128)}
    >>> fact(DotProductAttention, "search_space")
    {}
    """
    return getattr(mechanism, name, DEFAULTS[name])
