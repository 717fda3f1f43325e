"""Scores of mechanisms on probes that were measured and come with the package.

`docs/generate.py` writes them to `recorded.json`, from `docs/results/probes`.
"""

import json
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from keras_twa.experiments.results import read_json
from keras_twa.mechanism import Mechanism
from keras_twa.mechanism import parse
from keras_twa.mechanism import text as text_of
from keras_twa.probing.cells import IMPROVING
from keras_twa.probing.cells import score_text

FILE = Path(__file__).with_name("recorded.json")
PRESET = "quick"


@dataclass(frozen=True)
class Score:
    """The score of a mechanism on a probe.

    Args:
        mean: From 0 (no better than chance) to 1 (perfect), over seeds.
        half_width: Half the width of its 95 % t interval, `None` with one seed.
        seeds: The number of seeds.
        test: The score on the test rows as the task measures it.
        improving: Whether the budget ended before a plateau.
        at_lengths: The mean score by the length of test rows, as multiples of that in
            training, if there are several.
    """

    mean: float
    half_width: float | None
    seeds: int
    test: float
    improving: bool
    at_lengths: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The score for people."""
        text = score_text(self.mean, self.half_width)
        return f"{text} {IMPROVING}" if self.improving else text


# The scores by the text of a mechanism, and by the name of a probe.
Scores = dict[str, dict[str, Score]]


def recorded(
    preset: str = PRESET, positions: str | None = None, path: Path = FILE
) -> Scores:
    """Returns the recorded scores, empty if there are none.

    Args:
        preset: The preset of the probes.
        positions: The positions, `None` for those of the preset.
        path: The file.
    """
    found: Scores = {}
    if not path.exists():
        return found
    for matrix in read_json(path)["matrices"]:
        if (matrix["preset"], matrix["positions"]) != (preset, positions):
            continue
        for attention, row in matrix["scores"].items():
            known = found.setdefault(attention, {})
            for name, values in row.items():
                known.setdefault(name, Score(*values))
    return found


def variants(scores: Scores, name: str) -> Scores:
    """Returns the scores of a mechanism, without options first.

    Args:
        scores: The scores of all.
        name: The name of the mechanism.
    """
    texts = [text for text in scores if _name(text) == name]
    return {text: scores[text] for text in sorted(texts, key=lambda x: x != name)}


def score_on(scores: Scores, name: str, probe: str) -> tuple[str, Score] | None:
    """Returns the score of a mechanism on a probe, with the text that has it.

    It is that of the mechanism without options, or else of its first variant. `None` if
    none is recorded.
    """
    for text, row in variants(scores, name).items():
        if probe in row:
            return text, row[probe]
    return None


def score_of(scores: Scores, attention: str, probe: str) -> Score | None:
    """Returns the score of exactly this mechanism, `None` if none is recorded."""
    return scores.get(text_of(parse(attention)), {}).get(probe)


def as_text(matrices: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    """Returns the contents of the file for some matrices.

    Args:
        matrices: The name of each, and what `CapabilityMatrix.to_json` returned.
    """
    parts = []
    for name, matrix in matrices:
        scores: dict[str, dict[str, Any]] = {}
        for cell in matrix["cells"]:
            if cell["score"] is None:
                continue
            rounded = [
                x if x is None else round(x, 4)
                for x in (cell["score"], cell["interval"], cell["seeds"], cell["test"])
            ]
            lengths = {n: round(x, 4) for n, x in cell["at_lengths"].items()}
            row = scores.setdefault(cell["attention"], {})
            row[cell["probe"]] = [
                *rounded,
                cell["improving"],
                *([lengths] if len(lengths) > 1 else []),
            ]
        facts = {"name": name} | {
            key: matrix[key] for key in ("preset", "positions", "backend", "probes")
        }
        # A line for each mechanism.
        rows = [f"{json.dumps(key)}: {json.dumps(row)}" for key, row in scores.items()]
        lines = ",\n".join(rows)
        parts.append(f'{json.dumps(facts)[:-1]}, "scores": {{\n{lines}\n}}}}')
    return '{"format": 1, "matrices": [' + ",\n".join(parts) + "]}\n"


def _name(text: str) -> str | None:
    found = parse(text)
    return found.name if isinstance(found, Mechanism) else None
