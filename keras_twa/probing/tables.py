"""The tables of the report of a matrix."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from keras_twa.experiments.document import Block
from keras_twa.experiments.document import Bullets
from keras_twa.experiments.document import Table
from keras_twa.experiments.markup import code
from keras_twa.experiments.markup import literal
from keras_twa.probing.cells import IMPROVING
from keras_twa.probing.cells import MISSING
from keras_twa.probing.cells import PARTIAL
from keras_twa.probing.cells import Cell

if TYPE_CHECKING:
    from keras_twa.probing.matrix import CapabilityMatrix


def matrix_table(matrix: "CapabilityMatrix") -> Table:
    """The scores; the best mean of each probe is bold."""
    best = {name: _best(matrix, name) for name in matrix.probes}

    def text(cell: Cell) -> str:
        shown = literal(cell.text)
        is_best = cell.score is not None and cell.score.mean == best[cell.probe.name]
        return f"**{shown}**" if is_best else shown

    return _by_cell(matrix, text)


def _by_cell(matrix: "CapabilityMatrix", text: Callable[[Cell], str]) -> Table:
    """A table with a row for each mechanism, and a column for each probe."""
    rows = [
        [
            code(attention),
            *(text(matrix.cells[name][attention]) for name in matrix.probes),
        ]
        for attention in matrix.attentions
    ]
    return Table(["mechanism", *titles(matrix)], rows, _tints(matrix))


def titles(matrix: "CapabilityMatrix") -> list[str]:
    """The titles of the probes."""
    first = matrix.attentions[0]
    return [literal(matrix.cells[name][first].probe.title) for name in matrix.probes]


def notes(matrix: "CapabilityMatrix") -> list[str]:
    """What the marks of cells mean, and why some have no score, as plain text."""
    cells = matrix.all_cells
    found = []
    if any(cell.improving for cell in cells):
        found.append(
            f"{IMPROVING} The budget ended before a plateau: more updates might help."
        )
    if any(cell.partial and cell.score for cell in cells):
        found.append(
            f"{PARTIAL} Rates or seeds are missing; the same call continues them."
        )
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell in cells:
        if cell.skipped:
            # The rest names the mechanism and the probe.
            reason, _, _ = cell.skipped.partition(" Received:")
            reasons.setdefault((cell.attention, reason), []).append(cell.probe.name)
    for (attention, reason), names in reasons.items():
        found.append(f"{MISSING} {attention}, skipped on {', '.join(names)}: {reason}")
    found += [
        f"failed: {cell.attention} on {cell.probe.name}: {cell.failed}"
        for cell in cells
        if cell.failed
    ]
    return found


def note_blocks(matrix: "CapabilityMatrix") -> list[Block]:
    """The notes as a block, if there are any."""
    found = [literal(note) for note in notes(matrix)]
    return [Bullets(found)] if found else []


def probe_table(matrix: "CapabilityMatrix") -> Table:
    """What each probe asks, and what a guess and its solver score."""
    rows = []
    for name in matrix.probes:
        cell = matrix.cells[name][matrix.attentions[0]]
        probe, settings = cell.probe, cell.settings
        metric = probe.metric
        known = matrix.baselines.get(name, {"chance": probe.chance(settings)})
        baselines = ", ".join(f"{key} {metric.text(x)}" for key, x in known.items())
        rows.append(
            [
                literal(probe.title),
                literal(probe.ability),
                str(settings.max_length),
                literal(metric.title),
                literal(baselines),
            ]
        )
    header = ("probe", "what scores well", "length", "measured by", "without training")
    return Table(header, rows, text=True)


def test_table(matrix: "CapabilityMatrix") -> Table:
    """The test scores as the tasks measure them."""

    def text(cell: Cell) -> str:
        test = cell.test
        return cell.probe.metric.plain(test.mean) if test else MISSING

    return _by_cell(matrix, text)


def parameter_table(matrix: "CapabilityMatrix") -> Table:
    """The parameters of each model."""

    def text(cell: Cell) -> str:
        return MISSING if cell.parameters is None else f"{cell.parameters:,}"

    return _by_cell(matrix, text)


def rate_table(matrix: "CapabilityMatrix") -> Table:
    """The learning rate that each mechanism chose; bold at an end of the sweep."""
    rates = sorted(matrix.facts["learning_rates"])

    def text(cell: Cell) -> str:
        rate = cell.learning_rate
        shown = MISSING if rate is None else f"{rate:g}"
        at_end = len(rates) > 1 and rate in (rates[0], rates[-1])
        return f"**{shown}**" if at_end else shown

    return _by_cell(matrix, text)


def length_table(matrix: "CapabilityMatrix", name: str) -> Table:
    """The scores of a probe on test rows of several lengths."""
    cells = matrix.cells[name]
    lengths = next(iter(cells.values())).probe.test_lengths
    rows = []
    for attention, cell in cells.items():
        found = cell.at_lengths
        row = [f"{found[n].mean:.2f}" if n in found else MISSING for n in lengths]
        rows.append([code(attention), *row])
    return Table(["mechanism", *(f"×{n}" for n in lengths)], rows, _tints(matrix))


def _tints(matrix: "CapabilityMatrix") -> list[str | None]:
    return [matrix.colours[attention] for attention in matrix.attentions]


def _best(matrix: "CapabilityMatrix", name: str) -> float | None:
    scores = [cell.score for cell in matrix.cells[name].values()]
    return max((score.mean for score in scores if score is not None), default=None)
