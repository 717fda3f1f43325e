"""How the page of a report looks: narrow and wide, by day and by night."""

import base64
import html
import re

import matplotlib
import pytest
from matplotlib.font_manager import findfont
from PIL import ImageFont

from keras_twa.experiments.document import STYLE
from keras_twa.experiments.report import write_report
from keras_twa.experiments.summary import Summary
from tests.experiments.canned_results import ATTENTIONS
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison

pytestmark = [pytest.mark.full, pytest.mark.once]

REM = 16
# Of a scroll bar.
BAR = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    results = [canned_result(name, seed) for seed in range(3) for name in ATTENTIONS]
    for result in results:
        result.parameters *= 100
    return write_comparison(tmp_path_factory.mktemp("page"), results)


@pytest.fixture(scope="module")
def page(folder):
    return write_report(folder).read_text("utf-8")


def lengths(selector, name):
    """The numbers of a declaration in the style, in pixels."""
    rules = re.findall(rf"^{selector} {{([^}}]*)}}", STYLE, re.MULTILINE | re.DOTALL)
    (value,) = re.findall(rf"{name}: ([^;]*);", " ".join(rules))
    return [float(x.removesuffix("rem")) * REM for x in value.split()]


def columns(page):
    """The headings of the summary, and how wide each column must be at least.

    In a font that is wider than those of most systems. Headings and names are wrapped
    between words, numbers are not.
    """
    (size,) = lengths("table", "font-size")
    _, side = lengths("th, td", "padding")
    font = ImageFont.truetype(findfont("DejaVu Sans:bold"), round(10 * size))

    def width(text):
        return font.getlength(text) / 10

    def word(text):
        return max(map(width, text.split()))

    (table,) = re.findall("<h2>Summary</h2>\n(<table.*?</table>)", page)
    rows = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in table.split("</tr>")]
    headings, *rows = [row for row in rows if row]
    found = {}
    for index, heading in enumerate(headings):
        cells = [html.unescape(re.sub("<.*?>", "", row[index])) for row in rows]
        wrapped = index == 0
        chip = 1.2 * size if wrapped else 0.0
        widest = max(chip + (word if wrapped else width)(cell) for cell in cells)
        found[heading] = max(word(heading), widest) + 2 * side
    return found


def room(window):
    """What a window of so many pixels has for the text."""
    _, side, _ = lengths("body", "padding")
    (most,) = lengths("body", "max-width")
    return min(most, window - BAR - 2 * side)


@pytest.mark.parametrize("window", [1024, 1280, 1440, 1920])
def test_a_desktop_shows_the_whole_summary(page, window):
    assert re.search(r"^td { white-space: nowrap; }", STYLE, re.MULTILINE)
    found = columns(page)
    assert {"mechanism", "test accuracy", "parameters", "runs"} <= found.keys()
    assert sum(found.values()) <= room(window)


def test_a_telephone_shows_the_accuracy_first(page):
    first, second, *_ = columns(page).items()
    assert (first[0], second[0]) == ("mechanism", "test accuracy")
    assert first[1] + second[1] <= room(390)


def test_a_difference_of_accuracies_is_in_points(folder, page):
    summary = Summary.load(folder)
    conventional, _, other, *_ = summary.mechanisms
    found = summary.difference(other)
    pairs = zip(other.completed, conventional.completed, strict=True)
    differences = [mine.score - its.score for mine, its in pairs]
    assert found.mean == pytest.approx(sum(differences) / 3)
    text = f"{100 * found.mean:+.1f} ± {100 * found.half_width:.1f}"
    assert "<th>percentage points over conventional</th>" in page
    assert page.count(f"<td>{text}</td>") == 2
    # What is relative says so.
    assert "<th>relative improvement</th>" in page
    (table,) = re.findall("<h2>Summary</h2>\n(<table.*?</table>)", page)
    assert not re.search(r"[+-][\d.]+( ± [\d.]+)? %", table)
    assert summary.difference(conventional) is None


def test_there_is_a_dark_page(page):
    light, dark = re.findall(r":root {([^}]*)}", page)
    assert "@media (prefers-color-scheme: dark)" in page
    assert "color-scheme: light dark" in light
    colours = dict(re.findall(r"(--\w+): (#\w+)", light))
    assert colours.keys() == dict(re.findall(r"(--\w+): (#\w+)", dark)).keys()
    # All other colours are of both.
    rest = page.partition("body {")[2].partition("</style>")[0]
    assert set(re.findall(r"#\w{3,6}\b", rest)) == {"#ffffff", "#e69f00"}
    assert "background: var(--page); color: var(--ink)" in rest
    for text in (light, dark):
        found = dict(re.findall(r"(--\w+): (#\w+)", text))
        for ground in ("--page", "--band", "--notice"):
            for ink in ("--ink", "--soft"):
                assert contrast(found[ink], found[ground]) > 4.5


def test_figures_are_readable_on_a_dark_page(page):
    figures = re.findall(r"base64,([^\"]*)", page)
    assert len(figures) == 6
    for figure in figures:
        # The first thing that is drawn is a white ground.
        first = re.search(
            r"<path[^>]*style=\"fill: (#\w+)", base64.b64decode(figure).decode()
        )
        assert first[1] == "#ffffff"


def test_settings_of_the_user_do_not_reach_a_report(folder, page):
    user = {
        "text.usetex": True,
        "savefig.facecolor": "black",
        "axes.formatter.use_mathtext": True,
        "savefig.format": "pdf",
        "font.size": 30,
    }
    with matplotlib.rc_context(user):
        again = write_report(folder).read_text("utf-8")
        assert matplotlib.rcParams["text.usetex"]
    assert again == page


def contrast(one, other):
    """The contrast of two colours, as WCAG defines it."""

    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [
            part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
            for part in parts
        ]
        return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)
