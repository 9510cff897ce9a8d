"""Business wording of the report: figures with units, features and reason codes in plain language."""

import math
import re
from typing import TypeGuard

SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}


REASONS = {
    "malformed_record": "record cannot be split into columns",
    "missing_required": "missing required value",
    "bad_date": "invalid date",
    "bad_number": "invalid number",
    "bad_boolean": "invalid yes/no value",
    "bad_email": "invalid e-mail address",
    "bad_phone": "invalid phone number",
    "conflicting_values": "conflicting values for the same key",
    "left_out": "records that the mapping leaves out",
    "bad_rating": "rating outside the scale",
    "future_date": "date in the future",
    "non_positive_price": "non-positive price",
    "non_positive_quantity": "non-positive quantity",
    "unknown_value": "code not in the mapping",
    "unknown_currency": "currency without an exchange rate",
    "unknown_status": "unknown status",
    "unknown_kind": "unknown kind",
    "missing_column": "required column missing in the file",
    "mostly_quarantined": "delivery blocked because most of its records are invalid",
    "placeholder": "placeholder such as n/a",
    "unknown_order": "order not found",
    "unknown_product": "product not found",
    "unknown_location": "location not found",
    "unknown_subscription": "subscription not found",
    "unknown_period": "unknown billing period",
    "negative_price": "negative price",
    "ended_before_start": "end before the start",
    "delivered_before_order": "delivery before the order",
    "shipped_before_order": "shipping before the order",
    "many_unknown_subscriptions": "many records of subscriptions that are not found",
    "unknown_person": "person not found",
    "many_unknown_persons": "many records of people who are not found",
    "many_unknown_orders": "many records of orders that are not found",
    "many_unknown_products": "many records of products that are not found",
    "possible_placeholder": "name that may be a placeholder",
    "repaired_cell": "cell with characters that do not belong to it",
    "rounded_number": "id shortened by a spreadsheet",
    "other_currency": "amount that names another currency",
    "nonexistent_local_time": "time that the clocks skipped",
    "ambiguous_local_time": "time that the clocks showed twice",
    "unusually_few_rows": "far fewer records than usual",
    "unusually_many_rows": "far more records than usual",
    "empty_file": "empty file",
    "truncated_file": "incomplete file",
    "damaged_file": "damaged file",
    "not_readable": "file cannot be opened",
    "wrong_encoding": "character encoding differs from the configured one",
    "nul_bytes": "file contains NUL bytes",
    "unterminated_quote": "quotation mark not closed",
    "too_large_unpacked": "unpacked size far above the packed size",
    "unsafe_member": "archive contains unsafe paths",
    "not_records": "JSON without records",
    "binary_column": "column contains no text",
    "read_failed": "file cannot be read by Spark",
    "duplicate_column": "two columns with the same name",
    "leads_outside": "link to a place outside the data folder",
    "unusable_name": "invalid file name",
    "exact_duplicate": "exact duplicate",
    "superseded": "older version of a record",
    "repeated_key": "another record with the same key",
}
"""Reason code of a rejected file, a quarantined record or a data quality finding to its description."""

TREATMENTS = {"nulled": "value removed", "warn": "value kept"}
"""Severity of a finding in an accepted record to the treatment of the value."""

LABELS = {
    "recommends": "recommends us",
    "does_not_recommend": "does not recommend us",
    "no_clear_opinion": "no clear opinion",
}

BASELINES = {
    "recency": "days since last {purchase}",
    "class_prior": "class prior",
    "last_value": "revenue of the previous period",
    "popularity": "best sellers",
    "production": "previous model in production",
    "tfidf_lr": "TF-IDF + logistic regression",
    "tfidf_lr_balanced": "TF-IDF + logistic regression, balanced class weights",
    "holdout": "control group",
}
"""Name of a baseline in ops.metric to its description."""


UNKNOWN = "–"
"""Stands for a figure that is not known."""


def is_known(number: float | None) -> TypeGuard[float]:
    """Return whether a figure is a finite number."""
    return number is not None and math.isfinite(number)


def money(amount: float | None, currency: str) -> str:
    """Return an amount in short form: £8.89 million, €12,300."""
    if not is_known(amount):
        return UNKNOWN
    symbol = SYMBOLS.get(currency, f"{currency} ")
    size = abs(amount)
    if size >= 1e9:
        return f"{symbol}{amount / 1e9:.2f} billion"
    if size >= 1e6:
        return f"{symbol}{amount / 1e6:.2f} million"
    return f"{symbol}{amount:,.0f}" if size >= 100 else f"{symbol}{amount:,.2f}"


def count(number: float | None) -> str:
    """Return a whole number with thousands separators."""
    return f"{number:,.0f}" if is_known(number) else UNKNOWN


def decimal(number: float | None, digits: int = 3, *, sign: str = "") -> str:
    """Return a number with decimal places; with `+` as sign, positive numbers have one, too."""
    return f"{number:{sign},.{digits}f}" if is_known(number) else UNKNOWN


def counted(number: float, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun: `1 file`, `1,234 files`."""
    return f"{count(number)} {singular if number == 1 else plural or f'{singular}s'}"


def percent(fraction: float | None, digits: int = 0) -> str:
    """Return a fraction as a percentage; only exactly 0 and 1 become 0% and 100%."""
    if not is_known(fraction):
        return UNKNOWN
    text = f"{fraction:.{digits}%}"
    if fraction > 0 and float(text[:-1]) == 0:
        return f"under {10**-digits:.{digits}f}%"
    if fraction < 1 and float(text[:-1]) == 100:
        return f"over {100 - 10**-digits:.{digits}f}%"
    return text


def title_of(name: str) -> str:
    """Return a name as a title: `win_back_offer` becomes `Win back offer`, `crm_orders` becomes `CRM orders`."""
    return re.sub(r"\bcrm\b", "CRM", name.replace("_", " ").capitalize(), flags=re.IGNORECASE)


def reason_of(code: str) -> str:
    """Return the description of a reason code; an unlisted code becomes lower-case words."""
    return REASONS.get(code) or title_of(code).lower()


_LANGUAGES = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "hi": "Hindi",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nb": "Norwegian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def language_name(code: str) -> str:
    """Return the English name of a language; an unlisted code is returned unchanged."""
    return _LANGUAGES.get(code, code)
