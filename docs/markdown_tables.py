"""Tables in Markdown."""


def markdown(rows):
    """Rows of cells as a Markdown table, of which the first is the header."""
    header, *others = rows
    lines = [header, ["---"] * len(header), *others]
    # A bar ends a cell, even inside code.
    cells = [[str(x).replace("|", r"\|") for x in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
