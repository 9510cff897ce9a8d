"""A first configuration of a source from its profile: a mapping that loads, and rules, for a person to edit."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crm_spark.contracts.silver import NOUNS
from crm_spark.contracts.source import FILLED_BY_CLEAN, HAS_DEFAULT, OF_THE_SOURCE, Files
from crm_spark.core.config import read_yaml
from crm_spark.stages.ingest.profile import DATES, ColumnProfile

_TEMPORAL = ("timestamp", "date")
_PERSONAL_COLUMNS = {c.name for table in NOUNS.values() for c in table.columns if c.sensitivity == "personal"}
FULL_NAME, _PARTS = "full_name", {"given_name": "given", "family_name": "family"}
"""A column that holds both names, and which part of it each is."""
_NEEDED = {"feedback": ("kind", {"value": "review"}), "interaction": ("kind", {"value": "ticket"})}
"""What a source of the noun seldom says of itself, and a first guess at it."""
_EVIDENCE = {
    "feedback": {"text", "rating"},
    "interaction": {"topic", "text"},
    "person": {*NOUNS["person"].column_names, FULL_NAME} - {"person_id", "title", "known_at"},
    "product": {"name", "category", "brand", "list_price"},
}
"""A file says something of the noun, and does not only point to it, where it has one of these; in the order in which a
column that is called just `id` is taken for the noun's."""
_ANY_ID = ("id", "uuid", "recordid", "codice", "codigo", "code")
_SCALES = {
    5: {"does_not_recommend": [1, 2], "no_clear_opinion": [3, 3], "recommends": [4, 5]},
    10: {"does_not_recommend": [0, 6], "no_clear_opinion": [7, 8], "recommends": [9, 10]},
}
"""Stars, and the ten points of the net promoter score."""

Found = dict[str, ColumnProfile]


@dataclass(frozen=True)
class Proposal:
    """What a draft proposes.

    Attributes:
        feeds: noun -> our column -> the source's.
        status_map: how the source calls the states of an order -> ours; null: not understood.
        num_divided_orders: orders whose lines are not all of one state.
    """

    feeds: dict[str, Found]
    status_map: dict[str, str | None] = field(default_factory=dict)
    num_divided_orders: int = 0


def known_names(path: Path) -> dict[str, dict[str, list[str]]]:
    """Noun -> column -> how sources call it."""
    content: dict[str, dict[str, list[str]]] = read_yaml(path)
    return content


def known_words(path: Path) -> dict[str, str]:
    """How sources call the states of an order -> ours."""
    content: dict[str, list[str]] = read_yaml(path)
    return {word: ours for ours, words in content.items() for word in words}


def plain(name: str) -> str:
    """Lower case, letters without their accents, and digits only."""
    bare = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss").replace("ł", "l").replace("ø", "o"))
    return re.sub(r"[^a-z0-9]", "", bare)


def proposed(profiles: list[ColumnProfile], names: Mapping[str, Mapping[str, list[str]]]) -> dict[str, Found]:
    """Noun -> our column -> the source's; only nouns whose every required column was found, and that the file describes."""
    by_name = {plain(profile.name): profile for profile in profiles}
    every = {noun: _found(by_name, columns) for noun, columns in names.items()}
    for noun, evidence in _EVIDENCE.items():
        (own,) = set(NOUNS[noun].grain) - {"system"}
        lone = next((by_name[n] for n in _ANY_ID if n in by_name and by_name[n].may_be_key), None)
        if lone is not None and own not in every[noun] and evidence & set(every[noun]):
            every[noun][own] = lone
            break
    result = {noun: found for noun, found in every.items() if _required(noun) <= set(found)}
    result = {noun: found for noun, found in result.items() if noun not in _EVIDENCE or _EVIDENCE[noun] & set(found)}
    if "feedback" in result and "product" in result:
        written = {profile.name for ours, profile in result["feedback"].items() if ours in ("title", "text")}
        if result["product"].get("name", profiles[0]).name in written:
            del result["product"]  # the headline of a review is no product's name
    for found in result.values():
        whole = found.pop(FULL_NAME, None)
        if whole is not None and not set(_PARTS) & set(found):
            found |= dict.fromkeys(_PARTS, whole)
    return result


def _found(by_name: Mapping[str, ColumnProfile], columns: Mapping[str, list[str]]) -> Found:
    spelled = {ours: [n for n in (plain(ours), *spellings) if n in by_name] for ours, spellings in columns.items()}
    return {ours: by_name[hits[0]] for ours, hits in spelled.items() if hits}


def _required(noun: str) -> set[str]:
    """What the source must have of its own, so that the rest can be guessed at."""
    guessed = {"order": {"status"}, "order_line": {"line_id"}}.get(noun, set())
    return _must(noun) - guessed - {_NEEDED.get(noun, ("", {}))[0]}


def _must(noun: str) -> set[str]:
    contract = NOUNS[noun]
    must = {c.name for c in contract.columns if c.is_required} | set(contract.grain)
    return must - FILLED_BY_CLEAN - HAS_DEFAULT - OF_THE_SOURCE


def proposal_of(
    profiles: list[ColumnProfile],
    names: Mapping[str, Mapping[str, list[str]]],
    words: Mapping[str, str],
    *,
    words_of: Callable[[str], list[str]],
    num_divided: Callable[[str, str], int],
) -> Proposal:
    """What the columns, and the words of a status, are taken for.

    Args:
        profiles: the file's columns.
        names: how sources call our columns.
        words: how sources call our states of an order.
        words_of: the values of a column, where it has few.
        num_divided: of how many keys (a column) the records do not agree in another column.
    """
    feeds = proposed(profiles, names)
    order = feeds.get("order", {})
    if "status" not in order:
        return Proposal(feeds)
    status = order["status"].name
    said = {word: words.get(word.strip().lower()) for word in words_of(status)}
    divided = num_divided(order["order_id"].name, status) if "order_line" in feeds else 0
    return Proposal(feeds, said, divided)


def source_yaml(
    name: str, files: Files, profiles: list[ColumnProfile], proposal: Proposal, given: Mapping[str, str]
) -> str:
    """The text of `sources/<name>.yaml`: what was seen as comments, what is proposed as configuration.

    `given`: what a person says of the source: system, time_zone, country, currency.
    """
    document: dict[str, Any] = {"system": name, **given, "files": files.model_dump(exclude_defaults=True)}
    if any(profile.kind == "decimal_comma" for profile in profiles):
        document["decimal"] = ","
    document["feeds"] = {noun: _feed(noun, columns, proposal) for noun, columns in proposal.feeds.items()}
    feeds = proposal.feeds
    personal = {p.name for columns in feeds.values() for ours, p in columns.items() if ours in _PERSONAL_COLUMNS}
    lines = [
        f"# A first draft for {name}, made by jobs/inspect_source.py. Look at every line; what is wrong here is wrong in silver.",
        *_lacking(given),
        "# column: kind, blank, distinct, longest",
        *(f"#   {_seen(profile, is_personal=profile.name in personal)}" for profile in profiles),
    ]
    used = {profile.name for columns in feeds.values() for profile in columns.values()}
    if unused := [profile.name for profile in profiles if profile.name not in used]:
        lines.append(f"# Not mapped, kept in bronze: {', '.join(unused)}")
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join([*lines, *_advice(proposal)]) + "\n" + body


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


def _advice(proposal: Proposal) -> list[str]:
    feeds, lines = proposal.feeds, []
    if not feeds:
        lines += [
            "# No noun was recognised. Add how this file calls its columns to conf/domains/column_names.yaml and run again with",
            "# --force, or name a noun under feeds and map its columns. The nouns and what each must have:",
            *(f"#   {noun}: {', '.join(sorted(_must(noun)))}" for noun in NOUNS),
        ]
    strange = [word for word, ours in proposal.status_map.items() if ours is None]
    if strange:
        lines.append(
            f"# order.status: not understood, and set aside as it is: {', '.join(map(repr, strange))}. Map each to completed,"
            " cancelled or returned."
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
    if "order_line" in feeds and "order" not in feeds:
        lines.append(
            "# Lines without their orders: feed `order` too (order_id, person_id, ordered_at, status), here or elsewhere."
        )
    if "order_line" in feeds:
        lines.append("# Revenue is quantity x unit_price of lines that are no return, in orders that are completed.")
    rating = feeds.get("feedback", {}).get("rating")
    if _scale(rating) == _SCALES[10]:
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


def _feed(noun: str, columns: Found, proposal: Proposal) -> dict[str, Any]:
    types = {c.name: c.type.typeName() for c in NOUNS[noun].columns}
    mapped: dict[str, Any] = {}
    for ours, profile in columns.items():
        is_time = types[ours] in _TEMPORAL and profile.kind in DATES
        mapped[ours] = {"from": profile.name, "formats": [profile.kind]} if is_time else profile.name
    if (whole := columns.get("family_name")) is not None and whole == columns.get("given_name"):
        mapped |= {ours: {"from": whole.name, "part": part} for ours, part in _PARTS.items()}
    if noun in _NEEDED:
        column, guess = _NEEDED[noun]
        mapped.setdefault(column, guess)
    if noun == "feedback" and (scale := _scale(columns.get("rating"))):
        mapped["label"] = {"from": columns["rating"].name, "ranges": scale}
    if noun == "order":
        mapped["status"] = _status(columns, proposal)
    if noun == "order_line":
        return {"columns": _line(columns, mapped, proposal)}
    # A key that repeats stands on many records, as an order's does on each of its lines.
    keys = [columns[k] for k in NOUNS[noun].grain if k in columns]
    feed: dict[str, Any] = {"fold": True} if keys and not any(k.may_be_key for k in keys) else {}
    return {**feed, "columns": mapped}


def _scale(rating: ColumnProfile | None) -> dict[str, list[int]] | None:
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
    if proposal.num_divided_orders:
        is_return = {word: str(ours != "completed").lower() for word, ours in proposal.status_map.items() if ours}
        mapped["is_return"] = {"from": proposal.feeds["order"]["status"].name, "map": is_return}
    return mapped


def rules_yaml(name: str, feeds: Mapping[str, Found]) -> str:
    """The text of a rules file: what was true of the file looked at, as warnings."""
    rules = []
    for noun, columns in feeds.items():
        numeric = {c.name for c in NOUNS[noun].columns if c.type.typeName() in ("double", "decimal", "integer")}
        for ours in sorted(numeric & set(columns)):
            low, high = columns[ours].low, columns[ours].high
            if low is not None and high is not None:
                rules.append(
                    {
                        "code": f"unusual_{ours}", "noun": noun, "column": ours, "check": "between",
                        "params": {"low": low, "high": high}, "severity": "warn",
                    }
                )  # fmt: skip
    head = f"# What was true of the {name} file that was looked at, as warnings. Widen, tighten, or make it `quarantine`.\n"
    return head + yaml.safe_dump({"rules": rules}, sort_keys=False, width=110)
