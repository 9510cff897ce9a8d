"""Redaction of personal data in free text: contact details, account numbers and the author's name."""

from pyspark.sql import Column
from pyspark.sql import functions as F

_EMAIL = (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "[email]")
_NUMBERS = (
    (r"\b[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,4})?\b", "[iban]"),
    (r"\b\d(?:[ -]?\d){12,18}\b", "[card]"),
    (r"(?:\+|\b00|\b0)\d(?:[ /()-]{0,2}\d){6,13}\b", "[phone]"),
)


def redacted(text: Column) -> Column:
    """Replace e-mail addresses, IBANs, card and phone numbers with placeholders such as `[email]`."""
    # A cheap pre-check ("@", digits) avoids the regular expressions for most texts.
    without = F.when(text.contains("@"), F.regexp_replace(text, *_EMAIL)).otherwise(text)
    numbers = without
    for pattern, name in _NUMBERS:
        numbers = F.regexp_replace(numbers, pattern, name)
    return F.when(without.rlike("[0-9]"), numbers).otherwise(without)


_MIN_NAME_LENGTH = 3
"""Shorter names are not redacted, because they are often ordinary words."""


def without_names(text: Column, *names: Column) -> Column:
    """Replace the author's names with `[name]`, case-insensitively and as whole words only."""
    words = F.filter(
        F.split(F.concat_ws(" ", *names), r"[^\p{L}\p{M}']+"), lambda word: F.length(word) >= _MIN_NAME_LENGTH
    )
    any_of = F.array_join(words, "|")
    pattern = F.concat(F.lit(r"(?iu)(?<![\p{L}\p{N}])(?:"), any_of, F.lit(r")(?![\p{L}\p{N}])"))
    # The pattern differs per row, so skip it where an ASCII text contains none of the names.
    lower_text = F.lower(text)
    is_plain = (F.octet_length(text) == F.length(text)) & (F.octet_length(any_of) == F.length(any_of))
    is_absent = is_plain & ~F.exists(words, lambda word: lower_text.contains(F.lower(word)))
    return F.when((any_of == "") | is_absent, text).otherwise(F.regexp_replace(text, pattern, F.lit("[name]")))
