"""Figures of this package: of no window, and of no backend of Matplotlib's."""

import io
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from keras_twa.style import STYLE


class LooseFigure(Figure):
    """A Matplotlib figure that `pyplot` does not know.

    Making one neither chooses a backend nor leaves a window behind. A notebook shows
    it, as it shows any other picture.

    Args:
        **options: As of `matplotlib.figure.Figure`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        FigureCanvasAgg(self)

    def finish(self) -> None:
        """Makes the labels of the ticks now, by the settings that hold now."""
        self.draw_without_rendering()

    def _repr_png_(self) -> bytes:
        # What notebooks ask objects for.
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", bbox_inches="tight")
        return buffer.getvalue()


def house_style() -> Any:
    """A context of Matplotlib's settings in which a report's figures are made.

    The user's own settings do not count: they may need LaTeX, or fonts that are not
    there, and the same results should make the same report.
    """
    defaults = dict(matplotlib.rcParamsDefault)
    # Setting it would choose one.
    del defaults["backend"]
    return matplotlib.rc_context({**defaults, **STYLE})
