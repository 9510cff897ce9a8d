"""Answers to the questions of a company's draft: a file that makes onboarding repeatable."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from crm_spark.core.config import Config, parsed_yaml, read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.onboarding.company_draft import CompanyDraft, Question
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
    """Value of the setting; null: the draft is kept."""
    action: Literal["set", "replace", "remove"] = "set"
    """set: the value is set, and the entries of a mapping are added to those of the draft; replace: a mapping has no other
    entries; remove: the setting is removed, and `answer` has no effect."""

    @property
    def is_kept(self) -> bool:
        """Whether the draft is kept."""
        return self.answer is None and self.action != "remove"

    def entry(self) -> dict[str, Any]:
        """The answer as it is written."""
        more = {} if self.action == "set" else {"action": self.action}
        answer = {} if self.action == "remove" else {"answer": self.answer}
        return {"file": self.file, "key": self.key, **answer, **more}


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


def answers_yaml(questions: Sequence[Question], given: Iterable[Answer] = ()) -> str:
    """Text of a file of answers: the given ones, and the recommended answer to every other question."""
    texts: dict[tuple[str, str], list[str]] = {}
    for question in questions:
        texts.setdefault((question.file, question.key), []).append(question.text)
    answers = {(answer.file, answer.key): answer for answer in given}
    answers |= {(q.file, q.key): recommended(q) for q in questions if (q.file, q.key) not in answers}
    lines = ["# Recommended answers; null keeps the draft. Correct them and give the file with --answers.", "answers:"]
    for key, answer in answers.items():
        lines += [f"  # {text}" for text in texts.get(key, ())]
        lines.append(f"  - {json.dumps(answer.entry(), ensure_ascii=False)}")
    return "\n".join([*lines, ""])


def recommended(question: Question) -> Answer:
    """Recommended answer to a question."""
    return Answer(file=question.file, key=question.key, answer=question.recommended)


def apply_answers(draft: CompanyDraft, answers: Sequence[Answer], *, origin: str) -> None:
    """Set the answered keys in the drafted files, and remove their questions.

    Raises:
        ConfigError: there is no such file or key, or a value is invalid.
    """
    texts = dict(draft.texts)
    for answer in answers:
        if answer.file not in texts:
            known = ", ".join(sorted(name for name in texts if not name.startswith("quality/")))
            raise ConfigError(f"{origin}: there is no draft {answer.file}; expected one of {known}.")
        if not answer.is_kept:
            change = _in_company if answer.file == COMPANY else _in_source
            texts[answer.file] = change(texts[answer.file], answer, origin)
    for name in {answer.file for answer in answers if not answer.is_kept} - {COMPANY}:
        drafted_source(name, texts[name], origin=f"{origin}: {name}")
    draft.texts.update(texts)
    given = {(answer.file, answer.key) for answer in answers}
    draft.questions = [question for question in draft.questions if (question.file, question.key) not in given]


def drafted_source(file: str, text: str, *, origin: str) -> Source:
    """Source of a drafted file.

    Raises:
        ConfigError: the draft is invalid.
    """
    name = Path(file).stem
    return validated(Source, {"name": name, "system": name, **parsed_yaml(text)}, origin=origin)


def _in_company(text: str, answer: Answer, origin: str) -> str:
    """Replace one value of the company's file, whose comments are kept."""
    if answer.key not in _COMPANY_KEYS:
        raise ConfigError(f"{origin}: {answer.file}: {answer.key}: expected one of {', '.join(_COMPANY_KEYS)}.")
    name = answer.key.split(".")[1]
    line = f"{name}: {json.dumps(answer.answer, ensure_ascii=False)}"
    return re.sub(rf"(?m)^(\s*){name}:.*$", lambda match: match[1] + line, text, count=1)


def _in_source(text: str, answer: Answer, origin: str) -> str:
    """Set or remove a key of a source's file below the comments at its head."""
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
    if answer.action == "remove":
        at.pop(last, None)
    else:
        is_merged = answer.action == "set" and isinstance(at.get(last), dict) and isinstance(answer.answer, dict)
        at[last] = {**at[last], **answer.answer} if is_merged else answer.answer
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return "\n".join([*head, ""]) + body
