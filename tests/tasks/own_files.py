"""Small files, as users have them."""

import numpy as np


def write_table(path, kind="classification", series=14):
    """Writes a table of series at uneven times, and returns its path.

    The target is the sign of the mean of "x", or that mean.
    """
    rng = np.random.default_rng(0)
    lines = ["id,when,x,place,target"]
    for number in range(series):
        level = (-1) ** number * (1 + number / series)
        target = f"{level:.3f}" if kind == "regression" else ("low", "high")[level > 0]
        when = np.datetime64("2026-01-31T13:45")
        for _ in range(3 + number % 3):
            value = level + rng.normal(scale=0.1)
            lines.append(f"s{number},{when},{value:.4f},here,{target}")
            when += np.timedelta64(int(rng.integers(1, 60)), "m")
    path.write_text("\n".join(lines))
    return path


def write_tokens(path, sequences=14):
    """Writes sequences of tokens, whose class is their last one."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(1, 9, size=(sequences, 6))
    tokens[:, -1] = 1 + np.arange(sequences) % 2
    tokens[::3, 0] = 0
    np.savez(path, x=tokens, y=tokens[:, -1])
    return path
