"""The wheel holds the package, all of it, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.full, pytest.mark.once]

pytest.importorskip("hatchling", reason="the wheel is built with hatchling")

ROOT = Path(__file__).resolve().parents[2]
BUILD = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the open wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as archive:
        yield archive


def test_wheel_holds_every_module(wheel):
    sources = {
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("keras_twa/**/*.py")
    }
    assert sources <= set(wheel.namelist())


def test_wheel_holds_nothing_else(wheel):
    folders = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in folders if not name.endswith(".dist-info")} == {
        "keras_twa"
    }


def test_wheel_says_what_it_is(wheel):
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = wheel.read(name).decode()
    assert "Name: keras-twa" in metadata
    assert "License-Expression: MIT" in metadata
    assert "# keras_twa" in metadata  # the README
    assert any(name.endswith("LICENSE") for name in wheel.namelist())
    (name,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
    assert "keras-twa = keras_twa.cli:main" in wheel.read(name).decode()
