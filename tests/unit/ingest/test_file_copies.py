"""Copies of files that Spark cannot read as they are."""

import datetime as dt
import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from crm_spark.sources.files import FileOptions, Files
from crm_spark.stages.ingest.file_copies import readable_paths
from crm_spark.stages.ingest.file_validation import examine, validated_file
from crm_spark.stages.ingest.source_file import SourceFile

AT = dt.datetime(2025, 1, 1)


@pytest.fixture
def copied(tmp_path):
    """Validate a file; returns the file and the content that Spark reads."""

    def copied(name, content, format, *, preferred=frozenset(), **options):
        (tmp_path / name).write_bytes(content)
        how, path = Files(path="*", format=format, options=FileOptions(**options)), str(tmp_path / name)
        (report,) = examine(fs.LocalFileSystem(), path, name, how, max_unpacked_ratio=200)
        assert report.damage is None, report
        file = validated_file(SourceFile("s", name, path, len(content), AT), report)
        with readable_paths([file], how, tmp_path / "scratch", preferred=preferred) as paths:
            ((read, file),) = paths.items()
            return file, open(read, "rb").read()

    return copied


@pytest.mark.parametrize(
    ("content", "read"),
    [
        (b"a,b\n1,x\r\n2,y\r\n", b"a,b\n1,x\n2,y\n"),
        (b"a,b\r\n1,x\n2,y\n", b"a,b\n1,x\n2,y\n"),
        (b"a,b\r1,x\n2,y\r\n", b"a,b\n1,x\n2,y\n"),
        (b'a,b\r\n1,"x\r\ny\nz"\n2,"q""\r\n"""\r\n3,5" disk\n', b'a,b\n1,"x\r\ny\nz"\n2,"q""\r\n"""\n3,5" disk\n'),
        (b'"a\nb",c\r\n1,2\r\n', b'"a\nb",c\n1,2\n'),  # the first line break is within the header
        (b"a,b\n1,x\r\n2,y", b"a,b\n1,x\n2,y"),
    ],
)
def test_mixed_line_ends_become_line_feeds_outside_quotes(copied, content, read):
    file, text = copied("a.csv", content, "csv")
    assert (text, file.is_copy) == (read, True)


@pytest.mark.parametrize("content", [b"a,b\r\n1,x\r\n", b"a,b\r1,x\r", b'a,b\r\n1,"x\ny"\r\n', b"a,b\n1,2"])
def test_uniform_line_ends_need_no_copy(copied, content):
    file, text = copied("a.csv", content, "csv")
    assert (text, file.is_copy) == (content, False)


@pytest.mark.parametrize(
    ("rows", "is_unquoted"),
    [
        ('V1\t5" screen\nV2\t"Wow, a lamp\nV3\tbroke\nV4\tbest" and it is\n', True),
        ('V1\t"Wow\nV2\tfine\n', True),  # never closed
        ('V1\t"Wow\nV2\tfine"\n', True),  # would merge two complete lines
        ('V1\t"two\nlines, ""q"" "\nV2\tfine\n', False),
        ('V1\t"one, ""q"""\nV2\tfine\n', False),
        ("V1\tplain\n", False),
    ],
)
def test_tab_separated_file_shows_whether_it_uses_quotes(copied, rows, is_unquoted):
    file, _ = copied("a.tsv", f"id\ttext\n{rows}".encode(), "csv", delimiter="\t")
    assert file.is_unquoted is is_unquoted


@pytest.mark.parametrize(
    ("rows", "is_unquoted"),
    [
        ('V1;5" screen\nV2;"Wow a lamp\nV3;broke\nV4;best" and it is\n', True),
        ('V1;"Wow\nV2;fine"\n', False),  # a text of two lines
        ('V1;"Wow; two\nV2;fine" and it is\n', False),  # a line is incomplete without quoting
        ('V1;"x"y\nV2;"z"\n', False),
    ],
)
def test_other_file_is_unquoted_only_if_quotes_cannot_be_quoting(copied, rows, is_unquoted):
    assert copied("a.csv", f"id;text\n{rows}".encode(), "csv", delimiter=";")[0].is_unquoted is is_unquoted


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp850", "shift_jis"])
def test_other_encodings_are_copied_to_utf_8(copied, encoding):
    text = "id,city\n1,カナ\n" if encoding == "shift_jis" else "id,city\n1,Köln\n"
    assert copied("a.csv", text.encode(encoding), "csv", encoding=encoding)[1] == text.encode()


def test_invalid_bytes_are_replaced_in_the_copy(copied):
    assert copied("a.csv", b"id\nK\xf6ln\n", "csv", errors="replace")[1] == "id\nK\ufffdln\n".encode()


def test_no_quoting_keeps_quotes_and_normalises_line_ends(copied):
    assert copied("a.csv", b'a,b\n1,"x\r\n2,y"\r\n', "csv", quote="")[1] == b'a,b\n1,"x\n2,y"\n'


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ['{"id":"K1","Id":"x"}', '{"id":"K2","ID":1.50}'],
            [{"id": "K1", "%49d": "x"}, {"id": "K2", "%49%44": "1.50"}],
        ),
        (['{"a":1,"a":2}'], [{"a": "2"}]),
        (['{"a":1} {"a":2}', '{"a":3}'], [{"\x01unparsed": '{"a":1} {"a":2}'}, {"a": "3"}]),
        (['{"a":{"x":  1e2,"X":[NaN]},"A":null}'], [{"a": '{"x":  1e2,"X":[NaN]}', "%41": None}]),
        (['[{"a":1},{"A":true}]'], [{"a": "1"}, {"%41": "true"}]),
        (['{"a":"\\ud83d \\u00e9","A":" x "}'], [{"a": "\\ud83d é", "%41": " x "}]),
        (['{"é":1,"É":2}'], [{"é": "1", "%C3%89": "2"}]),
        (['{"":1,"c0":2}'], [{"c0": "1", "%630": "2"}]),
        (['{"a b":1,"A b":2,"a":"]}"}'], [{"a%20b": "1", "%41%20b": "2", "a": "]}"}]),
    ],
)
def test_json_keys_that_differ_only_in_case_get_separate_columns(copied, lines, expected):
    content = "\n".join(lines).encode()
    assert [json.loads(line) for line in copied("a.jsonl", content, "jsonl")[1].splitlines()] == expected


def test_mapped_key_keeps_its_spelling(copied):
    _, text = copied("a.json", b'[{"ID":1,"id":2}]', "json", preferred=frozenset({"id"}))
    assert json.loads(text) == {"%49D": "1", "id": "2"}


@pytest.mark.parametrize("content", [b"[]", b'[{"a":1}]', b'{"a":1}', b'\xef\xbb\xbf[{"a":NaN}]'])
def test_plain_json_document_needs_no_copy(copied, content):
    assert copied("a.json", content, "json")[0].is_copy is False


NOON = dt.datetime(2024, 7, 1, 12)


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([NOON, None], pa.timestamp("ns")), ["2024-07-01 12:00:00", None]),
        (pa.array([1_719_835_200_123_456_789], pa.timestamp("ns")), ["2024-07-01 12:00:00.123456789"]),
        (pa.array([1_719_835_200_500_000_000], pa.timestamp("ns", "UTC")), ["2024-07-01 12:00:00.5Z"]),
        (pa.array([1_719_835_200_000_000_000], pa.timestamp("ns", "Europe/Berlin")), ["2024-07-01 12:00:00Z"]),
        (pa.array([dt.time(8, 30), dt.time(8, 30, 0, 250_000)], pa.time64("us")), ["08:30:00", "08:30:00.25"]),
        (pa.array([dt.time(23, 59, 59)], pa.time32("ms")), ["23:59:59"]),
        (pa.array([Decimal("12345678901234567890123456789012345678901.50")], pa.decimal256(50, 2)),
         ["12345678901234567890123456789012345678901.50"]),
        (pa.array([b"Ada", "Müller".encode(), None]), ["Ada", "Müller", None]),
        (pa.array([b"DE", b"FR"], pa.binary(2)), ["DE", "FR"]),
        (pa.array([b"\x00\xff"]), ["AP8="]),
        (pa.array([bytes(range(16))], pa.uuid()), ["00010203-0405-0607-0809-0a0b0c0d0e0f"]),
        (pa.array([{"a": 1, "at": NOON, "b": b"x", "n": None}],
                  pa.struct([("a", pa.int8()), ("at", pa.timestamp("ns")), ("b", pa.binary()), ("n", pa.int8())])),
         ['{"a":1,"at":"2024-07-01T12:00:00","b":"x"}']),
        (pa.array([[b"x", None]]), ['["x",null]']),
        (pa.array([[(b"k", 1.5)]], pa.map_(pa.binary(), pa.float64())), ['{"k":1.5}']),
        (pa.array([{"a": 1, "A": 2}], pa.struct([("a", pa.int8()), ("A", pa.int8())])), ['{"a":1,"A":2}']),
        (pa.array([NOON, NOON], pa.timestamp("ns")).dictionary_encode(), ["2024-07-01 12:00:00"] * 2),
    ],
)  # fmt: skip
def test_parquet_types_that_spark_cannot_read_become_text(copied, column, texts):
    file, table = parquet_copy(copied, pa.table({"x": column}))
    assert (table["x"].type, table["x"].to_pylist(), file.is_copy) == (pa.string(), texts, True)


def parquet_copy(copied, table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    file, content = copied("a.parquet", sink.getvalue(), "parquet")
    return file, pq.read_table(io.BytesIO(content))


def test_half_precision_becomes_single_precision(copied):
    _, table = parquet_copy(copied, pa.table({"x": pa.array([1.5], pa.float32()).cast(pa.float16())}))
    assert (table["x"].type, table["x"].to_pylist()) == (pa.float32(), [1.5])


def test_int96_beside_another_column_stays_an_instant(copied):
    table = pa.table({"t": pa.array([NOON, dt.datetime(1500, 1, 1)], pa.timestamp("us")), "x": [b"a", b"b"]})
    _, table = parquet_copy(copied, table, use_deprecated_int96_timestamps=True)
    assert table["t"].type == pa.timestamp("us", "UTC") and table["t"][1].as_py().year == 1500


@pytest.mark.parametrize(
    "options", [{"compression": "brotli"}, {"use_byte_stream_split": ["x"], "use_dictionary": False}]
)
def test_other_compression_and_encoding_are_rewritten(copied, options):
    file, table = parquet_copy(copied, pa.table({"x": [1.5, 2.5]}), **options)
    assert (file.is_copy, table["x"].to_pylist()) == (True, [1.5, 2.5])


def test_parquet_file_without_rows_keeps_its_columns(copied):
    _, table = parquet_copy(copied, pa.table({"x": pa.array([], pa.timestamp("ns")), "y": pa.array([], pa.int8())}))
    assert table.schema.names == ["x", "y"] and table.num_rows == 0


def test_binary_column_that_is_not_text_is_reported(copied):
    file, _ = parquet_copy(copied, pa.table({"id": [1], "photo": [b"\xff\xd8"], "code": [b"ok"]}))
    assert file.binary_columns == ("photo",)
