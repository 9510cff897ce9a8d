"""The preview shows no personal value, whatever column it stands in."""

import pytest

from crm_spark.onboarding.preview import harmless_columns, masked_cell
from crm_spark.sources.config import Source


def test_only_columns_that_are_mapped_as_they_are_are_shown():
    feeds = {
        "order": {
            "only": [{"column": "Mail", "matches": "@"}],
            "columns": {
                "order_id": "No",
                "person_id": {"hash_of": ["Login"]},
                "ordered_at": "customer.day",
                "status": {"value": "open"},
                "channel": {"from": "Shop", "lookup": {"source": "x", "key": "a", "value": "b"}},
            },
            "attributes": {"belief": {"from": "Belief", "sensitivity": "special"}, "gift": {"from": "Gift"}},
        },
        "person": {"columns": {"person_id": "customer.id", "email": "customer.mail", "city": "No"}},
    }
    source = Source.model_validate(
        {"name": "x", "system": "x", "files": {"path": "x", "format": "csv"}, "feeds": feeds}
    )
    # `No` is also read as a city.
    assert harmless_columns(source) == {"customer.day", "customer.id", "Gift"}


@pytest.mark.parametrize(
    ("value", "is_masked", "shown"),
    [
        ("Ada Stern 12", True, "xxx xxxxx 99"),
        ("Ünal", True, "xxxx"),
        ("order 12", False, "order 12"),
        ("write to ada@example.org", False, "xxxxx xx xxx@xxxxxxx.xxx"),
        ("+49 170 1234567", False, "+99 999 9999999"),
        ("DE44500105175407324931", False, "xx99999999999999999999"),
        (None, False, ""),
        ("x" * 60, False, "x" * 39 + "…"),
    ],
)
def test_cells(value, is_masked, shown):
    assert masked_cell(value, is_masked=is_masked) == shown
