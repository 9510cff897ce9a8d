"""Redaction of personal data in free text: contact details, account numbers and the writer's own names."""

from pyspark.sql import Column
from pyspark.sql import functions as F

_EMAIL = (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "[email]")
_NUMBERS = (
    (r"\b[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,4})?\b", "[iban]"),
    (r"\b\d(?:[ -]?\d){12,18}\b", "[card]"),
    (r"(?:\+|\b00|\b0)\d(?:[ /()-]{0,2}\d){6,13}\b", "[phone]"),
)


def redacted(text: Column) -> Column:
    """E-mail addresses, IBANs, card and phone numbers replaced by what they are."""
    # Few texts hold a sign of any: to look for that is many times cheaper than to try the patterns.
    without = F.when(text.contains("@"), F.regexp_replace(text, *_EMAIL)).otherwise(text)
    numbers = without
    for pattern, name in _NUMBERS:
        numbers = F.regexp_replace(numbers, pattern, name)
    return F.when(without.rlike("[0-9]"), numbers).otherwise(without)


_LEAST_NAME = 3
"""Letters of a name that is taken out; a shorter one is another word as well."""


def without_names(text: Column, *names: Column) -> Column:
    """The words of the writer's own names replaced by what they are, in any case; parts of other words stay."""
    words = F.filter(F.split(F.concat_ws(" ", *names), r"[^\p{L}\p{M}']+"), lambda word: F.length(word) >= _LEAST_NAME)
    any_of = F.array_join(words, "|")
    pattern = F.concat(F.lit(r"(?iu)(?<![\p{L}\p{N}])(?:"), any_of, F.lit(r")(?![\p{L}\p{N}])"))
    # Each writer's pattern is another: few need one. What is not ASCII has more than one way to be another case.
    small = F.lower(text)
    is_plain = (F.octet_length(text) == F.length(text)) & (F.octet_length(any_of) == F.length(any_of))
    is_absent = is_plain & ~F.exists(words, lambda word: small.contains(F.lower(word)))
    return F.when((any_of == "") | is_absent, text).otherwise(F.regexp_replace(text, pattern, F.lit("[name]")))
