"""One spelling for what means the same: names, e-mail, phone, address. `Column -> Column`, null for what is no value."""

from collections.abc import Iterator

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import StringType

_EMAIL = r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"
_DOTS_IGNORED = ("gmail.com", "googlemail.com")


def name(raw: Column) -> Column:
    """Title case, one blank between words, hyphens kept."""
    spaced = F.trim(F.regexp_replace(raw, r"\s+", " "))
    return F.nullif(F.initcap(F.lower(spaced)), F.lit(""))


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


def postcode(raw: Column) -> Column:
    """Upper case without blanks."""
    return F.nullif(F.upper(F.regexp_replace(raw, r"[\s-]", "")), F.lit(""))


def street(raw: Column) -> Column:
    """Lower case without punctuation, the usual words for `street` spelled one way."""
    plain = F.regexp_replace(F.lower(F.trim(raw)), r"[.,;]", " ")
    plain = F.regexp_replace(plain, r"(stra(ß|ss)e|str)\b", "str")
    plain = F.regexp_replace(plain, r"\b(street|st)\b", "st")
    plain = F.regexp_replace(plain, r"\b(road|rd)\b", "rd")
    plain = F.regexp_replace(plain, r"\b(avenue|ave|av)\b", "ave")
    return F.nullif(F.trim(F.regexp_replace(plain, r"\s+", " ")), F.lit(""))


@pandas_udf(StringType())  # type: ignore[call-overload]
def e164(batches: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
    """E.164 of a phone number as written in a region, or null. Python: numbering plans are the phonenumbers library's."""
    import phonenumbers

    def parsed(raw: str | None, region: str | None) -> str | None:
        if raw is None:
            return None
        try:
            number = phonenumbers.parse(raw, region)
        except phonenumbers.NumberParseException:
            return None
        is_possible = phonenumbers.is_possible_number(number)
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) if is_possible else None

    for raw, region in batches:
        yield pd.Series([parsed(r, c) for r, c in zip(raw, region)], dtype="object")


def country(raw: Column, default: str | None) -> Column:
    """Two letters in upper case, another spelling as it is, the source's default where there is none."""
    spelled = F.when(F.length(F.trim(raw)) == 2, F.upper(F.trim(raw))).otherwise(F.trim(raw))
    return F.coalesce(F.nullif(spelled, F.lit("")), F.lit(default))


def person(frame: DataFrame, *, default_country: str | None) -> DataFrame:
    """Grain as before. The identifying columns of a person, standardised; columns that are not there stay away."""
    rules = {
        "given_name": name,
        "family_name": name,
        "city": name,
        "email": email,
        "postcode": postcode,
        "street": street,
    }
    made = {column: rule(F.col(column)) for column, rule in rules.items() if column in frame.columns}
    spelled = F.col("country") if "country" in frame.columns else F.lit(None).cast("string")
    made["country"] = country(spelled, default_country)
    if "email" in made:
        made["email_match"] = email_match(made["email"])
    if "phone" in frame.columns:
        region = F.when(F.length(made["country"]) == 2, made["country"]).otherwise(F.lit(default_country))
        made["phone"] = e164(F.col("phone"), region)
    return frame.withColumns(made)
