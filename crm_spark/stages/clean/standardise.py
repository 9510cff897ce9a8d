"""One spelling for what means the same, as columns: people and texts. What a cell said stays in bronze."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf

from crm_spark.core.config import read_yaml
from crm_spark.core.hashing import sha256_of
from crm_spark.stages.clean.addresses import Addresses, load_addresses
from crm_spark.stages.clean.config import CleanConfig
from crm_spark.stages.clean.names import Names, load_names
from crm_spark.stages.clean.texts import language, plain, require_languages

Cell = str | None
_EMAIL = r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"
_DOTS_IGNORED = ("gmail.com", "googlemail.com")
_PERSON = ("title", "given_name", "family_name", "street", "postcode", "city", "country", "phone")
_MADE = ("title", "given_name", "family_name", "street", "house_number", "postcode", "city", "country", "phone")
MAY_BE_UNREADABLE = ("email", "phone")
"""What becomes null where it cannot be read."""


@dataclass(frozen=True)
class Standards:
    """What spellings are read by."""

    names: Names
    addresses: Addresses
    languages: tuple[str, ...] = ()
    """The languages that texts may be in; empty: any."""
    version: str = ""
    """Digest of all of it."""


def load_standards(config: CleanConfig) -> Standards:
    """The words and packs that the configuration names.

    Raises:
        ConfigError: names file, key, value and what is allowed; or no such language can be told.
    """
    files = [read_yaml(Path(path)) if path else None for path in (config.names, config.addresses)]
    languages = tuple(sorted(set(config.languages)))
    require_languages(languages)
    return Standards(
        load_names(config.names), load_addresses(config.addresses), languages, sha256_of([*files, languages])[:16]
    )


def email(raw: Column) -> Column:
    """Lower case; null where it is no address."""
    lower = F.lower(F.trim(raw))
    return F.when(lower.rlike(_EMAIL), lower)


def email_match(address: Column) -> Column:
    """The form two spellings of one mailbox share: no plus-tag, no dots where the provider ignores them."""
    user, domain = F.split_part(address, F.lit("@"), F.lit(1)), F.split_part(address, F.lit("@"), F.lit(2))
    user = F.regexp_replace(user, r"\+.*$", "")
    user = F.when(domain.isin(*_DOTS_IGNORED), F.replace(user, F.lit("."), F.lit(""))).otherwise(user)
    return F.when(address.isNotNull(), F.concat_ws("@", user, domain))


def e164(raw: str | None, region: str | None) -> str | None:
    """E.164 of a phone number as written in a region, or null."""
    import phonenumbers

    if raw is None:
        return None
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    is_possible = phonenumbers.is_possible_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if is_possible else None


def person(frame: DataFrame, standards: Standards, *, default_country: str | None) -> DataFrame:
    """Grain as before. The identifying columns of a person, standardised; columns that are not there stay away.

    Adds `_unreadable`: which of MAY_BE_UNREADABLE said something that is no such thing, with commas between.
    """
    names, addresses = standards.names, standards.addresses

    def standard(
        title: Cell, given: Cell, family: Cell, street: Cell, postcode: Cell, city: Cell, country: Cell, phone: Cell
    ) -> tuple[Cell, ...]:
        name = names.written(given, family, title)
        code = addresses.country(country, default_country)
        region = code if code and len(code) == 2 else default_country
        written, number = addresses.street(street, code)
        return (
            *name,
            written,
            number,
            addresses.postcode(postcode, code),
            names.place(city),
            code,
            e164(phone, region),
        )

    # Python: a name, an address and a numbering plan are read by rules that no column expression could be read by.
    @pandas_udf(", ".join(f"{name} string" for name in _MADE))  # type: ignore[call-overload]
    def standardised(batches: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.DataFrame]:
        for cells in batches:
            rows = [standard(*row) for row in zip(*cells, strict=True)]
            yield pd.DataFrame(rows, columns=list(_MADE), dtype="object")

    cells = [F.col(name) if name in frame.columns else F.lit(None).cast("string") for name in _PERSON]
    made = frame.withColumn("_person", standardised(*cells))
    wanted = [name for name in _PERSON if name in frame.columns] + ["title", "country"]
    if "street" in frame.columns:
        wanted.append("house_number")
    columns = {name: F.col(f"_person.{name}") for name in wanted}
    if "email" in frame.columns:
        columns["email"] = email(F.col("email"))
        columns["email_match"] = email_match(columns["email"])
    unread = [F.when(F.col(n).isNotNull() & columns[n].isNull(), F.lit(n)) for n in MAY_BE_UNREADABLE if n in columns]
    columns["_unreadable"] = F.concat_ws(",", *unread)
    return made.withColumns(columns).drop("_person")


def texts(frame: DataFrame, standards: Standards) -> DataFrame:
    """Grain as before. Adds `plain_title` and `plain_text`, for what is there of title and text, and the `language`."""
    present = [name for name in ("title", "text") if name in frame.columns]
    if not present:
        return frame
    languages = standards.languages

    @pandas_udf("plain_title string, plain_text string, language string")  # type: ignore[call-overload]
    def read(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        for titles, bodies in batches:
            made = pd.DataFrame({"plain_title": [plain(t) for t in titles], "plain_text": [plain(t) for t in bodies]})
            both = zip(made["plain_title"], made["plain_text"])
            made["language"] = [language("\n".join(filter(None, pair)), languages) for pair in both]
            yield made.astype("object")

    cells = [F.col(name) if name in present else F.lit(None).cast("string") for name in ("title", "text")]
    made = frame.withColumn("_read", read(*cells))
    columns = {f"plain_{name}": F.col(f"_read.plain_{name}") for name in present}
    said = F.lower("language") if "language" in frame.columns else F.lit(None).cast("string")
    columns["language"] = F.coalesce(said, F.col("_read.language"))
    return made.withColumns(columns).drop("_read")


def name_part(full: Column, part: str, names: Names) -> Column:
    """The `given` or the `family` part of a full name, not yet cased."""
    position = ("given", "family").index(part)

    @pandas_udf("string")  # type: ignore[call-overload]
    def taken(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        for batch in batches:
            yield pd.Series([names.split(cell)[position] for cell in batch], dtype="object")

    return taken(full)
