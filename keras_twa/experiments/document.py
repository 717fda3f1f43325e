"""A report as a list of blocks, written as Markdown and as one HTML file.

Texts may contain `code` and **bold**, see `markup`. Text from other sources goes
through `literal` or `code` of that module.
"""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from keras_twa.experiments.markup import plain_text
from keras_twa.experiments.markup import to_html
from keras_twa.experiments.markup import to_markdown

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1c2430; --soft: #5d6875;
  --line: #e3e7ec; --band: #f6f8fa; --notice: #fff8e6; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181f; --ink: #e4e9f0; --soft: #a3afbd; --line: #303a47;
    --band: #1c222b; --notice: #33290f; }
}
body { margin: 0 auto; max-width: 62rem; padding: 2rem 1.5rem 4rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-bottom: .25rem;
  border-bottom: 1px solid var(--line); }
h1, p, li { overflow-wrap: break-word; }
p, li { max-width: 48rem; }
table { border-collapse: collapse; margin: .8rem 0; font-size: .9rem;
  display: block; overflow-x: auto; }
th, td { padding: .4rem .5rem; text-align: right; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; }
td { white-space: nowrap; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
thead tr, tbody tr { background: var(--page); }
th:first-child, td:first-child { text-align: left; white-space: normal;
  position: sticky; left: 0; background: inherit; }
table.text td, table.text th { text-align: left; white-space: normal; }
tbody tr:nth-child(odd) { background: var(--band); }
img { max-width: 100%; height: auto; margin: .4rem 0; background: #ffffff;
  border-radius: 4px; }
blockquote { margin: 1rem 0; padding: .6rem 1rem; background: var(--notice);
  border-left: 4px solid #e69f00; }
blockquote p { margin: 0; }
.chip { display: inline-block; width: .7em; height: .7em; border-radius: 50%;
  margin-right: .5em; box-shadow: 0 0 0 1px var(--soft); }
code { font-size: .88em; background: var(--band); padding: .1em .3em;
  border-radius: 3px; overflow-wrap: anywhere; }
"""


@dataclass
class Heading:
    """The heading of a section, or of the document."""

    text: str
    level: int = 2


@dataclass
class Paragraph:
    """A paragraph; `notice` highlights it."""

    text: str
    notice: bool = False


@dataclass
class Bullets:
    """A list of sentences."""

    items: Sequence[str]


@dataclass
class Table:
    """Rows of strings; numbers to the right unless `text`.

    Args:
        header: Headings of the columns.
        rows: The rows.
        colours: CSS colours for the first cells of rows, `None` for none.
        text: Whether the cells are text.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    colours: Sequence[str | None] = field(default_factory=list)
    text: bool = False


@dataclass
class Figure:
    """A drawing.

    Args:
        name: Name of its file, without ending.
        svg: The drawing for HTML.
        png: The drawing for Markdown.
        caption: A description of the drawing.
    """

    name: str
    svg: bytes
    png: bytes
    caption: str


Block = Heading | Paragraph | Bullets | Table | Figure


def write_markdown(blocks: Sequence[Block], path: Path) -> None:
    """Writes Markdown, and the figures in a folder `figures` beside it."""
    parts = []
    for block in blocks:
        match block:
            case Heading():
                parts.append(f"{'#' * block.level} {to_markdown(block.text)}")
            case Paragraph():
                text = to_markdown(block.text)
                parts.append(f"> {text}" if block.notice else text)
            case Bullets():
                items = map(to_markdown, block.items)
                parts.append("\n".join(f"- {item}" for item in items))
            case Table():
                parts.append(_markdown_table(block))
            case Figure():
                folder = path.parent / "figures"
                folder.mkdir(exist_ok=True)
                (folder / f"{block.name}.png").write_bytes(block.png)
                caption = to_markdown(block.caption)
                parts.append(f"![{caption}](figures/{block.name}.png)")
                parts.append(f"*{caption}*")
    path.write_text("\n\n".join(parts) + "\n", "utf-8")


def write_html(blocks: Sequence[Block], path: Path) -> None:
    """Writes one HTML file that needs nothing else."""
    title = next((b.text for b in blocks if isinstance(b, Heading)), "Report")
    body = "\n".join(block_html(block) for block in blocks)
    path.write_text(
        "<!DOCTYPE html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(plain_text(title))}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n",
        "utf-8",
    )


def _markdown_table(table: Table) -> str:
    align = [":--"] + [":--" if table.text else "--:"] * (len(table.header) - 1)
    lines = [table.header, align, *table.rows]
    return "\n".join(
        f"| {' | '.join(_markdown_cell(cell) for cell in line)} |" for line in lines
    )


def _markdown_cell(text: str) -> str:
    # A bar ends a cell, even inside code.
    return to_markdown(text).replace("|", r"\|")


def block_html(block: Block) -> str:
    """Returns a block as a part of an HTML page."""
    match block:
        case Heading():
            return f"<h{block.level}>{to_html(block.text)}</h{block.level}>"
        case Paragraph():
            text = f"<p>{to_html(block.text)}</p>"
            return f"<blockquote>{text}</blockquote>" if block.notice else text
        case Bullets():
            items = "".join(f"<li>{to_html(item)}</li>" for item in block.items)
            return f"<ul>{items}</ul>"
        case Table():
            return _html_table(block)
        case Figure():
            data = base64.b64encode(block.svg).decode()
            caption = html.escape(plain_text(block.caption), quote=True)
            return (
                f'<figure style="margin:0"><img alt="{caption}" '
                f'src="data:image/svg+xml;base64,{data}">'
                f"<figcaption><p>{to_html(block.caption)}</p></figcaption></figure>"
            )


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{to_html(cell)}</th>" for cell in table.header)
    colours = list(table.colours) + [None] * (len(table.rows) - len(table.colours))
    rows = []
    for row, colour in zip(table.rows, colours, strict=True):
        chip = (
            f'<span class="chip" style="background:{colour}"></span>' if colour else ""
        )
        cells = [f"<td>{chip}{to_html(row[0])}</td>"]
        cells += [f"<td>{to_html(cell)}</td>" for cell in row[1:]]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    kind = ' class="text"' if table.text else ""
    return (
        f"<table{kind}><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
