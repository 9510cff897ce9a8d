"""A first configuration of a source from its profile: a mapping that loads, and rules, for a person to edit."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from crm_spark.contracts.silver import NOUNS
from crm_spark.contracts.source import FILLED_BY_CLEAN, HAS_DEFAULT, OF_THE_SOURCE, Files
from crm_spark.core.config import read_yaml
from crm_spark.stages.ingest.profile import DATES, PERSONAL, ColumnProfile

_TEMPORAL = ("timestamp", "date")
_PERSONAL_COLUMNS = {c.name for table in NOUNS.values() for c in table.columns if c.sensitivity == "personal"}
FULL_NAME, _PARTS = "full_name", {"given_name": "given", "family_name": "family"}
"""A column that holds both names, and which part of it each is."""
_NEEDED = {"feedback": ("kind", {"value": "review"}), "interaction": ("kind", {"value": "ticket"})}
"""What a source of the noun seldom says of itself, and a first guess at it."""


def known_names(path: Path) -> dict[str, dict[str, list[str]]]:
    """Noun -> column -> how sources call it."""
    content: dict[str, dict[str, list[str]]] = read_yaml(path)
    return content


def plain(name: str) -> str:
    """Lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def proposed(
    profiles: list[ColumnProfile], names: Mapping[str, Mapping[str, list[str]]]
) -> dict[str, dict[str, ColumnProfile]]:
    """Noun -> our column -> the source's; only nouns whose every required column was found."""
    by_name = {plain(profile.name): profile for profile in profiles}
    result = {}
    for noun, columns in names.items():
        found = {
            ours: next(by_name[n] for n in (plain(ours), *spellings) if n in by_name)
            for ours, spellings in columns.items()
            if any(n in by_name for n in (plain(ours), *spellings))
        }
        whole = found.pop(FULL_NAME, None)
        if whole is not None and not set(_PARTS) & set(found):
            found |= dict.fromkeys(_PARTS, whole)
        contract = NOUNS[noun]
        must = {c.name for c in contract.columns if c.is_required} | set(contract.grain)
        must -= FILLED_BY_CLEAN | HAS_DEFAULT | OF_THE_SOURCE | {_NEEDED.get(noun, ("", {}))[0]}
        if noun == "order":
            must -= {"status"}
        if noun == "order_line":
            must -= {"line_id"}
        if must <= set(found):
            result[noun] = found
    return result


def source_yaml(
    name: str, files: Files, profiles: list[ColumnProfile], proposal: dict[str, dict[str, ColumnProfile]]
) -> str:
    """The text of `sources/<name>.yaml`: what was seen as comments, what is proposed as configuration."""
    document: dict[str, Any] = {"system": name, "files": files.model_dump(exclude_defaults=True)}
    if any(profile.kind == "decimal_comma" for profile in profiles):
        document["decimal"] = ","
    document["feeds"] = {noun: _feed(noun, columns) for noun, columns in proposal.items()}
    personal = {p.name for columns in proposal.values() for ours, p in columns.items() if ours in _PERSONAL_COLUMNS}
    lines = [
        f"# A first draft for {name}, made by jobs/inspect_source.py. Look at every line; what is wrong here is wrong in silver.",
        "# Say as well what the file cannot: time_zone (default UTC), currency, country, rank. `system` is the name space of the",
        "# ids: files that share customer, order or product numbers must share it.",
        "# column: kind, blank, distinct, longest",
        *(f"#   {_seen(profile, is_personal=profile.name in personal)}" for profile in profiles),
    ]
    used = {profile.name for columns in proposal.values() for profile in columns.values()}
    if unused := [profile.name for profile in profiles if profile.name not in used]:
        lines.append(f"# Not mapped, kept in bronze: {', '.join(unused)}")
    if not proposal:
        lines.append("# No noun was recognised: name one under feeds and map its columns.")
    if "status" in proposal.get("order", {}):
        lines.append(
            "# order.status: list how the source calls ours under map: {DELIVERED: completed, STORNO: cancelled}."
        )
    if "order_line" in proposal and "order" not in proposal:
        lines.append(
            "# Lines without their orders: feed `order` too (order_id, person_id, ordered_at, status), here or elsewhere."
        )
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join(lines) + "\n" + body


def _seen(profile: ColumnProfile, *, is_personal: bool) -> str:
    said = [
        profile.kind,
        f"{profile.num_blank} of {profile.num_rows}",
        f"about {profile.num_distinct}",
        f"{profile.max_length}",
    ]
    if profile.may_be_key:
        said.append("may be a key")
    if is_personal or profile.kind in PERSONAL or plain(profile.name) in _PERSONAL_COLUMNS:
        said.append("personal data")
    return f"{profile.name}: {', '.join(said)}"


def _feed(noun: str, columns: Mapping[str, ColumnProfile]) -> dict[str, Any]:
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
    if noun == "order":
        mapped.setdefault("status", {"value": "completed"})
    if noun == "order_line":
        mapped.setdefault("line_id", {"hash_of": "all"})
    # A key that repeats stands on many records, as an order's does on each of its lines.
    keys = [columns[k] for k in NOUNS[noun].grain if k in columns]
    feed: dict[str, Any] = {"fold": True} if keys and not any(k.may_be_key for k in keys) else {}
    return {**feed, "columns": mapped}


def rules_yaml(name: str, proposal: Mapping[str, Mapping[str, ColumnProfile]]) -> str:
    """The text of a rules file: what was true of the file looked at, as warnings."""
    rules = []
    for noun, columns in proposal.items():
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
