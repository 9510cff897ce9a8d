"""Clean cells: remove what spreadsheets, exports and copied web pages add to them, as Spark columns."""

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
_SPREADSHEET_EXPONENT = r"^\d(?:\.(\d+))?E\+(\d{1,2})$"
_MAY_BE_NUMBER_OR_WRAPPED = r"[.eE]|^[=']"
_NOT_EXACT = r"[eE]\+?(?:1[5-9]|[2-9]\d)$"
"""Above the 15 decimal digits that a double holds exactly."""


def is_code(name: str) -> bool:
    """Whether a column holds identifiers (ids, phone numbers, postcodes), not quantities."""
    return name.endswith("_id") or name in ("phone", "postcode")


def visible(cell: Column, *, is_text: bool) -> Column:
    """Cell without invisible and control characters and surrounding blanks.

    `is_text`: the column holds words. In ids, numbers and dates joiners are removed, too.
    """
    odd = _HAS_ODD_CHARACTER if is_text else f"{_HAS_ODD_CHARACTER}|{_JOINERS}"
    invisible = _INVISIBLE if is_text else f"{_INVISIBLE}|{_JOINERS}"
    plain = F.regexp_replace(F.regexp_replace(cell, invisible, ""), _BLANKS, " ")
    return F.trim(F.when(cell.rlike(odd), plain).otherwise(cell))


def unwrapped(visible: Column, *, is_text: bool) -> Column:
    """Visible cell without a spreadsheet formula around it; in ids, numbers and dates also without a leading apostrophe."""
    if is_text:
        return F.when(visible.startswith('="'), F.trim(F.regexp_replace(visible, *_FORMULA))).otherwise(visible)
    is_wrapped = visible.startswith('="') | visible.startswith("'")
    return F.when(is_wrapped, F.trim(F.regexp_replace(visible, *_WRAPPED))).otherwise(visible)


def cleaned(cell: Column, *, is_text: bool) -> Column:
    """Both of the above. Where it is used often, they are steps of their own: Spark copies an expression for each use."""
    return unwrapped(visible(cell, is_text=is_text), is_text=is_text)


def code(visible: Column, *, is_phone: bool) -> Column:
    """Visible cell as a code; as digits if it went through a floating-point number: `17850.0`, `1.2345678E7`.

    A number rounded by a spreadsheet (`4.91712E+11`) is written out; a rounded phone number stays as it is.
    """
    text = unwrapped(visible, is_text=False)
    number = text.try_cast("decimal(38,10)")
    is_whole = number == F.floor(number)
    if is_phone:
        is_whole = is_whole & ~is_rounded(text)
    written_out = F.when(is_whole, number.cast("decimal(38,0)").cast("string")).otherwise(text)
    repaired = F.when(text.rlike(_EXPONENT), written_out).otherwise(F.regexp_replace(text, _WHOLE_DOUBLE, "$1"))
    return F.when(visible.rlike(_MAY_BE_NUMBER_OR_WRAPPED), repaired).otherwise(visible)


def is_rounded(text: Column) -> Column:
    """Whether a code lost digits: it shows fewer than the exponent needs, or has more than a double holds."""
    shown = F.regexp_extract(text, _SPREADSHEET_EXPONENT, 1)
    exponent = F.regexp_extract(text, _SPREADSHEET_EXPONENT, 2).try_cast("int")
    return text.rlike(_EXPONENT) & ((F.coalesce(exponent, F.lit(0)) > F.length(shown)) | text.rlike(_NOT_EXACT))
