"""A table as a CSV file: no cell that a spreadsheet would run, and every value can be had back."""

import csv
import io
import logging

import pytest
from pyspark.sql import functions as F
from support.formulas import FORMULAS
from support.lake import AS_OF, put

from crm_spark.cli.app import run
from crm_spark.cli.contactability import warning_of
from crm_spark.cli.export import neutralised, write_csv
from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.silver import PERSON
from crm_spark.core.log import get_logger
from crm_spark.core.tables import TableStore

ACTIVE = [*(text for text in FORMULAS if text != "%0A=1+1"), "\u00a0=1+1"]
PLAIN = ["word", "1-1", "a=b", "", " x ", "two\nlines", "two\r\nlines", 'say "no"', "a,b;c", "\\", '\\"', "%0A=1", None]
QUOTED = ["'", "''=1", "'tis", "'=1"]


def restored(cell):
    return cell[1:] if cell.startswith("'") else cell


def cells(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_no_exported_cell_is_a_formula_and_every_value_is_restored(spark, tmp_path):
    texts = [*ACTIVE, *PLAIN, *QUOTED]
    rows = [(i, text) for i, text in enumerate(texts)]
    assert write_csv(spark.createDataFrame(rows, "id int, text string").orderBy("id"), tmp_path / "out.csv") == len(
        rows
    )
    (header, *rows_written) = cells(tmp_path / "out.csv")
    assert header == ["id", "text"] and len(ACTIVE) == 30
    assert [cell[0] for _, cell in rows_written[:30]] == ["'"] * 30
    assert [cell for _, cell in rows_written[30 : 30 + len(PLAIN)]] == [text or "" for text in PLAIN], (
        "nothing else is touched"
    )
    assert [restored(cell) for _, cell in rows_written] == [text or "" for text in texts]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv"]


def test_cells_without_the_quote_are_formulas(spark):
    """The negative control: what the rule adds is what makes the difference."""
    frame = spark.createDataFrame([(text,) for text in ACTIVE], "text string")
    row = frame.select(F.count_if(F.col("text").rlike("^[\\s\\p{Z}]*[=+\\-@\uff1d\uff0b\uff20]|^\t")).alias("before"), F.count_if(
        neutralised(F.col("text")).rlike("^[\\s\\p{Z}]*[=+\\-@\uff1d\uff0b\uff20]|^\t")).alias("after")).first()  # fmt: skip
    assert (row["before"], row["after"]) == (30, 0)


def test_numbers_dates_and_lists_are_written_unchanged(spark, tmp_path):
    frame = spark.sql(
        "SELECT -1.50 AS n, DATE'2025-01-31' AS d, TIMESTAMP'2025-01-31 10:00:00' AS t, array('=a', 'b') AS l, "
        "double('NaN') AS u, float('-Infinity') AS v, 0.25d AS w"
    )
    write_csv(frame, tmp_path / "out.csv")
    # Unknown numbers are empty cells.
    assert cells(tmp_path / "out.csv")[1] == [
        "-1.50",
        "2025-01-31",
        "2025-01-31 10:00:00",
        '["=a","b"]',
        "",
        "",
        "0.25",
    ]


@pytest.fixture
def lake(spark, tmp_path):
    tables = TableStore(spark, str(tmp_path / "lake"))
    put(tables, PERSON, [{"system": "shop", "person_id": "1", "source": "s", "row_id": "r", "email": "a@b.de"}])
    return tmp_path / "lake"


def export(lake, table, out, *more):
    return run("export", ["--table", table, "--lake", str(lake), "--out", str(out), *more])


def test_personal_columns_are_written_only_if_named(lake, tmp_path):
    assert export(lake, "silver.person", tmp_path / "all.csv") == 0
    header, _ = cells(tmp_path / "all.csv")
    assert "person_id" in header and not {"email", "given_name", "family_name", "phone"} & set(header)
    assert export(lake, "silver.person", tmp_path / "mail.csv", "--columns", "person_id, email") == 0
    assert cells(tmp_path / "mail.csv") == [["person_id", "email"], ["1", "a@b.de"]]


@pytest.mark.parametrize(
    ("table", "more", "message"),
    [
        ("silver.persons", [], "--table: unknown table silver.persons; known tables: silver.person"),
        ("silver.person", ["--columns", "mail"], "silver.person has no column mail; its columns"),
        (CUSTOMER.name, [], "gold.customer: not in .* Run the stage that writes it first"),
    ],
)
def test_invalid_export_is_rejected_with_a_message(lake, tmp_path, capsys, table, more, message):
    import re

    assert export(lake, table, tmp_path / "out.csv", *more) == 2
    assert re.search(message, capsys.readouterr().err) and not (tmp_path / "out.csv").exists()


def test_existing_file_is_not_overwritten(lake, tmp_path, capsys):
    (tmp_path / "out.csv").write_text("mine")
    assert export(lake, "silver.person", tmp_path / "out.csv") == 2
    assert "exists already" in capsys.readouterr().err and (tmp_path / "out.csv").read_text() == "mine"
    assert export(lake, "silver.person", tmp_path / "out.csv", "--force", "--columns", "person_id") == 0


@pytest.mark.parametrize(
    ("customers", "warning"),
    [
        (
            [{"has_marketing_consent": False}, {"has_marketing_consent": False, "email": "a@b.de"}],
            "none of the 2 customers can be contacted: 2 refused marketing contact.",
        ),
        (
            [{"email": "a@b.de"}, {}, {"has_marketing_consent": True}],
            "2 of 3 customers cannot be contacted: 2 without e-mail address, phone number and postal address.",
        ),
        ([{"street": "Weg 1", "city": "Ulm"}, {"phone": "+491"}], None),
    ],
)
def test_export_warns_about_customers_who_cannot_be_contacted(lake, tmp_path, spark, customers, warning):
    tables = TableStore(spark, str(lake))
    put(tables, CUSTOMER, [{"customer_id": f"c{i}", **row} for i, row in enumerate(customers)])
    put(tables, NEXT_BEST_ACTION, [{"customer_id": f"c{i}", "as_of": AS_OF} for i in range(len(customers))])
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    get_logger().addHandler(handler)
    try:
        assert export(lake, "actions.next_best", tmp_path / "out.csv") == 0
    finally:
        get_logger().removeHandler(handler)
    warnings = [line for line in printed.getvalue().splitlines() if line.startswith("warning: ")]
    assert warnings == ([f"warning: actions.next_best: {warning}"] if warning else [])


def test_unknown_consent_is_a_cause_only_if_consent_is_required():
    assert warning_of("t", {"unknown": 1}) == (
        "t: the only customer cannot be contacted: 1 with unknown consent, which the strategy requires."
    )
    assert warning_of("t", {None: 3}) == "" and warning_of("t", {}) == ""
