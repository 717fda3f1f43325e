"""The input of the checks: how to create a layer, and its reference."""

import dataclasses
import functools
from collections.abc import Callable

import keras

from keras_twa.testing import harness
from keras_twa.testing.harness import HEAD_WIDTH
from keras_twa.testing.harness import HEADS


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer with one set of options, and the float64 loop that it must equal.

    Args:
        id: Name of the case.
        layer: Class of the layer.
        loop: Function from weights by name and the arguments of a call to
            `(output, scores)`, or `None`.
        options: Constructor arguments.
        loop_options: Options that the loop also takes, under the same names.
        factory: Function from constructor arguments to a layer. Defaults to the class
            itself.
    """

    id: str
    layer: type
    loop: Callable | None
    options: dict = dataclasses.field(default_factory=dict)
    loop_options: dict = dataclasses.field(default_factory=dict)
    factory: Callable | None = None

    @functools.cached_property
    def facts(self):
        """A layer of this case: some options change what it states about itself."""
        return self.make()

    @property
    def has_pairs(self):
        """Whether the layer has scores of pairs to mask, drop and return."""
        return self.layer.pairwise_mask

    def takes(self, call):
        """Whether the layer supports all that a call requests."""
        if call.get("attention_mask") is not None and not self.has_pairs:
            return False
        if call.get("use_causal_mask") and self.facts.causality == "never":
            return False
        itself = call["value"] is call["query"] and call.get("key") is None
        return itself or self.facts.cross_attention

    def make(self, **overrides):
        """Return a fresh layer."""
        options = {"num_heads": HEADS, "key_dim": HEAD_WIDTH, **self.options}
        for name, value in options.items():
            if isinstance(value, keras.Layer):  # two layers must not share a third
                options[name] = value.__class__.from_config(value.get_config())
        options |= overrides
        if self.factory is None:
            return self.layer(**options)
        made = self.factory(**options)
        if type(made) is self.layer:
            return made
        # A check uses a subclass of the factory's class.
        return self.layer.from_config(made.get_config())

    def reference(self, weights, call):
        """Return the loop's `(output, scores)` for a call."""
        call = {"value": call["query"], **self.loop_options, **call}
        return self.loop(weights, **call)

    def expected(self, layer, call):
        """Return `(output, scores)` of a call, from the loop or else from the layer."""
        if self.loop is not None:
            return self.reference(harness.weights_of(layer), call)
        asked = {"return_attention_scores": True} if self.has_pairs else {}
        found = harness.run(layer, {**call, **asked})
        return found.output, found.scores

    def with_layer(self, layer):
        """Return this case with another layer class, such as a broken one."""
        return dataclasses.replace(self, layer=layer)
