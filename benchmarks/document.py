"""Writes the recorded numbers into docs/performance.md, between two marker lines."""

import json
import os
from pathlib import Path

import tables
import targets
from cases import BACKENDS
from cases import KERAS

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN = "<!-- measured: written by benchmarks/attention.py --render -->"
END = "<!-- end of measured -->"
NOTHING = "Nothing is recorded yet."
PACKAGES = ("keras", *BACKENDS, "x-transformers", "keras-hub")
KINDS = ("layers", "scaling")


def write(folder):
    """Writes the tables of all recorded runs of a folder into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(with_measured(text, folder), encoding="utf-8")


def with_measured(text, folder):
    """The text of the document with the tables of a folder."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The document must have the lines {BEGIN!r} and {END!r}.")
    place = Path(os.path.relpath(folder, DOCUMENT.parent)).as_posix()
    return f"{before}{BEGIN}\n\n{render(load(folder), place)}\n\n{END}{after}"


def load(folder):
    """The recorded runs: CPUs first, backend by backend, shortest first."""
    reports = []
    for path in sorted(Path(folder).glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        # Other benchmarks also record in this folder.
        if report.get("kind") in KINDS:
            plot = path.with_suffix(".png")
            reports.append(report | {"plot": plot.name if plot.exists() else None})
    return sorted(
        reports,
        key=lambda report: (
            on_gpu(report),
            BACKENDS.index(report["environment"]["backend"]),
            report["settings"].get("length", 0),
        ),
    )


def on_gpu(report):
    return report["environment"]["device"] != "CPU"


def render(reports, place):
    """All sections in Markdown; `place` is the folder of the plots."""
    parts = []
    for where, family, gpu in (
        ("a CPU", "foundation", False),
        ("a CPU: long sequences", "long", False),
        ("a CPU: later layers and options", "further", False),
        ("a GPU", "foundation", True),
        ("a GPU: long sequences", "long", True),
        ("a GPU: later layers and options", "further", True),
    ):
        here = [
            report
            for report in reports
            if on_gpu(report) == gpu and report.get("family", "foundation") == family
        ]
        layers, scaling = (
            [report for report in here if report["kind"] == kind] for kind in KINDS
        )
        if layers:
            parts += [f"## Targets on {where}", target_table(layers).markdown()]
            if family == "long" and len(layers) > 1:
                parts += [beside_torch(layers).markdown()]
            parts += [f"## Each layer on {where}"]
            for report in layers:
                parts += layers_section(report)
        if scaling:
            parts += [f"## Against the length on {where}"]
            for report in scaling:
                parts += scaling_section(report, place)
    return "\n\n".join(parts) or NOTHING


def target_table(reports):
    """One row for each target, one column for each run."""
    names = [row["target"] for report in reports for row in report["targets"]]
    rows = []
    for name in dict.fromkeys(names):
        by_run = [
            next((row for row in report["targets"] if row["target"] == name), None)
            for report in reports
        ]
        rows.append((name, *map(cell, by_run)))
    headings = tuple(label(report, reports) for report in reports)
    return tables.Table("Targets", ("target", *headings), rows)


def beside_torch(reports):
    """The time of each layer as a multiple of its time on PyTorch."""
    by_name = [
        {found["name"]: found for found in report["cases"]} for report in reports
    ]
    by_backend = {
        report["environment"]["backend"]: found
        for report, found in zip(reports, by_name, strict=True)
    }
    first = by_backend.pop("torch", {})
    others = list(by_backend)
    rows = []
    for name, result in first.items():
        if name == KERAS or not any(name in by_backend[other] for other in others):
            continue
        cells = []
        for other in others:
            against = by_backend[other].get(name)
            found = "not measured"
            if against is not None:
                found = targets.ratio(against, result, "time")
            cells.append(cell(targets.verdict(name, found, targets.MOST_ELSEWHERE)))
        rows.append((f"{name}, time beside torch", *cells))
    return tables.Table("Beside torch", ("layer", *others), rows)


def cell(row):
    if row is None:
        return ""
    if row["measured"] is None:
        return row["verdict"]
    missed = row["verdict"] == "missed"
    found = f"{tables.measured(row)} (≤ {tables.limit(row)})"
    return f"**{found} missed**" if missed else found


def label(report, reports):
    """The backend, and the length if it differs between runs."""
    backend = report["environment"]["backend"]
    lengths = {other["settings"]["length"] for other in reports}
    if len(lengths) == 1:
        return backend
    return f"{backend}, T={report['settings']['length']:,}"


def layers_section(report):
    parts = [
        f"### {report['environment']['backend']}, {report['settings']['length']} steps",
        description(report),
    ]
    for table in tables.case_tables(report):
        parts += [f"{table.title}:", table.markdown()]
    return parts


def scaling_section(report, place):
    backend = report["environment"]["backend"]
    parts = [
        f"### {backend} against the length",
        description(report),
        tables.scaling_table(report).markdown(),
        tables.target_table(report["targets"]).markdown(),
    ]
    if report["plot"]:
        parts.append(f"![Time and memory on {backend}]({place}/{report['plot']})")
    return parts


def description(report):
    """The date, machine and versions of a run."""
    environment = report["environment"]
    machine = f"{environment['processor']}, {environment['cores']} cores"
    if on_gpu(report):
        machine = f"{environment['device']} beside {machine}"
    versions = [
        f"{package} {environment[package]}"
        for package in PACKAGES
        if environment.get(package)
    ]
    return " ".join(
        [
            f"{report['date']}, {machine}, {environment['dtype']}, "
            f"load {report['load']:.1f} before the first case. "
            f"{', '.join(versions)}, commit {environment['commit']}.",
            *tables.notes(report),
        ]
    )
