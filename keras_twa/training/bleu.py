"""BLEU of whole corpora, by sacrebleu."""

import itertools
import operator

import keras
import numpy as np
from keras import ops

from keras_twa import extras
from keras_twa.layers import checks

TOKENIZERS = ("13a", "intl", "char", "zh", "none")
ORDERS = 4


@keras.saving.register_keras_serializable(package="keras_twa")
class BLEU(keras.metrics.Metric):
    """BLEU of all sentences so far, from 0 to 100, as sacrebleu computes it.

    `100 * min(1, exp(1 - r / c)) * exp(mean_n log p_n)` for n-grams of 1 to 4 words:
    `p_n` is the share of the n-grams in the hypotheses that also occur in the
    references, and `c` and `r` are the numbers of words in hypotheses and references.
    All are counted over the whole corpus, so batches of any sizes give the same result.

    Needs sacrebleu: `pip install "keras-twa[bleu]"`.

    Sentences are strings, or rows of integer tokens, where each token is a word. Bytes,
    the strings of TensorFlow, are read as UTF-8. The metric runs in Python and does not
    work in `compile`. Use it in a callback, or after training:

    ```python
    class ValidationBLEU(keras.callbacks.Callback):
        def __init__(self, source, references):
            super().__init__()
            self.source, self.references = source, references
            self.bleu = BLEU()

        def on_epoch_end(self, epoch, logs=None):
            found = self.model.generate(self.source, 50, START, END)
            self.bleu.reset_state()
            self.bleu.update_state(self.references, [decode(row) for row in found])
            logs["val_bleu"] = self.bleu.result()
    ```

    Args:
        tokenize: How strings become words: "13a" (default, the standard of WMT),
            "intl", "char", "zh" or "none".
        padding_token: The integer token that is padding. Defaults to 0.
        name: Name of the metric.

    Call arguments:
        references: The correct sentences: strings, or integer tokens in an array
            `(B, T)` or in lists. For several references of a hypothesis, a list of
            them: `[["a b", "a c"], ["d"]]`, or an array `(B, R, T)`, in which rows of
            padding only are ignored.
        hypotheses: The sentences of a model, of the same kind: one for each reference,
            or for each list of references.

    Returns:
        The BLEU so far, a float. Without a common n-gram, it is 0.

    Raises:
        ImportError: If sacrebleu is not installed.
        ValueError: If an argument is out of range, or the numbers of hypotheses and
            references differ.

    Example:

    ```python
    bleu = BLEU()
    bleu.update_state(["the cat sat on the mat"], ["the cat sat on a mat"])
    bleu.result()  # 53.7
    ```

    Reference:
        [Papineni et al., 2002](https://aclanthology.org/P02-1040);
        [Post, 2018](https://aclanthology.org/W18-6319) for sacrebleu.
    """

    def __init__(self, tokenize="13a", padding_token=0, name="bleu"):
        super().__init__(name=name, dtype="float32")
        checks.one_of(TOKENIZERS, tokenize=tokenize)
        checks.integer(padding_token=padding_token)
        self.tokenize = tokenize
        self.padding_token = padding_token
        scorer = _import_scorer()
        # `force` suppresses warnings about sentences that look already tokenised.
        self._of_strings = scorer(tokenize=tokenize, force=True)
        self._of_tokens = scorer(tokenize="none", force=True)
        # Matches, then n-grams, of each order; words of hypotheses and references.
        self.counts = self.add_variable(
            (2 * ORDERS + 2,), "zeros", dtype="int32", name="counts"
        )

    def update_state(self, references, hypotheses):
        """Adds sentences.

        Args:
            references: Strings, or integer tokens; or lists of them, one list for each
                hypothesis.
            hypotheses: As many, of the same kind.
        """
        references = [
            self._alternatives(given) for given in _listed(references, "references")
        ]
        hypotheses = [
            self._sentence(given, "hypotheses")
            for given in _listed(hypotheses, "hypotheses")
        ]
        kinds = {isinstance(given, str) for given in hypotheses}
        kinds |= {isinstance(one, str) for given in references for one in given}
        if len(references) != len(hypotheses) or len(kinds) > 1:
            raise ValueError(
                "There must be one reference, or one list of references, for each "
                "hypothesis, all strings or all integer tokens. Received: "
                f"references={references[:3]!r}, ... ({len(references)}), "
                f"hypotheses={hypotheses[:3]!r}, ... ({len(hypotheses)})"
            )
        if not references:
            return
        scorer = self._of_strings if kinds == {True} else self._of_tokens
        # sacrebleu takes all first references, then all second ones, and so on.
        columns = itertools.zip_longest(*(map(_spelled, given) for given in references))
        found = scorer.corpus_score([*map(_spelled, hypotheses)], [*columns])
        counts = [*found.counts, *found.totals, found.sys_len, found.ref_len]
        self.counts.assign(self.counts + np.array(counts, "int32"))

    def result(self):
        counts = ops.convert_to_numpy(self.counts.value).tolist()
        matches, ngrams = counts[:ORDERS], counts[ORDERS : 2 * ORDERS]
        score = self._of_strings.compute_bleu(
            matches, ngrams, *counts[2 * ORDERS :], smooth_method="exp"
        )
        return float(score.score)

    def _alternatives(self, given):
        """The references of one hypothesis, as `_sentence` gives them."""
        if not _several(given) or not any(
            isinstance(one, str | bytes) or _several(one) for one in given
        ):
            return [self._sentence(given, "references")]
        found = [self._sentence(one, "references") for one in given]
        # Of an array, padding makes up the number of references.
        return [one for one in found if one != []] or [[]]

    def _sentence(self, given, name):
        """A string, or a list of the tokens that are no padding."""
        if isinstance(given, bytes):
            return given.decode()
        if isinstance(given, str):
            return given
        try:
            return [t for t in map(operator.index, given) if t != self.padding_token]
        except TypeError as error:
            raise ValueError(
                f"`{name}` must be strings, or rows of integer tokens; for each "
                "hypothesis there may be a list of references. "
                f"Received: {name} with {given!r}"
            ) from error

    def get_config(self):
        return {
            "tokenize": self.tokenize,
            "padding_token": self.padding_token,
            "name": self.name,
        }


def _listed(given, name):
    """Several sentences, as a list."""
    if isinstance(given, str | bytes):
        raise ValueError(
            f"`{name}` must be several sentences. Received: {name}={given!r}"
        )
    if hasattr(given, "shape"):
        given = ops.convert_to_numpy(given)
    return list(given)


def _several(given):
    """Whether something is a list or an array, not one string or number."""
    return isinstance(given, list | tuple) or len(getattr(given, "shape", ())) > 0


def _spelled(sentence):
    """A sentence as words: each token is one."""
    return sentence if isinstance(sentence, str) else " ".join(map(str, sentence))


def _import_scorer():
    try:
        from sacrebleu.metrics import BLEU as scorer
    except ImportError as error:
        message = extras.explain(error, "BLEU", "sacrebleu", "bleu")
        raise ImportError(message) from error
    return scorer
