"""Numbers and amounts as people and programs write them."""

from decimal import Decimal

TWELVE = Decimal("12.5")


def test_currency_on_either_side(read):
    cells = [
        "US$12.50", "R$ 12.50", "EUR12.50", "12.50 kr", "12.50 zł", "A$12.50", "12.50 Kč", "Fr. 12.50", "Rs.12.50", "$12.50 USD",
        "12.50\t", "₹ 12.50", "CHF 12.50", "12.50Ft", "kr. 12.50", "€ +12.50", "12.50 руб.", "１２.５０", "١٢٫٥٠", "१२.५०", "＄12.50",
    ]  # fmt: skip
    assert read("order_line", "unit_price", "c", cells) == dict.fromkeys(cells, TWELVE)
    others = ["12€50", "12 50", "12.50 pcs", "12.50 € / 2", "€", "kr", "1 2", "12.50 12.50", "ab12.50"]
    assert read("order_line", "unit_price", "c", others) == dict.fromkeys(others, "bad_number")


def test_negative_amounts(read):
    cells = [
        "−12.50",
        "-€12.50",
        "€-12.50",
        "€12.50-",
        "(€12.50)",
        "( 12.50 )",
        "(12.50) EUR",
        "12.50CR",
        "12.50 -",
        "- 12.50",
        "–12.50",
    ]
    assert read("order_line", "unit_price", "c", cells) == dict.fromkeys(cells, -TWELVE)


def test_dash_for_no_cents_is_not_a_minus(read):
    cells = ["12.-", "12.--", "12.–", "CHF 12.-", "12.— €", "12:-"]
    assert read("order_line", "unit_price", "c", cells) == dict.fromkeys(cells, Decimal(12))
    cells = ["12,-", "€ 1.250,-", "CHF 1'250,-", "1.234,56-"]
    assert read("order_line", "unit_price", "c", cells, "decimal: ','") == {
        "12,-": Decimal(12), "€ 1.250,-": Decimal(1250), "CHF 1'250,-": Decimal(1250), "1.234,56-": Decimal("-1234.56"),
    }  # fmt: skip


def test_grouping(read):
    expected = {
        "1,23,456.00": Decimal(123456), "12,34,567": Decimal(1234567), "1 234.50": Decimal("1234.5"), "1\u202f234.50": Decimal("1234.5"),
        "1\u00a0234\u00a0567": Decimal(1234567), "1’234.50": Decimal("1234.5"), "1'234'567": Decimal(1234567), "1,2345": "bad_number",
        "12,3,456": "bad_number", "1 23": "bad_number", "1234,567": "bad_number",
    }  # fmt: skip
    assert read("order_line", "unit_price", "c", list(expected)) == expected


def test_percentage_is_a_fraction(convert):
    columns = {"unit_price": "c", "quantity": "q"}
    (row,) = convert("order_line", columns, [{"c": "12.5 %", "q": "300%"}])
    assert (row["unit_price"][0], row["quantity"][0]) == (Decimal("0.125"), 3)


def test_minor_units_depend_on_the_currency(convert):
    columns = {"unit_price": "{from: c, scale: minor_units}", "currency": "k"}
    rows = [("500", "jpy"), ("1099", "usd"), ("1099", "€"), ("1500", "KWD"), ("700", None)]
    found = convert("order_line", columns, [{"c": c, "k": k} for c, k in rows], "currency: KRW")
    assert [row["unit_price"][0] for row in found] == [500, Decimal("10.99"), Decimal("10.99"), Decimal("1.5"), 700]
    assert [row["currency"][0] for row in found] == ["JPY", "USD", "EUR", "KWD", None]


def test_amount_in_another_currency_gets_a_note(notes):
    expected = {
        "12.50 €": None, "EUR 12.50": None, "12.50": None, "$12.50": "other_currency", "12.50 USD": "other_currency",
        "12.50 zł": "other_currency", "-£12.50": "other_currency",
    }  # fmt: skip
    assert {
        c: note for c, (_, note) in notes("product", "list_price", "c", list(expected), "currency: EUR").items()
    } == expected
    dollars = notes("product", "list_price", "c", ["$12.50", "C$12.50", "US$12.50"], "currency: CAD")
    assert [note for _, note in dollars.values()] == [None, None, "other_currency"]
