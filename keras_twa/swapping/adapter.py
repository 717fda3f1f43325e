"""Attention in the place of a layer that is called in another way."""

import inspect

import keras
from keras import ops

from keras_twa.layers.attention.conversion import before_conversion
from keras_twa.layers.quantized import described
from keras_twa.swapping.places import OF_KERAS


@keras.saving.register_keras_serializable(package="keras_twa")
class AttentionAdapter(keras.layers.Layer):
    """Attention in the place of a layer whose call takes more arguments.

    keras-hub's decoder, for example, passes a cache, and its encoder passes padding as
    a mask of pairs. `swap_attention` adds this layer where it is needed.

    Args:
        attention: The attention layer.
        others: Names of the arguments that it does not know. They must be `None`.

    Call arguments:
        query: `(B, T, F)`.
        value: `(B, S, F)`.
        key: `(B, S, F)`.
        attention_mask: Boolean `(B, T, S)`. A mask `(B, 1, S)` of attention that has no
            pairs hides the steps.
        **options: The other arguments of the attention.

    Returns:
        What the attention returns.

    Raises:
        ValueError: If one of `others` is given.

    Example:

    >>> import numpy as np
    >>> from keras_twa.layers import RetentionAttention
    >>> from keras_twa.swapping import AttentionAdapter
    >>> layer = AttentionAdapter(RetentionAttention(2, 4), others=["cache"])
    >>> x = np.ones((1, 5, 8), "float32")
    >>> tuple(layer(x, x, cache=None).shape)
    (1, 5, 8)
    """

    def __init__(self, attention, others=(), **kwargs):
        # Casting would make two tensors of the one that is both query and value.
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.attention = attention
        self.others = list(others)
        self.supports_masking = True

    def build(self, query_shape, value_shape=None, key_shape=None):
        if not self.attention.built:
            self.attention.build(query_shape, value_shape or query_shape, key_shape)

    def __call__(self, query, *args, **kwargs):
        args, kwargs = before_conversion((query, *args), kwargs)
        return super().__call__(*args, **kwargs)

    def call(
        self,
        query,
        value=None,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        **options,
    ):
        for name in self.others:
            if options.pop(name, None) is not None:
                raise ValueError(
                    f"{type(self.attention).__name__} does not support `{name}` of the "
                    f"layer that it replaces. Received: {name}"
                )
        pairs = getattr(self.attention, "pairwise_mask", True)
        if attention_mask is not None and not pairs and _is_padding(attention_mask):
            rows = attention_mask[:, 0] if len(attention_mask.shape) == 3 else None
            rows = attention_mask[:, 0, 0] if rows is None else rows
            real = ops.cast(rows, "bool")
            if value_mask is not None:
                real = ops.logical_and(real, ops.cast(value_mask, "bool"))
            value_mask, attention_mask = real, None
        given = {
            "key": key,
            "query_mask": query_mask,
            "value_mask": value_mask,
            "key_mask": key_mask,
            "attention_mask": attention_mask,
            **options,
        }
        given = {name: x for name, x in given.items() if x is not None}
        return self.attention(query, query if value is None else value, **given)

    def get_config(self):
        attention = keras.saving.serialize_keras_object(self.attention)
        return {**super().get_config(), "attention": attention, "others": self.others}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "attention": described(config["attention"])})


def other_arguments(layer):
    """The arguments of a call that a subclass of Keras's attention adds."""
    for kind in OF_KERAS:
        if isinstance(layer, kind):
            known = inspect.signature(kind.call).parameters
            own = inspect.signature(type(layer).call).parameters.values()
            variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
            return [
                x.name for x in own if x.name not in known and x.kind not in variable
            ]
    return []


def _is_padding(mask):
    """Whether a mask of pairs is the same for all queries and heads."""
    return all(size == 1 for size in mask.shape[1:-1])
