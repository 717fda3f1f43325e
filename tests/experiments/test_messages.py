"""What commands print: names as they are, to any stream, whatever goes wrong."""

import io
import json
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from keras_twa.cli import main
from keras_twa.datasets.cache import cache_directory
from keras_twa.experiments import report
from keras_twa.experiments.comparison import Comparison
from keras_twa.home import expanded
from tests.experiments.canned_results import ATTENTIONS
from tests.experiments.canned_results import canned_result
from tests.experiments.canned_results import write_comparison
from tests.experiments.test_cli import ROOT
from tests.experiments.test_cli import error_of

pytestmark = [pytest.mark.full, pytest.mark.once]

AWKWARD = "runs [final]  [red]x [a[/b] :smile: `c` **d** <i>&amp;"
# A name in Latin-1, as Python holds it.
NOT_UTF8 = os.fsdecode(b"caf\xe9 [x]")
ROWS = ("--num-train", "30", "--num-validation", "4", "--num-test", "5")


@pytest.fixture
def trained(monkeypatch):
    """Puts results of two seeds in the place of runs."""
    results = [canned_result("dot_product", seed) for seed in (0, 1)]
    monkeypatch.setattr(Comparison, "run", lambda *arguments: results)
    return ["compare", "--task", "listops", "--attention", "dot_product"]


@pytest.mark.parametrize("name", [AWKWARD, NOT_UTF8])
def test_a_path_is_printed_as_it_is(name, tmp_path, capsys):
    folder = write_comparison(tmp_path / name, [canned_result("dot_product", 0)])
    assert main(["report", str(folder)]) == 0
    shown = str(folder / "report.html").replace("\udce9", r"\xe9")
    assert f"Report: {shown}\n" == capsys.readouterr().out
    assert (folder / "report.html").exists()
    assert shown.rpartition("/")[0] in error_of(capsys, "report", str(folder / "none"))


@pytest.mark.parametrize("name", [AWKWARD, NOT_UTF8])
def test_data_and_output_may_have_any_name(name, tiny_quick, tmp_path, capsys):
    data, output = tmp_path / name / "data", tmp_path / name / "out"
    generate = ["generate-listops", "--output", str(data), "--preset", "quick"]
    assert main([*generate, *ROWS]) == 0
    shown = {path: str(path).replace("\udce9", r"\xe9") for path in (data, output)}
    assert f"{shown[data]}/basic_train.tsv: 30 rows" in capsys.readouterr().out
    compare = ["compare", "--task", "listops", "--attention", "dot_product"]
    compare += ["--data", str(data), "--output", str(output)]
    assert main(compare) == 0
    text = capsys.readouterr().out
    assert f"Results: {shown[output]}\n" in text
    assert f"Report: {shown[output]}/report.html\n" in text
    assert (output / "dot_product-seed0" / "best.weights.h5").exists()
    # Again, with another setting: the message has the path, too.
    hint = error_of(capsys, *compare, "--epochs", "2")
    assert shown[output] in hint


def test_output_in_ascii_is_complete(trained, tiny_quick, tmp_path, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main([*trained, "--output", str(tmp_path / "größe")]) == 0
    text = out.buffer.getvalue().decode("ascii")
    assert "+/-" in text and "root operator" in text
    assert rf"Report: {tmp_path}/gr\xf6\xdfe/report.html" in text


def test_a_report_that_fails_hides_no_results(
    trained, tiny_quick, tmp_path, monkeypatch, capsys
):
    def fail(directory):
        raise RuntimeError("latex could not be found\nthe log follows")

    monkeypatch.setattr(report, "write_report", fail)
    arguments = [*trained, "--output", str(tmp_path / "out")]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "±" in printed.out and "Report:" not in printed.out
    (line,) = printed.err.splitlines()
    assert "The report failed: RuntimeError: latex could not be found" in line
    assert str(tmp_path / "out") in line
    assert main([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["report"], len(found["results"])) == (None, 2)
    # Alone, it is one line, too.
    assert main(["report", str(tmp_path / "out")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["list", "--json"],
        ["--help"],
        ["report", "{folder}"],
        ["report", "{folder}", "--json"],
        ["generate-listops", "--output", "{folder}/new", "--preset", "quick", *ROWS],
        ["compare", "--task", "listops", "--output", "{folder}/out"],
        ["train", "--task", "listops", "--output", "{folder}/out"],
    ],
    ids=" ".join,
)
def test_a_reader_that_leaves_ends_a_command_quietly(
    command, trained, tiny_quick, tmp_path, monkeypatch, capsys
):
    write_comparison(tmp_path, [canned_result("dot_product", 0)])
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(sys, "stdout", os.fdopen(write, "w", encoding="utf-8"))
    assert main([part.format(folder=tmp_path) for part in command]) == 141
    # Nothing is left that Python would try to write when it exits.
    sys.stdout.close()
    errors = capsys.readouterr().err
    assert "error" not in errors and "Traceback" not in errors


def test_a_process_whose_reader_leaves_says_nothing():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "keras_twa", "list", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_one_line(monkeypatch, capsys):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no device that is full")
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", os.fdopen(full, "w", encoding="utf-8"))
    assert main(["list", "--json"]) == 2
    sys.stdout.close()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_closed_streams_are_no_problem(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["list"]) == 0


def test_a_termination_shows_what_there_is_and_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "keras_twa", "compare", "--task", "listops"]
    command += ["--attention", "dot_product", "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "epoch 1/" in line:
            break
    # To the command alone, as `kill` and `timeout` do it.
    process.send_signal(signal.SIGTERM)
    text, errors = process.communicate(timeout=300)
    assert process.returncode == 143, errors
    assert "Terminated" in errors and "Traceback" not in errors
    table = text[: text.index("continues from there")]
    for part in ("accuracy", "dot_product", "0 of 1", "root operator"):
        assert part in table
    run = tmp_path / "out" / "dot_product-seed0"
    assert '"stopped"' in (run / "result.json").read_text()
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize(("error", "code"), [(signal.SIGTERM, 143), (None, 130)])
def test_any_command_can_be_ended(error, code, monkeypatch, capsys):
    def end(directory):
        if error is None:
            raise KeyboardInterrupt
        os.kill(os.getpid(), error)
        signal.pause()

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(report, "write_report", end)
    assert main(["report", "anywhere"]) == code
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err.strip() in ("Terminated.", "Interrupted.")


@pytest.fixture
def homeless(monkeypatch):
    """A user that the system does not know, without a home folder."""

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_without_a_home_folder_there_is_a_cache(homeless):
    temporary = Path(tempfile.gettempdir())
    assert cache_directory() == temporary / ".keras" / "keras_twa"
    assert cache_directory("there") == Path("there")
    with pytest.raises(ValueError, match=r"no home folder .* Received: ~/x"):
        expanded("~/x")
    with pytest.raises(ValueError, match="no home folder"):
        cache_directory("~/x")


def test_a_home_folder_that_cannot_be_written_holds_no_cache(monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", "/no/such/folder")
    assert cache_directory().is_relative_to(tempfile.gettempdir())


def test_a_path_without_its_home_folder_is_one_line(homeless, capsys):
    with pytest.raises(SystemExit) as end:
        main(["report", "~/runs [x]"])
    assert end.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "There is no home folder" in last and "Received: ~/runs [x]" in last
    imdb = ("compare", "--task", "imdb", "--data", "~/aclImdb", "--output", "/tmp/none")
    assert "no home folder" in error_of(capsys, *imdb)


def test_a_short_table_says_what_was_left_out(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["list"]) == 0
    # A file has room for all of it.
    assert "A wider terminal" not in capsys.readouterr().out
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    assert main(["list"]) == 0
    text = re.sub("\x1b.*?m", "", capsys.readouterr().out)
    assert "A wider terminal also shows: causal" in text
    assert all(len(line) <= 40 for line in text.splitlines())
    assert set(ATTENTIONS[:1]) <= set(text.split())
