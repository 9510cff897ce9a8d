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
_FORMULA = r'^="(.*)"$'
_WHOLE_DOUBLE = r"^([+-]?\d+)\.0+$"
_EXPONENT = r"^(\d(?:\.(\d+))?)([eE])(\+?)(\d{1,2})$"
_EXACT_DIGITS = 15
"""Decimal digits that a double holds exactly."""


def is_code(name: str) -> bool:
    """Whether a column holds a code: digits that are not a quantity, such as an id, a phone number or a postcode."""
    return name.endswith("_id") or name in ("phone", "postcode")


def cleaned(cell: Column, *, is_text: bool) -> Column:
    """Cell without invisible and control characters, spreadsheet formulas and surrounding blanks.

    `is_text`: the column holds words. In ids, numbers and dates joiners and a leading apostrophe are removed, too.
    """
    odd = _HAS_ODD_CHARACTER if is_text else f"{_HAS_ODD_CHARACTER}|{_JOINERS}"
    invisible = _INVISIBLE if is_text else f"{_INVISIBLE}|{_JOINERS}"
    visible = F.regexp_replace(F.regexp_replace(cell, invisible, ""), _BLANKS, " ")
    text = F.trim(F.when(cell.rlike(odd), visible).otherwise(cell))
    text = F.when(text.startswith('="'), F.trim(F.regexp_replace(text, _FORMULA, "$1"))).otherwise(text)
    if is_text:
        return text
    return F.when(text.startswith("'"), F.trim(F.regexp_replace(text, r"^'(.*?)'?$", "$1"))).otherwise(text)


def code(text: Column, *, is_phone: bool) -> Column:
    """Code as digits if it went through a floating-point number: `17850.0`, `1.2345678E7`.

    A number rounded by a spreadsheet (`4.91712E+11`) is written out; a rounded phone number stays as it is.
    """
    digits, exponent = F.length(F.regexp_extract(text, _EXPONENT, 2)), _exponent(text)
    has_fraction = digits > exponent
    is_code_with_letter = (digits == 0) & (F.regexp_extract(text, _EXPONENT, 4) == "")  # 2E10 may be a part number
    is_kept = has_fraction | is_code_with_letter
    if is_phone:
        is_kept = is_kept | _is_rounded(text)
    written_out = F.when(is_kept, text).otherwise(text.try_cast("decimal(38,0)").cast("string"))
    return (
        F.when(text.rlike(_WHOLE_DOUBLE), F.regexp_extract(text, _WHOLE_DOUBLE, 1))
        .when(text.rlike(_EXPONENT), written_out)
        .otherwise(text)
    )


def note(cell: Column, text: Column, *, is_code: bool, is_text: bool) -> Column:
    """Reason code of a repair: `rounded_number`, `repaired_cell`, or null.

    Args:
        cell: the cell as delivered.
        text: the cell after `cleaned`.
        is_code: whether the column holds a code.
        is_text: as in `cleaned`.
    """
    is_repaired = F.trim(cell) != text
    if not is_code:
        return F.when(is_repaired, REPAIRED)
    went_through_double = text.rlike(_WHOLE_DOUBLE) | (text.rlike(_EXPONENT) & (code(text, is_phone=False) != text))
    is_rounded = text.rlike(_EXPONENT) & _is_rounded(text) & (F.regexp_extract(text, _EXPONENT, 2) != "")
    return F.when(is_rounded, ROUNDED).when(is_repaired | went_through_double, REPAIRED)


def _exponent(text: Column) -> Column:
    return F.regexp_extract(text, _EXPONENT, 5).try_cast("int")


def _is_rounded(text: Column) -> Column:
    """Spreadsheets round the mantissa they show; programs write the shortest one that is exact."""
    is_shown_by_spreadsheet = (F.regexp_extract(text, _EXPONENT, 3) == "E") & (
        F.regexp_extract(text, _EXPONENT, 4) == "+"
    )
    is_too_long = _exponent(text) > F.length(F.regexp_extract(text, _EXPONENT, 2))
    return (is_shown_by_spreadsheet & is_too_long) | (_exponent(text) >= _EXACT_DIGITS)
