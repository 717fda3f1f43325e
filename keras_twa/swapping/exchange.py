"""One exchange of the attention layers of a model."""

from keras_twa.swapping import configs
from keras_twa.swapping.adapter import AttentionAdapter
from keras_twa.swapping.adapter import other_arguments
from keras_twa.swapping.calls import Watch
from keras_twa.swapping.calls import trace
from keras_twa.swapping.compiling import compile_like
from keras_twa.swapping.copying import Copies
from keras_twa.swapping.places import OF_KERAS
from keras_twa.swapping.places import path_of
from keras_twa.swapping.replacement import build_like
from keras_twa.swapping.replacement import name_of
from keras_twa.swapping.report import SwappedLayer
from keras_twa.swapping.report import SwapReport
from keras_twa.swapping.saving import remember
from keras_twa.swapping.weights import carry_over
from keras_twa.swapping.weights import freeze_like

MASKED = (
    "Some calls have padding masks. Keras's attention takes the mask off its inputs, "
    "and a query that sees no key gets the mean of all values. Attention of keras_twa "
    "keeps the mask, and gives 0. So outputs may differ in padded rows, and where a "
    "later layer depends on the mask of the same tensor."
)
UNTRACED = (
    "The model could not be traced, as the shapes of its inputs are not known or do "
    "not suffice. Calls that the new attention does not support raise an error when "
    "they happen."
)
UNCALLED = "It is not called when the model is, so nothing shows that it can be."
ADAPTED = (
    "It is inside an AttentionAdapter, as it is called with arguments that are not its "
    "own."
)
UNSAVED = (
    "A `.keras` file of this model does not load, as the configuration of {} cannot "
    "name the new attention. Use `save_weights`; and to load, exchange the attention "
    "of a new model, then `load_weights`."
)


class Exchange:
    """Puts new layers in the place of old ones, in a copy of a model.

    Args:
        model: The model.
        old: Its layers that are exchanged.
        replacements: For each of them a new layer, not built, and what it lacks, as
            sentences.
    """

    def __init__(self, model, old, replacements):
        self._model = model
        self._old = old
        self.new = [layer for layer, _ in replacements]
        self._notes = [notes for _, notes in replacements]
        self._outer = [self._adapted(i) for i in range(len(old))]
        self._weights = None
        self._watch = None
        self._copies = None
        self._traced = False

    @property
    def refused(self):
        """The index of a layer that cannot take a call, and its error, or `None`."""
        return self._watch.refused

    def run(self):
        """Creates the new model, and traces its calls.

        Returns:
            The new model, not compiled; `None` if a layer refused a call.
        """
        if self._weights is None:
            self._build()
        for old, outer in zip(self._old, self._outer, strict=True):
            if old.built and not outer.built:
                build_like(outer, old)
        self._copies = Copies(list(zip(self._old, self._outer, strict=True)))
        with Watch(self.new) as self._watch:
            try:
                made = self._copies.of(self._model)
                self._traced = self._model.built and trace(made, self._watch)
            except Exception:  # a layer's refusal, in whatever the model makes of it
                if self.refused is None:
                    raise
        return None if self.refused else made

    def adapt(self):
        """Adapts layers to calls whose mask of pairs is padding in truth.

        Returns:
            Whether that may help.
        """
        index, _ = self.refused
        if index not in self._watch.padded_pairs:
            return False
        for i, (old, new) in enumerate(zip(self._old, self.new, strict=True)):
            if isinstance(old, OF_KERAS) and not getattr(new, "pairwise_mask", True):
                self._outer[i] = self._adapted(i, even=True)
        return True

    def finish(self, made):
        """Compiles the new model and says what was done.

        Args:
            made: The new model.

        Returns:
            A `SwapReport`.
        """
        inside = [layer for layer in self._outer if layer in self.new]
        configs.update(made, inside)
        notes = []
        if self._model.compiled:
            fresh = [
                f"{layer.path}/{name}"
                for layer, (_, *others) in zip(self.new, self._weights, strict=True)
                for name in [*others[0], *others[1]]
            ]
            notes += compile_like(made, self._model, self._copies, fresh)
        of_keras = [isinstance(layer, OF_KERAS) for layer in (*self._old, *self.new)]
        if self._watch.masked and len({*of_keras}) > 1:
            notes.append(MASKED)
        if not self._traced:
            notes.append(UNTRACED)
        if holders := remember(made, self._outer):
            notes.append(UNSAVED.format(", ".join(holders)))
        return SwapReport(tuple(map(self._entry, range(len(self.new)))), tuple(notes))

    def _entry(self, index):
        old, new, notes = self._old[index], self.new[index], [*self._notes[index]]
        if self._outer[index] is not new:
            notes.append(ADAPTED)
        if not old.built:
            notes.append("It is not built yet.")
        elif self._traced and index not in self._watch.order:
            notes.append(UNCALLED)
        return SwappedLayer(
            path_of(old),
            type(old).__name__,
            name_of(new),
            *self._weights[index],
            tuple(notes),
        )

    def _adapted(self, index, even=False):
        """A new layer, in an adapter if it needs one."""
        old, new = self._old[index], self.new[index]
        others = other_arguments(old)
        if not others and not even:
            return new
        return AttentionAdapter(new, others, name=old.name, dtype=old.dtype_policy)

    def _build(self):
        """Builds the new layers and gives them the weights of the old ones."""
        self._weights = []
        for old, new in zip(self._old, self.new, strict=True):
            weights = ((), (), ())
            if old.built:
                build_like(new, old)
                weights = carry_over(old, new)
            freeze_like(new, old)
            self._weights.append(weights)
