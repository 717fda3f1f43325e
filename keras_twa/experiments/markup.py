"""The markup of a report, as HTML and as Markdown."""

import html
import re

from keras_twa.experiments.text import encodable

CODE, BOLD, PLAIN = "code", "bold", "plain"
_TOKEN = re.compile(r"\\(?P<literal>[\\`*])|(?P<code>`)|(?P<bold>\*\*)", re.DOTALL)
# Markup in Markdown; underscores only at the ends of words.
_MARKDOWN = re.compile(r"[\\`*\[\]<>~$]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")


def literal(text: str) -> str:
    """Returns text from other sources, escaped so that it contains no markup."""
    return re.sub(r"[\\`*]", r"\\\g<0>", " ".join(text.splitlines()))


def code(text: str) -> str:
    """Returns text from other sources as code."""
    return f"`{literal(text)}`"


def spans(text: str) -> list[tuple[str, str]]:
    """Returns the parts of a text, each with its kind: code, bold or plain."""
    found: list[tuple[str, str]] = []
    in_code = in_bold = False

    def add(part: str) -> None:
        kind = CODE if in_code else BOLD if in_bold else PLAIN
        if found and found[-1][0] == kind:
            part = found.pop()[1] + part
        if part:
            found.append((kind, part))

    end = 0
    for token in _TOKEN.finditer(text):
        add(text[end : token.start()])
        end = token.end()
        if token["code"]:
            in_code = not in_code
        elif token["bold"] and not in_code:
            in_bold = not in_bold
        else:
            add(token["literal"] or token["bold"])
    add(text[end:])
    return found


def plain_text(text: str) -> str:
    """Returns a text without its markup."""
    return encodable("".join(part for _, part in spans(text)))


def to_html(text: str) -> str:
    """Returns a text as HTML."""
    tags = {CODE: "code", BOLD: "strong"}
    parts = []
    for kind, part in spans(text):
        escaped = html.escape(encodable(part), quote=False)
        tag = tags.get(kind)
        parts.append(f"<{tag}>{escaped}</{tag}>" if tag else escaped)
    return "".join(parts)


def to_markdown(text: str) -> str:
    """Returns a text as Markdown."""
    parts = []
    for kind, part in spans(text):
        part = encodable(part)
        if kind == CODE:
            parts.append(_markdown_code(part))
        else:
            stars = "**" if kind == BOLD else ""
            parts.append(f"{stars}{_MARKDOWN.sub(_escaped, part)}{stars}")
    return "".join(parts)


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}"


def _markdown_code(text: str) -> str:
    """Code between more backticks than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    # Markdown removes a space at both ends.
    pad = " " if text[:1] in "` " or text[-1:] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"
