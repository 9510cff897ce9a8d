"""Date formats of mappings: names, and Spark datetime patterns that can yield a date."""

import re
from itertools import groupby

NAMED_FORMATS = (
    "iso", "epoch_seconds", "epoch_milliseconds", "epoch_microseconds", "epoch_nanoseconds", "excel",
)  # fmt: skip
_MOST_LETTERS = {
    "G": 4, "y": 6, "M": 4, "L": 4, "d": 2, "D": 3, "E": 4, "a": 1, "h": 2, "K": 2, "k": 2, "H": 2, "m": 2, "s": 2, "S": 9,
    "V": 2, "z": 4, "O": 4, "X": 5, "x": 5, "Z": 5,
}  # fmt: skip
"""Letters of Spark datetime patterns, and how often each may be repeated."""
_INSTEAD = {
    "Y": "Y is the year of a week; the year is y (yyyy)",
    "u": "the year is y (yyyy)",
    "e": "the weekday is E",
    "c": "the weekday is E",
    "w": "weeks cannot be read as dates",
    "W": "weeks cannot be read as dates",
    "T": "put the letter T in quotes: 'T'",
    "n": "the fraction of a second is S",
    "A": "AM or PM is a",
}
_LITERAL = re.compile(r"'(?:[^']|'')*'")


def require_date_format(text: str) -> None:
    """Check that a format can yield a date.

    Raises:
        ValueError: the pattern has an unknown letter, or lacks year or month; the message says what to write instead.
    """
    if text in NAMED_FORMATS:
        return
    if problem := _problem(text):
        raise ValueError(
            f"{text!r} cannot be read as a date: {problem}. Expected {', '.join(NAMED_FORMATS)}, or a pattern such as "
            "dd.MM.yyyy or yyyy-MM-dd HH:mm:ss"
        )


def _problem(pattern: str) -> str | None:
    if "%" in pattern:
        return "% is not used in Spark patterns; write yyyy for %Y, MM for %m, dd for %d, HH:mm:ss for %H:%M:%S"
    bare = _LITERAL.sub("", pattern)
    if "'" in bare:
        return "a quote is not closed"
    if re.search("[{}#]", bare):
        return "{, } and # must be put in quotes"
    if not _has_closed_brackets(bare):
        return "[ and ] must enclose optional parts"
    runs = [(letter, len(list(run))) for letter, run in groupby(bare) if letter.isascii() and letter.isalpha()]
    return _bad_letter(runs) or _missing_part({letter for letter, _ in runs}, bare)


def _bad_letter(runs: list[tuple[str, int]]) -> str | None:
    for letter, number in runs:
        if letter not in _MOST_LETTERS:
            return _INSTEAD.get(letter, f"{letter} is not a letter of Spark patterns; put other text in quotes")
        if number > _MOST_LETTERS[letter]:
            return f"{letter} may be repeated {_MOST_LETTERS[letter]} times at most"
        if letter == "V" and number != 2:
            return "a time zone id is written VV"
    return None


def _missing_part(letters: set[str], bare: str) -> str | None:
    if "y" not in letters:
        return "there is no year (yyyy or yy)"
    if not letters & set("MLD"):
        return "there is no month: M is the month, m the minute" if "m" in letters else "there is no month (MM)"
    if "D" in letters and "M" in letters:
        return "D is the day of the year; the day of the month is d"
    if letters & set("hK") and "a" not in letters:
        return "h counts from 1 to 12 and needs a (AM or PM); hours from 0 to 23 are H"
    return None


def _has_closed_brackets(bare: str) -> bool:
    depth = 0
    for sign in bare:
        depth += (sign == "[") - (sign == "]")
        if depth < 0:
            return False
    return depth == 0
