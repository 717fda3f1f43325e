"""Dates in words to digits, or the sentences of a file, translated byte by byte."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_twa.datasets import dates
from keras_twa.datasets import text_pairs
from keras_twa.tasks import presets
from keras_twa.tasks.array_rows import SPLITS
from keras_twa.tasks.array_rows import ArrayRows
from keras_twa.tasks.rows_right import rows_right
from keras_twa.tasks.settings import Settings
from keras_twa.tasks.task import PREDICTS_NEXT
from keras_twa.tasks.task import Metric
from keras_twa.tasks.task import Progress
from keras_twa.tasks.task import Task

GENERATED = "generated"
LABEL_SMOOTHING = 0.1
COPY = "copy of the nearest"
HASHES = 1024
# Sources for which the nearest is found at once.
SOURCES_AT_ONCE = 256
# Test pairs that `describe` translates, and those that it shows.
TRANSLATED, SHOWN = 500, 3
BEAM = 4


def load(data: str, settings: Settings, progress: Progress | None = None) -> ArrayRows:
    """Returns the rows of teacher forcing.

    Inputs are "source" and "target", from its start on. The targets are the next bytes.

    Args:
        data: `"auto"` or `"generated"` for dates; or the path of a file of lines
            `source TAB target`, such as those of https://www.manythings.org/anki/.
        settings: The `Settings`. Pairs of a file with a text of more than `max_length`
            bytes are skipped.
        progress: Not called: this takes seconds.

    Raises:
        ValueError: If a file is missing or malformed, dates are longer than
            `max_length`, or there are too few pairs.
    """
    sizes = {f"num_{name}": settings.value(f"num_{name}") for name in SPLITS}
    if data in ("auto", GENERATED):
        data, source = GENERATED, "generated dates"
        wanted = {name: size for name, size in sizes.items() if size is not None}
        pairs = dates.load_data(**wanted, seed=settings.data_seed)
        longest = max(x.shape[1] for x, _ in pairs)
        if longest > settings.max_length:
            raise ValueError(
                f"Dates in words have up to {longest} bytes. "
                f"Received: max_length={settings.max_length}"
            )
    else:
        source = f"pairs in {Path(data).name}"
        read = text_pairs.load_data(data, settings.max_length, seed=settings.data_seed)
        pairs = [
            _some(x, y, size, settings.data_seed)
            for (x, y), size in zip(read, sizes.values(), strict=True)
        ]
    splits = {
        name: ({"source": x, "target": y[:, :-1]}, y[:, 1:], None)
        for name, (x, y) in zip(SPLITS, pairs, strict=True)
    }
    return ArrayRows(splits, source=source, data=data)


def build_model(attention: Any, settings: Settings, rows: ArrayRows) -> Any:
    """Returns an encoder and a decoder for bytes.

    The mechanism is the self-attention of both. Attention to the source is
    conventional.

    Args:
        attention: What `attention` of a model may be.
        settings: The `Settings`.
        rows: The rows of the task.
    """
    from keras_twa.models import EncoderDecoder

    model = EncoderDecoder(
        text_pairs.VOCABULARY_SIZE,
        text_pairs.VOCABULARY_SIZE,
        encoder_attention=attention,
        decoder_attention=attention,
        num_layers=settings.num_layers,
        embedding_dim=settings.embedding_dim,
        num_heads=settings.num_heads,
        intermediate_dim=settings.intermediate_dim,
        dropout=settings.dropout,
    )
    model.build({"source": (None, None), "target": (None, None)})
    return model


def loss() -> Any:
    """Returns the loss, of which padding is no part."""
    from keras_twa.training import MaskedCrossentropy

    return MaskedCrossentropy(LABEL_SMOOTHING)


def metrics() -> list[Any]:
    """Returns the share of texts of which every byte is right.

    With teacher forcing, each byte is predicted after the right ones before it. All are
    right exactly if greedy search, which starts from nothing, gives the same text. So
    this is the accuracy of greedy search, without its cost.
    """
    return [rows_right("texts_right", padding=0)]


def baselines(rows: ArrayRows) -> dict[str, float]:
    """Returns the share of test texts that are copies of a training text."""
    inputs, targets, _ = rows.splits["test"]
    copies = copied(rows, inputs["source"])
    return {COPY: float(np.mean((copies == targets).all(axis=1)))}


def copied(rows: ArrayRows, sources: np.ndarray) -> np.ndarray:
    """Returns the target of the training source with the most similar trigrams.

    Similar is the cosine of the counts of hashed trigrams.

    Args:
        rows: The rows of the task.
        sources: Tokens `(sources, bytes)`.

    Returns:
        The targets `(sources, bytes)`.
    """
    inputs, targets, _ = rows.splits["train"]
    known = _trigrams(inputs["source"]).T
    nearest = [
        np.argmax(_trigrams(sources[first : first + SOURCES_AT_ONCE]) @ known, axis=1)
        for first in range(0, len(sources), SOURCES_AT_ONCE)
    ]
    found: np.ndarray = targets[np.concatenate(nearest)]
    return found


def describe(model: Any, rows: ArrayRows) -> Iterator[str]:
    """Yields lines on how a trained model translates by itself, with examples.

    Args:
        model: The model.
        rows: The rows of the task.
    """
    inputs, targets, _ = rows.splits["test"]
    sources, targets = inputs["source"][:TRANSLATED], targets[:TRANSLATED]
    references = _decoded(targets)
    found = {COPY: _decoded(copied(rows, sources))}
    for name, beam_size in {"greedy": 1, f"beam of {BEAM}": BEAM}.items():
        tokens = model.generate(
            sources,
            max_length=targets.shape[1],
            start_token=text_pairs.START,
            end_token=text_pairs.END,
            beam_size=beam_size,
        )
        found[name] = _decoded(tokens)
    tokenize = "char" if rows.data == GENERATED else "13a"
    for name, texts in found.items():
        yield f"{name}: {compared(texts, references, tokenize)}"
    shown = _decoded(sources[:SHOWN])
    for text, written in zip(shown, found["greedy"], strict=False):
        yield f"{text}\n  -> {written}"


def compared(texts: list[str], references: list[str], tokenize: str) -> str:
    """Returns a phrase that says how much of some texts is right.

    Args:
        texts: The texts.
        references: The right texts.
        tokenize: How BLEU splits texts, as sacreBLEU names it.
    """
    from keras_twa.training import BLEU

    pairs = list(zip(texts, references, strict=True))
    right = np.mean([text == reference for text, reference in pairs])
    same = sum(a == b for pair in pairs for a, b in zip(*pair, strict=False))
    characters = same / sum(map(len, references))
    try:
        bleu = BLEU(tokenize)
    except ImportError:
        score = 'which needs "keras-twa[bleu]"'
    else:
        bleu.update_state(references, texts)
        score = f"{bleu.result():.1f}"
    return (
        f"{100 * right:.1f} % of {len(texts)} texts right, "
        f"{100 * characters:.1f} % of their characters, BLEU {score}"
    )


def _some(
    sources: np.ndarray, targets: np.ndarray, size: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """At most `size` pairs, drawn at random: files are often sorted by length."""
    rows = np.random.default_rng(seed).permutation(len(sources))[:size]
    return sources[np.sort(rows)], targets[np.sort(rows)]


def _decoded(tokens: np.ndarray) -> list[str]:
    return [text_pairs.decode(row) for row in tokens]


def _trigrams(tokens: np.ndarray) -> np.ndarray:
    """Counts of hashed trigrams of each row, as vectors of length 1."""
    grams = (tokens[:, :-2] * 31 + tokens[:, 1:-1]) * 31 + tokens[:, 2:]
    counts = np.zeros((len(tokens), HASHES), "float32")
    rows = np.arange(len(tokens))[:, None]
    np.add.at(counts, (rows, grams % HASHES), tokens[:, 2:] > 0)
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1.0)


def _settings(**changes: Any) -> Settings:
    everything: dict[str, Any] = {
        "max_length": 128,
        "schedule": "inverse_sqrt",
        "weight_decay": 0.0,
        "beta_2": 0.98,
        "batch_size": 64,
    }
    return Settings(**everything | changes)


DATES = Task(
    name="dates",
    title="translation byte by byte",
    load=load,
    build_model=build_model,
    loss=loss,
    metrics=metrics,
    metric=Metric("texts_right"),
    baselines=baselines,
    explanations={
        COPY: "the target of the training source with the most similar trigrams"
    },
    caveats=(
        "A text is right if all its bytes are, each predicted after the right ones "
        "before it. This is the accuracy of greedy search.",
    ),
    presets={
        "quick": _settings(
            num_train=20_000,
            num_validation=1_000,
            num_test=1_000,
            embedding_dim=64,
            intermediate_dim=128,
            dropout=0.0,
            learning_rate=2e-3,
            warmup_steps=200,
            epochs=4,
        ),
        # For the sentences of a file.
        "full": _settings(
            num_train=None,
            num_validation=None,
            num_test=None,
            num_layers=4,
            embedding_dim=256,
            num_heads=8,
            intermediate_dim=1024,
            learning_rate=7e-4,
            warmup_steps=4_000,
            epochs=20,
        ),
    },
    used=(
        "max_length",
        *presets.COUNTS,
        *presets.TRANSFORMER,
        *presets.TRAINING,
    ),
    requires=PREDICTS_NEXT,
)
