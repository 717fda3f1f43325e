"""Means over rows, of values that come batch by batch."""

from typing import Any


class Means:
    """Means over rows of the values of batches.

    Args:
        sums: Sums of value times rows by name, and the number of rows as "rows". In
            checkpoints of earlier versions, a list of loss, accuracy and rows.
    """

    def __init__(self, sums: Any = None) -> None:
        if isinstance(sums, list):
            sums = dict(zip(("loss", "accuracy", "rows"), sums, strict=True))
        self.sums: dict[str, float] = dict(sums or {})

    def add(self, logs: dict[str, float], rows: float) -> None:
        """Adds the values of a batch, and how many rows it counts as."""
        for name, value in {**logs, "rows": 1.0}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * rows

    @property
    def values(self) -> dict[str, float]:
        """The means by name."""
        rows = self.sums.get("rows", 0.0)
        return {name: x / rows for name, x in self.sums.items() if name != "rows"}
