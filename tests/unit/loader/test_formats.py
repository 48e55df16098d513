"""Files to rows: what a format is told by, and what damage costs."""

import codecs
import csv
import gzip
import io
import zlib

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from services.loader.domain.rows import FileRow, LineFault
from services.loader.formats.delimited import DelimitedDialect, dialect_of, read_table
from services.loader.request import ReadOptions
from services.loader.survey import surveyed
from shared.errors import AbsentError, ConfigurationError
from tests.unit.loader.files import survey_of, units_of

TABLE = 'id;title;price\r\nA;"Boots; ""black"", Größe 40";12,50\r\nB;Hose;3\r\n'
ROWS = [
    FileRow(2, {"id": "A", "title": 'Boots; "black", Größe 40', "price": "12,50"}),
    FileRow(3, {"id": "B", "title": "Hose", "price": "3"}),
]


@pytest.mark.parametrize(
    "content",
    [
        TABLE.encode(),
        TABLE.encode("utf-8-sig"),
        TABLE.encode("cp1252"),
        TABLE.encode("utf-16"),
        codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"),
        TABLE.replace("\r\n", "\n").encode(),
        TABLE.replace("\r\n", "\r").encode(),
        TABLE.rstrip().encode(),
        gzip.compress(TABLE.encode()),
        gzip.compress(TABLE[:20].encode()) + gzip.compress(TABLE[20:].encode()),
        zstd.compress(TABLE.encode()),
    ],
    ids=[
        "utf-8",
        "mark",
        "cp1252",
        "utf-16",
        "utf-16-be",
        "unix",
        "old mac",
        "no end",
        "gzip",
        "gzips",
        "zstd",
    ],
)
def test_a_table_is_read_whatever_wrote_it(tmp_path, content):
    assert units_of(tmp_path, content) == ROWS


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_gives_columns(delimiter):
    head = "".join(f"{delimiter.join(row)}\n" for row in (["id", "title"], ["1", "a, b"[:1]], ["2", "c"]))
    assert dialect_of(head).delimiter == delimiter


def test_a_table_with_tabs_may_have_quotes_that_mean_inches():
    assert dialect_of('id\ttitle\n1\t"5" pipe\n') == DelimitedDialect("\t", quoted=False)
    assert dialect_of('id\ttitle\n1\t"5"" pipe"\n') == DelimitedDialect("\t", quoted=True)


def test_columns_without_a_name_or_with_one_that_is_taken_have_one_all_the_same():
    assert read_table(["id,,id,title\n"], DelimitedDialect(",")).columns == (
        "id",
        "column 2",
        "id 3",
        "title",
    )


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=12)


@given(rows=st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=8))
def test_what_a_csv_writer_writes_is_read_back_with_its_lines(rows):
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([["a", "b", "c"], *rows])
    lines = text.getvalue().splitlines(keepends=True)  # also at separators that end no line for csv
    table = read_table(io.StringIO(text.getvalue(), newline=""), DelimitedDialect(","))
    units = list(table.rows)
    assert [list(unit.values.values()) for unit in units] == rows
    line, expected = 2, []
    for row in rows:
        expected.append(line)
        line += 1 + sum(cell.count("\n") for cell in row)
    assert [unit.line for unit in units] == expected
    assert lines


def test_a_quote_that_is_never_closed_costs_one_line(tmp_path):
    content = 'id,title\n1,a\n2,"never closed\n3,c\n' + "".join(f"{n},x\n" for n in range(4, 200))
    units = units_of(tmp_path, content)
    faults = [unit for unit in units if isinstance(unit, LineFault)]
    assert [(fault.line, fault.reason, fault.lost) for fault in faults] == [(3, "row.unreadable", True)]
    assert [unit.values["id"] for unit in units if isinstance(unit, FileRow)] == [
        "1",
        *map(str, range(3, 200)),
    ]


def test_rows_that_are_too_wide_or_too_narrow_are_told_with_their_line(tmp_path):
    units = units_of(tmp_path, "id,title,price\n1,a,2\n2,b,c,d\n3,e\n\n4,f,5\n")
    faults = {(unit.line, unit.reason, unit.lost) for unit in units if isinstance(unit, LineFault)}
    assert faults == {(3, "row.too_wide", True), (4, "row.too_narrow", False)}
    assert [unit.values["id"] for unit in units if isinstance(unit, FileRow)] == ["1", "3", "4"]


def test_json_lines_that_are_none_are_told_with_their_line(tmp_path):
    content = b'\xef\xbb\xbf{"id":1}\r\n\n{"id":\n[1]\n{"id":"\xff"}\n{"id":NaN}\n{"id":2}'
    units = units_of(tmp_path, content)
    assert [unit.values["id"] for unit in units if isinstance(unit, FileRow)] == [1, 2]
    faults = [(unit.line, unit.reason) for unit in units if isinstance(unit, LineFault)]
    assert faults == [(3, "json.invalid"), (4, "json.not_object"), (5, "json.invalid"), (6, "json.invalid")]


def test_a_line_without_end_is_one_fault(tmp_path):
    content = b'{"id":1}\n{"id":"' + b"x" * (9 * 1024 * 1024) + b'"}\n{"id":2}\n'
    units = units_of(tmp_path, gzip.compress(content))
    assert [unit.line for unit in units] == [1, 2, 3]
    assert [unit.reason for unit in units if isinstance(unit, LineFault)] == ["line.too_long"]


def checked_zstd(content):
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


@pytest.mark.parametrize("packed", [gzip.compress, checked_zstd], ids=["gzip", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_packed_file_that_is_damaged_ends_with_a_line_that_says_so(tmp_path, packed, damage):
    rows = b"".join(b'{"id":%d,"title":"%d"}\n' % (n, zlib.crc32(b"%d" % n)) for n in range(200_000))
    content = bytearray(packed(rows))
    if damage == "cut":
        del content[-1000:]
    else:
        content[-1000] ^= 1
    with survey_of(tmp_path, bytes(content)) as survey:
        *units, last = survey.rows
        assert survey.content.damage
    assert last.reason == "file.damaged"
    assert 100_000 < len(units) < 200_000 or damage == "flipped"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04....", "zip archive"),
        (b'[{"id":1}]', "jq -c"),
        (b"id,title\n", "no rows"),
    ],
)
def test_what_cannot_be_read_at_all_is_refused_with_what_to_do(tmp_path, content, words):
    with pytest.raises(ConfigurationError, match=words), survey_of(tmp_path, content) as survey:
        survey.reading(ReadOptions())


def test_a_file_that_is_not_there_is_named_without_what_a_terminal_would_act_on():
    with (
        pytest.raises(AbsentError, match=r"no\\x1b\[31mfile cannot be opened"),
        surveyed("no\x1b[31mfile", ReadOptions()),
    ):
        pass
