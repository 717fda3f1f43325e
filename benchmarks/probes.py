"""Computes whether scores on probes predict accuracies elsewhere.

    keras-twa probe --attention all --output runs/probes
    python benchmarks/probes.py --correlate docs/results/listops-quick-all-torch
    python benchmarks/probes.py --correlate runs/a runs/b --matrix runs/probes

Each DIR is the folder of a comparison, a folder of several, or one of `docs/results`.
For each probe and each comparison, the command prints Spearman's rank correlation over
the mechanisms that both have, with a 95 % interval (bootstrap over mechanisms). The
last row is that of the mean score over all probes.

The scores are those of `--matrix`, the output folder of `keras-twa probe` or a
`matrix.json`. By default they are those that were recorded for the preset `quick`. It
never trains.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from keras_twa.cli import common
from keras_twa.experiments.document import Heading
from keras_twa.experiments.document import Paragraph
from keras_twa.experiments.document import Table
from keras_twa.experiments.document import write_markdown
from keras_twa.experiments.markup import code
from keras_twa.experiments.results import read_json
from keras_twa.probing import CapabilityMatrix
from keras_twa.probing.correlation import accuracies_in
from keras_twa.probing.correlation import correlation
from keras_twa.probing.correlation import matched
from keras_twa.probing.matrix import MATRIX
from keras_twa.probing.recorded import recorded

TITLE = "Do probes predict accuracies?"
MEAN = "mean of all probes"
MISSING = "–"


def main(arguments=None):
    """Prints or writes the correlations. Returns the exit code."""
    options = parse(arguments)
    try:
        scores = scores_by_probe(options.matrix)
        comparisons = {}
        for folder in options.correlate:
            comparisons |= accuracies_in(folder)
        blocks = report(scores, comparisons)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output = options.output
    if output is None:
        print_blocks(blocks)
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_markdown(blocks, output)
        print(f"Report: {output}")
    return 0


def scores_by_probe(path=None):
    """The scores by probe and mechanism, and their mean over probes.

    Args:
        path: A folder of `keras-twa probe`, or a `matrix.json`; or `None` for the
            recorded scores.
    """
    found = {}
    if path is None:
        for attention, row in recorded().items():
            for probe, score in row.items():
                found.setdefault(probe, {})[attention] = score.mean
    else:
        for cell in cells_of(path):
            if cell["score"] is not None:
                found.setdefault(cell["probe"], {})[cell["attention"]] = cell["score"]
    if not found:
        where = "in this version" if path is None else f"in {path}"
        raise ValueError(
            f"There are no scores {where}: `keras-twa probe` measures them. "
            f"Received: matrix={path}"
        )
    # Of mechanisms that have a score on every probe, as probes differ in difficulty.
    common_names = set.intersection(*(set(row) for row in found.values()))
    first = next(iter(found.values()))
    found[MEAN] = {
        name: float(np.mean([row[name] for row in found.values()]))
        for name in first
        if name in common_names
    }
    return found


def cells_of(path):
    """The cells of a matrix as plain values."""
    file = path / MATRIX if path.is_dir() else path
    if file.exists():
        return read_json(file)["cells"]
    return CapabilityMatrix(path).to_json()["cells"]


def report(scores, comparisons):
    """The tables of correlations as blocks."""
    names = {}
    rows = []
    sure = total = 0
    for probe, row in scores.items():
        cells = []
        for values in comparisons.values():
            accuracies, replaced = matched(row, values)
            names |= replaced
            found = correlation(row, accuracies)
            if found is None:
                cells.append(MISSING)
                continue
            total += 1
            is_sure = found.low > 0 or found.high < 0
            sure += is_sure
            text = f"{found.text}, {found.count}"
            cells.append(f"**{text}**" if is_sure else text)
        rows.append([probe if probe == MEAN else code(probe), *cells])
    blocks = [
        Heading(TITLE, 1),
        Paragraph(
            "Spearman's rank correlation of scores on probes with the test scores of "
            "other comparisons, over mechanisms: the correlation, its 95 % interval "
            "(bootstrap over mechanisms), and the number of mechanisms. Bold: the "
            f"interval leaves out 0. So do {sure} of {total}. About one in twenty "
            "would do so by chance, and more where there are few mechanisms."
        ),
        Table(["probe", *map(code, comparisons)], rows, text=True),
    ]
    if names:
        pairs = ", ".join(f"{code(x)} for {code(y)}" for x, y in names.items())
        blocks.append(
            Paragraph(
                "Mechanisms with other options in the comparison than in the probe: "
                f"{pairs}."
            )
        )
    return blocks


def print_blocks(blocks):
    """Prints blocks as Markdown."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.md"
        write_markdown(blocks, path)
        print(path.read_text("utf-8"), end="")


def parse(arguments):
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--correlate", nargs="+", type=common.folder, metavar="DIR", required=True)
    add("--matrix", type=common.folder, help="default: the recorded scores")
    add("--output", type=common.folder, metavar="FILE", help="default: prints it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
