"""The sizes and the training that presets of probes share."""

from typing import Any

from keras_twa.tasks.settings import Settings
from keras_twa.tasks.settings import check_choice

# The learning rates of a sweep, by the first word of a preset's name. The sweep ends
# when a rate solves the probe, so the first rates are those that do most often.
RATES = {
    "quick": (3e-3, 1e-2, 1e-3),
    "standard": (3e-3, 1e-3, 1e-2, 3e-4),
    "paper": (2.2e-3, 4.6e-4, 1e-2, 1e-4),
}
_SHARED: dict[str, Any] = {
    "num_layers": 2,
    "dropout": 0.0,
    "positions": "rotary",
    "weight_decay": 0.0,
    "beta_2": 0.99,
    "patience": 1_000,
}


def rates(preset: str) -> tuple[float, ...]:
    """Returns the learning rates of a sweep, which are the same for all mechanisms.

    Args:
        preset: The name of a preset of probes.

    Raises:
        ValueError: If there are none for it.
    """
    kind = preset.partition("_")[0]
    check_choice("preset", kind, RATES)
    return RATES[kind]


def quick(**changes: Any) -> Settings:
    """Returns settings with which a run takes seconds on one core."""
    return Settings(
        **{
            **_SHARED,
            "num_train": 3_200,
            "num_validation": 256,
            "num_test": 256,
            "embedding_dim": 32,
            "num_heads": 1,
            "intermediate_dim": 64,
            "batch_size": 32,
            "learning_rate": 3e-3,
            "warmup_steps": 50,
            "schedule": "constant",
            "epochs": 6,
            **changes,
        }
    )


def standard(**changes: Any) -> Settings:
    """Returns settings with which a run takes minutes on one core."""
    return Settings(
        **{
            **_SHARED,
            "num_train": 32_000,
            "num_validation": 1_024,
            "num_test": 2_048,
            "embedding_dim": 64,
            "num_heads": 1,
            "intermediate_dim": 128,
            "batch_size": 64,
            "learning_rate": 3e-3,
            "warmup_steps": 200,
            "schedule": "cosine",
            "epochs": 10,
            **changes,
        }
    )


def paper(**changes: Any) -> Settings:
    """Returns settings of published sizes, for a GPU."""
    dim = changes.get("embedding_dim", 128)
    return Settings(
        **{
            **_SHARED,
            "num_train": 12_800,
            "num_validation": 1_280,
            "num_test": 1_280,
            "embedding_dim": dim,
            "num_heads": 1,
            "intermediate_dim": 4 * dim,
            "batch_size": 128,
            "learning_rate": 1e-3,
            "warmup_steps": 1_000,
            "schedule": "cosine",
            "epochs": 200,
            **changes,
        }
    )
