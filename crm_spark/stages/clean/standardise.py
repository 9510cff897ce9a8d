"""Standardise people and texts as Spark columns. The original values stay in bronze."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf

from crm_spark.core.config import read_yaml
from crm_spark.core.hashing import sha256_of
from crm_spark.stages.clean.addresses import Addresses, load_addresses
from crm_spark.stages.clean.config import CleanConfig
from crm_spark.stages.clean.contacts import MailProviders, e164, email, email_match, load_mail_providers
from crm_spark.stages.clean.instants import DateWords, load_date_words
from crm_spark.stages.clean.names import Names, load_names
from crm_spark.stages.clean.numbers import Currencies, load_currencies
from crm_spark.stages.clean.texts import language, plain, require_languages

Cell = str | None
_PERSON = ("title", "given_name", "family_name", "street", "postcode", "city", "country", "phone", "email")
_STANDARDISED = (
    "title", "given_name", "family_name", "street", "house_number", "postcode", "city", "country", "phone", "email", "email_match",
)  # fmt: skip
MAY_BE_UNREADABLE = ("email", "phone")
"""Columns that become null if the value is invalid."""


@dataclass(frozen=True)
class Standards:
    """Word lists, country packs and candidate languages used to read and standardise cells."""

    names: Names
    addresses: Addresses
    dates: DateWords = field(default_factory=DateWords)
    currencies: Currencies = field(default_factory=Currencies)
    mail_providers: MailProviders = field(default_factory=MailProviders)
    languages: tuple[str, ...] = ()
    """Candidate languages of texts; empty: any."""
    version: str = ""
    """Digest of the configuration files and languages."""


def load_standards(config: CleanConfig) -> Standards:
    """Load the word lists and country packs named in the configuration.

    Raises:
        ConfigError: a file is invalid, or a language is not supported.
    """
    paths = (config.names, config.addresses, config.dates, config.currencies, config.mail_providers)
    files = [read_yaml(Path(path)) if path else None for path in paths]
    languages = tuple(sorted(set(config.languages)))
    require_languages(languages)
    return Standards(
        load_names(config.names),
        load_addresses(config.addresses),
        load_date_words(config.dates),
        load_currencies(config.currencies),
        load_mail_providers(config.mail_providers),
        languages,
        sha256_of([*files, languages])[:16],
    )


def person(frame: DataFrame, standards: Standards, *, default_country: str | None) -> DataFrame:
    """Standardise the identifying columns of a person that are present. Grain unchanged.

    Adds `_unreadable`: comma-separated columns of MAY_BE_UNREADABLE with an invalid value.
    """
    names, addresses, providers = standards.names, standards.addresses, standards.mail_providers

    def standard(
        title: Cell,
        given: Cell,
        family: Cell,
        street: Cell,
        postcode: Cell,
        city: Cell,
        country: Cell,
        phone: Cell,
        mail: Cell,
    ) -> tuple[Cell, ...]:
        name = names.written(given, family, title)
        code = addresses.country(country, default_country)
        region = code if code and len(code) == 2 else default_country
        written, number = addresses.street(street, code)
        address = email(mail)
        return (
            *name,
            written,
            number,
            addresses.postcode(postcode, code),
            names.place(city),
            code,
            e164(phone, region),
            address,
            email_match(address, providers),
        )

    # Python UDF: names, addresses and phone numbers need rules that Spark expressions cannot express.
    @pandas_udf(", ".join(f"{name} string" for name in _STANDARDISED))  # type: ignore[call-overload]
    def standardised(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        for cells in batches:
            rows = [standard(*row) for row in zip(*cells, strict=True)]
            yield pd.DataFrame(rows, columns=list(_STANDARDISED), dtype="object")

    cells = [F.col(name) if name in frame.columns else F.lit(None).cast("string") for name in _PERSON]
    standardised_frame = frame.withColumn("_person", standardised(*cells))
    filled = [name for name in _PERSON if name in frame.columns] + ["title", "country"]
    if "street" in frame.columns:
        filled.append("house_number")
    if "email" in frame.columns:
        filled.append("email_match")
    columns = {name: F.col(f"_person.{name}") for name in filled}
    unread = [F.when(F.col(n).isNotNull() & columns[n].isNull(), F.lit(n)) for n in MAY_BE_UNREADABLE if n in columns]
    columns["_unreadable"] = F.concat_ws(",", *unread)
    return standardised_frame.withColumns(columns).drop("_person")


def texts(frame: DataFrame, standards: Standards) -> DataFrame:
    """Add `plain_title` and `plain_text` for the columns present, and `language`. Grain unchanged."""
    present = [name for name in ("title", "text") if name in frame.columns]
    if not present:
        return frame
    languages = standards.languages

    @pandas_udf("plain_title string, plain_text string, language string")  # type: ignore[call-overload]
    def read(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        for titles, bodies in batches:
            standardised_frame = pd.DataFrame(
                {"plain_title": [plain(t) for t in titles], "plain_text": [plain(t) for t in bodies]}
            )
            both = zip(standardised_frame["plain_title"], standardised_frame["plain_text"])
            standardised_frame["language"] = [language("\n".join(filter(None, pair)), languages) for pair in both]
            yield standardised_frame.astype("object")

    cells = [F.col(name) if name in present else F.lit(None).cast("string") for name in ("title", "text")]
    standardised_frame = frame.withColumn("_read", read(*cells))
    columns = {f"plain_{name}": F.col(f"_read.plain_{name}") for name in present}
    reported = F.lower("language") if "language" in frame.columns else F.lit(None).cast("string")
    columns["language"] = F.coalesce(reported, F.col("_read.language"))
    return standardised_frame.withColumns(columns).drop("_read")


def name_part(full: Column, country: Column, part: str, standards: Standards, *, default_country: str | None) -> Column:
    """`given` or `family` part of a full name, without changing case; `country`: the person's, as written."""
    position, names, addresses = ("given", "family").index(part), standards.names, standards.addresses

    @pandas_udf("string")  # type: ignore[call-overload]
    def parts(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for batch, countries in batches:
            both = zip(batch, countries, strict=True)
            split = [names.split(cell, addresses.country(where, default_country)) for cell, where in both]
            yield pd.Series([pair[position] for pair in split], dtype="object")

    return parts(full, country)
