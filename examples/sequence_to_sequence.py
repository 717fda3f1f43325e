"""Translates dates in words to digits, byte by byte, or the sentences of a file.

KERAS_BACKEND=jax python examples/sequence_to_sequence.py
KERAS_BACKEND=jax python examples/sequence_to_sequence.py --data fra.txt

By default, "thursday, the fourth of march nineteen eighty-two" should become
"1982-03-04". The dates are from 1900 to 2099, in eight spoken or written forms. They
are generated, and no test date is in the training data. See `keras_twa.datasets.dates`.

With `--data`, the pairs come from a file of lines `source TAB target`, such as those of
https://www.manythings.org/anki/, and the model is larger and needs a GPU.

The model is an encoder and a decoder. In training, it predicts each byte of the target
from the source and the correct earlier bytes (teacher forcing). It then translates on
its own, by greedy search and by beam search, and the results are compared with the
references. The baseline copies the target of the most similar training source.
"""

import argparse
import time

import keras_twa  # noqa: F401  # isort: skip  Before Keras: names a missing backend.
import keras
import numpy as np
from rich.console import Console
from rich.table import Table

from keras_twa.datasets import dates
from keras_twa.datasets import text_pairs
from keras_twa.layers import ATTENTION_LAYERS
from keras_twa.layers import name_of
from keras_twa.models import EncoderDecoder
from keras_twa.training import BLEU
from keras_twa.training import MaskedAccuracy
from keras_twa.training import MaskedCrossentropy
from keras_twa.training import Perplexity
from keras_twa.training import WarmupInverseSquareRoot

BATCH = 64
BEAM = 4
LABEL_SMOOTHING = 0.1
ROWS = 20_000
# Number of test pairs on which translations are compared.
TEST_ROWS = 500
# Mechanisms that can generate one byte after the other.
ATTENTION = [name_of(layer) for layer in ATTENTION_LAYERS if layer.prefix_invariant]

DATES = {
    "epochs": 4,
    "learning_rate": 2e-3,
    "warmup_steps": 200,
    "model": {
        "num_layers": 2,
        "embedding_dim": 64,
        "num_heads": 4,
        "intermediate_dim": 128,
        "dropout": 0.0,
    },
}
SENTENCES = {
    "epochs": 20,
    "learning_rate": 7e-4,
    "warmup_steps": 4_000,
    "model": {
        "num_layers": 4,
        "embedding_dim": 256,
        "num_heads": 8,
        "intermediate_dim": 1024,
        "dropout": 0.1,
    },
}


def build_model(settings, attention="dot_product"):
    """An encoder and a decoder for bytes, ready to train."""
    model = EncoderDecoder(
        text_pairs.VOCABULARY_SIZE,
        text_pairs.VOCABULARY_SIZE,
        encoder_attention=attention,
        decoder_attention=attention,
        **settings["model"],
    )
    rates = WarmupInverseSquareRoot(settings["learning_rate"], settings["warmup_steps"])
    model.compile(
        optimizer=keras.optimizers.Adam(rates, beta_2=0.98, clipnorm=1.0),
        loss=MaskedCrossentropy(LABEL_SMOOTHING),
        metrics=[MaskedAccuracy(name="accuracy"), Perplexity()],
    )
    return model


def shifted(source, target):
    """The inputs of teacher forcing, and their targets."""
    return {"source": source, "target": target[:, :-1]}, target[:, 1:]


def copied(train, source):
    """For each source, the target of the training source with the closest trigrams."""
    vectors, wanted = _trigrams(train[0]), _trigrams(source)
    return train[1][np.argmax(wanted @ vectors.T, axis=1)]


def _trigrams(tokens):
    """Counts of hashed trigrams of each row, as vectors of length 1."""
    grams = (tokens[:, :-2] * 31 + tokens[:, 1:-1]) * 31 + tokens[:, 2:]
    counts = np.zeros((len(tokens), 1024), "float32")
    np.add.at(
        counts, (np.arange(len(tokens))[:, None], grams % 1024), tokens[:, 2:] > 0
    )
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1.0)


def compare(found, references, tokenize):
    """The cells of the table: how much of the translations is right."""
    same = sum(
        a == b
        for text, reference in zip(found, references, strict=True)
        for a, b in zip(text, reference, strict=False)
    )
    right = np.mean([a == b for a, b in zip(found, references, strict=True)])
    try:
        bleu = BLEU(tokenize)
    except ImportError:
        score = 'needs "keras-twa[bleu]"'
    else:
        bleu.update_state(references, found)
        score = f"{bleu.result():.1f}"
    characters = same / sum(len(reference) for reference in references)
    return f"{100 * right:.1f} %", f"{100 * characters:.1f} %", score


def translate(model, source, length, beam_size):
    """The translations of the model, as texts."""
    found = model.generate(
        source,
        max_length=length,
        start_token=text_pairs.START,
        end_token=text_pairs.END,
        beam_size=beam_size,
    )
    return [text_pairs.decode(row) for row in found]


def positive(text):
    """Parses a positive integer of the command line."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def main(arguments=None):
    """Trains, translates the test pairs, and prints how many are right."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="file of lines `source TAB target`")
    parser.add_argument(
        "--attention",
        default="dot_product",
        choices=ATTENTION,
        help="self-attention of all blocks",
    )
    parser.add_argument("--epochs", type=positive, help="default: 4, or 20 with --data")
    options = parser.parse_args(arguments)
    if options.data:
        settings, tokenize = SENTENCES, "13a"
        try:
            train, validation, test = text_pairs.load_data(options.data)
        except (OSError, ValueError) as error:
            parser.error(error)
    else:
        settings, tokenize = DATES, "char"
        train, validation, test = dates.load_data(num_train=ROWS)
    console = Console(highlight=False, markup=False, emoji=False)
    keras.utils.set_random_seed(0)
    model = build_model(settings, options.attention)
    epochs = options.epochs or settings["epochs"]
    start = time.perf_counter()
    for epoch in range(epochs):
        logs = model.fit(
            *shifted(*train),
            batch_size=BATCH,
            validation_data=shifted(*validation),
            verbose=0,
        ).history
        console.print(
            f"epoch {epoch + 1}/{epochs}  validation: perplexity "
            f"{logs['val_perplexity'][-1]:.3f}, right bytes with teacher forcing "
            f"{100 * logs['val_accuracy'][-1]:.1f} %"
        )
    seconds = time.perf_counter() - start

    source, target = test[0][:TEST_ROWS], test[1][:TEST_ROWS]
    references = [text_pairs.decode(row) for row in target]
    found = {
        "copy of the nearest": [text_pairs.decode(r) for r in copied(train, source)],
        "greedy": translate(model, source, target.shape[1], beam_size=1),
        f"beam of {BEAM}": translate(model, source, target.shape[1], beam_size=BEAM),
    }
    table = Table(
        "translation",
        "texts right",
        "characters right",
        "BLEU",
        title=(
            f"{len(references)} test pairs after {seconds:.0f} s of training, "
            f"{model.count_params():,} weights, {keras.backend.backend()} backend"
        ),
    )
    for name, texts in found.items():
        table.add_row(name, *compare(texts, references, tokenize))
    console.print(table)
    texts = [text_pairs.decode(row) for row in source[:5]]
    for text, written in zip(texts, found["greedy"], strict=False):
        console.print(f"{text}\n  -> {written}")


if __name__ == "__main__":
    main()
