"""What others wrote comes out of a report as they wrote it."""

import html
import re

import pytest
from markdown_it import MarkdownIt

from keras_twa.experiments import markup
from keras_twa.experiments.document import Heading
from keras_twa.experiments.document import Table
from keras_twa.experiments.document import write_html
from keras_twa.experiments.document import write_markdown

pytestmark = pytest.mark.once

AWKWARD = (
    "runs [final]/A",
    "[/b] [red]x[/red] [link](http://x) ![y](z)",
    "<b>bold</b> & &amp; &#65; <script>",
    "`code` ``more`` *soft* **bold** __b__ _i_",
    "a_b_c _ ~~gone~~ \\ \\` \\* $x_1$",
    " spaces  at both ends ",
    "`",
    "a|b",
)


def text_of(page):
    return html.unescape(re.sub(r"<[^>]*>", "", page))


@pytest.mark.parametrize("text", AWKWARD)
@pytest.mark.parametrize("wrap", [markup.literal, markup.code])
def test_it_is_literal(text, wrap):
    marked = f"before {wrap(text)} after"
    want = f"before {text} after"
    assert markup.plain_text(marked) == want
    assert text_of(markup.to_html(marked)) == want
    page = (
        MarkdownIt("commonmark")
        .enable("strikethrough")
        .renderInline(markup.to_markdown(marked))
    )
    assert text_of(page) == want
    tags = re.findall(r"<(\w+)", page + markup.to_html(marked))
    assert tags == (["code"] * 2 if wrap is markup.code else [])


def test_the_markup_of_the_house_is_kept():
    text = r"**Not `a*b`** and `**` \*"
    assert markup.to_html(text) == (
        "<strong>Not </strong><code>a*b</code> and <code>**</code> *"
    )
    assert markup.to_markdown("**Not** `a_b` 5 % ± 1") == "**Not** `a_b` 5 % ± 1"


@pytest.mark.parametrize("text", [*AWKWARD, "two\nlines"])
def test_a_cell_stays_one_cell(text, tmp_path):
    blocks = [Heading(markup.literal(text), 1)]
    blocks += [Table(("name", "n"), [[markup.literal(text), markup.code(text)]])]
    write_markdown(blocks, tmp_path / "r.md")
    page = (
        MarkdownIt("commonmark")
        .enable("table")
        .render((tmp_path / "r.md").read_text("utf-8"))
    )
    cells = re.findall("<td.*?>(.*?)</td>", page)
    want = " ".join(text.splitlines())
    assert [text_of(cell).strip() for cell in cells] == [want.strip()] * 2
    write_html(blocks, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text("utf-8")
    assert html.unescape(re.search("<title>(.*)</title>", page)[1]) == want
    assert text_of(re.search("<h1>(.*)</h1>", page)[1]) == want


def test_bytes_that_are_no_text_are_shown(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    blocks = [Heading(markup.literal(name)), Table(("h",), [[markup.code(name)]])]
    write_html(blocks, tmp_path / "r.html")
    write_markdown(blocks, tmp_path / "r.md")
    for path in tmp_path.iterdir():
        assert r"caf\xe9" in path.read_text("utf-8").replace("\\\\", "\\")
