"""Translates dates in words to digits, byte by byte, or pairs of sentences of a file.

KERAS_BACKEND=jax python examples/sequence_to_sequence.py
KERAS_BACKEND=jax python examples/sequence_to_sequence.py --data fra.txt

Without options, "thursday, the fourth of march nineteen eighty-two" is to become
"1982-03-04": dates from 1900 to 2099, in eight ways to say or write them. They are
generated, and no date of the test was seen in training. See `keras_twa.datasets.dates`.

With `--data`, the pairs are those of a file of lines `source TAB target`, such as those
of https://www.manythings.org/anki/, and the model is larger: for a GPU.

The model is an encoder and a decoder. Each byte of the target is predicted from the
source and from the right bytes before it (teacher forcing); what it then writes by
itself, the best next byte each time or by beam search, is compared with the references.
Beside it stands what copying gives: the target of the training source that has the most
in common with the one to translate.
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
# Translations are compared on as many test pairs.
TEST_ROWS = 500
# Those that can write one byte after the other.
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
    """The inputs of teacher forcing, and what is to be predicted from them."""
    return {"source": source, "target": target[:, :-1]}, target[:, 1:]


def copied(train, source):
    """The target of the training source that shares the most trigrams with each."""
    vectors, wanted = _trigrams(train[0]), _trigrams(source)
    return train[1][np.argmax(wanted @ vectors.T, axis=1)]


def _trigrams(tokens):
    """Counts of hashed trigrams of each row, of length 1."""
    grams = (tokens[:, :-2] * 31 + tokens[:, 1:-1]) * 31 + tokens[:, 2:]
    counts = np.zeros((len(tokens), 1024), "float32")
    np.add.at(
        counts, (np.arange(len(tokens))[:, None], grams % 1024), tokens[:, 2:] > 0
    )
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1.0)


def compare(found, references, tokenize):
    """What the table says of translations: how much of them is right."""
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
    """What the model writes, as texts."""
    found = model.generate(
        source,
        max_length=length,
        start_token=text_pairs.START,
        end_token=text_pairs.END,
        beam_size=beam_size,
    )
    return [text_pairs.decode(row) for row in found]


def positive(text):
    """An integer above zero, of the command line."""
    if int(text) < 1:
        raise ValueError
    return int(text)


def main(arguments=None):
    """Trains, translates the test pairs, and prints how many came out right."""
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
            f"{logs['val_perplexity'][-1]:.3f}, bytes right after the right ones "
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
