"""A first configuration of a source from its profile: a mapping that loads, and rules, for a person to edit."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from crm_spark.contracts.silver import ENTITIES
from crm_spark.onboarding.column_profile import DATES, ColumnProfile
from crm_spark.onboarding.mapping_proposal import LINE_TOTAL, PARTS, Found, Proposal, must, plain
from crm_spark.sources.config import Files

_TEMPORAL = ("timestamp", "date")
_PERSONAL_COLUMNS = {c.name for table in ENTITIES.values() for c in table.columns if c.sensitivity == "personal"}
_IDS = {"person_id", "order_id", "product_id", "line_id"}
_WHOLE = r"^(.*?)(?:\.0)?$"
"""A number that some program took for a fraction on its way: 17850.0."""
_SCALES = {
    5: {"does_not_recommend": [1, 2], "no_clear_opinion": [3, 3], "recommends": [4, 5]},
    10: {"does_not_recommend": [0, 6], "no_clear_opinion": [7, 8], "recommends": [9, 10]},
}
"""Stars, and the ten points of the net promoter score."""
TEN_POINTS = _SCALES[10]


def source_yaml(
    name: str,
    files: Files,
    profiles: list[ColumnProfile],
    proposal: Proposal,
    given: Mapping[str, str],
    *,
    notes: Sequence[str] | None = None,
) -> str:
    """The text of `sources/<name>.yaml`: what was seen as comments, what is proposed as configuration.

    Args:
        name: of the source.
        files: which its files are, and how they are written.
        profiles: their columns.
        proposal: what these are taken for.
        given: what is said of the source, or guessed: system, time_zone, country, currency.
        notes: where that comes from; null: of what is not given a comment says that it is lacking.
    """
    document: dict[str, Any] = {"system": name, **given, "files": files.model_dump(exclude_defaults=True)}
    if any(profile.kind == "decimal_comma" for profile in profiles):
        document["decimal"] = ","
    document["feeds"] = {entity: _feed(entity, columns, proposal) for entity, columns in proposal.feeds.items()}
    feeds = proposal.feeds
    personal = {p.name for columns in feeds.values() for ours, p in columns.items() if ours in _PERSONAL_COLUMNS}
    lines = [
        f"# A first draft for {name}, made by jobs/onboard.py. Look at every line; what is wrong here is wrong in silver.",
        *(_lacking(given) if notes is None else (f"# {note}" for note in notes)),
        "# column: kind, blank, distinct, longest",
        *(f"#   {_seen(profile, is_personal=profile.name in personal)}" for profile in profiles),
    ]
    used = {profile.name for columns in feeds.values() for profile in columns.values()}
    if unused := [profile.name for profile in profiles if profile.name not in used]:
        lines.append(f"# Not mapped, kept in bronze: {', '.join(unused)}")
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join([*lines, *_advice(proposal, is_alone=notes is None)]) + "\n" + body


def _lacking(given: Mapping[str, str]) -> list[str]:
    """What a file cannot say of itself, as far as nobody said it."""
    lines = []
    if "system" not in given:
        lines.append(
            "# system: the name space of ids. Files that share customer, order or product numbers must share it (--system)."
        )
    lacking = {"time_zone": "default UTC", "country": "of phone numbers", "currency": "default: the company's"}
    if missing := [f"{key} ({what})" for key, what in lacking.items() if key not in given]:
        lines.append(f"# Say as well what the file cannot: {', '.join(missing)}.")
    return lines


def _advice(proposal: Proposal, *, is_alone: bool) -> list[str]:
    """What to look at. `is_alone`: nothing is known of other sources."""
    feeds, lines = proposal.feeds, []
    if not feeds:
        lines += [
            "# No entity was recognised. Add how this file calls its columns to conf/domains/column_names.yaml and run again with",
            "# --force, or name an entity under feeds and map its columns. The entities and what each must have:",
            *(f"#   {entity}: {', '.join(sorted(must(entity)))}" for entity in ENTITIES),
        ]
    strange = [word for word, ours in proposal.status_map.items() if ours is None]
    if strange:
        lines.append(
            f"# order.status: not understood, and set aside as it is: {', '.join(map(repr, strange))}. Map each to completed,"
            " cancelled or returned."
        )
    if unclear := [word for word, ours in proposal.consent_map.items() if ours is None]:
        lines.append(
            f"# has_marketing_consent: not understood: {', '.join(map(repr, unclear))}. Map each to true or false."
        )
    if "status" in feeds.get("order", {}) and not proposal.status_map:
        lines.append(
            "# order.status: list how the source calls ours under map: {DELIVERED: completed, STORNO: cancelled}."
        )
    if proposal.num_divided_orders:
        lines.append(
            f"# The lines of {proposal.num_divided_orders} orders differ in {feeds['order']['status'].name!r}: it is a state of the"
            " line, so it tells is_return, and every order counts as completed."
        )
    if is_alone and "order_line" in feeds and "order" not in feeds:
        lines.append(
            "# Lines without their orders: feed `order` too (order_id, person_id, ordered_at, status), here or elsewhere."
        )
    if "order_line" in feeds:
        lines.append("# Revenue is quantity x unit_price of lines that are no return, in orders that are completed.")
    rating = feeds.get("feedback", {}).get("rating")
    if scale(rating) == TEN_POINTS:
        lines.append(
            "# label: the ten points of a survey on recommending. Where they are marks, look at some texts and move the ranges."
        )
    ambiguous = [p.name for columns in feeds.values() for p in columns.values() if p.is_ambiguous]
    if ambiguous:
        lines.append(
            f"# Day or month first? No value tells: {', '.join(sorted(set(ambiguous)))}. Set formats to what is true."
        )
    return lines


def _seen(profile: ColumnProfile, *, is_personal: bool) -> str:
    said = [
        f"{profile.kind} ({profile.exceptions})" if profile.exceptions else profile.kind,
        f"{profile.num_blank} of {profile.num_rows}",
        f"about {profile.num_distinct}",
        f"{profile.max_length}",
    ]
    if profile.may_be_key:
        said.append("may be a key")
    if is_personal or profile.looks_personal or plain(profile.name) in _PERSONAL_COLUMNS:
        said.append("personal data")
    return f"{profile.name}: {', '.join(said)}"


def _feed(entity: str, columns: Found, proposal: Proposal) -> dict[str, Any]:
    types = {c.name: c.type.typeName() for c in ENTITIES[entity].columns}
    mapped = {o: _mapped(o, profile, types[o]) for o, profile in columns.items() if o != LINE_TOTAL}
    if (whole := columns.get("family_name")) is not None and whole == columns.get("given_name"):
        mapped |= {ours: {"from": whole.name, "part": part} for ours, part in PARTS.items()}
    if entity in proposal.kinds:
        mapped.setdefault("kind", {"value": proposal.kinds[entity]})
    if entity == "feedback" and (ranges := scale(columns.get("rating"))):
        mapped["label"] = {"from": columns["rating"].name, "ranges": ranges}
    if entity == "person" and (said := {word: ours for word, ours in proposal.consent_map.items() if ours}):
        mapped["has_marketing_consent"] = {"from": columns["has_marketing_consent"].name, "map": said}
    if entity == "order":
        mapped["status"] = _status(columns, proposal)
    if entity == "campaign_contact":
        names = [columns[key].name for key in ("campaign_id", "person_id")]
        mapped.setdefault("contact_id", {"from": names, "join": "-"})
    if entity == "campaign_response":
        mapped.setdefault("response_id", {"hash_of": "all"})
    if entity == "order_line":
        return {"columns": _line(columns, mapped, proposal)}
    # A key that repeats stands on many records, as an order's does on each of its lines.
    keys = [columns[k] for k in ENTITIES[entity].grain if k in columns]
    feed: dict[str, Any] = {"one_row_per_key": True} if keys and not any(k.may_be_key for k in keys) else {}
    return {**feed, "columns": mapped}


def _mapped(ours: str, profile: ColumnProfile, type_name: str) -> Any:
    """How our column comes from the source's."""
    if type_name in _TEMPORAL and profile.kind in DATES:
        return {"from": profile.name, "formats": [profile.kind]}
    if ours == "person_id" and profile.fractions.get("email", 0.0) > 0.2:
        return {"hash_of": [profile.name]}  # an id is no personal column
    if ours in _IDS and profile.is_whole_fraction:
        return {"from": profile.name, "extract": _WHOLE}
    return profile.name


def scale(rating: ColumnProfile | None) -> dict[str, list[int]] | None:
    """What a rating's numbers say, by how far they go; null where there are none, or too many."""
    if rating is None or rating.low is None or rating.high is None or rating.low < 0:
        return None
    return next((ranges for top, ranges in _SCALES.items() if rating.high <= top), None)


def _status(columns: Found, proposal: Proposal) -> Any:
    understood = {word: ours for word, ours in proposal.status_map.items() if ours is not None}
    if "status" not in columns or proposal.num_divided_orders:
        return {"value": "completed"}
    return {"from": columns["status"].name, "map": understood} if understood else columns["status"].name


def _line(columns: Found, mapped: dict[str, Any], proposal: Proposal) -> dict[str, Any]:
    number = columns.get("line_id")
    if number is None:
        mapped["line_id"] = {"hash_of": "all"}
    elif not number.may_be_key:  # it counts the lines of one order
        mapped["line_id"] = {"from": [columns["order_id"].name, number.name], "join": "-"}
    if "unit_price" not in mapped:
        mapped["unit_price"] = {"from": columns[LINE_TOTAL].name, "divide_by": columns["quantity"].name}
    if (low := columns["quantity"].low) is not None and low < 0:
        is_negative = {"column": columns["quantity"].name, "matches": r"^\s*-", "value": "true"}
        mapped["is_return"] = {"cases": [is_negative], "otherwise": "false"}
    if proposal.num_divided_orders:
        is_return = {word: str(ours != "completed").lower() for word, ours in proposal.status_map.items() if ours}
        mapped["is_return"] = {"from": proposal.feeds["order"]["status"].name, "map": is_return}
    return mapped


def rules_yaml(name: str, feeds: Mapping[str, Found]) -> str:
    """The text of a rules file: what was true of the file looked at, as warnings."""
    rules = []
    for entity, columns in feeds.items():
        numeric = {c.name for c in ENTITIES[entity].columns if c.type.typeName() in ("double", "decimal", "integer")}
        for ours in sorted(numeric & set(columns)):
            low, high = columns[ours].low, columns[ours].high
            if low is not None and high is not None:
                rules.append(
                    {
                        "code": f"unusual_{ours}", "entity": entity, "column": ours, "check": "between",
                        "params": {"low": low, "high": high}, "severity": "warn",
                    }
                )  # fmt: skip
    head = f"# What was true of the {name} file that was looked at, as warnings. Widen, tighten, or make it `quarantine`.\n"
    return head + yaml.safe_dump({"rules": rules}, sort_keys=False, width=110)
