"""Draft the configuration of a company from a folder profile: company.yaml, sources, rules and open questions."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crm_spark.contracts.sales import ORDER_STATUSES
from crm_spark.core.log import number_of
from crm_spark.onboarding.folder_profile import Drafted, Folder, columns_missing_in_older_files
from crm_spark.onboarding.locale_hints import Guess
from crm_spark.onboarding.source_draft import TEN_POINTS, rules_yaml, scale, source_yaml

_DEFAULTS = {"time_zone": "UTC", "country": "none", "currency": "EUR"}
_ADDRESS = {"phone", "street", "postcode", "city", "country"}


@dataclass(frozen=True)
class Question:
    """A decision that the user must make.

    Attributes:
        file: configuration file of the setting.
        key: dotted key in that file.
        text: the question.
        recommended: recommended value; None: the draft as it is.
    """

    file: str
    key: str
    text: str
    recommended: Any = None

    @property
    def recommended_text(self) -> str:
        """The recommended value as text."""
        return "the draft as it is" if self.recommended is None else json.dumps(self.recommended, ensure_ascii=False)


@dataclass
class CompanyDraft:
    """Draft files by path relative to the company folder, and open questions."""

    texts: dict[str, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)

    def asked(self, out: Path) -> list[tuple[str, str]]:
        """Format the questions with file, line and key, and their recommended answers."""
        places = ((q, self.texts.get(q.file)) for q in self.questions)
        return [
            (f"{out / q.file}:{line_of(text or '', q.key)} {q.key}: {q.text}", q.recommended_text) for q, text in places
        ]


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
    """Draft the configuration for a folder.

    Args:
        folder: folder profile.
        given: user-supplied time_zone, country, currency.
        guesses: values inferred from the data.
        template: company.yaml template.
        extends: base configuration to extend.
        lake: path of the new lake.
        data_dir: folder with the source files.
    """
    draft = CompanyDraft()
    currency = given.get("currency") or (guesses["currency"].value if "currency" in guesses else "EUR")
    draft.texts["company.yaml"] = _filled(
        template,
        {
            "extends": (json.dumps(extends), ""),
            "lake": (json.dumps(lake), "choose a location with enough disk space"),
            "currency": (currency, guesses["currency"].why if "currency" in guesses else ""),
            "time_zone": (
                given.get("time_zone")
                or (guesses["time_zone"].value if "time_zone" in guesses else _DEFAULTS["time_zone"]),
                guesses["time_zone"].why if "time_zone" in guesses and "time_zone" not in given else "",
            ),
            "data_dir": (json.dumps(data_dir), ""),
        },
    )
    name = Path(data_dir).name.replace("_", " ").title()
    draft.questions.append(Question("company.yaml", "company.name", "what is the name of the company?", name))
    _ask_for_guesses(draft, guesses, given, {key for source in folder.sources for key in _needed(source)})
    others = sorted({code for source in folder.sources for code in source.hints.currencies} - {currency})
    if others:
        text = f"add exchange rates to {currency} for: {', '.join(others)}. Order lines without a rate are quarantined."
        draft.questions.append(Question("company.yaml", "company.exchange_rates", text))
    for source in folder.sources:
        _add_source(draft, source, folder, given, guesses)
    return draft


def line_of(text: str, dotted: str) -> int:
    """One-based line number of a dotted key, or of its deepest existing parent."""
    lines, at, line_number = text.splitlines(), 0, 1
    for key in dotted.split("."):
        index = next((i for i in range(at, len(lines)) if re.match(rf"\s*{re.escape(key)}:", lines[i])), None)
        if index is None:
            break
        at, line_number = index + 1, index + 1
    return line_number


def _filled(template: str, values: Mapping[str, tuple[str, str]]) -> str:
    """Fill the template with values and comments; each key occurs once."""
    for key, (value, why) in values.items():
        line = f"{key}: {value}" + (f"  # inferred: {why}" if why else "")
        indent = re.compile(rf"(?m)^(\s*){key}:.*$")
        template = indent.sub(r"\g<1>" + line.replace("\\", r"\\"), template)
    return template


def _ask_for_guesses(
    draft: CompanyDraft, guesses: Mapping[str, Guess], given: Mapping[str, str], needed: Collection[str]
) -> None:
    """Ask to confirm inferred values and to supply unknown ones, if a source has columns that need them."""
    inferred = [f"{key} {guess.value} ({guess.why})" for key, guess in guesses.items() if key in needed]
    unknown = [key for key in _DEFAULTS if key in needed and key not in {*given, *guesses}]
    if inferred:
        text = (
            f"inferred for all sources: {', '.join(inferred)}. To correct a value, "
            f"{_again(k for k in guesses if k in needed)}."
        )
        draft.questions.append(Question("company.yaml", "company.currency", text))
    if unknown:
        defaults = ", ".join(_DEFAULTS[key] for key in unknown)
        text = f"could not infer {', '.join(unknown)}: {_again(unknown)}, or keep the default ({defaults})."
        draft.questions.append(Question("company.yaml", "company.currency", text))


def _again(keys: Iterable[str]) -> str:
    return f"run again with {' '.join('--' + key.replace('_', '-') for key in keys)} and --force"


def _add_source(
    draft: CompanyDraft, source: Drafted, folder: Folder, given: Mapping[str, str], guesses: Mapping[str, Guess]
) -> None:
    group, systems = source.group, folder.systems
    notes = [f"system: {text}" for text in (*systems.evidence[group.name], *systems.doubts[group.name])]
    settings = {"system": systems.of[group.name], **given}
    for key in sorted(_needed(source) & set(guesses)):
        settings[key] = guesses[key].value
        notes.append(f"{key}: inferred: {guesses[key].why}")
    if group.same_columns_as:
        notes.append(
            f"Same columns as {', '.join(group.same_columns_as)}: merge them into one source if they have the same meaning."
        )
    absent = columns_missing_in_older_files(source)
    how = group.how.model_copy(update={"may_lack": absent["added"]})
    path = f"sources/{group.name}.yaml"
    draft.texts[path] = source_yaml(group.name, how, source.profiles, source.proposal, settings, notes=notes)
    draft.texts[f"quality/{group.name}.yaml"] = rules_yaml(group.name, source.proposal.feeds)
    draft.questions += [Question(path, *question) for question in _questions(source, folder)]
    if absent["renamed"]:
        text = f"older files have other columns instead of {', '.join(absent['renamed'])}. Add these to files.may_lack or rename them."
        draft.questions.append(Question(path, "files", text))


def _needed(source: Drafted) -> set[str]:
    """Settings that the columns of a source require."""
    feeds = source.proposal.feeds
    needed = {"country"} if _ADDRESS & set(feeds.get("person", {})) else set()
    if "order_line" in feeds or "list_price" in feeds.get("product", {}):
        needed.add("currency")
    if any(
        profile.has_no_zone for columns in feeds.values() for ours, profile in columns.items() if ours.endswith("_at")
    ):
        needed.add("time_zone")
    return needed


def _questions(source: Drafted, folder: Folder) -> Iterable[tuple[str, str, Any]]:
    """Yield (key, question, recommended value) for a source; None: the draft as it is."""
    feeds, proposal, name = source.proposal.feeds, source.proposal, source.group.name
    for doubt in folder.systems.doubts[name]:
        text = f"do both sources share one system? {doubt}. If so, set the same system for both."
        yield "system", text, folder.systems.of[name]
    for entity in feeds if proposal.totals is not None else ():
        totals = proposal.totals
        assert totals is not None
        text = (
            f"{number_of(totals.num_lines, 'line')} of totals in {totals.column!r} {'is' if totals.num_lines == 1 else 'are'} left "
            f"out: the sums of {', '.join(map(repr, totals.summed))} agree. An empty list keeps such lines."
        )
        yield f"feeds.{entity}.leave_out", text, [totals.condition]
    strange = [word for word, ours in proposal.status_map.items() if ours is None]
    if strange:
        words = ", ".join(map(repr, strange))
        yield (
            "feeds.order.columns.status.map",
            f"map {words} to {', '.join(ORDER_STATUSES)}. Orders with an unmapped status are quarantined.",
            None,
        )
    for entity, states in proposal.state_maps.items():
        if unknown := [word for word, ours in states.items() if ours is None]:
            words = ", ".join(map(repr, unknown))
            text = f"map {words}. Records with an unmapped state are quarantined."
            yield f"feeds.{entity}.columns.status.map", text, None
    if "status" in feeds.get("order", {}) and not proposal.status_map:
        text = f"too many distinct values: map them to {', '.join(ORDER_STATUSES)}."
        yield "feeds.order.columns.status", text, None
    unclear = [word for word, ours in proposal.consent_map.items() if ours is None]
    if unclear:
        words = ", ".join(map(repr, unclear))
        yield (
            "feeds.person.columns.has_marketing_consent.map",
            f"map {words} to true or false. Unmapped values count as unknown consent.",
            None,
        )
    for entity, columns in feeds.items():
        for ours, profile in columns.items():
            if profile.is_ambiguous:
                yield (
                    f"feeds.{entity}.columns.{ours}.formats",
                    f"is the format {profile.kind} or {profile.swapped_format}? All values are ambiguous.",
                    [profile.kind],
                )
    if "order_line" in feeds and not any("order" in other.proposal.feeds for other in _of_system(name, folder)):
        text = "order lines without orders: map the file with the customer and date of each order to `order`."
        yield "feeds", text, None
    rating = feeds.get("feedback", {}).get("rating")
    if scale(rating) == TEN_POINTS:
        yield (
            "feeds.feedback.columns.label.ranges",
            "is the 0-10 rating a recommendation score (NPS)? If not, adjust the ranges.",
            TEN_POINTS,
        )


def _of_system(name: str, folder: Folder) -> list[Drafted]:
    of = folder.systems.of
    return [source for source in folder.sources if of[source.group.name] == of[name]]
