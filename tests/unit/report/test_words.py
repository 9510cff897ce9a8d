"""Formatting of amounts, counts and percentages."""

import pytest

from crm_spark.stages.report.words import counted, money, percent, reason_of


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (8887208.894, "GBP", "£8.89 million"),
        (12345.6, "EUR", "€12,346"),
        (9.5, "USD", "$9.50"),
        (2.5e9, "CHF", "CHF 2.50 billion"),
    ],
)
def test_amounts_are_formatted(amount, currency, expected):
    assert money(amount, currency) == expected


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0.5, "50%"), (0.001, "under 1%"), (0.9999, "over 99%"), (0, "0%"), (1, "100%")]
)
def test_percent_shows_0_and_100_only_for_exact_values(fraction, expected):
    assert percent(fraction) == expected


@pytest.mark.parametrize(
    ("number", "plural", "expected"), [(1, None, "1 file"), (1234, None, "1,234 files"), (0, "feet", "0 feet")]
)
def test_counts_are_formatted(number, plural, expected):
    assert counted(number, "file" if plural is None else "foot", plural) == expected


def test_reason_of_an_unlisted_code_is_its_words():
    assert (reason_of("bad_date"), reason_of("my_own_rule")) == ("invalid date", "my own rule")
