"""The form of the onboarding page: mappings and decisions as fields, and what was sent as answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from crm_spark.core.config import parsed_yaml
from crm_spark.core.errors import ConfigError
from crm_spark.onboarding.answers import Answer, apply_answers, drafted_source
from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.company_draft import CompanyDraft, Question
from crm_spark.onboarding.page.roles import conflicts, every_role, role_answers, roles_of

ROLE, OTHER, DECISION = "role", "other", "decision"
"""Kinds of fields: roles of a column that are ticked, one more role, the answer to a question."""
_ORIGIN = "answer"
Sent = Mapping[str, Sequence[str]]
"""Values of a form by field."""


def field_name(kind: str, *keys: str) -> str:
    """Name of a field in the form."""
    return json.dumps([kind, *keys], ensure_ascii=False)


@dataclass(frozen=True)
class ColumnInfo:
    """A column of a file as the page shows it.

    Attributes:
        profile: column profile.
        samples: values; those of personal columns are masked.
        alternatives: roles that its name suggests.
    """

    profile: ColumnProfile
    samples: tuple[str, ...]
    alternatives: tuple[str, ...]

    @property
    def name(self) -> str:
        """Column name in the source."""
        return self.profile.name


@dataclass
class Reviewed:
    """Drafts with the answers of a form.

    Attributes:
        draft: drafts with all valid answers.
        answers: the answers that differ from the first draft, and those to its questions.
        errors: field or drafted file -> message.
    """

    draft: CompanyDraft
    answers: list[Answer] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


def reviewed(first: CompanyDraft, columns: Mapping[str, Sequence[ColumnInfo]], sent: Sent) -> Reviewed:
    """Apply a form to the first drafts; what is invalid becomes an error of its field.

    Args:
        first: drafts before any answer.
        columns: drafted file of each source -> its columns.
        sent: values of the form.
    """
    result = Reviewed(CompanyDraft(dict(first.texts), list(first.questions)))
    for file, infos in columns.items():
        _apply_roles(result, file, infos, sent)
    for question in first.questions:
        _apply_decision(result, question, sent)
    return result


def text_of(value: Any) -> str:
    """An answer as text: a plain word as it is, everything else as JSON; nothing for the draft as it is."""
    if value is None:
        return ""
    if isinstance(value, str) and _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    try:
        return parsed_yaml(text) == text
    except yaml.YAMLError:
        return False


def _apply_roles(result: Reviewed, file: str, infos: Sequence[ColumnInfo], sent: Sent) -> None:
    source = drafted_source(file, result.draft.texts[file], origin=file)
    wanted = {info.name: _wanted(file, info.name, sent) for info in infos}
    known = {role for roles in every_role().values() for role in roles}
    unknown = {
        name: f"{', '.join(sorted(roles - known))}: no such role." for name, roles in wanted.items() if roles - known
    }
    if clashes := unknown or conflicts(wanted):
        result.errors |= {field_name(ROLE, file, name): message for name, message in clashes.items()}
        return
    answers = role_answers(file, source, wanted, [info.profile for info in infos])
    try:
        apply_answers(result.draft, answers, origin=_ORIGIN)
    except ConfigError as error:
        result.errors[file] = _shortened(error, file)
        own, _ = roles_of(source)
        for name in (name for name, roles in wanted.items() if roles != own.get(name, set())):
            result.errors[field_name(ROLE, file, name)] = "Not saved: see the message above the columns of this file."
        return
    result.answers += answers


def _wanted(file: str, name: str, sent: Sent) -> set[str]:
    roles = [*sent.get(field_name(ROLE, file, name), ()), *sent.get(field_name(OTHER, file, name), ())]
    return {role for role in roles if role}


def _apply_decision(result: Reviewed, question: Question, sent: Sent) -> None:
    name = field_name(DECISION, question.file, question.key, question.text)
    text = next(iter(sent.get(name, ())), "").strip()
    try:
        value = parsed_yaml(text) if text else None
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "not YAML"
        result.errors[name] = f"Expected a word, a number, or YAML such as {{sent: shipped}} ({problem})."
        return
    value = json.loads(json.dumps(value, default=str))  # a date is text
    answer = Answer(file=question.file, key=question.key, answer=value)
    try:
        apply_answers(result.draft, [answer], origin=_ORIGIN)
    except ConfigError as error:
        result.errors[name] = _shortened(error, question.file)
        return
    result.answers.append(answer)


def _shortened(error: ConfigError, file: str) -> str:
    return str(error).replace(f"{_ORIGIN}: {file}: ", "").replace(f"{_ORIGIN}: ", "")
