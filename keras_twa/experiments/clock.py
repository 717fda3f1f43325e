"""Times the steps of a run, and separates compilation."""

import math
import statistics
from collections import defaultdict
from typing import Any


class StepClock:
    """Times steps, and splits the first step of each shape, which may compile.

    The time of a compiled step is that of the later steps of its shape. Without
    later steps, it is estimated from the time per token of other shapes. The rest
    of the first step is compilation.

    Args:
        compilation: Seconds of compilation by kind and shape from earlier processes
            of the same run. Compiling the same shapes again does not count.
    """

    def __init__(self, compilation: dict[str, float] | None = None) -> None:
        self.compilation = dict(compilation or {})
        self._first: dict[str, float] = {}
        self._steady: dict[str, list[float]] = defaultdict(list)
        self._tokens: dict[str, int] = {}
        self._epoch_seconds = 0.0
        self._epoch_first: list[str] = []

    def start_epoch(self, seconds: float = 0.0) -> None:
        """Starts an epoch; `seconds` of it have been counted before."""
        self._epoch_seconds = seconds
        self._epoch_first = []

    def add(self, kind: str, shape: tuple[Any, ...], seconds: float) -> None:
        """Records one step.

        Args:
            kind: `"train"` or `"evaluate"`.
            shape: The shape of its inputs, or the shapes of several.
            seconds: Its seconds.
        """
        shapes = shape if shape and isinstance(shape[0], tuple) else (shape,)
        key = f"{kind} {' '.join('x'.join(map(str, each)) for each in shapes)}"
        if key in self._first:
            self._steady[key].append(seconds)
            if kind == "train":
                self._epoch_seconds += seconds
            return
        self._first[key] = seconds
        self._tokens[key] = sum(map(math.prod, shapes))
        if kind == "train":
            self._epoch_first.append(key)

    @property
    def epoch_seconds(self) -> float:
        """Seconds of the training steps of this epoch, without compilation."""
        return self._epoch_seconds + sum(map(self._step_seconds, self._epoch_first))

    @property
    def compile_seconds(self) -> float:
        """Seconds of compilation, of training and evaluation together."""
        for key, seconds in self._first.items():
            if key not in self.compilation and self._steady:
                extra = max(0.0, seconds - self._step_seconds(key))
                self.compilation[key] = extra
        return sum(self.compilation.values())

    def _step_seconds(self, key: str) -> float:
        if self._steady[key]:
            return statistics.median(self._steady[key])
        kind = key.split()[0]
        per_token = [
            statistics.median(seconds) / self._tokens[other]
            for other, seconds in self._steady.items()
            if seconds and other.startswith(kind)
        ]
        if not per_token:
            return self._first[key]
        return statistics.median(per_token) * self._tokens[key]
