"""The command: what it prints, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_twa import tasks
from keras_twa.cli import common
from keras_twa.cli import main
from keras_twa.layers import ATTENTION_LAYERS
from keras_twa.layers import mechanisms
from keras_twa.layers import name_of
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "list",
    "compare",
    "probe",
    "report",
    "train",
    "tune",
    "benchmark",
    "generate-listops",
)


def error_of(capsys, *arguments):
    assert main(list(arguments)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_comparison_ends_with_a_table_and_a_report(tiny_quick, tmp_path, capsys):
    output = tmp_path / "out"
    arguments = ["compare", "--task", "listops", "--attention", "dot_product"]
    arguments += ["--output", str(output)]
    assert main(arguments) == 0
    text = capsys.readouterr().out
    assert "Not the published task" in text
    assert "root operator" in text
    assert "epoch 1/1" in text
    assert f"Report: {output / 'report.html'}" in text
    assert (output / "report.md").exists()
    # Again: nothing is left to do.
    result = output / "dot_product-seed0" / "result.json"
    before = result.read_bytes()
    assert main(arguments) == 0
    assert result.read_bytes() == before
    assert "epoch 1/1" not in capsys.readouterr().out
    # As JSON, there is nothing else on the standard output.
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [{"format": 2, **found["results"][0]}] == [json.loads(before)]
    assert found["facts"]["baselines"]["root operator"] > 0
    assert (found["left"], found["report"]) == (0, str(output / "report.html"))
    # Another setting in the same folder is refused.
    assert "epochs is 1 there, 2 here" in error_of(capsys, *arguments, "--epochs", "2")


def test_bad_input_is_one_line_and_code_2(tmp_path, capsys):
    compare = ("compare", "--task", "listops", "--output", str(tmp_path / "out"))
    for wrong, hint in (
        (("--preset", "quik"), "Did you mean 'quick'"),
        (("--attention", "gravitationl"), "Did you mean 'gravitational'"),
        (("--attention", ","), "`--attention` must name a mechanism"),
        (("--attention", ""), "`--attention` must name a mechanism"),
        (("--epochs", "0"), "epochs=0"),
        (("--max-length", "-5"), "max_length=-5"),
        (("--time-limit", "0"), "time_limit=0"),
        (("--seeds", "-1"), "seed=-1"),
        (("--data", "/no/such/folder"), "/no/such/folder"),
    ):
        assert hint in error_of(capsys, *compare, *wrong)
    imdb = ("compare", "--task", "imdb", "--output", str(tmp_path / "out"))
    assert "/no/archive" in error_of(capsys, *imdb, "--data", "/no/archive")
    broken = tmp_path / "aclImdb_v1.tar.gz"
    broken.write_bytes(b"\x1f\x8b\x08\x00 truncated")
    assert "aclImdb_v1" in error_of(capsys, *imdb, "--data", str(broken))
    assert "Did you mean" in error_of(capsys, "compare", "--task", "listop")
    assert "comparison.json" in error_of(capsys, "report", str(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_mechanism_that_does_not_fit_the_task_is_refused(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for command in ("compare", "train"):
        message = error_of(capsys, command, "--task", "dates", "--attention", "lsh")
        assert "Received: attention='lsh'" in message
    compare = ("compare", "--task", "dates", "--attention")
    assert "attention='lsh'" in error_of(capsys, *compare, "dot_product,[local, lsh]")
    assert list(tmp_path.iterdir()) == []
    # `all` are the others.
    names = [name_of(layer) for layer in ATTENTION_LAYERS]
    fitting = common.chosen(["all"], mechanisms(), (), tasks.get("dates").check)
    assert fitting == [name for name in names if name != "lsh"]
    assert common.chosen(["all"], mechanisms()) == names


def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    compare = ("compare", "--task", "listops", "--output", str(file / "out"))
    assert "Not a folder" in error_of(capsys, *compare)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    compare = ("compare", "--task", "listops", "--output", str(tmp_path / "full"))
    assert "is not a comparison" in error_of(capsys, *compare)


def test_an_unwritable_output_is_refused(tmp_path, capsys, monkeypatch):
    # Root may write everywhere, whatever a folder's mode says.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    compare = ("compare", "--task", "listops", "--output", str(tmp_path / "out"))
    assert "not writable" in error_of(capsys, *compare)


def test_a_wrong_option_is_code_2(capsys):
    assert "Received: task=None, data='auto'" in error_of(capsys, "compare")
    for arguments in (["compare", "--seeds", "a"], ["nothing"], []):
        with pytest.raises(SystemExit) as error:
            main(arguments)
        assert error.value.code == 2


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_shows_examples(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"examples:\n  keras-twa {command or 'list'}" in text
    assert command == "" or "--json" in text


def test_help_imports_nothing_that_takes_long():
    code = (
        "import sys, keras_twa.cli.parser as p; p.make_parser().format_help(); "
        "print({'keras', 'numpy', 'rich', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert done.stdout.decode().strip() == "set()", done.stderr


def test_list_names_the_mechanisms_and_what_they_can_do(capsys):
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["mechanisms"]
    for layer, facts in zip(ATTENTION_LAYERS, listed, strict=True):
        assert facts["name"] == name_of(layer)
        assert facts["name"] in text
        assert facts["causality"] == layer.causality
        assert facts["streaming"] == layer.prefix_invariant
        documented = " ".join(layer.__doc__.split()).lower()
        assert facts["cost"].lower() in documented


def test_report_writes_a_report_again(tmp_path, capsys):
    result = canned_result("dot_product", 0)
    write_comparison(tmp_path, [result])
    assert main(["report", str(tmp_path)]) == 0
    assert "report.html" in capsys.readouterr().out
    assert (tmp_path / "report.html").exists()
    assert main(["report", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["results"] == [result.to_json()]


def test_report_refuses_what_is_missing_or_foreign(tmp_path, capsys):
    assert "comparison.json" in error_of(capsys, "report", str(tmp_path / "none"))
    write_comparison(tmp_path, [canned_result("dot_product", 0)])
    run = tmp_path / "dot_product-seed0" / "result.json"
    other = tmp_path / "gravitational-seed0"
    other.mkdir()
    (other / "result.json").write_bytes(run.read_bytes())
    assert "folder of another run" in error_of(capsys, "report", str(tmp_path))
    foreign = canned_result("gravitational", 0).to_json()
    foreign["experiment"]["settings"]["epochs"] = 99
    (other / "result.json").write_text(json.dumps({"format": 1, **foreign}))
    message = error_of(capsys, "report", str(tmp_path))
    assert "another comparison: its settings differ" in message
    (other / "result.json").write_text(run.read_text()[:300])
    assert "Not a JSON file" in error_of(capsys, "report", str(tmp_path))


@pytest.mark.full
def test_an_interrupt_keeps_the_state_and_says_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "keras_twa", "compare", "--task", "listops"]
    command += ["--attention", "dot_product", "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A background job ignores the interrupt, and its children would, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for line in process.stdout:
        if "epoch 1/" in line:
            break
    # As the terminal does it: to all processes in the foreground.
    os.killpg(process.pid, signal.SIGINT)
    text, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "continues from there" in text
    assert "Traceback" not in errors
    run = tmp_path / "out" / "dot_product-seed0"
    assert '"stopped"' in (run / "result.json").read_text()
    assert (run / "checkpoint.npz").exists()
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.full
def test_the_default_output_names_task_preset_and_backend(
    tiny_quick, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", "--task", "listops", "--attention", "dot_product"]
    assert main([*arguments, "--time-limit", "0.01"]) == 0
    text = capsys.readouterr().out
    assert "the same command continues" in text
    backend = keras.backend.backend()
    assert (tmp_path / "runs" / f"listops-quick-{backend}" / "report.html").exists()
