"""Stores a model and its rows for a comparison, after a check of all of it."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_twa import layers
from keras_twa.comparing import checks
from keras_twa.comparing import storing
from keras_twa.comparing.data import Data
from keras_twa.comparing.outputs import outputs_of
from keras_twa.comparing.scoring import primary_metric
from keras_twa.comparing.trivial import EXPLANATIONS
from keras_twa.comparing.trivial import trivial_scores
from keras_twa.experiments.comparison import Comparison
from keras_twa.experiments.comparison import check_output
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.results import write_json
from keras_twa.experiments.text import one_line
from keras_twa.home import expanded
from keras_twa.ops import backend
from keras_twa.swapping.places import attention_layers
from keras_twa.swapping.places import chosen
from keras_twa.tasks import Metric
from keras_twa.tasks import Settings
from keras_twa.tasks import registry
from keras_twa.tasks import stored
from keras_twa.tasks.task import AS_GIVEN

# As `fit` has it.
BATCH_SIZE = 32
ALL = "all"


@dataclass(frozen=True)
class Prepared:
    """A comparison that can start.

    Args:
        folder: Its folder.
        attentions: The texts of the mechanisms.
        skipped: Why a mechanism of `"all"` is not among them, by its name.
    """

    folder: Path
    attentions: list[str]
    skipped: dict[str, str]

    def comparison(
        self, seeds: Sequence[int], learning_rates: Sequence[float] = ()
    ) -> Comparison:
        """Returns the `Comparison` of all its runs.

        Args:
            seeds: The seeds of each mechanism.
            learning_rates: The rates of a sweep.
        """
        task = registry.absolute(
            f"{registry.STORED}{self.folder / registry.STORED_FOLDER}"
        )
        settings = registry.get(task).presets[stored.PRESET]
        experiments = [
            Experiment(task, text, seed, stored.PRESET, "auto", settings)
            for seed in seeds
            for text in (AS_GIVEN, *self.attentions)
        ]
        return Comparison(self.folder, experiments, backend.NAME, learning_rates)


def prepare(
    model: Any,
    attention: Any,
    data: Data,
    training: Mapping[str, Any],
    primary: str | None,
    higher_is_better: bool | None,
    where: Any,
    initial_weights: str,
    output: str | os.PathLike[str] | None,
) -> Prepared:
    """Stores a model and its rows in the folder of a comparison.

    The arguments are those of `compare`, with `epochs`, `batch_size` and `patience` in
    `training`.

    Raises:
        ValueError: If anything is wrong with them. Then no file is left.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(f"`model` must be a Keras model. Received: model={model!r}")
    if initial_weights not in ("given", "new"):
        raise ValueError(
            '`initial_weights` must be "given" or "new". '
            f"Received: initial_weights={initial_weights!r}"
        )
    if output is not None:
        check_output(expanded(output))
    arguments, config = storing.compile_config(model)
    wanted = _texts(attention)
    if model.built:
        # Before any work.
        chosen(attention_layers(model), where)
    new_weights = initial_weights == "new"
    with storing.new_folder(expanded(output or "runs")) as folder:
        written = data.write(folder / stored.ARRAYS)
        batch_size = training["batch_size"]
        if batch_size is None:
            batch_size = written.batch_size or BATCH_SIZE
        epochs, patience = training["epochs"], training["patience"]
        settings = Settings(
            batch_size=batch_size,
            epochs=epochs,
            patience=epochs if patience is None else patience,
            options={**storing.described(model), "initial_weights": initial_weights},
        )
        if not model.built:
            # As `fit` would do.
            model(stored.first_inputs(folder, written.groups))
        storing.write_model(folder, model)
        paths = storing.write_objects(folder, model, arguments, config, written.groups)
        facts: dict[str, Any] = {
            "format": stored.FORMAT,
            "title": model.name,
            "source": "rows of your own",
            "paths": paths,
            "settings": dataclasses.asdict(settings),
            "where": _numbers(model, where),
            "initial_weights": initial_weights,
            "metric": None,
            "baselines": {},
            "explanations": EXPLANATIONS,
            "fingerprint": {},
            "caveats": [],
        }
        write_json(folder / stored.FACTS, facts)
        trial = Trial(folder, facts, arguments)
        metric = trial.metric(primary, higher_is_better)
        texts, skipped = trial.fitting(wanted)
        facts |= {
            "metric": dataclasses.asdict(metric),
            "baselines": trial.baselines(metric),
            "fingerprint": storing.fingerprint(trial.rows.groups),
            "caveats": _caveats(written.notes, skipped, new_weights),
        }
        facts["identity"] = {
            "model": storing.identity(model, arguments, config, new_weights),
            "rows": facts["fingerprint"],
            "settings": facts["settings"],
            "layers": facts["where"],
            "initial weights": initial_weights,
            "primary": metric.name,
        }
        write_json(folder / stored.FACTS, facts)
        place = expanded(output) if output else _default_place(facts["identity"])
        storing.take_place(folder, place)
    return Prepared(place, texts, skipped)


class Trial:
    """The stored model, as each run will load it, tried on the first rows.

    Args:
        folder: The folder of the task.
        facts: The contents of its `task.json`.
        arguments: What the model was compiled with, or `None` for a class with a
            `compile` of its own.

    Raises:
        ValueError: If the model cannot be loaded, or refuses the rows.
    """

    def __init__(
        self, folder: Path, facts: dict[str, Any], arguments: dict[str, Any] | None
    ) -> None:
        self.where = facts["where"]
        self.arguments = arguments
        found = stored.Stored(folder)
        self.rows = stored.StoredRows.load(found, facts)
        checks.check_numbers(self.rows.groups)
        try:
            self.model = found.model()
            found.compile(self.model)
        except Exception as error:  # a model of the user's may raise anything
            raise ValueError(
                "Each variant has a process of its own, and the model cannot be loaded "
                f"there: {type(error).__name__}: {one_line(error)} Received: the model "
                f"{facts['title']!r}"
            ) from error
        size = facts["settings"]["batch_size"]
        batch = next(self.rows.evaluation_batches("train", size).epoch())
        x, y, weights = batch
        try:
            predictions = self.model.predict_on_batch(x)
        except Exception as error:  # a model of the user's may raise anything
            raise _refusal("The model refuses the rows", x, error) from error
        outputs = []
        if arguments is not None:
            outputs = outputs_of(self.model, arguments["loss"], predictions, y)
        self.outputs = outputs
        checks.check_targets(outputs, self.rows.groups)
        try:
            values = self.model.test_on_batch(
                x, y, sample_weight=weights, return_dict=True
            )
        except Exception as error:  # a model of the user's may raise anything
            raise _refusal(
                "The loss or a metric refuses the targets", y, error
            ) from error
        self.names = list(values)
        if "loss" not in self.names:
            raise ValueError(
                "The model's training step must return its loss under the name "
                f"'loss'. Received: {', '.join(self.names)}"
            )

    def metric(self, primary: str | None, higher_is_better: bool | None) -> Metric:
        """Returns what the runs are compared by."""
        return primary_metric(self.names, primary, higher_is_better)

    def baselines(self, metric: Metric) -> dict[str, float]:
        """Returns the test scores of trivial predictions."""
        if self.arguments is None:
            return {}
        return trivial_scores(
            self.outputs, self.rows.groups, self.arguments, metric.name
        )

    def fitting(self, wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """Returns the mechanisms that fit the model, and why others do not.

        Raises:
            ValueError: If one that was named does not fit.
        """
        texts, skipped = [], {}
        for text in wanted:
            if text != ALL:
                stored.exchange(self.model, text, self.where)
                texts.append(text)
                continue
            for name in layers.mechanisms():
                try:
                    stored.exchange(self.model, name, self.where)
                except ValueError as error:
                    skipped[name] = one_line(error)
                else:
                    texts.append(name)
        return list(dict.fromkeys(texts)), skipped


def _numbers(model: Any, where: Any) -> list[int]:
    """The numbers of the attention layers to exchange, among all of the model."""
    places = attention_layers(model)
    exchanged = {id(layer) for layer in chosen(places, where)}
    return [i for i, layer in enumerate(places) if id(layer) in exchanged]


def _texts(attention: Any) -> list[str]:
    """The texts of the mechanisms to compare."""
    entries = attention if isinstance(attention, (list, tuple)) else [attention]
    if not entries:
        raise ValueError(
            "`attention` must name at least one mechanism. Received: attention=[]"
        )
    return [each if each == ALL else layers.text_of(each) for each in entries]


def _caveats(notes: list[str], skipped: dict[str, str], new_weights: bool) -> list[str]:
    start = (
        "Each seed starts from new values of the weights that are trained."
        if new_weights
        else "All runs start from the weights of the model as given. Weights of the "
        "new attention whose shapes agree start from them too, and the others from new "
        "values, which a seed decides. If the model was trained before, this favours "
        "the attention that it was trained with."
    )
    left_out = [f"{name} does not fit the model: {x}" for name, x in skipped.items()]
    return [*notes, start, *left_out]


def _default_place(identity: dict[str, Any]) -> Path:
    text = json.dumps([identity, backend.NAME], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return expanded(f"runs/compare-{digest}")


def _refusal(what: str, data: Any, error: Exception) -> ValueError:
    shapes = keras.tree.map_structure(
        lambda array: None if array is None else f"{array.dtype} {array.shape}", data
    )
    message = one_line(error)[:500]
    return ValueError(
        f"{what}: {type(error).__name__}: {message} Received: a batch of {shapes}"
    )
