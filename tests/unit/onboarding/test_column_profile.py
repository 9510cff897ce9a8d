"""Inference of the kind of a column."""

import re

import pytest

from crm_spark.onboarding.column_profile import DATES, PATTERNS, ColumnProfile, with_day_order


def kind(*values):
    fractions = {
        name: sum(re.search(pattern, value) is not None for value in values) / len(values)
        for name, pattern in PATTERNS.items()
    }
    return ColumnProfile("x", len(values), 0, len(values), 9, fractions)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (["31.12.2024", "01.01.2025"], "dd.MM.yyyy"),
        (["1.2.2025", "31.12.2024"], "d.M.yyyy"),
        (["31.12.2024 7:05", "1.1.2025 17:05"], "d.M.yyyy H:mm"),
        (["11/03/2025 2:15 PM", "11/30/2025 12:00 AM"], "M/d/yyyy h:mm a"),
        (["12/31/2024", "01/02/2025"], "MM/dd/yyyy"),
        (["1/31/2024 09:30"], "M/d/yyyy H:mm"),
        (["31/12/24", "01/02/25"], "dd/MM/yy"),
        (["2024/12/31 10:00:00"], "yyyy/MM/dd HH:mm:ss"),
        (["3 Jan 2025", "31 Dec 2024"], "d MMM yyyy"),
        (["12,90 €", "1.290,00 €"], "decimal_comma"),
        (["$1,290.00", "USD 3.50"], "decimal_point"),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00"], "iso"),
    ],
)
def test_date_and_amount_formats_are_detected(values, name):
    assert kind(*values).kind == name


def test_times_without_a_zone_are_recognised():
    assert not kind("2024-01-01T10:00:00Z").has_no_zone and not kind("1735689600").has_no_zone
    assert kind("2024-01-01 10:00:00").has_no_zone and kind("31.12.2024").has_no_zone and not kind("Ada").has_no_zone


def test_day_month_order_is_resolved_from_another_column():
    clear, ambiguous = kind("12/31/2024"), kind("01/02/2025", "03/04/2025")
    assert ambiguous.is_ambiguous and ambiguous.kind == "dd/MM/yyyy" and ambiguous.swapped_format == "MM/dd/yyyy"
    resolved = with_day_order([clear, ambiguous])[1]
    assert (resolved.kind, resolved.is_ambiguous) == ("MM/dd/yyyy", False)
    assert with_day_order([ambiguous, kind("1.2.2025")])[0].is_ambiguous
    both = [kind("12/31/2024"), kind("31/12/2024"), ambiguous]
    assert with_day_order(both)[2].is_ambiguous


def test_integers_exported_as_decimals_may_be_keys():
    assert kind("17850.0", "17851.0").may_be_key and kind("17850.0").is_whole_fraction
    assert not kind("1.5", "2.5").may_be_key


def test_every_date_format_has_a_pattern():
    assert set(DATES) <= set(PATTERNS)
