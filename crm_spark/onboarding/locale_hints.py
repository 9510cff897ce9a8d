"""Infer country, time zone and currency of the company from its data."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import phonenumbers
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded
from crm_spark.core.config import read_yaml
from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.mapping_proposal import Proposal, Vocabulary, is_called

_MOST = 0.6
"""Minimum share of records for an inferred value."""
_MOST_WORDS = 60
_SIGNS = {"€": "EUR", "£": "GBP", "$": "USD"}


@dataclass(frozen=True)
class Countries:
    """Reference data about countries.

    Attributes:
        spellings: lower-case name -> country code.
        facts: country code -> time_zone (if it has only one) and currency.
    """

    spellings: Mapping[str, str]
    facts: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Hints:
    """Counts of country and currency codes.

    Attributes:
        countries: country code -> number of person records.
        currencies: currency code -> number of records.
    """

    countries: Counter[str] = field(default_factory=Counter)
    currencies: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Guess:
    """An inferred value and the reason."""

    value: str
    why: str


def known_countries(folder: Path) -> Countries:
    """Load the country data from `conf/domains`."""
    packs: dict[str, dict[str, Any]] = read_yaml(folder / "addresses.yaml")
    facts = read_yaml(folder / "countries.yaml")
    codes = {code.lower(): code for code in (*facts, *packs) if len(code) == 2}
    names = {name: code for code, pack in packs.items() for name in pack.get("names", [])}
    return Countries({**codes, **names}, facts)


def hints_in(
    records: DataFrame, profiles: list[ColumnProfile], proposal: Proposal, vocabulary: Vocabulary, countries: Countries
) -> Hints:
    """Count countries and currencies in a source's records."""
    currency = next((p.name for p in profiles if is_called(p.name, vocabulary.names["order_line"]["currency"])), None)
    priced = [
        columns[ours].name
        for columns in proposal.feeds.values()
        for ours in ("unit_price", "list_price")
        if ours in columns
    ]
    sign = r"(\p{Sc}|\b[A-Z]{3}\b)"
    written = F.regexp_extract(_cell(records, priced[0]), sign, 1) if priced else None
    money = F.upper(_cell(records, currency)) if currency else written
    counts = _counted(records, money) if money is not None else {}
    codes = Counter[str]()
    for word, number in counts.items():
        if len(code := _SIGNS.get(word, word)) == 3 and code.isascii() and code.isalpha():
            codes[code] += number
    return Hints(_countries(records, proposal, countries), codes)


def _countries(records: DataFrame, proposal: Proposal, countries: Countries) -> Counter[str]:
    """Count countries by country column, else by phone prefix, else by e-mail domain."""
    person, counts = proposal.feeds.get("person", {}), Counter[str]()
    if "country" in person:
        for word, number in _counted(records, F.lower(_cell(records, person["country"].name))).items():
            if code := countries.spellings.get(word):
                counts[code] += number
    if not counts and "phone" in person:
        digits = F.regexp_extract(_cell(records, person["phone"].name), r"^(?:\+|00) ?(\d{1,3})", 1)
        for prefix, number in _counted(records, digits).items():
            if code := _calling(prefix):
                counts[code] += number
    if not counts and "email" in person:
        domain = F.regexp_extract(F.lower(_cell(records, person["email"].name)), r"\.([a-z]{2})$", 1)
        counts.update({d.upper(): n for d, n in _counted(records, domain).items() if d.upper() in countries.facts})
    return counts


def _calling(prefix: str) -> str | None:
    """Main country of a calling code."""
    regions = (phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(int(prefix[:n])) for n in (1, 2, 3))
    return next((codes[0] for codes in regions if codes), None)


def _counted(records: DataFrame, value: Column) -> dict[str, int]:
    rows = (
        records.groupBy(value.alias("value"))
        .count()
        .where("value <> ''")
        .orderBy(F.desc("count"), "value")
        .limit(_MOST_WORDS)
    )
    return {row["value"]: row["count"] for row in rows.collect()}


def _cell(records: DataFrame, name: str) -> Column:
    return F.trim(F.col(next(f"`{column}`" for column in records.columns if decoded(column) == name)))


def guesses(hints: list[Hints], given: Mapping[str, str], countries: Countries) -> dict[str, Guess]:
    """Infer country, time zone and currency where they are not given."""
    people, money = (
        sum((h.countries for h in hints), Counter[str]()),
        sum((h.currencies for h in hints), Counter[str]()),
    )
    inferred: dict[str, Guess] = {}
    if (most := _most(people)) and "country" not in given:
        inferred["country"] = Guess(most, f"{people[most]} of {people.total()} records")
    country = given.get("country") or most
    facts = countries.facts.get(country or "", {})
    if most := _most(money):
        inferred["currency"] = Guess(most, f"{money[most]} of {money.total()} records")
    elif "currency" in facts:
        inferred["currency"] = Guess(facts["currency"], f"default of {country}")
    if "time_zone" in facts:
        inferred["time_zone"] = Guess(facts["time_zone"], f"default of {country}")
    return {key: guess for key, guess in inferred.items() if key not in given}


def _most(counts: Counter[str]) -> str | None:
    return next((word for word, number in counts.most_common(1) if number >= _MOST * counts.total()), None)
