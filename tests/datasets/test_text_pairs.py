"""Pairs of texts: bytes there and back, and no source in two splits."""

import gzip
import unicodedata

import numpy as np
import pytest

from keras_twa.datasets import text_pairs

pytestmark = pytest.mark.once

TEXTS = ["Go.", "", "Ça marche : 5 €", "走"]


@pytest.fixture
def file(tmp_path):
    """Return a file of pairs; some sources have several targets."""
    lines = [f"source {n // 2}\tcible {n}\tCC-BY" for n in range(200)]
    path = tmp_path / "pairs.txt"
    path.write_text("\n".join([*lines, "", "long\t" + "x" * 200]), encoding="utf-8")
    return path


@pytest.mark.parametrize("markers", [False, True])
def test_bytes_there_and_back(markers):
    tokens = text_pairs.encode(TEXTS, markers=markers)
    assert tokens.dtype == np.int32
    assert tokens.max() < text_pairs.VOCABULARY_SIZE
    assert [text_pairs.decode(row) for row in tokens] == TEXTS
    if markers:
        assert (tokens[:, 0] == text_pairs.START).all()
        assert (np.sum(tokens == text_pairs.END, axis=1) == 1).all()


def test_decodes_what_models_write():
    assert text_pairs.decode([0, 0]) == ""
    assert text_pairs.decode([98, 0, 99]) == "ab"
    assert text_pairs.decode([text_pairs.END, 98]) == ""
    # The first byte of two: what is no UTF-8 is shown as such.
    assert text_pairs.decode([98, 0xC3 + 1]) == "a\N{REPLACEMENT CHARACTER}"


def test_refuses_texts_that_are_too_long():
    assert text_pairs.encode(["abc"], length=4).tolist() == [[98, 99, 100, 0]]
    with pytest.raises(ValueError, match="Received: length=4"):
        text_pairs.encode(["abc"], length=4, markers=True)


def test_reads_pairs(file):
    splits = text_pairs.load_data(file, test_fraction=0.1)
    pairs = [
        [
            (text_pairs.decode(s), text_pairs.decode(t))
            for s, t in zip(source, target, strict=True)
        ]
        for source, target in splits
    ]
    assert sorted(pair for split in pairs for pair in split) == sorted(
        (f"source {n // 2}", f"cible {n}") for n in range(200)
    )
    sources = [{source for source, _ in split} for split in pairs]
    assert [len(split) for split in sources] == [85, 5, 10]
    assert len(set.union(*sources)) == 100
    assert len({source.shape[1] for source, _ in splits}) == 1
    assert len({target.shape[1] for _, target in splits}) == 1


def test_seeds_matter(file):
    one, again, other = (text_pairs.load_data(file, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one[2][1], again[2][1])
    assert not np.array_equal(one[2][1], other[2][1])


@pytest.mark.parametrize(
    "arguments",
    [
        {"max_length": 0},
        {"max_length": 2},
        {"validation_fraction": 0.0},
        {"test_fraction": 0.5},
        {"seed": -1},
    ],
)
def test_bad_arguments(file, arguments):
    with pytest.raises(ValueError, match="Received: "):
        text_pairs.load_data(file, **arguments)


def test_only_line_feeds_end_a_line(tmp_path):
    path = tmp_path / "pairs.txt"
    sources = ["a\x0cb", "c\x85d", "e\u2028f", "g"]
    text = "\r\n".join(f"{source}\tun" for source in sources)
    path.write_bytes(text.encode("utf-8-sig"))
    splits = text_pairs.load_data(path, validation_fraction=0.25, test_fraction=0.25)
    found = [text_pairs.decode(row) for source, _ in splits for row in source]
    assert sorted(found) == sources


def test_refuses_lines_without_a_tab(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("one\tun\ntwo deux\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 2 of .*two deux"):
        text_pairs.load_data(path)


def spellings(number):
    """Return spellings of one source, as files from several hands have them."""
    text = f"Ça va bien, n{number} ﬁn ?"
    return [
        text,
        f"{text} ",
        f"  {text}",
        text.replace(" ", "\N{NO-BREAK SPACE}"),
        text.replace(" ", "  "),
        unicodedata.normalize("NFD", text),
        unicodedata.normalize("NFKC", text),
        text.upper(),
    ]


def test_spellings_of_a_source_stay_together(tmp_path):
    path = tmp_path / "pairs.txt"
    rows = [f"{s}\t{n} {i}" for n in range(40) for i, s in enumerate(spellings(n))]
    path.write_text("\n".join(rows), encoding="utf-8")
    numbers = []
    for source, target in text_pairs.load_data(path, 128, 0.2, 0.2, seed=3):
        rows = [text_pairs.decode(row).split() for row in target]
        numbers.append([int(number) for number, _ in rows])
        for row, (number, spelling) in zip(source, rows, strict=True):
            want = spellings(int(number))[int(spelling)]
            assert text_pairs.decode(row) == want
    assert [len({*found}) for found in numbers] == [24, 8, 8]
    assert len({*numbers[0], *numbers[1], *numbers[2]}) == 40
    assert sum(map(len, numbers)) == 320


def test_the_order_of_lines_moves_no_source(file, tmp_path):
    turned = tmp_path / "turned.txt"
    lines = file.read_text(encoding="utf-8").splitlines()
    turned.write_text("\n".join(lines[::-1]), encoding="utf-8")
    for (_, one), (_, other) in zip(
        text_pairs.load_data(file), text_pairs.load_data(turned), strict=True
    ):
        assert sorted(one.tolist()) == sorted(other.tolist())


@pytest.mark.parametrize("name", ["pairs.gz", "pairs.txt"])
def test_reads_gzip_by_its_content(file, tmp_path, name):
    path = tmp_path / "packed" / name
    path.parent.mkdir()
    path.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    for one, other in zip(
        text_pairs.load_data(file), text_pairs.load_data(path), strict=True
    ):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


LINES = "Go.\tVa !\nHi.\tÇa va ?\n"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (LINES.encode("utf-16"), "UTF-16"),
        (LINES.encode("utf-16-le"), "0x00 in line 1"),
        (b"\xfe\xff" + LINES.encode("utf-16-be"), "UTF-16"),
        (LINES.encode("utf-32"), "UTF-32"),
        (LINES.encode("latin-1"), "0xc7 in line 2"),
        (gzip.compress(LINES.encode("latin-1"), mtime=0), "0xc7 in line 2"),
        (b"PK\x03\x04 and more", "zip"),
        (gzip.compress(LINES.encode(), mtime=0)[:-9], "pairs"),
        (b"\x1f\x8b no gzip", "pairs"),
        (None, "pairs"),
    ],
)
def test_names_files_that_are_not_utf8(tmp_path, data, found):
    path = tmp_path / "given.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{found}.*given\.txt") as caught:
        text_pairs.load_data(path)
    assert "Received: " in str(caught.value)
