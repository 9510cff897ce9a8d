"""Column profiles use all records, although patterns are selected from the first ones."""

from crm_spark.onboarding.column_profile import profiled

NUM_ROWS = 3_000


def test_patterns_after_the_first_records_are_detected(spark):
    rows = [(f"{i}", "", "1", f"{1 + i % 28:02}.0{1 + i % 9}.2025") for i in range(NUM_ROWS - 1)]
    records = spark.createDataFrame(
        [*rows, ("007", "31/12/2024", "2,50", "soon")], "no string, late string, n string, day string"
    )
    no, late, number, day = profiled(records.coalesce(1))
    assert (no.kind, no.num_rows) == ("digits", NUM_ROWS)
    assert (late.kind, late.num_blank) == ("dd/MM/yyyy", NUM_ROWS - 1)
    assert (
        number.kind == "integer"
        and number.exceptions == "1 of 3000 do not match"
        and number.fractions["decimal_comma"] == 1 / 3000
    )
    assert (day.kind, day.exceptions) == ("dd.MM.yyyy", "1 of 3000 do not match")
