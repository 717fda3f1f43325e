"""Keys and values that are projected once, for many calls that attend to them."""

from typing import NamedTuple

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.arguments import named
from keras_twa.layers.attention.positioned import times_at
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.masks import AttentionMask
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding


class Source(NamedTuple):
    """Takes the place of value and key in a call with `projected`.

    Args:
        shape: `(B, S, 1)`. The width of the projected sequence is not needed.
    """

    shape: tuple


class Projecting:
    """The part of an attention layer that projects, now or beforehand."""

    def projector(self, projection):
        """The layer that makes a projection. A variant may have others."""
        return HeadDense(
            # b: batch, t: time, f: features, h: heads, d: width of a head.
            "btf,fhd->bthd",
            output_shape=(None, projection.heads, projection.dim),
            bias_axes="hd" if self.use_bias else None,
            name=projection.name,
            **self._dense_options(),
        )

    def project(
        self, value, key=None, value_mask=None, key_mask=None, key_positions=None
    ):
        """Projects a sequence for calls with `projected`.

        A call with `projected` returns the same as a call with these arguments, but
        does not project them again.

        Args:
            value: `(B, S, F)`.
            key: `(B, S, F)`. Defaults to `value`.
            value_mask: Boolean `(B, S)`, `True` for real steps. Defaults to the mask
                that the value carries.
            key_mask: Boolean `(B, S)`. Defaults to the mask that the key carries.
            key_positions: Times of the steps, `(S,)` or `(B, S)`. Defaults to
                0 ... S-1.

        Returns:
            A dictionary of tensors: the projections of value and key by their names,
            `(B, S, heads, dim)`; with a mask, which steps are "real", `(B, S)`; and
            with positions, their "time", `(B, S)`.
        """
        checks.crosses(self)
        checks.built(self)
        names = ("value", "key", "value_mask", "key_mask", "key_positions")
        given = (value, key, value_mask, key_mask, key_positions)
        given = named((), dict(zip(names, given, strict=True)))
        value, key, value_mask, key_mask, key_positions = given.values()
        checks.sequence("value", value)
        value, value_mask = _with_mask(value, value_mask)
        key, key_mask = (value, key_mask) if key is None else _with_mask(key, key_mask)
        checks.call_arguments(value, value, key, None, value_mask, key_mask)
        checks.positions("key_positions", key_positions, value)
        real = AttentionMask.from_arguments(None, value_mask, key_mask).keys
        inputs = {"key": key, "value": value}
        found = self.heads_of(
            {name: hide_padding(self._cast(x), real) for name, x in inputs.items()}
        )
        if real is not None:
            found["real"] = real
        if key_positions is not None:
            times = times_at(key_positions, real)
            found["time"] = ops.broadcast_to(times, ops.shape(value)[:2])
        return found

    def projected_spec(self, batch, length, masked=False, timed=False):
        """Symbolic tensors of what `project` returns.

        Args:
            batch: B, or `None`.
            length: S, or `None`.
            masked: Whether there is a mask.
            timed: Whether there are positions.
        """
        found = {
            name: keras.KerasTensor((batch, length, *shape), dtype=self.compute_dtype)
            for name, shape in self._projected_shapes().items()
        }
        if masked:
            found["real"] = keras.KerasTensor((batch, length), dtype="bool")
        if timed:
            found["time"] = keras.KerasTensor((batch, length), dtype="float32")
        return found

    def heads_of(self, inputs):
        """The projections of the sources that are in `inputs`."""
        return {
            projection.name: self._sublayers[projection.name](inputs[projection.source])
            for projection in self.projections()
            if projection.source in inputs
        }

    def _open(self, projected, query, **others):
        """Checks `projected`; returns its source, its mask and its times."""
        checks.crosses(self)
        checks.built(self)
        checks.projected(projected, self._projected_shapes(), query, others)
        shape = next(iter(projected.values())).shape
        source = Source((query.shape[0], shape[1], 1))
        return source, projected.get("real"), projected.get("time")

    def _projected_heads(self, projected, mask):
        """The projected heads, with zeros at the keys that a mask hides."""
        return {
            name: hide_padding(self._cast(projected[name]), mask)
            for name in self._projected_shapes()
        }

    def _projected_shapes(self):
        return {
            projection.name: (projection.heads, projection.dim)
            for projection in self.projections()
            if projection.source != "query"
        }


def _with_mask(x, mask):
    mask = carried_mask(x) if mask is None else mask
    return ops.convert_to_tensor(x), mask
