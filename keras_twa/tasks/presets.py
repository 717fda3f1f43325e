"""Sizes and training recipes that presets of several tasks share."""

from typing import Any

# Skyformer and Nystroemformer use this size for all their models.
SKYFORMER: dict[str, Any] = {
    "embedding_dim": 64,
    "num_heads": 2,
    "intermediate_dim": 128,
    "positions": "learned",
    "weight_decay": 0.0,
    "max_steps": 50_000,
}

# The sizes and the optimizer of the LRA paper; its code uses 4 layers.
LRA_PAPER: dict[str, Any] = {
    "num_layers": 6,
    "embedding_dim": 512,
    "num_heads": 8,
    "intermediate_dim": 2048,
    "pooling": "cls",
    "schedule": "inverse_sqrt",
    "weight_decay": 0.1,
    "beta_2": 0.98,
    "epsilon": 1e-9,
}

# Small enough to see all five mechanisms learn on two cores.
QUICK: dict[str, Any] = {
    "embedding_dim": 64,
    "intermediate_dim": 128,
    "dropout": 0.0,
    "schedule": "cosine",
    "batch_size": 64,
    "num_heads": 2,
    "max_buckets": 2,
    "learning_rate": 2e-3,
    "warmup_steps": 50,
}

# All the training data, and the smallest model that learns from it: one pass over the
# rows takes minutes for each mechanism on two cores.
SMALL: dict[str, Any] = {
    **QUICK,
    "num_layers": 1,
    "embedding_dim": 32,
    "num_heads": 1,
    "batch_size": 32,
    "epochs": 1,
}

# A caveat of both its tasks.
LRA_CAVEAT = (
    "Long Range Arena measures locality and the training recipe as much as long range: "
    "see its baselines above."
)

# The settings that have an effect in every task: those of the optimizer, and when
# training ends.
TRAINING = (
    "batch_size",
    "learning_rate",
    "warmup_steps",
    "schedule",
    "weight_decay",
    "beta_2",
    "epsilon",
    "clipnorm",
    "epochs",
    "max_steps",
    "patience",
)
# Those of tasks with as many rows as asked for.
COUNTS = ("num_train", "num_validation", "num_test")
# Those of tasks with a Transformer.
TRANSFORMER = (
    "data_seed",
    "num_layers",
    "embedding_dim",
    "num_heads",
    "intermediate_dim",
    "dropout",
)
