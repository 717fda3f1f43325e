"""A file appears whole, or what was there before stays."""

import pytest

from keras_twa import files


def test_what_is_written_replaces_what_was_there(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with files.whole(path, "w", encoding="utf-8") as file:
        file.write("new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(KeyError), files.whole(path, "w") as file:
        file.write("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
