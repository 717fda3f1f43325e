"""The notebooks run from top to bottom, and are kept without their outputs."""

import os
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(ROOT.glob("examples/*.ipynb"))


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "choosing_an_attention",
        "first_steps",
        "your_own_model",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.full
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    # As in Jupyter, whatever the tests themselves draw with.
    monkeypatch.delenv("MPLBACKEND", raising=False)
    notebook = read(path)
    client = nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    if path.stem == "your_own_model":
        _check_comparison(notebook)
        return
    shown = [
        output
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    calls = [
        cell
        for cell in code_cells(notebook)
        if cell.source.startswith(("attention_heatmaps(", "position_weights("))
    ]
    # Each figure shows itself, and once.
    assert len(shown) == len(calls) >= 2


def _check_comparison(notebook):
    """The comparison shows itself as a table with plots, and all runs are complete."""
    pages = [
        output["data"]["text/html"]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "text/html" in output.get("data", {})
    ]
    page, table = pages
    assert page.count("data:image/svg+xml") == 2
    assert "2 of 2" in page
    assert "killed" not in page
    assert "as_given" in table


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    for cell in code_cells(read(path)):
        assert cell.outputs == []
        assert cell.execution_count is None
