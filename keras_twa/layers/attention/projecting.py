"""Projects inputs to heads; keys and values may be projected once for many calls."""

import dataclasses
from typing import NamedTuple

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.layers.attention.conversion import named
from keras_twa.layers.attention.dense_options import DenseOptions
from keras_twa.layers.attention.projection import HeadDense
from keras_twa.layers.attention.projection import Projection
from keras_twa.layers.positions.bias import times_at
from keras_twa.masks import AttentionMask
from keras_twa.masks import carried_mask
from keras_twa.masks import hide_padding


class Source(NamedTuple):
    """A placeholder for value and key in a call with `projected`.

    Args:
        shape: `(B, S, 1)`. The width of the projected sequence is not needed.
    """

    shape: tuple


class Projecting(DenseOptions):
    """The part of an attention layer that projects inputs to heads, and heads back.

    The constructor of the layer sets the sizes of the heads that this part reads.
    """

    def projections(self):
        """The projections that `attend` receives. A mechanism may add to them."""
        return (
            Projection("query", "query", self.num_heads, self.key_dim),
            Projection("key", "key", self.num_heads, self.key_dim),
            Projection("value", "value", self.num_heads, self.value_dim),
        )

    @property
    def mixed_dim(self):
        """Width of each head of what `attend` returns."""
        return self.value_dim

    def _build_projections(self, query_shape, value_shape, key_shape):
        """Creates and builds the projecting sublayers for inputs of these shapes."""
        shapes = {"query": query_shape, "value": value_shape, "key": key_shape}
        shapes = {name: (None, None, shape[-1]) for name, shape in shapes.items()}
        self._features = query_shape[-1]
        self._sublayers = {}
        for projection in self.projections():
            layer = self.projector(projection)
            layer.build(shapes.get(projection.source, shapes["query"]))
            self._sublayers[projection.name] = layer
        output_dims = self._output_dims or (query_shape[-1],)
        letters = "vwxyz"[: len(output_dims)]
        self._attention_output = HeadDense(
            # b: batch, t: time, h: heads, k: width of a head. PyTorch copies a tensor
            # unless the letters of the axes that it sums over are in order.
            f"bthk,hk{letters}->bt{letters}",
            output_shape=(None, *output_dims),
            bias_axes=letters if self.use_bias else None,
            name="attention_output",
            **self._dense_options(),
        )
        self._attention_output.build((None, None, self.num_heads, self.mixed_dim))

    @property
    def query_dense(self):
        """The sublayer that projects queries."""
        return self._dense("query")

    @property
    def key_dense(self):
        """The sublayer that projects keys."""
        return self._dense("key")

    @property
    def value_dense(self):
        """The sublayer that projects values."""
        return self._dense("value")

    @property
    def output_dense(self):
        """The sublayer that projects the outputs of the heads."""
        return self._dense("attention_output")

    def _dense(self, name):
        found = dict(getattr(self, "_sublayers", {}))
        if self.built:
            found["attention_output"] = self._attention_output
        if name not in found:
            why = f"has no projection {name!r}" if self.built else "is not built yet"
            raise AttributeError(f"{type(self).__name__} {why}.")
        return found[name]

    def projector(self, projection):
        """The layer that computes a projection. A mechanism may use another.

        In a recurrent layer with `direction="both"`, it is called with `heads`, a slice
        of the heads to compute.
        """
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

        A call with `projected` returns the same as a call with these arguments, without
        projecting them again.

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
            {name: self._without_padding(x, real) for name, x in inputs.items()}
        )
        if real is not None:
            found["real"] = real
        if key_positions is not None:
            times = times_at(key_positions, real)
            found["time"] = ops.broadcast_to(times, ops.shape(value)[:2])
        return found

    def projected_spec(self, batch, length, masked=False, timed=False):
        """Symbolic tensors like those that `project` returns.

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

    def heads_of(self, inputs, half=None):
        """The projections whose sources are in `inputs`.

        Args:
            inputs: Dictionary of tensors `(B, T, F)`.
            half: 0 for the first half of the heads of each projection, 1 for the second
                half. Defaults to all.
        """
        found = {}
        for name, source, heads, _ in map(dataclasses.astuple, self.projections()):
            if source in inputs:
                options = {}
                if half is not None:
                    first, end = half * heads // 2, (half + 1) * heads // 2
                    options = {"heads": slice(first, end)}
                found[name] = self._sublayers[name](inputs[source], **options)
        return found

    def open_projected(self, projected, query, **others):
        """Checks `projected`, and returns a `Source`, its mask and its times."""
        checks.crosses(self)
        checks.built(self)
        checks.projected(projected, self._projected_shapes(), query, others)
        shape = next(iter(projected.values())).shape
        source = Source((query.shape[0], shape[1], 1))
        return source, projected.get("real"), projected.get("time")

    def projected_heads(self, projected, mask):
        """The projected heads, with zeros at the keys that a mask hides."""
        return {
            name: self._without_padding(projected[name], mask)
            for name in self._projected_shapes()
        }

    def _without_padding(self, x, mask):
        """A tensor in the compute dtype, with zeros where a mask is false."""
        return hide_padding(ops.cast(x, self.compute_dtype), mask)

    def _projected_shapes(self):
        return {
            projection.name: (projection.heads, projection.dim)
            for projection in self.projections()
            if projection.source != "query"
        }


def _with_mask(x, mask):
    mask = carried_mask(x) if mask is None else mask
    return ops.convert_to_tensor(x), mask
