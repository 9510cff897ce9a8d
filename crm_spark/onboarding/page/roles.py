"""Roles of the columns of a drafted source, and the answers that change them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crm_spark.contracts.silver import ENTITIES
from crm_spark.onboarding.answers import Answer
from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.entity_evidence import FULL_NAME, LINE_TOTAL, PARTS
from crm_spark.onboarding.mapping_proposal import Proposal, Vocabulary, names_of
from crm_spark.onboarding.source_draft import feed_draft, mapping_draft
from crm_spark.sources.config import Source
from crm_spark.sources.mappings import FILLED_BY_CLEAN
from crm_spark.sources.mappings import Mapping as ColumnMapping

Roles = dict[str, set[str]]
"""Source column -> its roles, such as `order.order_id`."""
WHOLE_NAME, WHOLE_AMOUNT = f"person.{FULL_NAME}", f"order_line.{LINE_TOTAL}"
"""Roles that are no columns: a full name gives two, an amount of a line is divided by its quantity."""


def every_role() -> dict[str, list[str]]:
    """Entity -> roles of its columns."""
    roles = {
        entity: [f"{entity}.{name}" for name in contract.column_names if name not in FILLED_BY_CLEAN]
        for entity, contract in ENTITIES.items()
    }
    roles["person"].append(WHOLE_NAME)
    roles["order_line"].append(WHOLE_AMOUNT)
    return roles


def roles_of(source: Source) -> tuple[Roles, Roles]:
    """Roles that a single column has, and those that it shares with other columns: an id joined from two columns."""
    own, shared = Roles(), Roles()
    for entity, feed in source.feeds.items():
        for ours, mapping in feed.columns.items():
            names = _origins(mapping)
            if len(names) == 1:
                own.setdefault(names[0], set()).add(_role(entity, ours, mapping))
            else:
                for name in names:
                    shared.setdefault(name, set()).add(f"{entity}.{ours}")
    return own, shared


def alternatives(name: str, vocabulary: Vocabulary) -> list[str]:
    """Roles that a column of this name may have, by the known names."""
    found = []
    for entity, columns in vocabulary.names.items():
        prefixes = ("", *vocabulary.prefixes.get(entity, ()))
        for ours, spellings in columns.items():
            known = {f"{prefix}{spelling}" for prefix in prefixes for spelling in spellings}
            if known & names_of(name):
                found.append(f"{entity}.{ours}")
    return found


def conflicts(wanted: Roles) -> dict[str, str]:
    """Source column -> message, for columns that share a role."""
    columns: dict[str, list[str]] = {}
    for name, roles in wanted.items():
        for entity, ours in sorted(_columns_of(roles)):
            columns.setdefault(f"{entity}.{ours}", []).append(name)
    return {
        name: f"{role} is also the role of {', '.join(other for other in names if other != name)}. Choose one column."
        for role, names in columns.items()
        if len(names) > 1
        for name in names
    }


def role_answers(file: str, source: Source, wanted: Roles, profiles: Iterable[ColumnProfile]) -> list[Answer]:
    """Answers that give the columns of a source the wanted roles.

    Args:
        file: drafted file of the source.
        source: the drafted source.
        wanted: wanted roles.
        profiles: column profiles.
    """
    before, _ = roles_of(source)
    by_name = {profile.name: profile for profile in profiles}
    old = {role: name for name, roles in before.items() for role in roles}
    new = {role: name for name, roles in wanted.items() for role in roles}
    added = {role: name for role, name in new.items() if old.get(role) != name}
    removed = _columns_of(old.keys() - new.keys()) - _columns_of(new)
    emptied = [entity for entity, feed in source.feeds.items() if _is_emptied(entity, feed.columns, removed, new)]
    answers = [Answer(file=file, key=f"feeds.{entity}", action="remove") for entity in emptied]
    answers += [
        Answer(file=file, key=f"feeds.{entity}.columns.{ours}", action="remove")
        for entity, ours in sorted(removed)
        if entity not in emptied
    ]
    for entity in dict.fromkeys(role.split(".")[0] for role in added):
        if entity not in source.feeds:
            found = {ours: by_name[name] for ours, name in _found(entity, new).items()}
            feed = feed_draft(entity, found, Proposal({entity: found}))
            answers.append(Answer(file=file, key=f"feeds.{entity}", answer=feed))
            continue
        for role, name in added.items():
            if role.split(".")[0] == entity:
                answers += _mapping_answers(file, role, by_name[name], new)
    return answers


def _mapping_answers(file: str, role: str, profile: ColumnProfile, roles: Mapping[str, str]) -> list[Answer]:
    """Answers that map a role of an entity that the source feeds already."""
    entity, ours = role.split(".")
    if role == WHOLE_NAME:
        values: dict[str, Any] = {name: {"from": profile.name, "part": part} for name, part in PARTS.items()}
    elif role == WHOLE_AMOUNT:
        quantity = roles.get("order_line.quantity")
        divided = {"from": profile.name, "divide_by": quantity} if quantity else profile.name
        values = {"unit_price": divided}
    else:
        values = {ours: mapping_draft(entity, ours, profile)}
    return [
        Answer(file=file, key=f"feeds.{entity}.columns.{name}", answer=value, action="replace")
        for name, value in values.items()
    ]


def _found(entity: str, roles: Mapping[str, str]) -> dict[str, str]:
    """Entity column -> source column; a full name stands for both names."""
    found = {role.split(".")[1]: name for role, name in roles.items() if role.split(".")[0] == entity}
    whole = found.pop(FULL_NAME, None)
    return found | (dict.fromkeys(PARTS, whole) if whole is not None else {})


def _is_emptied(
    entity: str, columns: Mapping[str, ColumnMapping], removed: set[tuple[str, str]], new: Mapping[str, str]
) -> bool:
    """Whether no column of a source is left in a feed that had one."""
    has_more = any(_origins(mapping) and (entity, ours) not in removed for ours, mapping in columns.items())
    is_wanted = any(role.split(".")[0] == entity for role in new)
    return not has_more and not is_wanted and any(of == entity for of, _ in removed)


def _origins(mapping: ColumnMapping) -> Sequence[str]:
    names = [name for name in mapping.source_columns if name != mapping.divide_by]
    return list(dict.fromkeys(names))


def _role(entity: str, ours: str, mapping: ColumnMapping) -> str:
    if entity == "person" and mapping.part is not None:
        return WHOLE_NAME
    if entity == "order_line" and mapping.divide_by is not None and ours == "unit_price":
        return WHOLE_AMOUNT
    return f"{entity}.{ours}"


def _columns_of(roles: Iterable[str]) -> set[tuple[str, str]]:
    """Entities and columns of roles."""
    parts = {WHOLE_NAME: tuple(PARTS), WHOLE_AMOUNT: ("unit_price",)}
    return {
        (entity, column) for role in roles for entity, ours in [role.split(".")] for column in parts.get(role, (ours,))
    }
