"""Figures as people read them."""

import pytest

from crm_spark.stages.report.words import money, percent


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (8887208.894, "GBP", "£8.89 million"),
        (12345.6, "EUR", "€12,346"),
        (9.5, "USD", "$9.50"),
        (2.5e9, "CHF", "CHF 2.50 billion"),
    ],
)
def test_money(amount, currency, said):
    assert money(amount, currency) == said


@pytest.mark.parametrize(
    ("fraction", "said"), [(0.5, "50%"), (0.001, "under 1%"), (0.9999, "over 99%"), (0, "0%"), (1, "100%")]
)
def test_percent_never_rounds_something_to_nothing(fraction, said):
    assert percent(fraction) == said
