"""Which entities the columns of a file describe, and which of them a column belongs to."""

from collections.abc import Collection, Mapping

from crm_spark.contracts.silver import ENTITIES
from crm_spark.onboarding.column_profile import DATES, NUMBERS, ColumnProfile
from crm_spark.sources.mappings import FILLED_BY_CLEAN, HAS_DEFAULT, SOURCE_LEVEL

Found = dict[str, ColumnProfile]
"""Entity column -> source column."""
FULL_NAME, PARTS = "full_name", {"given_name": "given", "family_name": "family"}
"""Column with the full name, and the part of it that each name column takes."""
LINE_TOTAL = "line_total"
"""Column with quantity x unit price; divided by the quantity it gives the unit price."""
GUESSED = {
    "order": {"status"},
    "order_line": {"line_id", "unit_price", "quantity"},
    "payment": {"payment_id"},
    "subscription": {"status"},
    "appointment": {"kind", "status"},
    "deal": {"status"},
    "interaction": {"kind"},
    "feedback": {"kind"},
    "campaign_contact": {"contact_id"},
    "campaign_response": {"response_id"},
}
"""Required columns that the draft can fill with a default."""
EVIDENCE = {
    "feedback": {"text", "rating"},
    "interaction": {"topic", "text"},
    "subscription": {"plan", "renews_at", "is_renewing", "ended_at", "billing_period"},
    "deal": {"stage", "expected_at", "closed_at", "lost_reason"},
    "appointment": {"person_id"},
    "usage": {"kind", "quantity", "value"},
    "payment": {"method", "instalments", "paid_at"},
    "location": {"name", "city", "region"},
    "person": {*ENTITIES["person"].column_names, FULL_NAME} - {"person_id", "title", "updated_at"},
    "product": {"name", "category", "brand", "list_price"},
    "campaign_contact": {"person_id"},
    "campaign_response": {"person_id"},
}
"""Columns of which a file must have at least one to describe the entity rather than only reference it. The order decides
which entity gets a column named just `id`."""
OWNS_AN_ID = ("feedback", "interaction", "person", "subscription", "deal", "payment", "product", "order")
"""Entities that may own a column named just `id`."""
OF_LONE_ID = {
    "subscription": {"plan", "billing_period", "renews_at"},
    "deal": {"stage", "lost_reason", "expected_at"},
}
"""Columns of which a file must have at least one, besides a person, for its `id` to be that of the entity."""
_IS_KEY = ("subscription", "usage", "appointment", "location", "deal")
"""Entities whose id other files name as well: a file describes them only if it is unique."""
_AMOUNTS = ("freight", "discount", "tax")
"""Amounts of both orders and order lines."""
_NUMBERS = ("rating",)
"""Further columns whose values must be numbers."""
_MAY_BE_RATE = ("discount", "tax")


def required(entity: str) -> set[str]:
    """Columns that the source must contain; other required columns get a default."""
    return must(entity) - GUESSED.get(entity, set())


def must(entity: str) -> set[str]:
    """Columns that a mapping of the entity must contain."""
    contract = ENTITIES[entity]
    needed = {c.name for c in contract.columns if c.is_required} | set(contract.grain)
    return needed - FILLED_BY_CLEAN - HAS_DEFAULT - SOURCE_LEVEL


def own_id(entity: str) -> str:
    """Column with the id of the entity."""
    (name,) = set(ENTITIES[entity].grain) - {"system"}
    return name


def is_described(entity: str, columns: Found) -> bool:
    """Whether a file with these columns describes records of the entity."""
    if entity == "order_line" and not {"unit_price", LINE_TOTAL} & set(columns):
        return False
    if entity == "order_line" and "quantity" not in columns and not {"unit_price", "product_id"} <= set(columns):
        return False  # a price and an order id alone may be those of the order
    if entity == "subscription" and "person_id" not in columns:
        return False  # a catalogue of plans
    own = columns.get(own_id(entity))
    if entity in _IS_KEY and own is not None and not own.may_be_key:
        return False
    return entity not in EVIDENCE or bool(EVIDENCE[entity] & set(columns))


def of_fitting_kind(entity: str, columns: Found) -> Found:
    """Columns without those whose name suits a time or an amount and whose values do not: `paid: yes`, `discount: 10 %`."""
    types = {
        c.name: c.type.typeName()
        for c in ENTITIES[entity].columns
        if c.is_added or entity in _IS_KEY or c.name in _NUMBERS
    }
    return {
        ours: profile
        for ours, profile in columns.items()
        if _fits(types.get(ours, "string"), profile) and not (ours in _MAY_BE_RATE and _is_rate(profile))
    }


def _is_rate(profile: ColumnProfile) -> bool:
    """Whether the values are fractions of something: `discount: 0.2`."""
    return profile.high is not None and 0 < profile.high <= 1


def _fits(type_name: str, profile: ColumnProfile) -> bool:
    if type_name == "timestamp":
        return profile.kind in DATES
    return type_name not in ("decimal", "double", "integer") or profile.low is not None or profile.kind in NUMBERS


def settle_amounts(found: Mapping[str, Found], prefixes: Collection[str], each: str | None) -> None:
    """Give amounts that orders and their lines both have to one of them.

    They are those of the line, unless the columns of the line have a prefix (`Lineitem price`) or are elements of a list.
    """
    order, lines = found.get("order"), found.get("order_line")
    if order is None or lines is None:
        return
    is_apart = any(_is_of_line(lines[ours], prefixes, each) for ours in ("quantity", "unit_price") if ours in lines)
    total = order.get("total")
    if total is not None and total == lines.get(LINE_TOTAL):
        is_of_order = is_apart and "unit_price" in lines and not _is_of_line(total, prefixes, each)
        if is_of_order:
            del lines[LINE_TOTAL]
        else:
            del order["total"]
    for ours in _AMOUNTS:
        if ours in order and ours in lines and order[ours] == lines[ours]:
            is_of_order = is_apart and not _is_of_line(lines[ours], prefixes, each)
            del (lines if is_of_order else order)[ours]


def _is_of_line(profile: ColumnProfile, prefixes: Collection[str], each: str | None) -> bool:
    name = profile.name.lower()
    if each is not None:
        return name.startswith(f"{each.lower()}.")
    return any(name.startswith(prefix) and name != prefix for prefix in prefixes)


def settle_entities(found: dict[str, Found]) -> None:
    """Drop entities that another entity of the same file explains better."""
    if "payment_id" not in found.get("payment", {}) and {"order", "order_line"} & set(found):
        found.pop("payment", None)  # an order that names how it was paid
    if {"subscription", "appointment", "deal"} & set(found) and "method" not in found.get("payment", {}):
        found.pop("payment", None)  # when the record itself was paid
    if {"subscription", "appointment", "deal", "location"} & set(found):
        found.pop("product", None)  # the plan or treatment of the record
    if {"subscription", "appointment", "deal"} & set(found) and "order_line" not in found:
        for other in ("order", "interaction", "usage"):
            found.pop(other, None)
