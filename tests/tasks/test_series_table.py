"""Tables of series: what is read, and what is refused with its line and column."""

import gzip

import numpy as np
import pytest

from keras_twa.tasks.series_table import read_table

pytestmark = pytest.mark.once

# Rows of two series alternate.
TABLE = """\
id,when,x,y,place,label
a,0,1.5,2,here,up
b,10,3,4,there,down
a,0.5,5,6,here,up
b,30,7e0,-8,,down
"""


@pytest.fixture
def table(tmp_path):
    """Writes a text as a table, and reads it."""

    def read(text, name="t.csv", series="id", target="label", **options):
        path = tmp_path / name
        content = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        return read_table(path, series, target, **options)

    return read


def lists(arrays):
    return [each.tolist() for each in arrays]


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.csv.gz", "t.tsv", "t.tsv.gz"])
def test_rows_become_series(table, name):
    text = TABLE.replace(",", "\t") if "tsv" in name else TABLE
    found = table(text, name, time="when")
    assert lists(found.values) == [[[1.5, 2], [5, 6]], [[3, 4], [7, -8]]]
    assert lists(found.stamps) == [[0, 0.5], [10, 30]]
    assert found.targets.tolist() == ["up", "down"]
    assert found.has_times and found.splits is None
    assert found.about == (
        "Features: 'x', 'y'.",
        "Left out, because they contain no number: 'place'.",
    )


def test_without_times_rows_are_numbered(table):
    found = table(TABLE + "b,40,7,8,,down\n")
    assert lists(found.stamps) == [[0, 1], [0, 1, 2]]
    assert not found.has_times
    # The time stamps are one more column of numbers.
    assert found.values[0].shape == (2, 3)


def test_features_may_be_chosen(table):
    found = table(TABLE, time="when", features=["y"])
    assert lists(found.values) == [[[2], [6]], [[4], [-8]]]
    assert found.about == ("Features: 'y'.",)


def test_numbers_of_rows_are_no_feature(table):
    found = table(",id,x,label\n0,a,5,1\n1,b,6,2\n")
    assert lists(found.values) == [[[5]], [[6]]]
    assert "no name" in found.about[1]


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["1", "1.0", "2"], [1, 2]),
        (["0.5", ".50", "-3e2"], [0.5, -300]),
        (["yes", "yes", "no"], ["yes", "no"]),
        (["True", "True", "False"], ["True", "False"]),
    ],
)
def test_targets_are_numbers_or_texts(table, texts, wanted):
    one, again, other = texts
    found = table(f"id,x,label\na,1,{one}\na,1,{again}\nb,1,{other}\n")
    assert found.targets.tolist() == wanted


def test_targets_are_what_the_kind_says(table):
    mixed = "id,x,label\na,1,3\nb,1,other\n"
    found = table(mixed, kind="classification")
    assert found.targets.tolist() == ["3", "other"]
    with pytest.raises(ValueError, match=r"line 3, column 'label'.*the kind clas"):
        table(mixed)
    with pytest.raises(ValueError, match=r"line 2, .*regression.*Received: 'up'"):
        table(TABLE, kind="regression")


@pytest.mark.parametrize(
    ("dates", "seconds"),
    [
        (
            ["2024-02-28", "2024-02-28 12:00", "2024-03-01T00:00:00.5"],
            [43200, 129600.5],
        ),
        (["31/12/2023 23:00", "01/01/2024 00:00", "02/01/2024 00:00"], [3600, 86400]),
        (["Jan 30 2024", "Jan 31 2024", "Feb 1 2024"], [86400, 86400]),
        # Zones with and without summer time.
        (
            [
                "2024-03-31T00:30+01:00",
                "2024-03-31T03:30+02:00",
                "2024-03-31T01:31Z",
            ],
            [7200, 60],
        ),
    ],
)
def test_time_stamps_may_be_dates(table, dates, seconds):
    rows = "".join(f"a,{date},1,up\n" for date in dates)
    found = table(f"id,when,x,label\n{rows}b,{dates[0]},1,down\n", time="when")
    gaps = np.diff(found.stamps[0]) / np.timedelta64(1, "s")
    assert gaps.tolist() == seconds


def test_spaces_marks_and_empty_lines_are_no_part_of_cells(table):
    text = "\ufeffid , x,label\r\n\r\na, 1 ,up\r\n b,2,down\r\n"
    found = table(text)
    assert lists(found.values) == [[[1]], [[2]]]
    assert found.targets.tolist() == ["up", "down"]


def test_equal_time_stamps_are_allowed(table):
    found = table("id,t,x,label\na,3,1,up\na,3,2,up\nb,1,1,down\n", time="t")
    assert lists(found.stamps) == [[3, 3], [1]]


# The cell that is wrong is in the last line.
QUOTED = 'id,t,x,note,label\na,1,1,"two\nlines, and\n",up\n\nb,1,1,,down\n'


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,2,oops,,up", r"line 7, column 'x': a feature must be .*: 'oops'"),
        ("a,2,,,up", r"line 7, column 'x': .*: ''"),
        ("a,2,nan,,up", r"line 7, column 'x': .*: 'nan'"),
        ("a,2,-inf,,up", r"line 7, column 'x': .*: '-inf'"),
        ("a,2,1e39,,up", r"line 7, column 'x': .*: '1e39'"),
        ("a,2,1_000,,up", r"line 7, column 'x': .*: '1_000'"),
        ("a,today,1,,up", r"line 7, column 't': a time stamp must be .*: 'today'"),
        ("a,,1,,up", r"line 7, column 't': .*: ''"),
        ("a,0.5,1,,up", r"line 7, column 't': .* fall .*'a' has '1' in line 2.*'0.5'"),
        ("a,2,1,,down", r"line 7, column 'label': .*'a' has 'up' in line 2.*'down'"),
        ("a,2,1,,", r"line 7, column 'label': .*the same.*Received: ''"),
        (",2,1,,up", r"line 7, column 'id': each row must name its series.*: ''"),
        ("c,2,1,,", r"line 7, column 'label': .*Received: ''"),
        ("c,2,1,,NaN", r"line 7, column 'label': .*Received: 'NaN'"),
        ("a,2,1,,up,more", r"line 7: each row must have .* 5\. Received: 6 cells"),
        ("a,2,1,up", r"line 7: each row must have .* 5\. Received: 4 cells"),
        ('a,2,"1,,up', r"line 7: the row is malformed\. Received: unexpected end"),
        (b"a,2,1,\xe4,up", r"line 7: the file must be UTF-8"),
    ],
)
def test_the_line_and_column_of_a_wrong_cell_are_named(table, row, message):
    row = row if isinstance(row, bytes) else row.encode()
    with pytest.raises(ValueError, match=rf"t\.csv, {message}") as error:
        table(QUOTED.encode() + row, time="t")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["2024-01-31", "2024-02-30"], r"line 3, column 't': .*: '2024-02-30'"),
        (["2024-01-31", "2024-01-30"], r"line 3, column 't': .*fall.*'2024-01-30'"),
        (["03/04/2024", "13/04/2024"], r"line 3, column 't': .*: '13/04/2024'"),
        (["monday", "2024-01-30"], r"line 2, column 't': .*: 'monday'"),
    ],
)
def test_wrong_dates_are_named(table, rows, message):
    text = "id,t,x,label\n" + "".join(f"a,{row},1,up\n" for row in rows)
    with pytest.raises(ValueError, match=message):
        table(text, time="t")


def test_columns_are_checked(table):
    for change, message in (
        ({"series": "ID2"}, r"line 1: .*Did you mean 'id'\?.*Received: column 'ID2'"),
        ({"time": "wen"}, r"Did you mean 'when'\?.*Received: column 'wen'"),
        ({"features": ["x", "z"]}, r"'id', 'when', .* Received: column 'z'"),
        ({"target": "id"}, r"time and target must be different.*: 'id' twice"),
        ({"features": ["x", "label"]}, r"must be different.*: 'label' twice"),
        ({"features": ["x", "x"]}, r"must be different.*: 'x' twice"),
        ({"features": ["place"]}, r"line 2, column 'place'.*Received: 'here'"),
        ({"features": []}, r"there must be a column of features"),
    ):
        with pytest.raises(ValueError, match=message):
            table(TABLE, **change)
    with pytest.raises(ValueError, match=r"several columns .*: column 'x'"):
        table(TABLE.replace("y", "x"))
    with pytest.raises(ValueError, match=r"column of features.*Received: 'x'"):
        table("id,x,label\na,up,1\nb,down,2\n")
    with pytest.raises(ValueError, match=r"column of features.*no other column"):
        table("id,label\na,1\nb,2\n")


def test_empty_and_damaged_files_are_refused(table, tmp_path):
    with pytest.raises(ValueError, match=r"The file is empty\. Received: .*t\.csv"):
        table("")
    with pytest.raises(ValueError, match=r"no rows below its header"):
        table("id,x,label\n")
    path = tmp_path / "damaged.csv.gz"
    for content in (gzip.compress(TABLE.encode())[:-20], b"no archive", b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged|empty.*Received: .*d\.csv\.gz"):
            read_table(path, "id", "label")
