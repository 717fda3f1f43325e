"""The tables of a run: title, headings and rows of text, for screen and document."""

from dataclasses import dataclass

import targets
from cases import KERAS
from cases import forward_name


@dataclass
class Table:
    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self):
        lines = [self.headings, ["---"] + ["---:"] * (len(self.headings) - 1)]
        lines += self.rows
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def rich(self):
        from rich import box
        from rich.table import Table as RichTable

        shown = RichTable(title=self.title, box=box.SIMPLE_HEAD)
        for number, heading in enumerate(self.headings):
            justify = "right" if number else "left"
            shown.add_column(heading, justify=justify, no_wrap=True)
        for row in self.rows:
            shown.add_row(*row)
        return shown


def all_tables(report):
    """The tables of one run."""
    measured = case_tables(report) if "cases" in report else [scaling_table(report)]
    return [*measured, target_table(report["targets"])]


def notes(report):
    """Notes that readers need to understand the tables."""
    speed = report["operations_per_second"]
    found = [f"Matrix products: {speed / 1e9:,.0f} GFLOP/s."]
    if "cases" in report:
        seconds = attention_products(report["settings"]) / speed
        found.append(
            "The seven products of attention, forward and backward with the scores "
            f"computed twice, would take {milliseconds(seconds)} ms at that speed."
        )
    return found


def attention_products(sizes):
    """Operations in the matrix products of all pairs, forward and backward."""
    pairs = sizes["batch"] * sizes["heads"] * sizes["length"] ** 2
    return 7 * 2 * pairs * sizes["dim"]


def case_tables(report):
    """Time and memory of each case, forward and backward, and forward only if run."""
    sizes = report["settings"]
    title = ", ".join(
        f"{key} {sizes[key]}" for key in ("length", "batch", "heads", "dim")
    )
    both, inference = (
        [result for result in report["cases"] if result["forward"] == forward]
        for forward in (False, True)
    )
    peers = {result["name"]: result for result in report["cases"]}
    found = [
        Table(
            f"Forward + backward, {title}",
            ("layer", "ms", "range", "/ Keras", "MB", "/ Keras"),
            [
                (*time_cells(result, peers[KERAS]), *memory_cells(result, peers[KERAS]))
                for result in both
            ],
        ),
        Table(
            f"Forward only, {title}",
            ("layer", "ms", "range", "/ Keras"),
            [time_cells(result, peers[forward_name(KERAS)]) for result in inference],
        ),
    ]
    return [table for table in found if table.rows]


def time_cells(result, peer):
    name = result["name"] + (" (a whole block)" if result["whole_block"] else "")
    if "problem" in result:
        return name, result["problem"], "", ""
    seconds = result["seconds"]
    spread = f"{milliseconds(min(seconds))}-{milliseconds(max(seconds))}"
    return (
        name,
        milliseconds(result["median"]),
        spread,
        shown(targets.ratio(result, peer, "time")),
    )


def memory_cells(result, peer):
    if "problem" in result:
        return "", ""
    measured = targets.ratio(result, peer, "memory")
    return f"{result['memory'] / 1e6:.0f}", shown(measured)


def target_table(rows):
    """Each target, the measurement, and whether it is met."""
    return Table(
        "Targets",
        ("target", "measured", "at most", "verdict"),
        [(row["target"], measured(row), limit(row), row["verdict"]) for row in rows],
    )


def measured(row):
    return "-" if row["measured"] is None else number(row["measured"], row)


def limit(row):
    return number(row["most"], row)


def number(value, row):
    if row["unit"]:
        return f"{value:,.0f} {row['unit']}"
    return f"{value:.2f}" if row["most"] > 0.01 else f"{value:.0e}"


def scaling_table(report):
    """Slopes, and time and memory of the longest sequence."""
    rows = []
    for series in report["series"]:
        points = series["points"]
        name = series["name"] + (" (a whole block)" if series["whole_block"] else "")
        last = points[-1] if points else None
        rows.append(
            (
                name,
                slope(series["median_slope"]),
                slope(series["memory_slope"]),
                f"{last['length']:,}" if last else "-",
                f"{last['median']:.3g}" if last else "-",
                f"{last['memory'] / 1e6:,.0f}" if last else "-",
                series["stopped"] or "",
            )
        )
    headings = ("layer", "time slope", "memory slope", "longest", "s", "MB", "stopped")
    return Table("Against the length, batch 1", headings, rows)


def slope(value):
    return "-" if value is None else f"{value:.2f}"


def shown(value):
    return value if isinstance(value, str) else f"{value:.2f}"


def milliseconds(seconds):
    return f"{1e3 * seconds:.{0 if seconds >= 0.1 else 1}f}"
