"""Convert source text to typed columns: each mapping returns a value or a reason code."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DateType, DecimalType, DoubleType, IntegerType, TimestampType

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.contracts.silver import ENTITIES
from crm_spark.quality.rules import QualityRules
from crm_spark.sources.config import HAS_DEFAULT, SOURCE_LEVEL, Feed, Mapping, Source
from crm_spark.stages.clean.standardise import Standards, name_part

VERBATIM = {"text", "title"}
"""Columns kept exactly as written, including leading and trailing spaces."""
_NUMBER, _INSTANT = DoubleType | DecimalType | IntegerType, TimestampType | DateType
_HAS_OFFSET = r"(?i)(Z|[+-]\d{2}:?\d{2})$"
_EXCEL_DAY_0 = "1899-12-30"
_LAST_EXCEL_DAY = 2_958_465
_FIRST_INSTANT, _LAST_INSTANT = "0001-01-02", "9999-12-31 23:59:59.999999"
"""Range supported by both Spark and Python. Excludes 0001-01-01, a common marker for a missing date."""
_AROUND_A_NUMBER = r"^[A-Z]{3}\b|\b[A-Z]{3}$|[\p{Sc}\p{Z}'’]"
"""Currency codes and symbols, whitespace, and apostrophes used as thousands separators."""


RAW, TEXT, BARE, DIGITS, VALUE, REASON = "_raw_{}", "_text_{}", "_bare_{}", "_digits_{}", "_value_{}", "_reason_{}"
"""Intermediate columns of a conversion, formatted with the column name; bronze columns never start with `_`."""


def converted(
    bronze: DataFrame, source: Source, entity: str, feed: Feed, rules: QualityRules, standards: Standards
) -> tuple[DataFrame, list[str]]:
    """Grain as `bronze`. Returns the frame and the feed's mapped column names in contract order.

    For each mapped column NAME, adds `_raw_NAME` (the raw text), `_text_NAME` (null for null markers), `_value_NAME`
    (the typed value) and `_reason_NAME` (the reason code of an invalid value).
    """
    reader = _Reader(source, entity, tuple(bronze.columns), rules, standards)
    kinds = {c.name: c.type for c in ENTITIES[entity].columns if c.name in feed.columns}
    frame = bronze
    # One projection per step: Spark inlines expressions, so a single nested expression would make planning very slow.
    for spelling, step in (
        (RAW, reader.raw),
        (TEXT, reader.text),
        (BARE, reader.bare),
        (DIGITS, reader.digits),
        (VALUE, reader.value),
        (REASON, reader.reason),
    ):
        added = {spelling.format(name): step(name, kind, feed.columns[name]) for name, kind in kinds.items()}
        frame = frame.withColumns({name: column for name, column in added.items() if column is not None})
    return frame, list(kinds)


def missing_required(entity: str, feed: Feed) -> list[str]:
    """Mapped columns of an entity that must not be null."""
    contract = ENTITIES[entity]
    must = {c.name for c in contract.columns if c.is_required} | set(contract.grain)
    return [name for name in feed.columns if name in must and name not in HAS_DEFAULT | SOURCE_LEVEL]


@dataclass(frozen=True)
class _Reader:
    source: Source
    entity: str
    columns: tuple[str, ...]
    rules: QualityRules
    standards: Standards

    def raw(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        return self._text(mapping, is_verbatim=name in VERBATIM)

    def text(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        raw = F.col(RAW.format(name))
        if not mapping.from_ or name in VERBATIM or not (spellings := self.rules.placeholders_of(self.entity, name)):
            return raw
        return F.when(~F.lower(raw).isin(*spellings), raw)

    def bare(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Intermediate value: a number without currency and spaces, a timestamp, or the mapped value."""
        text = F.col(TEXT.format(name))
        if mapping.map:
            text = self._mapped(text, mapping)
        if isinstance(kind, _INSTANT):
            return self._instant(text, mapping, zone="UTC" if isinstance(kind, DateType) else self.source.time_zone)
        return _bare(text) if _is_number(kind, mapping) else text if mapping.map else None

    def digits(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        return self._digits(F.col(BARE.format(name))) if _is_number(kind, mapping) else None

    def value(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        if mapping.ranges:
            return _ranged(F.col(DIGITS.format(name)), mapping)
        if _is_number(kind, mapping):
            return self._scaled(F.col(DIGITS.format(name)), mapping).try_cast(kind)
        if isinstance(kind, _INSTANT):
            return _bounded(F.col(BARE.format(name))).cast(kind)
        text = F.col((BARE if mapping.map else TEXT).format(name))
        return self._boolean(text) if isinstance(kind, BooleanType) else text

    def reason(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        text, value = F.col(TEXT.format(name)), F.col(VALUE.format(name))
        code = F.lit(_code(kind))
        if mapping.ranges:
            code = F.when(F.col(DIGITS.format(name)).isNull(), F.lit("bad_number")).otherwise(F.lit("bad_rating"))
        if mapping.map:
            value, code = F.col(BARE.format(name)), F.lit("unknown_value")
        return F.when(text.isNotNull() & value.isNull(), code)

    def _cell(self, column: str) -> Column:
        stored = encoded(column, int(column[1:]) if column[1:].isdigit() and column[0] == "c" else 0)
        # A missing column reads as null; required columns are checked later.
        return F.col(f"`{stored}`") if stored in self.columns else F.lit(None).cast("string")

    def _text(self, mapping: Mapping, *, is_verbatim: bool) -> Column:
        if mapping.value is not None:
            return F.lit(str(mapping.value).lower() if isinstance(mapping.value, bool) else str(mapping.value))
        if mapping.cases:
            return self._cases(mapping)
        if mapping.hash_of is not None:
            return self._digest(mapping.hash_of)
        cells = [self._cell(column) for column in mapping.from_]
        text = cells[0] if len(cells) == 1 else F.concat_ws(mapping.join, *cells)
        if is_verbatim:
            return F.when(F.trim(text) != "", text)
        text = F.trim(text)
        if mapping.extract:
            text = F.regexp_extract(text, mapping.extract, 1)
        if mapping.part:
            text = name_part(text, mapping.part, self.standards.names)
        return F.nullif(text, F.lit(""))

    def _digest(self, hash_of: list[str] | str) -> Column:
        names = [n for n in self.columns if not n.startswith("_")] if hash_of == "all" else None
        cells = [F.col(f"`{n}`") for n in sorted(names)] if names is not None else [self._cell(n) for n in hash_of]
        digest = F.substring(F.sha2(F.to_json(F.array(*cells)), 256), 1, 32)
        if names is not None:
            return digest
        return F.when(F.coalesce(*(F.nullif(F.trim(c), F.lit("")) for c in cells)).isNotNull(), digest)

    def _cases(self, mapping: Mapping) -> Column:
        result: Column | None = None
        for case in mapping.cases:
            cell = F.coalesce(self._cell(case.column), F.lit(""))
            hit = cell.rlike(case.matches) if case.matches is not None else cell == F.lit(case.equals)
            result = F.when(hit, case.value) if result is None else result.when(hit, case.value)
        assert result is not None
        return result.otherwise(F.lit(mapping.otherwise))

    def _mapped(self, text: Column, mapping: Mapping) -> Column:
        pairs = [F.lit(part) for key, value in mapping.map.items() for part in (key.lower(), value)]
        mapped = F.try_element_at(F.create_map(*pairs), F.lower(text))
        return mapped if mapping.otherwise is None else F.coalesce(mapped, F.lit(mapping.otherwise))

    def _boolean(self, text: Column) -> Column:
        lower = F.lower(text)
        return F.when(lower.isin(*self.rules.affirmative), True).when(lower.isin(*self.rules.negative), False)

    def _scaled(self, number: Column, mapping: Mapping) -> Column:
        if mapping.scale is None and mapping.divide_by is None:
            return number
        # Decimal arithmetic, so that prices are exact.
        amount = number.try_cast("decimal(30,8)")
        if mapping.scale is not None:
            amount = amount * F.lit(str(mapping.scale)).cast("decimal(20,8)")
        if mapping.divide_by is not None:
            amount = F.try_divide(amount, self._number(self._cell(mapping.divide_by)).try_cast("decimal(20,8)"))
        return amount

    def _number(self, text: Column) -> Column:
        return self._digits(_bare(text))

    def _digits(self, bare: Column) -> Column:
        """Number in Spark's notation; null if the separators are ambiguous."""
        decimal, grouping = (",", ".") if self.source.decimal == "," else (".", ",")
        digits = rf"(?:\d+|\d{{1,3}}(?:\{grouping}\d{{3}})+)"
        fraction = rf"(?:\{decimal}\d*)"
        is_number = bare.rlike(rf"^[+-]?(?:{digits}{fraction}?|\{decimal}\d+)(?:[eE][+-]?\d+)?$")
        plain = F.translate(bare, f"{decimal}{grouping}", ".")
        return F.when(is_number, plain)

    def _instant(self, text: Column, mapping: Mapping, *, zone: str) -> Column:
        return F.coalesce(*(self._parsed(text, name, zone, mapping) for name in mapping.formats or ["iso"]))

    def _parsed(self, text: Column, name: str, zone: str, mapping: Mapping) -> Column:
        if name in ("epoch_seconds", "epoch_milliseconds"):
            number = text.try_cast("double") / (1 if name == "epoch_seconds" else 1000)
            return F.timestamp_seconds(F.when(number.between(-62_135_596_800, 253_402_300_799), number))
        if name == "excel":
            instant = self._excel(text)
        else:
            instant = F.try_to_timestamp(text) if name == "iso" else F.try_to_timestamp(text, F.lit(name))
        if "yy" in name and "yyyy" not in name and mapping.newest_year is not None:
            century_before = instant - F.make_ym_interval(F.lit(100))
            instant = F.when(F.year(instant) > mapping.newest_year, century_before).otherwise(instant)
        if zone == "UTC":
            return instant
        # Times without an offset are local times of the source. DST gaps and overlaps follow java.time: a skipped hour is
        # shifted forward, an ambiguous hour is the earlier one.
        return F.when(text.rlike(_HAS_OFFSET), instant).otherwise(F.to_utc_timestamp(instant, zone))

    def _excel(self, text: Column) -> Column:
        """Timestamp of a spreadsheet serial number; the fraction is the time of day."""
        number = self._number(text).try_cast("double")
        seconds = F.round(F.when(number.between(1, _LAST_EXCEL_DAY), number) * 86_400)
        return F.timestamp_seconds(F.unix_timestamp(F.lit(_EXCEL_DAY_0).cast("timestamp")) + seconds)


def _is_number(kind: DataType, mapping: Mapping) -> bool:
    return bool(mapping.ranges) or isinstance(kind, _NUMBER)


def _bounded(instant: Column) -> Column:
    first, last = (F.lit(bound).cast("timestamp") for bound in (_FIRST_INSTANT, _LAST_INSTANT))
    return F.when(instant.between(first, last), instant)


def _bare(text: Column) -> Column:
    bare = F.regexp_replace(text, _AROUND_A_NUMBER, "")
    return F.regexp_replace(bare, r"^\((.*)\)$|^([^-].*)-$", "-$1$2")  # accounting notation for negative numbers


def _ranged(digits: Column, mapping: Mapping) -> Column:
    number, value = digits.try_cast("double"), F.lit(None).cast("string")
    for word, (low, high) in mapping.ranges.items():
        value = F.when(number.between(low, high), F.lit(word)).otherwise(value)
    return value


def _code(kind: DataType) -> str:
    if isinstance(kind, _INSTANT):
        return "bad_date"
    if isinstance(kind, BooleanType):
        return "bad_boolean"
    return "bad_number" if isinstance(kind, _NUMBER) else "bad_value"
