"""Tables in narrow terminals, and in those that know little more than ASCII."""

import io

import pytest
import rich.console

from keras_twa.cli import benchmark
from keras_twa.experiments.benchmark import KERAS
from keras_twa.experiments.benchmark import Timing
from keras_twa.experiments.fitted_table import FittedTable
from keras_twa.experiments.fitted_table import folded
from keras_twa.experiments.terminal import results_table
from keras_twa.experiments.text import encodable
from keras_twa.tasks import Metric
from tests.experiments.canned_results import ATTENTIONS
from tests.experiments.canned_results import canned_result

pytestmark = pytest.mark.once

WIDTHS = (40, 60, 80, 120)


def shown(table, width, encoding="utf-8"):
    """The lines of a table in such a terminal."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    rich.console.Console(file=file, width=width).print(table)
    file.flush()
    lines = raw.getvalue().decode(encoding).splitlines()
    assert max(map(len, lines)) <= width
    return lines


def first_column(lines):
    """What stands in the column of names, its lines put together."""
    end = lines[1].index("accuracy") if "accuracy" in lines[1] else None
    return "".join(line[:end].split("  ")[0].strip() for line in lines)


def results(seeds=(0, 1)):
    found = [canned_result(name, seed) for name in ATTENTIONS for seed in seeds]
    found[-1].status = "failed"
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_names_and_intervals_are_in_every_table(width):
    lines = shown(results_table(results(), {"majority": 0.1}, Metric()), width)
    text = "\n".join(lines)
    for heading in ("mechanism", "accuracy", "runs"):
        assert heading in lines[1]
    assert text.count("±") == len(ATTENTIONS) - 1
    accuracies = [run.score for run in results()[:2]]
    mean = f"{50 * sum(accuracies):.1f} % ± "
    assert mean in text
    for name in (*ATTENTIONS, "majority"):
        assert name in first_column(lines)
    assert "failed" in text
    left_out = "weights" not in lines[1]
    assert ("A wider terminal also shows" in text) == left_out == (width < 120)


@pytest.mark.parametrize("width", WIDTHS)
def test_times_come_with_how_they_vary(width):
    timings = [
        Timing(name, False, 1_234_567, [0.1234, 1.2345, 2.3456], "")
        for name in (KERAS, "gravitational_multi_timescale")
    ]
    text = " ".join(" ".join(shown(benchmark._table(timings), width)).split())
    for part in ("1,234.5 ms", "123.4 ms to", "2,345.6 ms", "median", "fastest to"):
        assert text.count(part) >= 1
    assert "multi_" in text and "keras.layers." in text


def test_a_table_in_ascii_is_aligned():
    lines = shown(results_table(results(), {"majorität": 0.1}, Metric()), 80, "ascii")
    text = "\n".join(lines)
    assert "+/-" in text and r"majorit\xe4t" in text
    assert len({len(line) for line in lines if line.startswith(("|", "+"))}) == 1


def test_what_an_encoding_lacks_is_spelled_out():
    assert encodable("1 ± 2 – é", "ascii") == r"1 +/- 2 - \xe9"
    assert encodable("1 ± 2 – é", "latin-1") == "1 ± 2 - é"
    assert encodable("1 ± 2 – é") == "1 ± 2 – é"
    assert encodable(b"caf\xe9".decode("utf-8", "surrogateescape")) == r"caf\xe9"
    assert encodable("\u03b1\U0001f600", "ascii") == r"\u03b1\U0001f600"


def test_cells_are_printed_as_they_are():
    awkward = "[red]x[/b] [link] :smile: \\[y]"
    table = FittedTable(["[name]", "number"], "[name]")
    table.add_row(awkward, awkward, style="bold")
    text = "\n".join(shown(table, 120))
    assert text.count(awkward) == 2
    assert "[name]" in text


def test_names_are_folded_between_their_words():
    name = "gravitational_multi_timescale"
    assert folded(name, 29) == name
    assert folded(name, 20) == "gravitational_multi_\ntimescale"
    assert folded(f"{name}\n  a=1, b=2", 14).replace("\n", "") == f"{name}  a=1, b=2"
    assert folded("abcdefgh", 3) == "abc\ndef\ngh"
