"""Roles of columns, and the answers that change them."""

from pathlib import Path

import pytest

from crm_spark.core.config import parsed_yaml
from crm_spark.onboarding.answers import apply_answers, drafted_source
from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.company_draft import CompanyDraft
from crm_spark.onboarding.mapping_proposal import known_vocabulary
from crm_spark.onboarding.page.roles import alternatives, conflicts, role_answers, roles_of

FILE = "sources/x.yaml"
DRAFT = """
system: x
files: {path: x.csv, format: csv}
feeds:
  person:
    columns:
      person_id: {hash_of: [Mail]}
      given_name: {from: Name, part: given}
      family_name: {from: Name, part: family}
  order_line:
    columns:
      line_id: {from: [Order, Pos], join: "-"}
      order_id: Order
      quantity: Packs
      unit_price: {from: Sum, divide_by: Packs}
"""
DRAFTED = {
    "Mail": {"person.person_id"},
    "Name": {"person.full_name"},
    "Order": {"order_line.order_id"},
    "Packs": {"order_line.quantity"},
    "Sum": {"order_line.line_total"},
}


def profile(name, **fractions):
    return ColumnProfile(name, 100, 0, 90, 12, fractions)


def changed(**roles):
    """Columns of the feeds after roles have changed."""
    draft = CompanyDraft({FILE: DRAFT})
    profiles = [profile(name) for name in (*DRAFTED, "Pos", "Price")] + [profile("Day", **{"dd.MM.yyyy": 1.0})]
    wanted = {**DRAFTED, **roles}
    answers = role_answers(FILE, drafted_source(FILE, DRAFT, origin="x"), wanted, profiles)
    apply_answers(draft, answers, origin="x")
    return {entity: feed["columns"] for entity, feed in parsed_yaml(draft.texts[FILE])["feeds"].items()}, answers


def test_roles_of_a_draft():
    own, shared = roles_of(drafted_source(FILE, DRAFT, origin="x"))
    assert own == DRAFTED
    assert shared == {"Order": {"order_line.line_id"}, "Pos": {"order_line.line_id"}}


def test_confirmed_roles_change_nothing():
    _, answers = changed()
    assert answers == []


def test_amount_of_a_line_becomes_a_price():
    feeds, _ = changed(Sum=set(), Price={"order_line.unit_price"})
    assert feeds["order_line"]["unit_price"] == "Price"
    feeds, _ = changed(Sum=set(), Price={"order_line.line_total"})
    assert feeds["order_line"]["unit_price"] == {"from": "Price", "divide_by": "Packs"}


def test_removed_name_leaves_the_rest_of_the_person():
    feeds, _ = changed(Name=set())
    assert feeds["person"] == {"person_id": {"hash_of": ["Mail"]}}


def test_entity_without_a_column_is_removed():
    feeds, answers = changed(Name=set(), Mail=set())
    assert set(feeds) == {"order_line"} and [(a.key, a.action) for a in answers] == [("feeds.person", "remove")]


def test_new_entity_gets_the_defaults_of_a_draft():
    feeds, _ = changed(Order={"order_line.order_id", "order.order_id"}, Day={"order.ordered_at"})
    assert feeds["order"] == {
        "order_id": "Order",
        "ordered_at": {"from": "Day", "formats": ["dd.MM.yyyy"]},
        "status": {"value": "completed"},
    }


def test_two_columns_cannot_have_one_role():
    clashes = conflicts({"Name": {"person.full_name"}, "First": {"person.given_name"}, "Mail": {"person.email"}})
    assert set(clashes) == {"Name", "First"} and "person.given_name is also the role of First" in clashes["Name"]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Bill-to Name", "person.full_name"),
        ("billing.email", "person.email"),
        ("Date ordered", "order.ordered_at"),
        ("Amount (EUR)", "order.total"),
        ("id_order", "order_line.order_id"),
        ("Address 1", "person.street"),
        ("Rechnungsnummer", "order.order_id"),
    ],
)
def test_alternatives_come_from_the_name(name, role):
    vocabulary = known_vocabulary(Path(__file__).resolve().parents[3] / "conf" / "domains")
    assert role in alternatives(name, vocabulary)
