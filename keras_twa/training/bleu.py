"""BLEU of whole corpora, by sacrebleu."""

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
    which TensorFlow has for strings, are read as UTF-8. The metric runs in Python, so
    it cannot be given to `compile`: use it in a callback, or after training:

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
        references: The right sentences: strings, or integer tokens, an array `(B, T)`
            or lists of them.
        hypotheses: The sentences of a model, one for each reference and of the same
            kind.

    Returns:
        The BLEU so far, a float. Without an n-gram in common, it is 0.

    Raises:
        ImportError: If sacrebleu is not installed.
        ValueError: If an argument is out of range, or there is not one hypothesis for
            each reference.

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
        # `force` stops warnings about sentences that look tokenised already.
        self._of_strings = scorer(tokenize=tokenize, force=True)
        self._of_tokens = scorer(tokenize="none", force=True)
        # Matches, then n-grams, of each order; words of hypotheses and references.
        self.counts = self.add_variable(
            (2 * ORDERS + 2,), "zeros", dtype="int32", name="counts"
        )

    def update_state(self, references, hypotheses):
        """Adds sentences.

        Args:
            references: Strings, or integer tokens.
            hypotheses: As many, of the same kind.
        """
        references, words = self._sentences(references, "references")
        hypotheses, same = self._sentences(hypotheses, "hypotheses")
        if len(references) != len(hypotheses) or words != same:
            raise ValueError(
                "There must be one hypothesis for each reference, both strings or both "
                f"integer tokens. Received: references={references[:3]!r}, ... "
                f"({len(references)}), hypotheses={hypotheses[:3]!r}, ... "
                f"({len(hypotheses)})"
            )
        if not references:
            return
        scorer = self._of_strings if words else self._of_tokens
        found = scorer.corpus_score(hypotheses, [references])
        counts = [*found.counts, *found.totals, found.sys_len, found.ref_len]
        self.counts.assign(self.counts + np.array(counts, "int32"))

    def result(self):
        counts = ops.convert_to_numpy(self.counts.value).tolist()
        matches, ngrams = counts[:ORDERS], counts[ORDERS : 2 * ORDERS]
        score = self._of_strings.compute_bleu(
            matches, ngrams, *counts[2 * ORDERS :], smooth_method="exp"
        )
        return float(score.score)

    def _sentences(self, given, name):
        """A list of strings, and whether they came as such; tokens become numbers."""
        if isinstance(given, str):
            raise ValueError(
                f"`{name}` must be several sentences. Received: {name}={given!r}"
            )
        if hasattr(given, "shape"):
            given = ops.convert_to_numpy(given)
        rows = [row.decode() if isinstance(row, bytes) else row for row in given]
        if all(isinstance(row, str) for row in rows):
            return rows, True
        if any(isinstance(row, str) or np.ndim(row) != 1 for row in rows):
            raise ValueError(
                f"`{name}` must be strings, or rows of integer tokens. "
                f"Received: {name}={rows[:3]!r}, ..."
            )
        return [self._numbers(row) for row in rows], False

    def _numbers(self, row):
        return " ".join(str(int(t)) for t in row if int(t) != self.padding_token)

    def get_config(self):
        return {
            "tokenize": self.tokenize,
            "padding_token": self.padding_token,
            "name": self.name,
        }


def _import_scorer():
    try:
        from sacrebleu.metrics import BLEU as scorer
    except ImportError as error:
        message = extras.explain(error, "BLEU", "sacrebleu", "bleu")
        raise ImportError(message) from error
    return scorer
