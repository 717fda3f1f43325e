"""Tasks by name, in files of one's own, and results of earlier versions."""

import ast
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_twa import tasks
from keras_twa.experiments.config import Experiment
from keras_twa.experiments.config import preset_settings
from keras_twa.experiments.results import Result
from keras_twa.tasks import Metric
from keras_twa.tasks import Settings
from keras_twa.tasks.registry import BUILT_IN

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
RECORDED = sorted(ROOT.glob("docs/results/*/*.json"))
# The settings of a run of the first version.
EARLIER = {
    "min_length": 1,
    "max_length": 65,
    "max_depth": 4,
    "max_args": 5,
    "epochs": 3,
}


@pytest.fixture
def own_tasks(monkeypatch):
    """Forgets after a test which tasks it registered."""
    monkeypatch.setattr(tasks.registry, "_registered", {})


def task(**changes):
    """A task without rows."""
    needed = {"name": "mine", "load": None, "build_model": None, "loss": None}
    return tasks.Task(**{**needed, "presets": {"quick": Settings()}, **changes})


@pytest.mark.usefixtures("own_tasks")
def test_a_registered_task_is_found():
    mine = tasks.register(task(title="My task"))
    assert tasks.get("mine") is mine
    assert tasks.names() == (*BUILT_IN, "mine")
    again = tasks.register(task())
    assert tasks.get("mine") is again
    assert again.title == "mine"
    with pytest.raises(ValueError, match=r"'mine'.*Received: task='mein'"):
        tasks.get("mein")


def test_names_are_checked():
    with pytest.raises(ValueError, match=r"taken.*Received: name='listops'"):
        tasks.register(task(name="listops"))
    with pytest.raises(ValueError, match=r"Received: name='my task'"):
        task(name="my task")
    with pytest.raises(ValueError, match=r"at least one preset.*Received: mine"):
        task(presets={})


def test_a_task_in_a_file_is_found(tmp_path, monkeypatch):
    path = tmp_path / "my_file.py"
    path.write_text(
        "from keras_twa.tasks import Settings, Task\n"
        "mine = Task('mine', None, None, None, {'quick': Settings(epochs=7)})\n"
        "other = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    name = "my_file.py:mine"
    assert preset_settings(name, "quick").epochs == 7
    assert tasks.get(name) is tasks.get(str(path) + ":mine")
    # It means the same in another folder.
    assert tasks.absolute(name) == f"{path}:mine"
    assert Experiment(name, "local").task == f"{path}:mine"
    for wrong, message in {
        "my_file.py:other": "but int",
        "my_file.py:none": "has no attribute 'none'",
        "no_file.py:mine": "no such file",
        "no_module_of_theirs:mine": "No module named",
    }.items():
        with pytest.raises(ValueError, match=rf"{message}.*Received: task='{wrong}'"):
            tasks.get(wrong)


def test_what_a_file_defines_has_the_same_place_in_each_process(tmp_path):
    path = tmp_path / "my_file.py"
    path.write_text(
        "from keras_twa.tasks import Settings, Task\n"
        "def load(data, settings, progress): pass\n"
        "mine = Task('mine', load, None, None, {'quick': Settings()})\n"
    )
    name = f"{path}:mine"
    code = f"from keras_twa import tasks; print(tasks.get({name!r}).load.__module__)"
    found = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def test_a_file_with_an_error_is_named(tmp_path):
    (tmp_path / "broken.py").write_text("mine = (\n")
    with pytest.raises(ValueError, match=r"SyntaxError.*Received: task=.*broken\.py"):
        tasks.get(f"{tmp_path}/broken.py:mine")


def test_experiments_know_no_task_by_name():
    for path in (ROOT / "keras_twa" / "experiments").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else ""
            if isinstance(text, str) and ">>>" not in text:
                for name in BUILT_IN:
                    assert name not in text.lower(), (path.name, text)


def test_tasks_are_found_without_keras():
    code = (
        "import sys; from keras_twa import tasks\n"
        f"for name in {[*BUILT_IN]}: assert tasks.get(name).name == name\n"
        "print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert done.stdout.decode().strip() == "False", done.stderr


def test_settings_that_have_an_effect_are_settings():
    for name in BUILT_IN:
        found = tasks.get(name)
        for settings in found.presets.values():
            assert settings.options.keys() == found.options.keys()
            for used in found.used or ():
                # Reports add the task's own.
                assert used not in found.options and hasattr(settings, used)


def test_a_task_says_which_mechanisms_fit():
    mine = task(
        requires={"pairwise_mask": "Pairs are masked."},
        models={"pairs": lambda settings, rows: "a model"},
        build_model=lambda attention, settings, rows: attention,
    )
    for fits in ("local", "[local(window=3), dot_product]", "pairs"):
        mine.check(fits)
    assert mine.build("pairs", Settings(), None) == "a model"
    message = r"Pairs are masked\. Received: attention='retention'.*task 'mine'"
    for wrong in ("retention", "[local, retention]"):
        with pytest.raises(ValueError, match=message):
            mine.check(wrong)
        with pytest.raises(ValueError, match=message):
            mine.build(wrong, Settings(), None)
    task().check("retention")


def test_settings_of_a_task_are_settings():
    settings = preset_settings("listops", "quick", max_depth=3, epochs=1)
    assert (settings.options["max_depth"], settings.epochs) == (3, 1)
    assert settings.value("max_depth") == 3
    with pytest.raises(ValueError, match="'max_depth'"):
        preset_settings("listops", "quick", max_dept=3)
    with pytest.raises(ValueError, match="Unknown setting"):
        preset_settings("imdb", "quick", max_depth=3)


def test_settings_of_earlier_versions_are_read():
    found = Settings.from_json(EARLIER)
    assert found.options == {"min_length": 1, "max_depth": 4, "max_args": 5}
    assert found.epochs == 3
    # Reviews had them without any effect.
    reviews = EARLIER | {"min_length": 0, "max_depth": 10, "max_args": 10}
    assert Settings.from_json(reviews).options == {}


def test_recorded_results_are_there():
    assert len(RECORDED) > 10


@pytest.mark.parametrize(
    "path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_recorded_results_load(path, tmp_path):
    values = json.loads(path.read_text("utf-8"))
    found = Result.load(path)
    assert found.status == "completed"
    assert found.score == values["test_accuracy"]
    assert found.test["loss"] == values["test_loss"]
    best = max(point["validation_accuracy"] for point in values["curve"])
    assert found.best_validation == best
    found.save(tmp_path / "result.json")
    assert Result.load(tmp_path / "result.json") == found


def test_lower_may_be_better():
    error = Metric("mean_absolute_error", higher_is_better=False, percent=False)
    assert error.better(0.1, 0.2) and not error.better(0.2, 0.1)
    assert error.best([0.3, 0.1]) == 0.1
    assert error.best([]) is None
    assert (error.text(0.12345), error.plain(-0.5, "+")) == ("0.1235", "-0.5")
    assert error.axis == "mean absolute error"
    assert Metric.from_json(dataclasses.asdict(error)) == error
    assert Metric.from_json(None).text(0.3642) == "36.4 %"


def test_a_result_is_reached_from_above_where_lower_is_better():
    metric = Metric("error", higher_is_better=False)
    result = Result(Experiment("listops", "local"), metric=metric)
    result.curve = [
        {"epoch": i, "total_seconds": 2.0 * i, "validation_error": value}
        for i, value in enumerate((0.9, 0.5, 0.7), start=1)
    ]
    assert result.best_validation == 0.5
    assert result.reached(0.6) == (2, 4.0)
    assert result.reached(0.4) is None
