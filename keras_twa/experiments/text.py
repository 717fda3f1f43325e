"""Numbers and errors as people read them."""


def accuracy_text(value: float | None) -> str:
    """Returns 0.3642 as `36.4 %`."""
    return "–" if value is None else f"{100 * value:.1f} %"


def seconds_text(value: float | None) -> str:
    """Returns seconds with a sensible number of digits, minutes from 10 on."""
    if value is None:
        return "–"
    if value >= 600:
        return f"{value / 60:.0f} min"
    return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def bytes_text(value: float | None) -> str:
    """Returns bytes as MB or GB."""
    if value is None:
        return "–"
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"


def error_text(error: Exception) -> str:
    """Returns the kind of an error and the first line that it says."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]
