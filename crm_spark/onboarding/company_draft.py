"""A first configuration of a company from a folder: its company.yaml, its sources, and what a person has to decide."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crm_spark.onboarding.folder_profile import Drafted, Folder, lacking
from crm_spark.onboarding.locale_hints import Guess
from crm_spark.onboarding.source_draft import TEN_POINTS, rules_yaml, scale, source_yaml

_DEFAULTS = {"time_zone": "UTC", "country": "none", "currency": "EUR"}
_ADDRESS = {"phone", "street", "postcode", "city", "country"}


@dataclass(frozen=True)
class Question:
    """What nobody but a person can decide.

    Attributes:
        file: where it is to be said.
        key: there, dotted.
        text: what is asked.
    """

    file: str
    key: str
    text: str


@dataclass
class CompanyDraft:
    """Files to be written, by their path below the company's folder, and what is open."""

    texts: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    def asked(self, out: Path) -> list[str]:
        """The questions, each with the file and line that it is about."""
        places = ((q, self.texts.get(q.file)) for q in self.questions)
        return [f"{out / q.file}:{line_of(text or '', q.key)} {q.key}: {q.text}" for q, text in places]


def company_draft(
    folder: Folder,
    given: Mapping[str, str],
    guesses: Mapping[str, Guess],
    *,
    template: str,
    extends: str,
    lake: str,
    data_dir: str,
) -> CompanyDraft:
    """What to write for a folder.

    Args:
        folder: what was found there.
        given: what a person says of all sources: time_zone, country, currency.
        guesses: what the data tell of these otherwise.
        template: the company.yaml of a company that has to be filled in.
        extends: the configuration that the company's stands on.
        lake: where its lake is to be.
        data_dir: the folder itself.
    """
    draft = CompanyDraft()
    currency = given.get("currency") or (guesses["currency"].value if "currency" in guesses else "EUR")
    draft.texts["company.yaml"] = _filled(
        template,
        {
            "extends": (json.dumps(extends), ""),
            "lake": (json.dumps(lake), "put it where there is room"),
            "currency": (currency, guesses["currency"].why if "currency" in guesses else ""),
            "data_dir": (json.dumps(data_dir), ""),
        },
    )
    draft.questions.append(Question("company.yaml", "company.name", "what is the company called?"))
    _ask_for_guesses(draft, guesses, given, {key for source in folder.sources for key in _needed(source)})
    others = sorted({code for source in folder.sources for code in source.hints.currencies} - {currency})
    if others:
        text = (
            f"what is one {' or '.join(others)} worth in {currency}? Lines in a currency without a rate are set aside."
        )
        draft.questions.append(Question("company.yaml", "company.exchange_rates", text))
    for source in folder.sources:
        _add_source(draft, source, folder, given, guesses)
    return draft


def line_of(text: str, dotted: str) -> int:
    """The line, counted from 1, at which a key stands, or the last part of it that does."""
    lines, at, found = text.splitlines(), 0, 1
    for key in dotted.split("."):
        here = next((i for i in range(at, len(lines)) if re.match(rf"\s*{re.escape(key)}:", lines[i])), None)
        if here is None:
            break
        at, found = here + 1, here + 1
    return found


def _filled(template: str, values: Mapping[str, tuple[str, str]]) -> str:
    """The template with a value, and the reason for it, at each of these keys, none of which stands there twice."""
    for key, (value, why) in values.items():
        line = f"{key}: {value}" + (f"  # a guess: {why}" if why else "")
        indent = re.compile(rf"(?m)^(\s*){key}:.*$")
        template = indent.sub(r"\g<1>" + line.replace("\\", r"\\"), template)
    return template


def _ask_for_guesses(
    draft: CompanyDraft, guesses: Mapping[str, Guess], given: Mapping[str, str], needed: Collection[str]
) -> None:
    """One question for all that is guessed, and one for what nothing tells, as far as a source has columns that need it."""
    said = [f"{key} {guess.value} ({guess.why})" for key, guess in guesses.items() if key in needed]
    lacking = [key for key in _DEFAULTS if key in needed and key not in {*given, *guesses}]
    if said:
        text = (
            f"a guess for all sources: {', '.join(said)}. If one is wrong, {_again(k for k in guesses if k in needed)}."
        )
        draft.questions.append(Question("company.yaml", "company.currency", text))
    if lacking:
        defaults = ", ".join(_DEFAULTS[key] for key in lacking)
        text = f"nothing tells {', '.join(lacking)}: {_again(lacking)}, or leave it at {defaults}."
        draft.questions.append(Question("company.yaml", "company.currency", text))


def _again(keys: Iterable[str]) -> str:
    return f"run again with {' '.join('--' + key.replace('_', '-') for key in keys)} and --force"


def _add_source(
    draft: CompanyDraft, source: Drafted, folder: Folder, given: Mapping[str, str], guesses: Mapping[str, Guess]
) -> None:
    group, systems = source.group, folder.systems
    notes = [f"system: {text}" for text in (*systems.evidence[group.name], *systems.doubts[group.name])]
    said = {"system": systems.of[group.name], **given}
    for key in sorted(_needed(source) & set(guesses)):
        said[key] = guesses[key].value
        notes.append(f"{key}: a guess: {guesses[key].why}")
    if group.twins:
        notes.append(f"Its columns are those of {', '.join(group.twins)}: one source, where they mean the same.")
    absent = lacking(source)
    how = group.how.model_copy(update={"may_lack": absent["added"]})
    path = f"sources/{group.name}.yaml"
    draft.texts[path] = source_yaml(group.name, how, source.profiles, source.proposal, said, notes=notes)
    draft.texts[f"quality/{group.name}.yaml"] = rules_yaml(group.name, source.proposal.feeds)
    draft.questions += [Question(path, key, text) for key, text in _questions(source, folder)]
    if absent["renamed"]:
        text = f"older files lack {', '.join(absent['renamed'])}, and have others instead: list them in files.may_lack, or rename."
        draft.questions.append(Question(path, "files", text))


def _needed(source: Drafted) -> set[str]:
    """What must be said of a source, for the columns that it has."""
    feeds = source.proposal.feeds
    needed = {"country"} if _ADDRESS & set(feeds.get("person", {})) else set()
    if "order_line" in feeds or "list_price" in feeds.get("product", {}):
        needed.add("currency")
    if any(profile.has_no_zone for found in feeds.values() for ours, profile in found.items() if ours.endswith("_at")):
        needed.add("time_zone")
    return needed


def _questions(source: Drafted, folder: Folder) -> Iterable[tuple[str, str]]:
    """Key and question."""
    feeds, proposal, name = source.proposal.feeds, source.proposal, source.group.name
    for doubt in folder.systems.doubts[name]:
        yield "system", f"is it the other's system? {doubt}. If it is, give both the same."
    strange = [word for word, ours in proposal.status_map.items() if ours is None]
    if strange:
        said = ", ".join(map(repr, strange))
        yield (
            "feeds.order.columns.status.map",
            f"is {said} completed, cancelled or returned? Until then its orders are set aside.",
        )
    if "status" in feeds.get("order", {}) and not proposal.status_map:
        yield "feeds.order.columns.status", "too many words: map those that mean completed, cancelled and returned."
    unclear = [word for word, ours in proposal.consent_map.items() if ours is None]
    if unclear:
        said = ", ".join(map(repr, unclear))
        yield (
            "feeds.person.columns.has_marketing_consent.map",
            f"does {said} allow to write? Until then it counts as not said.",
        )
    for entity, found in feeds.items():
        for ours, profile in found.items():
            if profile.is_ambiguous:
                yield (
                    f"feeds.{entity}.columns.{ours}.formats",
                    f"is it {profile.kind} or {profile.twin}? No value tells.",
                )
    if "order_line" in feeds and not any("order" in other.proposal.feeds for other in _of_system(name, folder)):
        yield "feeds", "lines without their orders: which file says who ordered when? Feed `order` from it."
    rating = feeds.get("feedback", {}).get("rating")
    if scale(rating) == TEN_POINTS:
        yield (
            "feeds.feedback.columns.label.ranges",
            "are the ten points an answer on recommending? If marks, move the ranges.",
        )


def _of_system(name: str, folder: Folder) -> list[Drafted]:
    of = folder.systems.of
    return [source for source in folder.sources if of[source.group.name] == of[name]]
