"""Read numbers and amounts as people and programs write them, as Spark columns."""

import re
import sys
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pyspark.sql import Column
from pyspark.sql import functions as F

from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.stages.clean.literals import is_in, literal_map

OTHER_CURRENCY = "other_currency"
Code = Annotated[str, Field(pattern="^[A-Z]{3}$")]
_DASHES, _OTHER_DIGITS = "\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "٫٬，．％٪＋"
_ASCII_FOR_OTHER = ".,,.%%+"
_GROUP = r"(?<=\d)[ '’](?=\d{3}(?!\d))"
_NO_CENTS = r"[.,:] ?-{1,2}$"
_PERCENT = r" ?%$"
_PLAIN = r"^[-+]?[0-9.,]+$"
"""Numbers without anything around or within them: most of them, and the other patterns take ten times as long."""
_MAY_HAVE_SIGN = r"[^-+0-9., ()]"


class CurrencyWords(Config):
    """Signs and decimals of currencies, from `conf/domains/currencies.yaml`."""

    signs: dict[str, list[Code]] = {}
    """Sign or word beside an amount, in lower case -> currencies that use it."""
    decimals: dict[Code, Annotated[int, Field(ge=0, le=4)]] = {}
    """Decimal places of the currencies that do not have two."""


@dataclass(frozen=True)
class Currencies:
    """Reads currencies beside amounts."""

    words: CurrencyWords = field(default_factory=CurrencyWords)

    @property
    def pattern(self) -> str:
        """Regular expression of one currency sign, word or code."""
        # The longest first: `us$` before `$`.
        signs = sorted(self.words.signs, key=lambda sign: (-len(sign), sign))
        quoted = [re.escape(sign) + (r"\.?" if sign.isalpha() else "") for sign in signs]
        words = [rf"(?iu:(?<!\p{{L}})(?:{'|'.join(quoted)})(?!\p{{L}}))"] if quoted else []
        return "(?:" + "|".join([*words, r"(?<![A-Za-z])[A-Z]{3}(?![A-Za-z])", r"\p{Sc}"]) + ")"

    def code(self, text: Column) -> Column:
        """ISO 4217 code of a currency cell: a code in any case, or a sign that only one currency uses."""
        only = {sign: codes[0] for sign, codes in self.words.signs.items() if len(codes) == 1}
        if not only:
            return F.upper(text)
        return F.coalesce(F.try_element_at(literal_map(only), F.lower(text)), F.upper(text))

    def sign_in(self, text: Column) -> Column:
        """Currency beside an amount in lower case, as written; null for none."""
        sign = F.regexp_extract(text, rf"^[-+( ]*{self.pattern}|{self.pattern}[-+) ]*$", 0)
        beside = F.nullif(F.lower(F.regexp_replace(sign, r"^[-+( ]+|[-+). ]+$", "")), F.lit(""))
        return F.when(text.rlike(_MAY_HAVE_SIGN), beside)

    def is_other(self, sign: Column, currency: Column) -> Column:
        """Whether the currency beside an amount is another than `currency`; null if there is none."""
        pairs = [f"{sign}|{code}" for sign, codes in self.words.signs.items() for code in codes]
        is_own = F.upper(sign) == currency
        return ~(is_own | is_in(F.concat(sign, F.lit("|"), currency), pairs))

    def from_minor_units(self, amount: Column, currency: Column) -> Column:
        """Decimal amount of the smallest units of `currency`: cents of the euro, whole yen."""
        factor = F.lit("0.01")
        for places in sorted({*self.words.decimals.values()}):
            codes = sorted(code for code, own in self.words.decimals.items() if own == places)
            factor = F.when(currency.isin(*codes), F.lit(f"{10**-places:.{places}f}")).otherwise(factor)
        return amount * factor.cast("decimal(20,8)")


def load_currencies(path: str | None) -> Currencies:
    """Load signs and decimals from a YAML file; without a file only ISO codes and Unicode signs are read.

    Raises:
        ConfigError: the file is invalid; the message names file, key, value and the allowed values.
    """
    return Currencies() if path is None else Currencies(validated(CurrencyWords, read_yaml(Path(path)), origin=path))


@cache
def _other_characters() -> tuple[str, str]:
    """Decimal digits of other scripts, dashes and signs, and the ASCII characters they stand for."""
    digits = {chr(c): unicodedata.digit(chr(c), None) for c in range(128, min(sys.maxunicode, 0x10000))}
    found = {c: str(value) for c, value in digits.items() if value is not None and unicodedata.category(c) == "Nd"}
    found |= dict.fromkeys(_DASHES, "-") | dict(zip(_OTHER_DIGITS, _ASCII_FOR_OTHER, strict=True))
    return "".join(found), "".join(found.values())


def bare(text: Column, currencies: Currencies) -> Column:
    """Number without currency, grouping blanks and accounting notation; a percent sign stays.

    A currency counts beside the number only: `12€50` stays as it is, and is no number.
    """
    others, plain = _other_characters()
    has_other = text.rlike(r"[^\x00-\x7f]")
    number = F.when(has_other, F.translate(text, others, plain)).otherwise(text)
    sign = currencies.pattern
    number = F.regexp_replace(number, rf"^([-+( ]*){sign} ?", "$1")
    number = F.regexp_replace(number, rf" ?{sign}([-+) ]*)$", "$1")
    number = F.regexp_replace(F.trim(number), rf"{_NO_CENTS}|{_GROUP}", "")
    # Accounting notation of negative numbers; CR is a credit, DR a debit.
    number = F.regexp_replace(number, r"^\( *(.*?) *\)$|^([^-].*?) *(?:-|CR)$", "-$1$2")
    number = F.regexp_replace(number, r" ?DR$", "")
    number = F.regexp_replace(number, r"^([-+]) +", "$1")
    return F.when(text.rlike(_PLAIN), text).otherwise(number)


def digits(bare: Column, decimal: str) -> Column:
    """Number in Spark's notation; null if it is none or its separators contradict the `decimal` separator."""
    point, grouping = (",", ".") if decimal == "," else (".", ",")
    thousands = rf"\d{{1,3}}(?:\{grouping}\d{{3}})+"
    lakhs = rf"\d{{1,2}}(?:\{grouping}\d{{2}})+\{grouping}\d{{3}}"
    whole, fraction = rf"(?:\d+|{thousands}|{lakhs})", rf"(?:\{point}\d*)"
    number = F.regexp_replace(bare, _PERCENT, "")
    is_number = number.rlike(rf"^[+-]?(?:{whole}{fraction}?|\{point}\d+)(?:[eE][+-]?\d+)?$")
    return F.when(is_number, F.translate(number, f"{point}{grouping}", "."))


def without_percent(bare: Column, number: Column) -> Column:
    """Decimal number; a percentage as its fraction."""
    hundredth = number.try_cast("decimal(30,8)") * F.lit("0.01").cast("decimal(20,8)")
    return F.when(bare.endswith("%"), hundredth.cast("string")).otherwise(number)
