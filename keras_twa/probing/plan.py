"""Which runs a matrix needs, and why a mechanism cannot take a probe."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any

from keras_twa import files
from keras_twa import layers
from keras_twa import tasks
from keras_twa.experiments.arguments import seeds_of
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.config import COMPARED
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.config import preset_settings
from keras_twa.experiments.results import write_json
from keras_twa.experiments.sweep import check_rates
from keras_twa.experiments.text import one_line
from keras_twa.home import expanded
from keras_twa.mechanism import listed
from keras_twa.ops import backend
from keras_twa.probing.facts import FACTS
from keras_twa.probing.facts import FORMAT
from keras_twa.probing.facts import GROWING
from keras_twa.probing.facts import SAME
from keras_twa.probing.facts import check_free
from keras_twa.probing.facts import has_matrix
from keras_twa.probing.facts import read_facts
from keras_twa.tasks import Settings
from keras_twa.tasks import probes as all_probes
from keras_twa.tasks.fingerprint import differences
from keras_twa.tasks.probes import recipes
from keras_twa.tasks.settings import check_choice

ALL = "all"


@dataclass(frozen=True)
class Plan:
    """The runs of a matrix: each mechanism on each probe that it can take.

    Args:
        output: The folder of the matrix, which may not exist yet.
        probes: The names of the probes.
        attentions: The texts of the mechanisms.
        seeds: The seeds of each.
        preset: The preset of all probes.
        learning_rates: The rates of the sweep.
        settings: The `Settings` of each probe, by its name.
        epochs: Validations of a run, if it is not the preset's number.
        positions: The positions, if they are not the preset's.
        skipped: Why a mechanism cannot take a probe, by probe and mechanism.
    """

    output: Path
    probes: tuple[str, ...]
    attentions: tuple[str, ...]
    seeds: tuple[int, ...]
    preset: str
    learning_rates: tuple[float, ...]
    settings: dict[str, Settings]
    epochs: int | None = None
    positions: str | None = None
    skipped: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        attention: Any = None,
        probes: str | Sequence[str] | None = None,
        seeds: int | Sequence[int] = 1,
        preset: str = "quick",
        learning_rates: Sequence[float] | None = None,
        positions: str | None = None,
        epochs: int | None = None,
        output: str | os.PathLike[str] | None = None,
    ) -> "Plan":
        """Returns the plan of these arguments, which are those of `probe`.

        Raises:
            ValueError: If one of them is wrong. A mechanism that cannot take a probe is
                no error.
        """
        names = _names(probes)
        changes = {"positions": positions, "epochs": epochs}
        changes = {name: x for name, x in changes.items() if x is not None}
        settings = {name: preset_settings(name, preset, **changes) for name in names}
        rates = recipes.rates(preset) if learning_rates is None else learning_rates
        texts = _texts(attention)
        return cls(
            expanded(output or _default_output(preset, positions)),
            names,
            texts,
            tuple(seeds_of(seeds)),
            preset,
            check_rates(rates),
            settings,
            epochs,
            positions,
            {name: _skipped(name, texts, settings[name]) for name in names},
        )

    @property
    def facts(self) -> dict[str, Any]:
        """What the file in the folder says about the matrix."""
        return {
            "format": FORMAT,
            "preset": self.preset,
            "backend": backend.NAME,
            "positions": self.positions,
            "learning_rates": [*self.learning_rates],
            "epochs": self.epochs,
            "probes": [*self.probes],
            "attentions": [*self.attentions],
            "seeds": [*self.seeds],
            "skipped": self.skipped,
        }

    def comparisons(self) -> dict[str, Comparison]:
        """Returns a `Comparison` for each probe that some mechanism can take.

        Raises:
            ValueError: If a run could not import a mechanism.
        """
        found = {}
        for name in self.probes:
            experiments = [
                Experiment(name, text, seed, self.preset, "auto", self.settings[name])
                for seed in self.seeds
                for text in self.attentions
                if text not in self.skipped[name]
            ]
            if experiments:
                folder = self.output / name
                found[name] = Comparison(
                    folder, experiments, backend.NAME, self.learning_rates
                )
        return found

    def prepare(self) -> dict[str, Comparison]:
        """Creates the folder, and returns the comparisons, which can start.

        Raises:
            ValueError: If the folder has another matrix, or other contents. Then
                nothing is written.
            OSError: If it is not writable.
        """
        comparisons = self.comparisons()
        if has_matrix(self.output):
            facts = _grown(read_facts(self.output), self.facts, self.output)
        else:
            check_free(self.output)
            facts = self.facts
        old = [name for name, each in comparisons.items() if each.output.exists()]
        for comparison in comparisons.values():
            comparison.check_writable()
        # They may be refused, so they come before anything is written.
        for name in old:
            self._prepare(name, comparisons[name])
        self.output.mkdir(parents=True, exist_ok=True)
        for part in files.leftovers(self.output / FACTS):
            part.unlink(missing_ok=True)
        write_json(self.output / FACTS, facts)
        for name in comparisons.keys() - set(old):
            self._prepare(name, comparisons[name])
        return comparisons

    def _prepare(self, name: str, comparison: Comparison) -> None:
        comparison.prepare(tasks.load(name, "auto", self.settings[name]))


def _grown(there: dict[str, Any], here: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The facts of a matrix with those of a call that adds to it."""
    found = differences(
        {name: there[name] for name in SAME}, {name: here[name] for name in SAME}
    )
    if found:
        raise ValueError(
            f"The output folder contains another matrix of probes: {'; '.join(found)}. "
            f"Choose another output folder. Received: {folder}"
        )
    return {
        **there,
        **{name: [*dict.fromkeys([*there[name], *here[name]])] for name in GROWING},
        "skipped": {
            name: there["skipped"].get(name, {}) | here["skipped"].get(name, {})
            for name in {**there["skipped"], **here["skipped"]}
        },
    }


def _names(probes: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of the probes, each once."""
    known = all_probes.names()
    if probes is None or probes == ALL:
        return known
    found = [probes] if isinstance(probes, str) else [*probes]
    if not found:
        raise ValueError("`probes` must name at least one probe. Received: probes=[]")
    for name in found:
        check_choice("probe", name, [*known, ALL])
    return tuple(dict.fromkeys(known if ALL in found else found))


def _texts(attention: Any) -> tuple[str, ...]:
    """The texts of the mechanisms, each once."""
    if attention is None:
        return COMPARED
    entries = attention if isinstance(attention, (list, tuple)) else [attention]
    if not entries:
        raise ValueError(
            "`attention` must name at least one mechanism. Received: attention=[]"
        )
    texts = []
    for entry in entries:
        if isinstance(entry, str) and entry == ALL:
            texts += layers.mechanisms()
            continue
        for each in listed(layers.mechanism_of(entry)):
            # Raises an error for a wrong name or option.
            layers.get(each, num_heads=2, key_dim=8)
        texts.append(layers.text_of(entry))
    return tuple(dict.fromkeys(texts))


def _skipped(probe: str, texts: Sequence[str], settings: Settings) -> dict[str, str]:
    """Why some of the mechanisms cannot take a probe."""
    task = all_probes.get(probe).task
    found = {}
    for text in texts:
        # A list has an entry for each block, whatever the probe.
        layers.each_block(text, settings.num_layers)
        try:
            task.check(text)
        except ValueError as error:
            found[text] = one_line(error)
    return found


def _default_output(preset: str, positions: str | None) -> str:
    named = "" if positions is None else f"-{positions}"
    return f"runs/probes-{preset}{named}-{backend.NAME}"
