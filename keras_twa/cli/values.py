"""Values of options that are lists or numbers."""

import argparse


def workers(text: str) -> int:
    """Returns a number of runs at once."""
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected a positive integer. Received: {text!r}")


def rates(text: str) -> tuple[float, ...]:
    """Returns learning rates such as `1e-3,3e-3`."""
    # It needs NumPy, which takes longer to import than `keras-twa --help` should.
    from keras_twa.experiments.sweep import check_rates

    try:
        return check_rates([float(part) for part in text.split(",")])
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected positive numbers such as 1e-3,3e-3. Received: {text!r}"
        ) from None


def integers(text: str) -> list[int]:
    """Returns integers such as `0,1,2`, each once."""
    try:
        return list(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected integers such as 0,1,2. Received: {text!r}"
        ) from None
