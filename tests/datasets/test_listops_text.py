"""ListOps as text: tokens, evaluation, and files of expressions."""

import numpy as np
import pytest

from keras_twa.datasets import listops

pytestmark = pytest.mark.once

RELEASED = "( ( ( [MAX 4 ) ( ( ( [MED 1 ) 8 ) ] ) ) ] )"
PLAIN = "[MAX 4 [MED 1 8 ] ]"


def test_vocabulary_is_fixed_and_keeps_brackets():
    symbols = "0 1 2 3 4 5 6 7 8 9 [MIN [MAX [MED [SM ]"
    assert listops.encode(symbols) == list(range(1, 16))
    assert listops.encode("MIN ( ) X") == [16, 16]
    assert listops.VOCABULARY_SIZE == 17
    assert listops.decode([0, 12, 5, 15, 0]) == "[MAX 4 ]"
    with pytest.raises(ValueError, match="Received: 16"):
        listops.decode([16])


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("7", 7),
        (RELEASED, 4),
        (PLAIN, 4),
        ("[MED 1 8 ]", 4),
        ("[MED 9 0 5 ]", 5),
        ("[MED 1 2 9 8 ]", 5),
        ("[SM 9 9 9 ]", 7),
        ("[MIN 3 [SM 5 6 ] 8 ]", 1),
    ],
)
def test_evaluate(source, value):
    assert listops.evaluate(source) == value


@pytest.mark.parametrize(
    "source",
    [
        "",
        "1 2",
        "[MAX 1 2",
        "[MAX ]",
        "1 ]",
        "[MEDIAN 1 2 ]",
        "[MAX 12 3 ]",
        "( [MAX 1 2 ]",
        "( ( ( [MAX 4 ) 3 ) ]",
        "( 7 )",
    ],
)
def test_malformed_expressions(source):
    with pytest.raises(ValueError, match=r"Not a ListOps expression: .* Received: "):
        listops.evaluate(source)


def test_tsv_round_trip(tmp_path):
    (x, y), _, _ = listops.load_data(200, 1, 1, cache_dir=tmp_path / "cache")
    path = tmp_path / "rows.tsv"
    sources = [listops.decode(row) for row in x]
    listops.write_tsv(path, sources, y)
    read_sources, read_targets = listops.read_tsv(path)
    assert read_sources == sources
    assert np.array_equal(read_targets, y)
    assert listops.encode(read_sources[0]) == [t for t in x[0] if t]


def test_tsv_form(tmp_path):
    path = tmp_path / "rows.tsv"
    listops.write_tsv(path, [PLAIN, RELEASED, "3"], [4, 4, 3])
    assert path.read_bytes().decode() == (
        f"Source\tTarget\n{RELEASED}\t4\n{RELEASED}\t4\n3\t3\n"
    )
    path.write_text(f"Source\tTarget\n{PLAIN}\t4\n")
    assert listops.read_tsv(path)[0] == [PLAIN]


@pytest.mark.parametrize(
    "row",
    ["[MAX 1 2\t2", "[MAX 1 2 ]", "[MAX 1 2 ]\t2\t2", "[MAX 1 2 ]\ttwo", "1\t2", ""],
)
def test_malformed_rows_name_file_and_line(tmp_path, row):
    path = tmp_path / "rows.tsv"
    path.write_text(f"Source\tTarget\n7\t7\n{row}\n8\t8\n")
    with pytest.raises(ValueError, match=r"rows\.tsv, line 3: .*Received: "):
        listops.read_tsv(path)


@pytest.mark.parametrize("mark", ["", "\N{ZERO WIDTH NO-BREAK SPACE}"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("after", ["", "\n", "\n\n", "\n  \n\t\n"])
@pytest.mark.parametrize("turned", [False, True])
def test_reads_files_of_other_programs(tmp_path, mark, end, after, turned):
    rows = [["Source", "Target"], [RELEASED, "4"], ["[MIN 1 2 ]", "1"], ["7", "7"]]
    text = "\n".join("\t".join(row[::-1] if turned else row) for row in rows)
    path = tmp_path / "rows.tsv"
    path.write_bytes((mark + (text + after).replace("\n", end)).encode())
    sources, targets = listops.read_tsv(path)
    assert sources == [PLAIN, "[MIN 1 2 ]", "7"]
    assert targets.tolist() == [4, 1, 7]


@pytest.mark.parametrize(
    "header", ["Source\tLabel", "Source", "Source\tSource", "Source\tTarget\tId", ""]
)
def test_refuses_other_headers(tmp_path, header):
    path = tmp_path / "rows.tsv"
    path.write_text(f"{header}\n7\t7\n")
    with pytest.raises(ValueError, match=r"rows\.tsv, line 1: .*header.*Received: "):
        listops.read_tsv(path)


def test_files_that_are_none(tmp_path):
    with pytest.raises(ValueError, match="Cannot read ListOps"):
        listops.read_tsv(tmp_path / "missing.tsv")
    path = tmp_path / "rows.tsv"
    path.write_text("7\t7\n")
    with pytest.raises(ValueError, match="line 1: expected the header"):
        listops.read_tsv(path)


def test_nothing_half_written(tmp_path):
    with pytest.raises(ValueError, match="line 3: the value of the source is 8"):
        listops.write_tsv(tmp_path / "rows.tsv", ["7", "8"], [7, 1])
    assert not list(tmp_path.iterdir())
