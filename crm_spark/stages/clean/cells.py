"""Remove from cells what spreadsheets, exports and copied web pages add to them, as Spark columns."""

from pyspark.sql import Column
from pyspark.sql import functions as F

REPAIRED, ROUNDED = "repaired_cell", "rounded_number"
_INVISIBLE = r"[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
"""Soft hyphen, zero-width space, direction marks, word joiner, byte order mark. Joiners stay: some scripts need them."""
_JOINERS = r"[\u200c\u200d]"
_BLANKS = r"[\s\p{Z}\p{Cc}]+"
_HAS_ODD_CHARACTER = (
    r"[\p{Cc}\u00a0\u00ad\u1680\u2000-\u200b\u200e\u200f\u2028-\u202f\u205f-\u2064\u2066-\u2069\u3000\ufeff]"
)
_FORMULA = (r'^="(.*)"$', "$1")
_WRAPPED = (r"""^(?:="(.*)"|'(.*?)'?)$""", "$1$2")
"""Pattern and replacement of a spreadsheet formula, and of a formula or a leading apostrophe."""
_WHOLE_DOUBLE = r"^([+-]?\d+)\.0+$"
_EXPONENT = r"^\d(?:\.\d+[eE]\+?|[eE]\+)\d{1,2}$"
"""Number in exponent notation; `2E10` may be a part number."""
_SPREADSHEET_EXPONENT = r"^\d\.(\d+)E\+(\d{1,2})$"
_NOT_EXACT = r"[eE]\+?(?:1[5-9]|[2-9]\d)$"
"""Above the 15 decimal digits that a double holds exactly."""


def is_code(name: str) -> bool:
    """Whether a column holds a code: digits that are not a quantity, such as an id, a phone number or a postcode."""
    return name.endswith("_id") or name in ("phone", "postcode")


def cleaned(cell: Column, *, is_text: bool) -> Column:
    """Cell without invisible and control characters, spreadsheet formulas and surrounding blanks.

    `is_text`: the column holds words. In ids, numbers and dates joiners and a leading apostrophe are removed, too.
    """
    # No nested conditions: Spark copies an expression for each use of it, and there is one for every mapped column.
    odd = _HAS_ODD_CHARACTER if is_text else f"{_HAS_ODD_CHARACTER}|{_JOINERS}"
    invisible = _INVISIBLE if is_text else f"{_INVISIBLE}|{_JOINERS}"
    visible = F.regexp_replace(F.regexp_replace(cell, invisible, ""), _BLANKS, " ")
    wrapped = _FORMULA if is_text else _WRAPPED
    return F.trim(F.regexp_replace(F.trim(F.when(cell.rlike(odd), visible).otherwise(cell)), *wrapped))


def code(text: Column, *, is_phone: bool) -> Column:
    """Code as digits if it went through a floating-point number: `17850.0`, `1.2345678E7`.

    A number rounded by a spreadsheet (`4.91712E+11`) is written out; a rounded phone number stays as it is.
    """
    number = text.try_cast("decimal(38,10)")
    is_whole = number == F.floor(number)
    if is_phone:
        is_whole = is_whole & ~is_rounded(text)
    written_out = F.when(is_whole, number.cast("decimal(38,0)").cast("string")).otherwise(text)
    return F.when(text.rlike(_EXPONENT), written_out).otherwise(F.regexp_replace(text, _WHOLE_DOUBLE, "$1"))


def is_rounded(text: Column) -> Column:
    """Whether a code lost digits: spreadsheets round the mantissa they show, programs write the shortest exact one."""
    shown = F.regexp_extract(text, _SPREADSHEET_EXPONENT, 1)
    exponent = F.regexp_extract(text, _SPREADSHEET_EXPONENT, 2).try_cast("int")
    return text.rlike(_EXPONENT) & ((F.coalesce(exponent, F.lit(0)) > F.length(shown)) | text.rlike(_NOT_EXACT))
