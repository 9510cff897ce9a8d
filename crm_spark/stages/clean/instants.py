"""Read dates and times as people and programs write them, as Spark columns.

The Spark session time zone is UTC. A *local* timestamp holds wall-clock time as if it were UTC.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pyspark.sql import Column
from pyspark.sql import functions as F

from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.stages.clean.literals import literal_map

EPOCHS = {"epoch_seconds": 0, "epoch_milliseconds": 3, "epoch_microseconds": 6, "epoch_nanoseconds": 9}
"""Format name -> decimal places of the unit, in seconds since 1970-01-01 UTC."""
NONEXISTENT, AMBIGUOUS = "nonexistent_local_time", "ambiguous_local_time"
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_TIME = r"(?:(?<![\d:+\-−])\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp]\.? ?[Mm]\b\.?)?|(?:\dT|\b\d{8})\d{4}(?:\d{2}(?:[.,]\d+)?)?)"
_DATE = r"^\d{4}-\d{2}-\d{2}"
_OFFSET = r"(?:UTC|GMT|UT)? ?[+\-−]\d{1,2}(?::?\d{2}){0,2}"
_REGION = r"[A-Z][A-Za-z]+(?:/[A-Za-z0-9_+-]+)+"
_COMMENT = r"(?: ?\([^)]*\))?"
_PATTERN_PARTS = re.compile(r"'(?:[^']|'')*'|[A-Za-z]|[^A-Za-z']+")
_ZONE_LETTERS, _WEEKDAY_LETTERS = set("zZXxOV"), set("Ee")
_NOT_IN_A_WORD, _NOT_BEFORE_A_LETTER = r"(?<!\p{L})", r"(?!\p{L})"
_HAS_TIME = r":\d{2}|T\d|\d{11,}"
_WEEK_DATE, _ORDINAL_DATE = r"^(\d{4})-?W(\d{2})(?:-?([1-7]))?(?=$|[T ])", r"^(\d{4})-(\d{3})(?=$|[T ])"
_BASIC_DATE = r"^(\d{4})(\d{2})(\d{2})(?=$|[T ])"
_BASIC_TIME = r"[T ](\d{2})(\d{2})(\d{2})?(?=$|[.,])"
_NO_ZONE = r"^(?:\d+|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[ T]\d{1,2}:\d{2}(?::\d{2})?)?)$"
_CALENDAR = r"^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2})?)?$"
"""The commonest forms, which need none of the other patterns."""


class DateWords(Config):
    """Words in dates and times, from `conf/domains/date_words.yaml`."""

    zones: dict[str, Annotated[str, Field(pattern=r"^[+-]\d{2}:\d{2}$")]] = {}
    """Abbreviation of a time zone, as written -> offset from UTC."""
    months: Annotated[list[list[str]], Field(max_length=12)] = []
    """Names and abbreviations of the twelve months in lower case, in order."""
    weekdays: list[str] = []
    """Names and abbreviations of weekdays, in lower case."""


@dataclass(frozen=True)
class DateReader:
    """Reads the dates and times of one source.

    Attributes:
        words: names of months, weekdays and zones.
        zone: IANA time zone of times that name none.
        company_zone: IANA time zone of the company; a date without a time is one of its days.
    """

    words: DateWords = field(default_factory=DateWords)
    zone: str = "UTC"
    company_zone: str = "UTC"

    def zone_in(self, text: Column) -> Column:
        """Zone beside a time, as written; null for none."""
        after_time, after_date = self._with_zone
        found = F.concat(F.regexp_extract(text, after_time, 2), F.regexp_extract(text, after_date, 2))
        # `10:00+02:00[Europe/Berlin]`: the offset decides.
        found = F.regexp_replace(found, rf"^({_OFFSET}|Z) ?\[.*\]$|^\[(.*)\]$", "$1$2")
        return F.when(~text.rlike(_NO_ZONE), F.nullif(F.translate(F.trim(found), "−", "-"), F.lit("")))

    def named_zone(self, written: Column) -> Column:
        """Zone in the notation of Spark: an offset such as +02:00, or an IANA name."""
        offset = r"^(?:UTC|GMT|UT)? ?([+-])(\d{1,2}):?(\d{2})?(?::?\d{2})?$"
        sign, hours, minutes = (F.regexp_extract(written, offset, group) for group in (1, 2, 3))
        padded = F.concat(sign, F.lpad(hours, 2, "0"), F.lit(":"), F.lpad(minutes, 2, "0"))
        fixed = dict.fromkeys(("Z", "z", "UTC", "GMT", "UT"), "+00:00") | self.words.zones
        known = literal_map(fixed)
        return F.when(written.rlike(offset), padded).otherwise(F.coalesce(F.try_element_at(known, written), written))

    def without_zone(self, text: Column) -> Column:
        """Text without the zone that it names and without repeated blanks."""
        after_time, after_date = self._with_zone
        bare = F.regexp_replace(F.regexp_replace(text, after_time, "$1$3"), after_date, "$1")
        return F.when(text.rlike(_NO_ZONE), text).otherwise(F.trim(F.regexp_replace(bare, " {2,}", " ")))

    @property
    def _with_zone(self) -> tuple[str, str]:
        """Regular expressions of a time and of an ISO date with a zone: text, zone, and the year after it (Unix `date`)."""
        names = "|".join(map(re.escape, sorted({*self.words.zones, "UTC", "GMT", "UT"}, key=len, reverse=True)))
        name = rf"(?:{_OFFSET}|[Zz]|{_REGION}|(?:{names}))(?![A-Za-z0-9/])"
        zone = rf"(?:{name}(?: ?\[{_REGION}\])?|\[{_REGION}\])"
        date_zone = rf"(?:Z|UTC|GMT|[+-]\d{{2}}:\d{{2}})(?:\[{_REGION}\])?"
        return rf"^(.*{_TIME}) ?({zone}){_COMMENT}( \d{{4}})?$", rf"({_DATE}) ?({date_zone})$"

    def local(self, text: Column, name: str, zone: Column, newest_year: int | None = None) -> Column:
        """Local timestamp of a text without its zone in one format; null if it does not match.

        Args:
            text: the text after `without_zone`.
            name: `iso` or a Spark datetime pattern; `excel` and epochs are converted elsewhere.
            zone: result of `zone_in`.
            newest_year: last year of the 100-year window for two-digit years.
        """
        if name == "iso":
            return _iso(text)
        pattern = _Pattern.of(name)
        written = text
        if pattern.has_weekday:
            written = self._without_weekday(written, is_first=pattern.starts_with_weekday)
        if pattern.has_month_name:
            written = self._with_month_number(written)
        if pattern.has_am_pm:
            written = _with_am_pm(written)
        if pattern.fraction_follows is not None:
            before = pattern.fraction_follows
            written = F.regexp_replace(written, rf"({before})[.,](\d+)", "$1.$2000000")
            written = F.regexp_replace(written, rf"({before}\.\d{{6}})\d*", "$1")
        local = F.try_to_timestamp(written, F.lit(pattern.text))
        if "yy" in name and "yyyy" not in name and newest_year is not None:
            century_before = local - F.make_ym_interval(F.lit(100))
            local = F.when(F.year(local) > newest_year, century_before).otherwise(local)
        return F.when(zone.isNotNull(), local) if pattern.has_zone else local

    def instant(self, text: Column, local: Column, zone: Column) -> Column:
        """Timestamp of a local time in the zone that its text names, otherwise in the source's.

        DST gaps and overlaps follow java.time: a skipped hour is shifted forward, an ambiguous hour is the earlier one.
        """
        in_own_zone = F.concat_ws(" ", local.cast("string"), zone).try_cast("timestamp")
        return F.when(zone.isNotNull(), in_own_zone).otherwise(self._in_source_zone(text, local))

    def day(self, local: Column, instant: Column, zone: Column) -> Column:
        """Date as written; for an instant that is midnight in the source's zone (`1980-04-30T22:00Z`), that day.

        `local`: null for an epoch.
        """
        if self.zone == "UTC":
            return F.coalesce(local, instant).cast("date")
        in_source_zone = F.from_utc_timestamp(instant, self.zone)
        is_midnight = (zone.isNotNull() | local.isNull()) & (in_source_zone == F.date_trunc("day", in_source_zone))
        return F.when(is_midnight, in_source_zone).otherwise(F.coalesce(local, instant)).cast("date")

    def note(self, text: Column, local: Column, instant: Column, zone: Column) -> Column | None:
        """Reason code for a time of day that the source's clocks skipped or showed twice; None in UTC."""
        if self.zone == "UTC":
            return None
        is_skipped = F.from_utc_timestamp(instant, self.zone) != local
        repeated = [
            F.from_utc_timestamp(instant + F.expr(f"INTERVAL {m} MINUTES"), self.zone) == local for m in (30, 60)
        ]
        code = F.when(is_skipped, NONEXISTENT).when(repeated[0] | repeated[1], AMBIGUOUS)
        # Clocks change at night; a date without a time names a day, not an hour.
        return F.when(zone.isNull() & (F.hour(local) < 4) & _has_time(text, local), code)

    def _in_source_zone(self, text: Column, local: Column) -> Column:
        if self.zone == self.company_zone:
            return _to_utc(local, self.zone)
        return F.when(_has_time(text, local), _to_utc(local, self.zone)).otherwise(_to_utc(local, self.company_zone))

    def _without_weekday(self, text: Column, *, is_first: bool) -> Column:
        words = "|".join(map(re.escape, sorted(self.words.weekdays, key=len, reverse=True)))
        if is_first:
            # Any word is the weekday: abbreviations such as `mar` are months in other languages.
            text = F.regexp_replace(text, r"^\p{L}[\p{L}-]*\.?,? *(?=.*\d)", "")
        if not words:
            return text
        return F.trim(
            F.regexp_replace(
                text, rf"(?iu) ?[(\[]?{_NOT_IN_A_WORD}(?:{words}){_NOT_BEFORE_A_LETTER}\.?[)\]]?,?(?= |$)", ""
            )
        )

    def _with_month_number(self, text: Column) -> Column:
        for number, names in enumerate(self.words.months or _ENGLISH_MONTHS, start=1):
            words = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
            text = F.regexp_replace(
                text, rf"(?iu){_NOT_IN_A_WORD}(?:{words}){_NOT_BEFORE_A_LETTER}\.?", f"{number:02d}"
            )
        return text


_ENGLISH_MONTHS = [
    [word, word[:3]]
    for word in [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ]
]


@dataclass(frozen=True)
class _Pattern:
    """Datetime pattern after weekday, zone and names were taken out of pattern and text."""

    text: str
    has_zone: bool
    has_weekday: bool
    starts_with_weekday: bool
    has_month_name: bool
    has_am_pm: bool
    fraction_follows: str | None
    """Regular expression of the time before the fraction of a second; None without a fraction."""

    @classmethod
    def of(cls, pattern: str) -> "_Pattern":
        parts = _PATTERN_PARTS.findall(pattern)
        found: set[str] = set()
        made: list[str] = []
        for part in parts:
            if part in _ZONE_LETTERS or part in ("'Z'", "'UTC'", "'GMT'"):
                found.add("zone")
                made.append("")
            elif part in _WEEKDAY_LETTERS:
                found.add("weekday")
                made.append("\0")
            else:
                made.append(part)
        text = re.sub(r" ?[\[(]?\0+[\])]?\.?,? ?", lambda m: " " if m.start() else "", "".join(made))
        text = re.sub(r" {2,}", " ", re.sub(r"\[ ?\]|\( ?\)", "", text)).strip()
        found |= {
            kind
            for kind, letters in (("month", r"(?:M{3,}|L{3,})\.?"), ("am_pm", " ?a+"))
            if _outside_quotes(letters, text)
        }
        text = _replaced_outside_quotes(r"(?:M{3,}|L{3,})\.?", "MM", text)
        text = _replaced_outside_quotes(r" ?a+", " a", text)
        text = _replaced_outside_quotes(r"[.,]S+", ".SSSSSS", text)
        starts_with_weekday = "".join(made).lstrip("[(").startswith("\0")
        flags = ("zone" in found, "weekday" in found, starts_with_weekday, "month" in found, "am_pm" in found)
        return cls(text, *flags, _before_fraction(text))


def _before_fraction(pattern: str) -> str | None:
    """`HH:mm:ss` of `dd.MM.yyyy HH:mm:ss[.SSSSSS]` as a regular expression: a point may also stand in the date."""
    found = re.search(r"([HhKk].*?|s+)\[?\.SSSSSS", pattern)
    if found is None:
        return None
    parts = re.findall(r"'(?:[^']|'')*'|[A-Za-z]+|[^A-Za-z']", found[1].replace("[", "").replace("]", ""))
    return "".join(r"\d{1,2}" if part[0].isalpha() else re.escape(part.strip("'")) for part in parts)


def _outside_quotes(expression: str, pattern: str) -> bool:
    return re.search(expression, re.sub(r"'(?:[^']|'')*'", "", pattern)) is not None


def _replaced_outside_quotes(expression: str, new: str, pattern: str) -> str:
    pieces = re.split(r"('(?:[^']|'')*')", pattern)
    return "".join(p if i % 2 else re.sub(expression, new, p) for i, p in enumerate(pieces))


def _with_am_pm(text: Column) -> Column:
    text = F.regexp_replace(text, r"(?i)(?<=\d) ?a\.? ?m\b\.?", " AM")
    return F.regexp_replace(text, r"(?i)(?<=\d) ?p\.? ?m\b\.?", " PM")


def _iso(text: Column) -> Column:
    """ISO 8601 in the extended or basic format, with calendar, week or ordinal dates."""
    calendar = F.regexp_replace(text, r"(?<=\d)t(?=\d)", "T")
    calendar = F.regexp_replace(calendar, _BASIC_DATE, "$1-$2-$3")
    calendar = F.regexp_replace(calendar, rf"({_DATE}){_BASIC_TIME}", "$1 $2:$3:$4")
    calendar = F.regexp_replace(F.regexp_replace(calendar, r":(?=$|[.,])", ""), r"(?<=:\d{2}),(?=\d)", ".")
    # A time of day alone would be read as today's.
    return (
        F.when(text.rlike(_CALENDAR), F.try_to_timestamp(text))
        .when(text.rlike(_WEEK_DATE), F.try_to_timestamp(F.concat(_week_day(text), _after_date(text, _WEEK_DATE))))
        .when(
            text.rlike(_ORDINAL_DATE), F.try_to_timestamp(F.concat(_year_day(text), _after_date(text, _ORDINAL_DATE)))
        )
        .when(text.rlike(r"^\d{4}(?!:)"), F.try_to_timestamp(calendar))
    )


def _week_day(text: Column) -> Column:
    """Date of an ISO week date, without a weekday its Monday; null if the year has no such week."""
    monday = F.trunc(F.make_date(_part(text, _WEEK_DATE, 1), F.lit(1), F.lit(4)), "week")
    week = _part(text, _WEEK_DATE, 2)
    day = F.date_add(monday, week * 7 + F.coalesce(_part(text, _WEEK_DATE, 3), F.lit(1)) - 8)
    return F.when(F.weekofyear(day) == week, day.cast("string"))


def _year_day(text: Column) -> Column:
    """Date of an ISO ordinal date; null if the year has no such day."""
    return F.try_to_timestamp(F.substring(text, 1, 8), F.lit("yyyy-DDD")).cast("date").cast("string")


def _after_date(text: Column, date: str) -> Column:
    return F.regexp_replace(F.regexp_replace(text, date, ""), r"^T(\d{2})(\d{2})", "T$1:$2")


def _has_time(text: Column, local: Column) -> Column:
    return (local != F.date_trunc("day", local)) | text.rlike(_HAS_TIME)


def _to_utc(local: Column, zone: str) -> Column:
    return local if zone == "UTC" else F.to_utc_timestamp(local, zone)


def _part(text: Column, expression: str, group: int) -> Column:
    return F.regexp_extract(text, expression, group).try_cast("int")


def epoch(text: Column, name: str) -> Column:
    """Timestamp of a number of seconds, milliseconds, microseconds or nanoseconds since 1970-01-01 UTC.

    13, 16 and 19 digits that are too many for the unit are of a finer one: programs change it without notice.
    """
    # A decimal: a double does not hold nanoseconds.
    number = text.try_cast("decimal(38,9)")
    seconds = _bounded_seconds(number, EPOCHS[name])
    finer = [
        F.when(text.rlike(rf"^\d{{{10 + places}}}(?!\d)"), _bounded_seconds(number, places))
        for places in EPOCHS.values()
        if places > EPOCHS[name]
    ]
    return F.timestamp_micros((F.coalesce(seconds, *finer) * 1_000_000).cast("bigint"))


def _bounded_seconds(number: Column, places: int) -> Column:
    seconds = number * F.lit(f"1e-{places}").cast("decimal(18,9)")
    return F.when(seconds.between(_FIRST_SECOND, _LAST_SECOND), seconds)


def load_date_words(path: str | None) -> DateWords:
    """Load month, weekday and zone names from a YAML file; without a file English months and `UTC`, `GMT` are read.

    Raises:
        ConfigError: the file is invalid; the message names file, key, value and the allowed values.
    """
    return DateWords() if path is None else validated(DateWords, read_yaml(Path(path)), origin=path)
