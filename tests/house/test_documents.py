"""What the documents say works, is there, and is what CI does."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import markdown
import pytest

from keras_twa import layers
from keras_twa.version import __version__
from tests.few import a_few

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("docs/guides/*.md"), ROOT / "docs/first_steps.md"]
)
# The others run in the full run, on one backend.
ALWAYS_RUN = ("docs/first_steps.md", "docs/guides/extending.md")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def read(name):
    """Return the text of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name, language):
    """Return the fenced code of a document."""
    return re.findall(rf"^```{language}\n(.*?)^```", read(name), re.M | re.S)


def load(name):
    """Return a Python file that is in no package, as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).stem, ROOT / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def commands(name):
    """Return the shell lines of a document, without comments."""
    lines = "".join(blocks(name, "shell")).splitlines()
    return [line.partition("  #")[0].strip() for line in lines]


def extras_in(text):
    """Return the extras that commands and messages name, each once."""
    found = re.findall(r"(?:keras-twa|\.|`)\[([a-z,-]+)\]", text)
    return {extra for names in found for extra in names.split(",")}


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md", "docs/index.md"])
def test_code_runs(name):
    codes = blocks(name, "python")
    assert codes
    for code in codes:
        exec(compile(code, name, "exec"), {"__name__": "example"})


@pytest.mark.usefixtures("own_registry")
@pytest.mark.parametrize("name", a_few(GUIDES, always=ALWAYS_RUN))
def test_guides_run_from_top_to_bottom(name):
    codes = blocks(name, "python")
    assert codes
    exec(compile("\n".join(codes), name, "exec"), {"__name__": "example"})


def test_examples_are_short():
    for code in blocks("README.md", "python"):
        assert len([line for line in code.splitlines() if line.strip()]) <= 12


@pytest.fixture(scope="module")
def generate():
    """The script that writes the tables and pages of mechanisms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        return load("docs/generate.py")


def test_the_table_of_mechanisms_is_up_to_date(generate):
    text = read("README.md")
    stale = text.replace("| [`dot_product`]", "| [`dot`]")
    assert generate.with_table(stale) == text != stale


def test_each_row_of_the_table_leads_to_a_section(generate):
    text = generate.details()
    assert read("docs/mechanisms.md") == text
    sections = re.findall(r"^## `(\w+)`$", text, re.M)
    links = re.findall(r"docs/mechanisms\.md#(\w+)\)", read("README.md"))
    assert links == sections == [layers.name_of(x) for x in layers.ATTENTION_LAYERS]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("dot_product", "quadratic"),
        ("transformer_xl", "quadratic"),
        ("multi_timescale", "quadratic or linear"),
        ("local", "linear or quadratic"),
        ("rwkv", "linear"),
        ("lsh", "T log T"),
    ],
)
def test_the_class_of_a_cost_is_read_from_the_docstring(generate, name, wanted):
    found = {layers.name_of(layer): layer for layer in layers.ATTENTION_LAYERS}
    assert generate.cost_class(found[name]) == wanted


@pytest.fixture
def pages(monkeypatch):
    """The hook that makes the site's pages."""
    monkeypatch.syspath_prepend(ROOT / "docs")
    return load("docs/pages.py")


def test_the_site_shows_no_backslashes_and_all_mechanisms(pages):
    page = markdown.markdown(pages.overview(), extensions=["tables"])
    rows = [re.findall("<td>(.*?)</td>", row, re.S) for row in page.split("</tr>")]
    rows = [row for row in rows if row]
    assert len(rows) == len(layers.ATTENTION_LAYERS)
    assert {len(row) for row in rows} == {4}
    assert all(row[0].startswith("<a href=") for row in rows)
    for layer in layers.ATTENTION_LAYERS:
        page += markdown.markdown(
            pages.mechanism_page(layer, layers.name_of(layer), []),
            extensions=["tables"],
        )
    assert "<table>" in page and "\\" not in page


def test_a_bar_ends_no_cell_of_the_site(pages):
    text = pages.cell("`|x|` and | of `a`")
    page = markdown.markdown(
        f"| a | b |\n| --- | --- |\n| {text} | 2 |", extensions=["tables"]
    )
    cells = re.findall("<td>(.*?)</td>", page)
    assert cells == ["<code>|x|</code> and | of <code>a</code>", "2"]


def test_tables_of_the_site_break_no_words():
    assert "stylesheets/tables.css" in read("mkdocs.yml")
    style = read("docs/stylesheets/tables.css")
    assert re.search(r"code\) {[^}]*word-break: normal", style)


def test_ci_runs_the_commands_of_the_readme():
    ci = read(".ci/run") + read(".ci/extras")
    patterns = re.findall(r"\$\(from_readme '(.*?)'\)", ci)
    assert len(patterns) >= 4
    for pattern in patterns:
        found = [line for line in commands("README.md") if re.search(pattern, line)]
        assert len(found) == 1, f"{pattern!r} finds {found} in the README"


def test_ci_installs_each_extra_that_is_named():
    sources = [*ROOT.glob("keras_twa/**/*.py"), *ROOT.glob("docs/guides/*.md")]
    sources += [ROOT / "README.md", ROOT / "docs/first_steps.md"]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    named = extras_in(text)
    assert {"jax", "tensorflow", "torch", "tuner", "bleu", "tfds", "docs"} <= named
    # CI installs these two for its own tests.
    assert named - extras_in(read(".ci/extras")) == {"dev", "parity"}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_commands_name_files_that_exist(name):
    files = re.findall(r"(?:python|pytest) ([\w/]+(?:\.py)?)", " ".join(commands(name)))
    assert files
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (path.parent / link).exists()] == []


def test_the_changelog_has_this_version():
    assert f"## [{__version__}]" in read("CHANGELOG.md")


def test_contributing_is_short():
    assert len(read("CONTRIBUTING.md").splitlines()) <= 80


def test_installed_commands_start():
    for arguments in (["compare", "--help"], ["list", "--help"]):
        command = [sys.executable, "-m", "keras_twa", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert "usage" in done.stdout
