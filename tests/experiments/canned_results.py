"""A comparison with made-up results, for the tests of reports."""

import math
from pathlib import Path

import numpy as np

from keras_twa.experiments.config import Experiment
from keras_twa.experiments.config import preset_settings
from keras_twa.experiments.results import Result
from keras_twa.experiments.results import write_json

ATTENTIONS = (
    "dot_product",
    "temporal_weighted",
    "gravitational",
    "multi_timescale",
    "gravitational_multi_timescale",
)
ENVIRONMENT = {
    "keras_twa": "0.1.0",
    "commit": "abc1234",
    "keras": "3.15.1",
    "backend": "jax",
    "jax": "0.10.2",
    "device": "CPU",
    "memory": 16 * 10**9,
}


def canned_result(attention, seed, epochs=6, status="completed", reason=""):
    """A result whose accuracy rises with the epochs and differs by mechanism."""
    rng = np.random.default_rng([ATTENTIONS.index(attention), seed])
    place = ATTENTIONS.index(attention)
    best = 0.36 + 0.02 * place + rng.normal(0, 0.01)
    seconds = 5.0 + 4 * place + rng.uniform()
    settings = preset_settings("listops", "quick")
    result = Result(Experiment("listops", attention, seed, "quick", "auto", settings))
    result.status, result.reason, result.starts = status, reason, 1
    result.environment = dict(ENVIRONMENT)
    result.parameters = 77_770 + 20_000 * place
    result.memory = {
        "before_model": 600_000_000,
        "peak": 900_000_000 + 10**8 * place,
        "device_peak": None,
    }
    for epoch in range(1, epochs + 1):
        accuracy = best - (best - 0.12) * math.exp(-epoch / (1.5 + 0.3 * place))
        result.curve.append(
            {
                "epoch": epoch,
                "train_loss": 2.3 * math.exp(-epoch / 9),
                "train_accuracy": accuracy + 0.02,
                "validation_loss": 2.3 * math.exp(-epoch / 11),
                "validation_accuracy": accuracy,
                "seconds": seconds,
                "total_seconds": seconds * epoch,
            }
        )
    if status == "completed":
        result.best_epoch = epochs
        accuracy = best + rng.normal(0, 0.005)
        result.test = {"accuracy": accuracy, "loss": 1.6 - best}
        result.compile_seconds = 8.0 + 2 * place
        result.wall_seconds = 60.0 + 10 * place
    return result


def write_comparison(folder, results, **facts):
    """Writes results, attention maps and `comparison.json` as a comparison does."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    first = results[0].experiment
    write_json(
        folder / "comparison.json",
        {
            "format": 2,
            "task": first.task,
            "preset": first.preset,
            "data": first.data,
            "backend": "jax",
            "settings": first.to_json()["settings"],
            "note": "Expressions of 2 to 64 tokens.",
            "source": "generated",
            "rows": {"train": 16_000, "validation": 1_000, "test": 2_000},
            "baselines": {"majority": 0.116, "root operator": 0.251},
            **facts,
        },
    )
    for result in results:
        run = folder / result.experiment.name
        run.mkdir(exist_ok=True)
        result.save(run / "result.json")
        if result.status == "completed":
            place = ATTENTIONS.index(result.experiment.attention)
            distance = np.abs(np.subtract.outer(np.arange(24), np.arange(24)))
            weights = np.exp(-distance / (2 + 3 * place))[None].repeat(4, 0)
            weights /= weights.sum(-1, keepdims=True)
            np.savez_compressed(
                run / "attention.npz",
                symbols=np.array(["[MAX", *"123456789", *"123456789", *"1234", "]"]),
                layer0=weights.astype("float16"),
                layer1=weights[..., ::-1].astype("float16"),
            )
    return folder
