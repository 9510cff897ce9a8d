"""Answers to the questions of a company's draft: a file that makes onboarding repeatable."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from crm_spark.core.config import Config, parsed_yaml, read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.onboarding.company_draft import CompanyDraft
from crm_spark.sources.config import Source

COMPANY = "company.yaml"
_COMPANY_KEYS = (
    "company.name",
    "company.currency",
    "company.time_zone",
    "company.exchange_rates",
    "company.horizon_days",
)


class Answer(Config):
    """Answer to one question."""

    file: str
    """Drafted file, relative to the company's folder."""
    key: str
    """Dotted key of the setting."""
    answer: Any = None
    """Value of the setting; null: the draft is kept. Of a mapping, entries are added."""


class Answers(Config):
    """File of answers."""

    answers: list[Answer] = []
    """Answers in any order."""


def load_answers(path: Path) -> list[Answer]:
    """Load a file of answers.

    Raises:
        ConfigError: the file is invalid.
    """
    return validated(Answers, read_yaml(path), origin=str(path)).answers


def answers_yaml(draft: CompanyDraft) -> str:
    """Text of a file with the recommended answer to each question of a draft."""
    lines = ["# Recommended answers; null keeps the draft. Correct them and give the file with --answers.", "answers:"]
    for question in draft.questions:
        entry = {"file": question.file, "key": question.key, "answer": question.recommended}
        lines += [f"  # {question.text}", f"  - {json.dumps(entry, ensure_ascii=False)}"]
    return "\n".join([*lines, ""])


def apply_answers(draft: CompanyDraft, answers: Sequence[Answer], *, origin: str) -> None:
    """Set the answered keys in the drafted files, and remove their questions.

    Raises:
        ConfigError: there is no such file or key, or a value is invalid.
    """
    for answer in answers:
        if answer.file not in draft.texts:
            known = ", ".join(sorted(name for name in draft.texts if not name.startswith("quality/")))
            raise ConfigError(f"{origin}: there is no draft {answer.file}; expected one of {known}.")
        if answer.answer is None:
            continue
        text = draft.texts[answer.file]
        is_company = answer.file == COMPANY
        draft.texts[answer.file] = _in_company(text, answer, origin) if is_company else _in_source(text, answer, origin)
    given = {(answer.file, answer.key) for answer in answers}
    draft.questions = [question for question in draft.questions if (question.file, question.key) not in given]


def _in_company(text: str, answer: Answer, origin: str) -> str:
    """Replace one value of the company's file, whose comments are kept."""
    if answer.key not in _COMPANY_KEYS:
        raise ConfigError(f"{origin}: {answer.file}: {answer.key}: expected one of {', '.join(_COMPANY_KEYS)}.")
    name = answer.key.split(".")[1]
    line = f"{name}: {json.dumps(answer.answer, ensure_ascii=False)}"
    return re.sub(rf"(?m)^(\s*){name}:.*$", lambda match: match[1] + line, text, count=1)


def _in_source(text: str, answer: Answer, origin: str) -> str:
    """Set a key of a source's file below the comments at its head."""
    head = [line for line in text.splitlines() if line.startswith("#")]
    document = parsed_yaml(text)
    *parents, last = answer.key.split(".")
    at = document
    for name in parents:
        if isinstance(at.get(name), str):
            at[name] = {"from": at[name]}  # `status: State` is short for `status: {from: State}`
        at = at.setdefault(name, {})
        if not isinstance(at, dict):
            raise ConfigError(f"{origin}: {answer.file}: {answer.key}: {name} has no keys.")
    is_merged = isinstance(at.get(last), dict) and isinstance(answer.answer, dict)
    at[last] = {**at[last], **answer.answer} if is_merged else answer.answer
    name = Path(answer.file).stem
    validated(Source, {"name": name, "system": name, **document}, origin=f"{origin}: {answer.file}")
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join([*head, ""]) + body
