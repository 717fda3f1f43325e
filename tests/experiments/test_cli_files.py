"""Commands on files of the user: one line for each mistake, and a whole comparison."""

import json

import numpy as np
import pytest

from keras_twa.cli import main
from tests.experiments.test_cli import error_of
from tests.tasks.own_files import write_table
from tests.tasks.own_files import write_tokens

COLUMNS = ["--series", "id", "--time", "when", "--target", "target"]


def test_a_comparison_on_a_table(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "my readings.csv")
    command = ["compare", "--data", "my readings.csv", *COLUMNS, "--epochs", "1"]
    command += ["--attention", "temporal_weighted"]
    assert main(command) == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in (
        "series_classification (file my readings.csv), preset quick",
        "10 rows to train on, 2 for validation, 2 for the test",
        "About the data: 14 series, of 3 to 5 steps. Features: 'x'.",
        "Left out, because they contain no number: 'place'.",
        "'target' has 2 classes (high, low), because its values are text",
        "the median gap between time steps",
    ):
        assert part in text
    (output,) = (tmp_path / "runs").iterdir()
    assert output.name.startswith("my-readings-quick-")
    report = (output / "report.md").read_text("utf-8")
    assert "**About the data.** 14 series" in report
    assert "depend on their unit" in report
    assert "published" not in report
    # In another folder, the same command finds the results and the file.
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    command[2] = "../my readings.csv"
    command += ["--output", str(output), "--json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["facts"]["data"] == str(tmp_path / "my readings.csv")
    assert found["facts"]["settings"]["options"] == {
        "series": "id",
        "time": "when",
        "target": "target",
        "features": None,
        "time_unit": None,
    }
    (result,) = found["results"]
    assert (result["status"], result["starts"]) == ("completed", 1)
    # Other rows, or another unit, are another comparison.
    other = error_of(capsys, *command, "--time-unit", "1h")
    assert "options is" in other and "'1h'" in other
    path = tmp_path / "my readings.csv"
    path.write_text(path.read_text().replace("s0,", "s00,").replace(",-1.", ",-2."))
    assert "have other rows" in error_of(capsys, *command)


@pytest.mark.once
def test_mistakes_are_one_line_and_nothing_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "a.csv")
    write_tokens(tmp_path / "tokens.npz")
    np.savez(tmp_path / "objects.npz", x=np.array([{}, 1], "O"), y=np.arange(2))
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "broken.csv").write_text("id,when,x,target\na,1,2,u\na,2,inf,u\n")
    before = sorted(tmp_path.iterdir())
    table = ["compare", "--data", "a.csv"]
    for command, hint in (
        (
            ["compare", "--data", "none.csv", *COLUMNS],
            "no such file. Received: data='no",
        ),
        (["compare", "--data", "a.xlsx", *COLUMNS], "Name a task by --task, or a file"),
        (["compare", "--data", "empty.csv", *COLUMNS], "is empty. Received: empty.csv"),
        (
            ["compare", "--data", "broken.csv", *COLUMNS],
            "broken.csv, line 3, column 'x'",
        ),
        (["compare", "--data", "objects.npz"], "objects.npz: the array cannot be read"),
        (table, "needs `series` and `target`"),
        ([*table, *COLUMNS, "--target", "taget"], "Did you mean 'target'"),
        ([*table, *COLUMNS, "--kind", "class"], "Unknown kind"),
        ([*table, *COLUMNS, "--kind", "regression"], "a.csv, line 2, column 'target'"),
        ([*table, *COLUMNS, "--features", "x,y"], "Received: column 'y'"),
        ([*table, *COLUMNS, "--time-unit", "0"], "time_unit='0'"),
        ([*table, *COLUMNS, "--max-length", "9"], "no effect on the task series_cl"),
        ([*table, *COLUMNS, "--task", "listops"], "--task listops takes none"),
        (
            [*table, *COLUMNS, "--task", "series_regression", "--kind", "regression"],
            "`--kind` chooses the task",
        ),
        (["compare", "--data", "tokens.npz", "--series", "id"], "has no columns"),
        (["compare", "--data", "tokens.npz", "--time-unit", "1"], "needs times"),
        (["compare", "--task", "series_regression"], "must end in .csv"),
        (["train", "--data", "empty.csv", *COLUMNS], "is empty"),
    ):
        assert hint in error_of(capsys, *command)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.full
def test_train_and_tune_take_files_too(tmp_path, capsys, monkeypatch):
    pytest.importorskip("keras_tuner")
    monkeypatch.chdir(tmp_path)
    write_table(tmp_path / "a.csv")
    file = ["--data", "a.csv", *COLUMNS, "--epochs", "1"]
    assert main(["train", *file, "--attention", "linear"]) == 0
    assert list((tmp_path / "runs").glob("a-quick-linear-*/model.keras"))
    capsys.readouterr()
    tune = ["tune", *file, "--attention", "linear", "--max-trials", "1", "--json"]
    assert main(tune) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["complete"]
    assert found["default"]["status"] == "completed"
