"""Conversion of cells to typed values or reason codes."""

from datetime import datetime
from decimal import Decimal

import pytest


def test_number_formats_are_parsed(read):
    values = read("order_line", "unit_price", "c", [
        "1234.5", "1,234.50", "$1,234.50", "USD 12.00", "12.00 EUR", "(3.50)", "3.50-", "+7", "1e2", ".5", "1 234.50",
        "1'234.50", "1,23", "1.234,50", "12,34,567.00", "1.2.3", "zwölf", "--1", "",
    ])  # fmt: skip
    assert values == {
        "1234.5": Decimal("1234.5"), "1,234.50": Decimal("1234.5"), "$1,234.50": Decimal("1234.5"), "USD 12.00": Decimal(12),
        "12.00 EUR": Decimal(12), "(3.50)": Decimal("-3.5"), "3.50-": Decimal("-3.5"), "+7": Decimal(7), "1e2": Decimal(100),
        ".5": Decimal("0.5"), "1 234.50": Decimal("1234.5"), "1'234.50": Decimal("1234.5"), "1,23": "bad_number",
        "1.234,50": "bad_number", "12,34,567.00": Decimal(1234567), "1.2.3": "bad_number", "zwölf": "bad_number",
        "--1": "bad_number", "": None,
    }  # fmt: skip


def test_decimal_comma_is_parsed(read):
    values = read("order_line", "unit_price", "c", ["1234,5", "1.234,50", "12", "1.23", "1,234.50"], "decimal: ','")
    assert values == {
        "1234,5": Decimal("1234.5"), "1.234,50": Decimal("1234.5"), "12": Decimal(12), "1.23": "bad_number", "1,234.50": "bad_number",
    }  # fmt: skip


def test_times_in_the_dst_gap_and_overlap_are_converted(read):
    mapping = "{from: c, formats: [yyyy-MM-dd HH:mm, iso]}"
    values = read("order", "ordered_at", mapping, [
        "2025-03-30 01:59", "2025-03-30 02:30", "2025-03-30 03:00", "2025-10-26 01:59", "2025-10-26 02:30",
        "2025-10-26 03:00", "2025-10-26T02:30:00+01:00", "2025-02-29 10:00",
    ], "time_zone: Europe/Berlin")  # fmt: skip
    assert values == {
        "2025-03-30 01:59": datetime(2025, 3, 30, 0, 59),
        "2025-03-30 02:30": datetime(2025, 3, 30, 1, 30),  # an hour later on the clock, which no clock showed
        "2025-03-30 03:00": datetime(2025, 3, 30, 1, 0),
        "2025-10-26 01:59": datetime(2025, 10, 25, 23, 59),
        "2025-10-26 02:30": datetime(2025, 10, 26, 0, 30),  # the first of the two
        "2025-10-26 03:00": datetime(2025, 10, 26, 2, 0),
        "2025-10-26T02:30:00+01:00": datetime(2025, 10, 26, 1, 30),  # an offset of its own leaves no doubt
        "2025-02-29 10:00": "bad_date",
    }


@pytest.mark.parametrize(
    ("zone", "cells"),
    [
        ("America/New_York", {
            "2025-03-09 01:59": datetime(2025, 3, 9, 6, 59),
            "2025-03-09 02:30": datetime(2025, 3, 9, 7, 30),  # left out
            "2025-11-02 01:30": datetime(2025, 11, 2, 5, 30),  # the first of the two
            "2025-11-02 02:00": datetime(2025, 11, 2, 7, 0),
        }),
        ("Pacific/Auckland", {
            "2025-09-28 02:30": datetime(2025, 9, 27, 14, 30),  # left out
            "2025-04-06 02:30": datetime(2025, 4, 5, 13, 30),  # the first of the two
            "2025-04-06 03:00": datetime(2025, 4, 5, 15, 0),
        }),
        ("Australia/Lord_Howe", {  # the clock moves by half an hour
            "2025-10-05 02:15": datetime(2025, 10, 4, 15, 45),  # left out
            "2025-04-06 01:45": datetime(2025, 4, 5, 14, 45),  # the first of the two
        }),
        ("Pacific/Apia", {"2011-12-30 12:00": datetime(2011, 12, 30, 22, 0)}),  # a day left out
        ("Asia/Kathmandu", {"2025-01-01 00:00": datetime(2024, 12, 31, 18, 15)}),
    ],
)  # fmt: skip
def test_other_time_zones_are_converted(read, zone, cells):
    mapping = "{from: c, formats: [yyyy-MM-dd HH:mm]}"
    assert read("order", "ordered_at", mapping, list(cells), f"time_zone: {zone}") == cells


def test_first_and_last_supported_years_are_parsed(read):
    values = read("order", "ordered_at", "{from: c, formats: [iso]}", [
        "9999-12-31T23:59:59", "9999-12-31", "0001-01-02T00:00:00", "0001-01-01T00:00:00", "1582-10-15", "10000-01-01",
    ])  # fmt: skip
    assert values == {
        "9999-12-31T23:59:59": datetime(9999, 12, 31, 23, 59, 59), "9999-12-31": datetime(9999, 12, 31),
        "0001-01-02T00:00:00": datetime(1, 1, 2), "0001-01-01T00:00:00": "bad_date",
        "1582-10-15": datetime(1582, 10, 15), "10000-01-01": "bad_date",
    }  # fmt: skip


def test_time_zone_shift_out_of_range_is_invalid(read):
    mapping = "{from: c, formats: [iso]}"
    assert read("order", "ordered_at", mapping, ["9999-12-31T23:59:59"], "time_zone: America/New_York") == {
        "9999-12-31T23:59:59": "bad_date"
    }
    assert read("order", "ordered_at", mapping, ["9999-12-31T23:59:59-05:00"]) == {
        "9999-12-31T23:59:59-05:00": "bad_date"
    }


def test_epoch_of_too_many_digits_is_of_a_finer_unit(read):
    """A coarser unit than the declared one cannot be told: it gives an implausible year."""
    cells = ["1735689600", "1735689600.5", "-1", "1735689600000", "1e3", "now"]
    assert read("order", "ordered_at", "{from: c, formats: [epoch_seconds]}", cells) == {
        "1735689600": datetime(2025, 1, 1), "1735689600.5": datetime(2025, 1, 1, 0, 0, 0, 500000),
        "-1": datetime(1969, 12, 31, 23, 59, 59), "1735689600000": datetime(2025, 1, 1), "1e3": datetime(1970, 1, 1, 0, 16, 40),
        "now": "bad_date",
    }  # fmt: skip
    assert read("order", "ordered_at", "{from: c, formats: [epoch_milliseconds]}", cells) == {
        "1735689600": datetime(1970, 1, 21, 2, 8, 9, 600000), "1735689600.5": datetime(1970, 1, 21, 2, 8, 9, 600500),
        "-1": datetime(1969, 12, 31, 23, 59, 59, 999000), "1735689600000": datetime(2025, 1, 1),
        "1e3": datetime(1970, 1, 1, 0, 0, 1), "now": "bad_date",
    }  # fmt: skip


def test_excel_serial_dates_are_parsed(read):
    values = read(
        "order", "ordered_at", "{from: c, formats: [excel]}", ["45658", "45658.75", "1", "61", "0", "9999999", "x"]
    )
    assert values == {
        "45658": datetime(2025, 1, 1), "45658.75": datetime(2025, 1, 1, 18), "1": datetime(1899, 12, 31),
        "61": datetime(1900, 3, 1), "0": "bad_date", "9999999": "bad_date", "x": "bad_date",
    }  # fmt: skip


def test_two_digit_years_are_parsed(read):
    mapping = "{from: c, formats: [dd.MM.yy], newest_year: 2025}"
    values = read("person", "birth_on", mapping, ["01.02.25", "01.02.26", "01.02.99", "01.02.00"])
    assert {cell: str(day) for cell, day in values.items()} == {
        "01.02.25": "2025-02-01", "01.02.26": "1926-02-01", "01.02.99": "1999-02-01", "01.02.00": "2000-02-01",
    }  # fmt: skip


def test_epoch_seconds_and_milliseconds_are_parsed(read):
    seconds = read("order", "ordered_at", "{from: c, formats: [epoch_seconds]}", ["0", "253402300799", "253402300800"])
    assert seconds == {
        "0": datetime(1970, 1, 1),
        "253402300799": datetime(9999, 12, 31, 23, 59, 59),
        "253402300800": "bad_date",
    }
    thousandths = read("order", "ordered_at", "{from: c, formats: [epoch_milliseconds]}", ["1735689600000"])
    assert thousandths == {"1735689600000": datetime(2025, 1, 1)}


def test_boolean_words_are_parsed(read):
    values = read("person", "has_marketing_consent", "c", ["Ja", "1", "NEIN", "0", "maybe", "N/A"])
    assert values == {"Ja": True, "1": True, "NEIN": False, "0": False, "maybe": "bad_boolean", "N/A": None}


def test_null_markers_apply_to_all_columns_or_one_column(read):
    assert read("order", "person_id", "c", ["0000", "N/A", " - ", "K1"]) == {
        "0000": None, "N/A": None, " - ": None, "K1": "K1",
    }  # fmt: skip
    assert read("order_line", "product_id", "c", ["0000"]) == {"0000": "0000"}


def test_unmapped_value_is_reported(read):
    values = read("order", "status", "{from: c, map: {OK: completed}}", ["ok", "OK", "??"])
    assert values == {"ok": "completed", "OK": "completed", "??": "unknown_value"}


@pytest.mark.parametrize(
    ("part", "predicted_label"),
    [
        ("given", {"Dr. Ada von Ach": "Dr. Ada", "von Ach, Ada": "Ada", "Ada": "Ada", "-": None, "": None}),
        ("family", {"Dr. Ada von Ach": "von Ach", "von Ach, Ada": "von Ach", "Ada": None, "-": None, "": None}),
    ],
)
def test_part_of_a_full_name_is_extracted(read, part, predicted_label):
    assert read("person", f"{part}_name", f"{{from: c, part: {part}}}", list(predicted_label)) == predicted_label
