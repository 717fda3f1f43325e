"""`keras-twa probe`: what it prints and writes, and its exit codes."""

import json

import pytest

from keras_twa.cli import main
from keras_twa.experiments import together
from keras_twa.experiments.config import COMPARED
from keras_twa.tasks import probes
from tests.probing.canned import save
from tests.probing.canned import write_runs

pytestmark = pytest.mark.once

RATES = ["--rates", "1e-3,3e-3"]


@pytest.fixture
def canned(monkeypatch):
    """Lets runs have canned results, and notes what would run."""
    calls = []

    def run_together(comparisons, on_event, time_limit=None, workers=1):
        calls.append((comparisons, time_limit, workers))
        for comparison in comparisons:
            for result in write_runs(comparison):
                on_event(result.experiment, {"event": "start"})
                on_event(result.experiment, {"event": "end", "result": result})

    monkeypatch.setattr(together, "run_together", run_together)
    return calls


def error_of(capsys, *arguments):
    assert main(["probe", *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_it_ends_with_the_matrix_and_a_report(canned, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["probe", "--probes", "parity,copying", "--output", str(output), *RATES]
    arguments += ["--attention", "retention,lsh,[local, retention]", "--seeds", "3,4"]
    arguments += ["--time-limit", "60", "--workers", "2"]
    assert main(arguments) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "2 probes, 3 mechanisms, preset quick" in text
    assert "parity retention-seed3-rate0.003 test 90.0 % 9.0 s" in text
    assert "lsh, skipped on parity, copying: Later steps must not affect" in text
    assert f"Report: {output / 'report.html'}" in text
    assert (output / "report.md").exists()
    ((comparisons, time_limit, workers),) = canned
    assert [each.experiments[0].task for each in comparisons] == ["parity", "copying"]
    assert (time_limit, workers) == (60.0, 2)
    # The report can be written again, also as JSON.
    (output / "report.html").unlink()
    assert main(["report", str(output), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["attentions"] == ["retention", "lsh", "[local, retention]"]
    assert (output / "report.html").exists()
    # As JSON, there is nothing else on the standard output.
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(output / "report.html")
    assert found["seeds"] == [3, 4]
    assert {cell["probe"] for cell in found["cells"]} == {"parity", "copying"}


def test_by_default_it_compares_five_mechanisms_on_all_probes(
    canned, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probes, "names", lambda: ("parity", "memorization"))
    assert main(["probe"]) == 0
    ((comparisons, time_limit, workers),) = canned
    assert [each.experiments[0].task for each in comparisons] == [*probes.names()]
    assert {x.attention for x in comparisons[0].experiments} == {*COMPARED}
    assert (time_limit, workers) == (None, None)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("probes-quick-")


def test_a_failed_run_is_told_by_the_exit_code(tmp_path, monkeypatch, capsys):
    def run_together(comparisons, *_):
        for comparison in comparisons:
            for result in write_runs(comparison, status="failed"):
                result.reason = "ValueError: too much"
                save(comparison, result)

    monkeypatch.setattr(together, "run_together", run_together)
    arguments = ["--attention", "linear", "--probes", "parity", *RATES]
    assert main(["probe", *arguments, "--output", str(tmp_path)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert "failed: linear on parity: ValueError: too much" in text


def test_an_interrupt_leaves_a_report(tmp_path, monkeypatch, capsys):
    def run_together(comparisons, *_):
        write_runs(comparisons[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(together, "run_together", run_together)
    arguments = ["--attention", "linear", "--probes", "parity,copying", *RATES]
    assert main(["probe", *arguments, "--output", str(tmp_path)]) == 130
    assert "the same command continues from there" in capsys.readouterr().out
    assert (tmp_path / "report.html").exists()


def test_bad_input_is_one_line_and_code_2(tmp_path, capsys):
    output = ("--output", str(tmp_path / "out"))
    for wrong, hint in (
        (("--probes", "parit"), "Did you mean 'parity'"),
        (("--probes", ","), "`probes` must name"),
        (("--attention", "gravitationl"), "Did you mean 'gravitational'"),
        (("--attention", ","), "`attention` must name"),
        (("--attention", "[local, local, local]"), "3 entries for 2 blocks"),
        (("--preset", "quik"), "Did you mean 'quick'"),
        (("--positions", "non"), "Did you mean 'none'"),
        (("--epochs", "0"), "epochs=0"),
        (("--time-limit", "0"), "time_limit=0"),
        (("--seeds", "-1"), "seed=-1"),
        (("--import", "no_such_module"), "cannot be imported"),
    ):
        assert hint in error_of(capsys, *output, *wrong)
    assert not (tmp_path / "out").exists()
    (tmp_path / "thesis.tex").write_text("")
    assert "no matrix of probes" in error_of(capsys, "--output", str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "wrong", [["--seeds", "a"], ["--rates", "0"], ["--workers", "0"]]
)
def test_a_wrong_value_is_code_2(wrong):
    with pytest.raises(SystemExit) as error:
        main(["probe", *wrong])
    assert error.value.code == 2
