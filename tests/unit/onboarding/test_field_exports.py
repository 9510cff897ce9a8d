"""Columns of exports that nobody tuned the vocabulary for: the kinds of names that were open or wrong when they were first counted."""

from pathlib import Path

import pytest

from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.mapping_proposal import known_vocabulary, proposal_of

VOCABULARY = known_vocabulary(Path(__file__).resolve().parents[3] / "conf" / "domains")
KEY, WORD, DAY, INTEGER, AMOUNT, MAIL, BLANK = "key", "text", "iso", "integer", "decimal_point", "email", "blank"


def column(name, kind):
    number = (1.0, 90.0) if kind in (INTEGER, AMOUNT) else (None, None)
    fractions = {kind: 1.0} if kind in (DAY, INTEGER, AMOUNT, MAIL) else {}
    return ColumnProfile(name, 100, 100 if kind == BLANK else 0, 100 if kind == KEY else 9, 12, fractions, *number)


def mapped(columns, called=""):
    found = proposal_of(
        [column(*entry) for entry in columns.items()],
        VOCABULARY,
        words_of=lambda _: [],
        num_divided=lambda *_: 0,
        called=called,
    )
    return {entity: {ours: profile.name for ours, profile in feed.items()} for entity, feed in found.feeds.items()}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        pytest.param(
            {
                "id": KEY,
                "Description": KEY,
                "Created date (UTC)": DAY,
                "Amount": AMOUNT,
                "Currency": WORD,
                "Customer ID": WORD,
                "Card Brand": WORD,
                "Converted Amount": AMOUNT,
            },
            {
                "payment": {
                    "payment_id": "id",
                    "person_id": "Customer ID",
                    "paid_at": "Created date (UTC)",
                    "method": "Card Brand",
                    "value": "Amount",
                    "currency": "Currency",
                }
            },
            id="a payment with a description is no ticket and no product",
        ),
        pytest.param(
            {"Date": DAY, "Amount": AMOUNT, "Currency": WORD, "Description": KEY, "Running Balance": AMOUNT},
            {"payment": {"paid_at": "Date", "value": "Amount", "currency": "Currency"}},
            id="a statement of an account has payments",
        ),
        pytest.param(
            {
                "id_order_detail": KEY,
                "id_order": INTEGER,
                "product_id": INTEGER,
                "product_quantity": INTEGER,
                "product_reference": WORD,
                "unit_price": AMOUNT,
            },
            {
                "order_line": {
                    "line_id": "id_order_detail",
                    "order_id": "id_order",
                    "product_id": "product_id",
                    "quantity": "product_quantity",
                    "unit_price": "unit_price",
                }
            },
            id="an id may come first in its name",
        ),
        pytest.param(
            {
                "Rechnungsnummer": KEY,
                "Kundennummer": INTEGER,
                "Rechnungsdatum": DAY,
                "Umsatzsteuer": AMOUNT,
                "Brutto": AMOUNT,
            },
            {
                "order": {
                    "order_id": "Rechnungsnummer",
                    "person_id": "Kundennummer",
                    "ordered_at": "Rechnungsdatum",
                    "tax": "Umsatzsteuer",
                    "total": "Brutto",
                }
            },
            id="numbers of records end in several ways",
        ),
        pytest.param(
            {"ID": KEY, "Type": WORD, "SKU": KEY, "Name": KEY, "Regular price": AMOUNT, "Categories": WORD},
            {"product": {"product_id": "SKU", "name": "Name", "category": "Categories", "list_price": "Regular price"}},
            id="the name of a product is no name of a person",
        ),
        pytest.param(
            {
                "customer_id": KEY,
                "email": MAIL,
                "phone": BLANK,
                "mobile": WORD,
                "billing_address_1": WORD,
                "Date registered": DAY,
            },
            {
                "person": {
                    "person_id": "customer_id",
                    "email": "email",
                    "phone": "mobile",
                    "street": "billing_address_1",
                    "joined_at": "Date registered",
                }
            },
            id="columns with values come first, and times are named in several ways",
        ),
        pytest.param(
            {"id": KEY, "requester_id": INTEGER, "comment": KEY, "score": WORD, "created_at": DAY},
            {
                "feedback": {
                    "feedback_id": "id",
                    "person_id": "requester_id",
                    "text": "comment",
                    "given_at": "created_at",
                }
            },
            id="a rating in words is no number",
        ),
    ],
)
def test_columns_are_mapped(columns, expected):
    assert mapped(columns) == expected
