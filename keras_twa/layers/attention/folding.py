"""Reshapes tensors with any number of axes to sequences, and back."""

import math
from dataclasses import dataclass

import keras
from keras import ops

from keras_twa.layers import checks
from keras_twa.masks import carried_mask


@dataclass(frozen=True)
class Fold:
    """The axes of an input to attend over.

    Symbolic Keras tensors, which have a shape but no values, are supported too.

    Args:
        rank: Number of axes of the input, including batch and features.
        axes: The axes to attend over, in their order in the sequence.
    """

    rank: int
    axes: tuple[int, ...]

    @classmethod
    def of(cls, rank, given):
        """The `Fold` for inputs of `rank` axes and an argument `attention_axes`."""
        if given is None:
            return cls(rank, tuple(range(1, rank - 1)))
        axes = tuple(axis + rank if axis < 0 else axis for axis in given)
        if not all(0 < axis < rank - 1 for axis in axes) or len({*axes}) < len(axes):
            raise ValueError(
                "`attention_axes` must be different axes of the inputs between batch "
                f"and features, here from 1 to {rank - 2}. "
                f"Received: attention_axes={given}, and inputs of {rank} axes"
            )
        return cls(rank, axes)

    @classmethod
    def of_shapes(cls, given, query, value, key):
        """The `Fold` for inputs of these shapes and an argument `attention_axes`.

        Raises:
            ValueError: If the shapes do not fit the axes or one another.
        """
        checks.ranks(query, value, key)
        fold = cls.of(len(query), given)
        checks.input_shapes(query, value, key, fold.shared)
        return fold

    @property
    def shared(self):
        """The axes that are not attended over, the batch first."""
        return 0, *(axis for axis in range(1, self.rank - 1) if axis not in self.axes)

    def arguments(self, layer, given, inputs):
        """Converts the arguments of a call to those of a call with sequences.

        Args:
            layer: The attention layer.
            given: Dictionary of the arguments by name.
            inputs: Query, value and key.
        """
        query, value, key = inputs
        folded = dict(given)
        if given.get("attention_mask") is not None:
            checks.has_pairs(layer, given["attention_mask"])
            folded["attention_mask"] = self.pairs(layer, given, query, key)
        if self.rank == 3:
            return folded
        checks.whole_sequences(given)
        if given.get("query_mask") is None:
            folded["query_mask"] = carried_mask(query)
        of, once = {"query": query, "value": value, "key": key}, []

        def fold(x):
            # The same tensor must stay the same: that is how self-attention is
            # detected.
            if not any(before is x for before, _ in once):
                once.append((x, self.fold(x)))
            return next(after for before, after in once if before is x)

        for name, x in of.items():
            if given.get(name) is not None:
                folded[name] = fold(x)
            mask, times = folded.get(f"{name}_mask"), given.get(f"{name}_positions")
            if mask is not None:
                checks.padding(f"{name}_mask", mask, x)
                folded[f"{name}_mask"] = fold(mask)
            if times is not None:
                folded[f"{name}_positions"] = self.times(name, times, x)
        return folded

    def fold(self, x):
        """`(B, ..., F)` to `(B', T, F)`, or `(B, ...)` to `(B', T)`."""
        order = (*self.shared, *self.axes, *range(self.rank - 1, len(x.shape)))
        sizes = _sizes(x)
        shape = [_product(sizes[axis] for axis in self.shared)]
        shape += [_product(sizes[axis] for axis in self.axes)]
        return _reshape(_transpose(x, order), (*shape, *sizes[self.rank - 1 :]))

    def unfold(self, x, query):
        """`(B', T, ...)` to `(B, ..., ...)`, with the axes of the query."""
        order, sizes = (*self.shared, *self.axes), _sizes(query)
        rest = _sizes(x)[2:]
        x = _reshape(x, (*(sizes[axis] for axis in order), *rest))
        back = [order.index(axis) for axis in range(len(order))]
        return _transpose(x, (*back, *range(len(order), len(order) + len(rest))))

    def unfold_scores(self, x, query, key):
        """`(B', H, T, S)` to `(B, ..., H, T1, T2, ..., S1, S2, ...)`."""
        of_query, of_key = _sizes(query), _sizes(key)
        shape = [of_query[axis] for axis in self.shared]
        shape += [_sizes(x)[1]]
        shape += [of_query[axis] for axis in self.axes]
        shape += [of_key[axis] for axis in self.axes]
        return _reshape(x, shape)

    def times(self, name, given, x):
        """Times as `(T,)` or `(B', T)`."""
        checks.positions(f"{name}_positions", given, x, self.axes)
        if len(given.shape) == len(self.axes):
            return _reshape(given, (_product(_sizes(given)),))
        sizes, shape = _sizes(given), _sizes(x)[:-1]
        if all(given.shape[axis] == 1 for axis in self.shared):
            shape = sizes
        return self.fold(_broadcast(given, shape))

    def pairs(self, layer, given, query, key):
        """An attention mask as `(B' or 1, H or 1, T or 1, S)`.

        As in Keras, its last axes are the attended axes of the queries, then of the
        keys. Before them come the batch, the axes that are not attended over, and the
        heads. If the mask has fewer axes, the last of these leading axes are missing.
        """
        mask, count = given["attention_mask"], len(self.axes)
        of_query, of_key = _sizes(query), _sizes(key)
        keys = [of_key[axis] for axis in self.axes]
        known_keys = [key.shape[axis] for axis in self.axes]
        if given.get("projected") is not None:
            keys = known_keys = [_length(given["projected"])]
        batch = [query.shape[axis] for axis in self.shared]
        checks.pairs(
            mask,
            batch,
            sorted({layer.num_heads, layer.projections()[0].heads}),
            [query.shape[axis] for axis in self.axes],
            known_keys,
        )
        while len(mask.shape) < len(batch) + 1 + 2 * count:
            mask = _expand(mask, len(mask.shape) - 2 * count)
        sizes, heads = _sizes(mask), len(batch)
        batch = [of_query[axis] for axis in self.shared]
        steps = [of_query[axis] for axis in self.axes]
        groups = [
            _filled(mask.shape[:heads], sizes[:heads], batch),
            [sizes[heads]],
            _filled(mask.shape[heads + 1 :], sizes[heads + 1 :], steps),
            _filled(mask.shape[-count:], sizes[-count:], keys, always=True),
        ]
        shape = [size for group in groups for size in group]
        if any(a is not b for a, b in zip(sizes, shape, strict=True)):
            mask = _broadcast(mask, shape)
        if self.rank == 3:
            return mask
        return _reshape(mask, [_product(group) for group in groups])


def _filled(known, sizes, wanted, always=False):
    """The sizes of some axes of a mask, with 1 replaced by the size that is wanted.

    If all of them are 1, they stay 1, unless `always` is true.
    """
    triples = [*zip(known, sizes, wanted, strict=False)]
    if not always and all(size == 1 for size, _, _ in triples):
        return [size for _, size, _ in triples]
    return [full if size == 1 else own for size, own, full in triples]


def _length(projected):
    """The length S of a result of `project`, or `None` for anything else."""
    try:
        return next(iter(projected.values())).shape[1]
    except (AttributeError, IndexError, StopIteration):
        return None


def _is_symbolic(x):
    return isinstance(x, keras.KerasTensor)


def _sizes(x):
    """The sizes of a tensor; `None` where a symbolic tensor does not know them."""
    return tuple(x.shape) if _is_symbolic(x) else tuple(ops.shape(x))


def _product(sizes):
    sizes = tuple(sizes)
    return None if any(size is None for size in sizes) else math.prod(sizes)


def _reshape(x, shape):
    if _is_symbolic(x) or any(size is None for size in shape):
        return keras.KerasTensor(shape, dtype=x.dtype)
    return ops.reshape(x, shape)


def _transpose(x, order):
    if list(order) == sorted(order):
        return x
    if _is_symbolic(x):
        return keras.KerasTensor([x.shape[axis] for axis in order], dtype=x.dtype)
    return ops.transpose(x, order)


def _expand(x, axis):
    if _is_symbolic(x):
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        return keras.KerasTensor(shape, dtype=x.dtype)
    return ops.expand_dims(x, axis)


def _broadcast(x, shape):
    if _is_symbolic(x) or any(size is None for size in shape):
        return keras.KerasTensor(shape, dtype=x.dtype)
    return ops.broadcast_to(x, shape)
