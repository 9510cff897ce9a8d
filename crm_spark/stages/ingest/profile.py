"""What a file nobody has described yet looks like: its format, and what each column seems to hold."""

import codecs
import csv
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pyarrow import fs
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_names import decoded
from crm_spark.contracts.source import FileOptions, Files
from crm_spark.core.errors import InputError

_HEAD_BYTES = 1 << 20
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet"}
_PACKED = (".gz", ".bz2", ".zst", ".zstd")
_DELIMITERS = ",;\t|"
MOST_WORDS = 20
MOSTLY = 0.95
"""A column is of a kind when so many of its values are."""

PATTERNS = {
    "integer": r"^[+-]?\d{1,18}$",
    "decimal_point": r"^[+-]?(\d+|\d{1,3}(,\d{3})+)\.\d+$",
    "decimal_comma": r"^[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+$",
    "iso": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$",
    "dd.MM.yyyy": r"^\d{2}\.\d{2}\.\d{4}$",
    "dd.MM.yyyy HH:mm": r"^\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}$",
    "dd.MM.yyyy HH:mm:ss": r"^\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}:\d{2}$",
    "dd/MM/yyyy": r"^\d{2}/(0[1-9]|1[0-2])/\d{4}$",
    "dd/MM/yyyy HH:mm": r"^\d{2}/(0[1-9]|1[0-2])/\d{4} \d{2}:\d{2}$",
    "dd/MM/yyyy HH:mm:ss": r"^\d{2}/(0[1-9]|1[0-2])/\d{4} \d{2}:\d{2}:\d{2}$",
    "MM/dd/yyyy": r"^(0[1-9]|1[0-2])/\d{2}/\d{4}$",
    "MM/dd/yyyy HH:mm": r"^(0[1-9]|1[0-2])/\d{2}/\d{4} \d{2}:\d{2}$",
    "MM/dd/yyyy HH:mm:ss": r"^(0[1-9]|1[0-2])/\d{2}/\d{4} \d{2}:\d{2}:\d{2}$",
    "dd-MM-yyyy": r"^\d{2}-(0[1-9]|1[0-2])-\d{4}$",
    "dd-MM-yyyy HH:mm": r"^\d{2}-(0[1-9]|1[0-2])-\d{4} \d{2}:\d{2}$",
    "dd-MM-yyyy HH:mm:ss": r"^\d{2}-(0[1-9]|1[0-2])-\d{4} \d{2}:\d{2}:\d{2}$",
    "yyyy/MM/dd": r"^\d{4}/(0[1-9]|1[0-2])/\d{2}$",
    "yyyyMMdd": r"^(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])$",
    "epoch_milliseconds": r"^1[0-9]{12}$",
    "epoch_seconds": r"^1[0-9]{9}$",
    "email": r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$",
    "phone": r"^(\+|00|0)[\d ()/.-]{6,18}$",
    "iban": r"^[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,4})?$",
    "yes_no": r"(?i)^(true|false|yes|no|y|n|ja|nein|j|oui|non|sí|sì|si|sim|não|nee|tak|nie|да|нет)$",
    "leading_zero": r"^0\d+$",
}
DATES = ("iso", *(name for name in PATTERNS if "yy" in name), "epoch_milliseconds", "epoch_seconds")
NUMBERS = ("integer", "decimal_point", "decimal_comma")
PERSONAL = ("email", "phone", "iban")
_BLANK = ("", "n/a", "na", "null", "none", "unknown", "-", "nan")


@dataclass(frozen=True)
class ColumnProfile:
    """A column in sum; no value of it is kept but the bounds of numbers.

    Attributes:
        name: as the source spells it.
        num_rows: records looked at.
        num_blank: empty, or spelled as one of the usual words for `none`.
        num_distinct: about how many values.
        max_length: characters of the longest.
        fractions: of the values that are not blank, how many look like each pattern.
        low: the smallest, where the column holds numbers.
        high: the largest.
    """

    name: str
    num_rows: int
    num_blank: int
    num_distinct: int
    max_length: int
    fractions: dict[str, float]
    low: float | None = None
    high: float | None = None

    def is_mostly(self, *patterns: str) -> bool:
        """Whether nearly all values look like one of the patterns."""
        return sum(self.fractions.get(name, 0.0) for name in patterns) >= MOSTLY

    @property
    def kind(self) -> str:
        """What it seems to hold: a date's format, a number, digits that are none, email, phone, iban, yes_no, or text."""
        if self.is_mostly("integer") and self.fractions.get("leading_zero") and not self.is_mostly("phone"):
            return "digits"
        for names in (PERSONAL, DATES, NUMBERS, ("yes_no",)):
            best = max(names, key=lambda name: self.fractions.get(name, 0.0))
            if self.fractions.get(best, 0.0) >= MOSTLY:
                return best
        if self.is_mostly("integer", "decimal_point"):
            return "decimal_point"
        return "decimal_comma" if self.is_mostly("integer", "decimal_comma") else "text"

    @property
    def exceptions(self) -> str:
        """How many values are of another kind than the column; of a text, how many look like something else."""
        num_said = self.num_rows - self.num_blank
        if self.kind == "text":
            best = max((*PERSONAL, *DATES, *NUMBERS), key=lambda name: self.fractions.get(name, 0.0))
            found = round(self.fractions.get(best, 0.0) * num_said)
            return f"{found} of {num_said} are {best}" if self.fractions.get(best, 0.0) > 0.2 else ""
        kinds = {"decimal_comma": ("integer", "decimal_comma"), "decimal_point": ("integer", "decimal_point")}
        names = kinds.get(self.kind, ("integer",) if self.kind == "digits" else (self.kind,))
        others = num_said - round(sum(self.fractions.get(name, 0.0) for name in names) * num_said)
        return f"{others} of {num_said} are not" if others > 0 else ""

    @property
    def looks_personal(self) -> bool:
        """Whether some of its values are addresses of people, or numbers they are called or paid at."""
        return any(self.fractions.get(name, 0.0) > 0.2 for name in ("email", "iban")) or self.is_mostly("phone")

    @property
    def is_ambiguous(self) -> bool:
        """Whether days and months could be the other way round."""
        twin = re.sub("^(dd|MM)/(dd|MM)", r"\2/\1", self.kind)
        return twin != self.kind and self.is_mostly(twin)

    @property
    def may_be_key(self) -> bool:
        """Whether no record lacks it and no two seem to share one."""
        is_whole = self.num_blank == 0 and self.num_rows > 0 and self.kind in ("integer", "digits", "text")
        return is_whole and self.num_distinct >= 0.97 * self.num_rows


def sniffed(system: fs.FileSystem, path: str, glob: str) -> Files:
    """Format, encoding and delimiter as the ending and the first bytes tell.

    Raises:
        InputError: the file cannot be opened, or is an archive.
    """
    name = PurePosixPath(path)
    if name.suffix.lower() == ".zip":
        raise InputError(f"{path}: unpack the archive and give one of its files; the draft serves the archives too.")
    while name.suffix in _PACKED:
        name = name.with_suffix("")
    format = _ENDINGS.get(name.suffix, "csv")
    if format != "csv":
        return Files.model_validate({"path": glob, "format": format})
    try:
        with system.open_input_stream(path, compression="detect") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({type(error).__name__}).") from None
    encoding = _encoding(head)
    text = head.decode(encoding, "ignore")
    line = text.lstrip("\ufeff").split("\n", 1)[0]
    try:
        delimiter = csv.Sniffer().sniff(text[:20_000], _DELIMITERS).delimiter
    except csv.Error:
        delimiter = max(_DELIMITERS, key=line.count)
    if delimiter not in line:
        delimiter = max(_DELIMITERS, key=line.count)
    return Files(path=glob, format="csv", options=FileOptions(delimiter=delimiter, encoding=encoding))


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(head)
    except UnicodeError:
        return "windows-1252"
    return "utf-8"


def profiled(records: DataFrame) -> list[ColumnProfile]:
    """Every column of a source's records, all as text, in one pass."""
    names = [name for name in records.columns if not name.startswith("_")]
    row = records.agg(F.count(F.lit(1)).alias("n"), *(_measures(i, name) for i, name in enumerate(names))).first()
    assert row is not None
    return [_profile(name, row["n"], row[f"c{i}"].asDict()) for i, name in enumerate(names)]


def words_of(records: DataFrame, name: str) -> list[str]:
    """The values of a column that has few, most frequent first; none where it has more than MOST_WORDS."""
    said = records.select(F.trim(_column(records, name)).alias("said")).where("said <> ''")
    rows = said.groupBy("said").count().orderBy(F.desc("count"), "said").limit(MOST_WORDS + 1).collect()
    return [row["said"] for row in rows] if len(rows) <= MOST_WORDS else []


def num_divided(records: DataFrame, key: str, name: str) -> int:
    """Of how many keys the records do not agree in a column."""
    values = records.groupBy(_column(records, key)).agg(F.count_distinct(F.trim(_column(records, name))).alias("n"))
    return values.where("n > 1").count()


def _column(records: DataFrame, name: str) -> Column:
    """A column by the name that its source gives it."""
    return F.col(next(f"`{column}`" for column in records.columns if decoded(column) == name))


def _measures(position: int, name: str) -> Column:
    text = F.trim(F.col(f"`{name}`"))
    is_blank = text.isNull() | F.lower(text).isin(*_BLANK)
    said = F.when(~is_blank, text)
    plain = F.replace(F.replace(said, F.lit(","), F.lit("")), F.lit("'"), F.lit("")).try_cast("double")
    counts = [F.count(F.when(said.rlike(p), 1)).alias(f"p{i}") for i, p in enumerate(PATTERNS.values())]
    return F.struct(
        F.count(F.when(is_blank, 1)).alias("blank"),
        F.approx_count_distinct(said, 0.01).alias("distinct"),
        F.coalesce(F.max(F.length(said)), F.lit(0)).alias("length"),
        F.min(plain).alias("low"),
        F.max(plain).alias("high"),
        *counts,
    ).alias(f"c{position}")


def _profile(name: str, num_rows: int, found: dict[str, float]) -> ColumnProfile:
    num_said = num_rows - int(found["blank"])
    fractions = {p: found[f"p{i}"] / num_said if num_said else 0.0 for i, p in enumerate(PATTERNS)}
    profile = ColumnProfile(
        decoded(name), num_rows, int(found["blank"]), int(found["distinct"]), int(found["length"]), fractions
    )
    if profile.kind in ("integer", "decimal_point"):
        return replace(profile, low=found["low"], high=found["high"])
    return profile
