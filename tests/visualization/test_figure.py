"""Figures leave the user's own Matplotlib as it is, and show themselves."""

import subprocess
import sys
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import pyplot
from matplotlib.text import Text

from keras_twa.layers import DotProductAttention
from keras_twa.visualization import attention_heatmaps
from keras_twa.visualization import position_weights

ROOT = Path(__file__).resolve().parents[2]
ROWS = np.random.default_rng(0).normal(size=(1, 6, 8)).astype("float32")


@pytest.fixture
def layer():
    layer = DotProductAttention(2, 4, name="my_$layer_$")
    layer(ROWS, ROWS)
    return layer


def figures(layer):
    model = keras.Sequential([layer])
    model(ROWS)
    return attention_heatmaps(layer, ROWS), position_weights(layer, inputs=ROWS)


@pytest.mark.parametrize(
    "chosen", ["", pytest.param("matplotlib.use('pdf')", marks=pytest.mark.full)]
)
def test_importing_and_drawing_chooses_no_backend(chosen, tmp_path):
    code = f"""
import matplotlib
{chosen}
def backend():
    return matplotlib.rcParams._get_backend_or_none()
before = backend()
import keras_twa.experiments.report
import keras_twa.visualization
assert backend() == before, backend()
from tests.experiments.canned_results import canned_result, write_comparison
results = [canned_result("dot_product", 0), canned_result("gravitational", 0)]
folder = write_comparison({str(tmp_path)!r}, results)
keras_twa.experiments.report.write_report(folder)
from keras_twa.layers import RetentionAttention
layer = RetentionAttention(2, 4)
layer.build((None, None, 8))
keras_twa.visualization.position_weights(layer).savefig({str(tmp_path / "x.png")!r})
assert backend() == before, backend()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_figures_need_no_latex(layer, tmp_path):
    with matplotlib.rc_context({"text.usetex": True}):
        for figure in figures(layer):
            # Also what is made only when it is drawn.
            figure.savefig(tmp_path / "figure.svg")
            texts = figure.findobj(Text)
            assert texts
            assert not any(text.get_usetex() for text in texts)


def test_names_are_drawn_as_they_are(layer):
    figure, _ = figures(layer)
    label = figure.axes[0].yaxis.label
    assert label.get_text().startswith("my_$layer_$")
    assert not label.get_parse_math()


def test_figures_show_themselves_and_are_no_window(layer):
    before = pyplot.get_fignums()
    for figure in figures(layer):
        shown, _ = DisplayFormatter().format(figure)
        assert shown["image/png"].startswith(b"\x89PNG")
    assert pyplot.get_fignums() == before
