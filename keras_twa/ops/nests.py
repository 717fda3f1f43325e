"""Nests of tensors: dictionaries of tensors, which may hold dictionaries and tuples.

`keras.tree` does the same, but takes up to ten times as long on PyTorch, which matters
in loops that do this in every iteration. The order of names in a dictionary does not
matter.
"""


def flatten(nest):
    """The tensors of a nest, as a list."""
    if isinstance(nest, dict):
        return [x for name in sorted(nest) for x in flatten(nest[name])]
    if isinstance(nest, (list, tuple)):
        return [x for part in nest for x in flatten(part)]
    return [nest]


def pack(like, tensors):
    """The inverse of `flatten`: puts tensors into the structure of `like`."""
    return _pack(like, iter(tensors))


def map_tensors(function, nest, *others):
    """Applies a function to each tensor and its counterparts in other nests."""
    if isinstance(nest, dict):
        return {
            name: map_tensors(function, part, *(other[name] for other in others))
            for name, part in nest.items()
        }
    if isinstance(nest, (list, tuple)):
        parts = zip(nest, *others, strict=True)
        return type(nest)(map_tensors(function, *part) for part in parts)
    return function(nest, *others)


def gradients_of(tensors, gradients):
    """The gradients of all tensors, as a list: `None` for names that have none."""
    return [
        x
        for name in sorted(tensors)
        for x in (
            flatten(gradients[name])
            if name in gradients
            else [None] * len(flatten(tensors[name]))
        )
    ]


def _pack(like, tensors):
    if isinstance(like, dict):
        packed = {name: _pack(like[name], tensors) for name in sorted(like)}
        return {name: packed[name] for name in like}
    if isinstance(like, (list, tuple)):
        return type(like)(_pack(part, tensors) for part in like)
    return next(tensors)


class FlatPasses:
    """Adapts passes to backends that differentiate functions of lists of tensors.

    Args:
        passes: See `differentiable` in `backend/interface.py`.
        tensors: The dictionary of tensors.
    """

    def __init__(self, passes, tensors):
        self.passes = passes
        self.tensors = map_tensors(lambda x: None, tensors)
        # Known once the forward pass has run.
        self.outputs = None

    def forward(self, *tensors):
        """The outputs, as a tuple."""
        outputs = self.passes.forward(pack(self.tensors, tensors))
        self.outputs = map_tensors(lambda x: None, outputs)
        return tuple(flatten(outputs))

    def backward(self, tensors, outputs, gradients, needed):
        """The gradients of all tensors, as a list."""
        found = self.passes.backward(
            pack(self.tensors, tensors),
            pack(self.outputs, outputs),
            pack(self.outputs, gradients),
            pack(self.tensors, needed),
        )
        return gradients_of(self.tensors, found)
