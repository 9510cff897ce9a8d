"""Convert source text to typed columns: each mapping returns a value or a reason code."""

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DateType, DecimalType, DoubleType, IntegerType, TimestampType

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.contracts.silver import ENTITIES
from crm_spark.quality.rules import QualityRules
from crm_spark.sources.config import Source
from crm_spark.sources.mappings import HAS_DEFAULT, MINOR_UNITS, SOURCE_LEVEL, Feed, Mapping
from crm_spark.stages.clean import cells, instants, numbers
from crm_spark.stages.clean.instants import DateReader
from crm_spark.stages.clean.lines import takes_currency_of_order
from crm_spark.stages.clean.lookups import FOUND
from crm_spark.stages.clean.records import FILE
from crm_spark.stages.clean.standardise import Standards, name_part

VERBATIM = {"text", "title"}
"""Columns kept exactly as written, including leading and trailing spaces."""
_NUMBER, _INSTANT = DoubleType | DecimalType | IntegerType, TimestampType | DateType
_EXCEL_DAY_0 = "1899-12-30"
_LAST_EXCEL_DAY = 2_958_465
_FIRST_INSTANT, _LAST_INSTANT = "0001-01-02", "9999-12-31 23:59:59.999999"
"""Range supported by both Spark and Python. Excludes 0001-01-01, a common marker for a missing date."""
_EVIDENCE = {
    "given_name": ("family_name",), "family_name": ("given_name",), "city": ("street", "postcode"),
}  # fmt: skip
"""Person column -> columns of which one must be known for a word such as Null to be a name."""
PLACEHOLDER, POSSIBLE_PLACEHOLDER = "placeholder", "possible_placeholder"

VISIBLE = "_visible_{}_{}"
"""Cell of a column by its position in the mapping."""
RAW, REPAIR, TEXT, BESIDE, PLAIN, ZONE = "_raw_{}", "_repair_{}", "_text_{}", "_beside_{}", "_plain_{}", "_zone_{}"
BARE, DIGITS, VALUE = "_bare_{}", "_digits_{}", "_value_{}"
REASON, NOTE, CODE = "_reason_{}", "_note_{}", "_code_{}"
"""Intermediate columns of a conversion, formatted with the column name; bronze columns never start with `_`."""


@dataclass(frozen=True)
class CompanyDefaults:
    """Currency of amounts and time zone of times whose row and source name none."""

    currency: str = "EUR"
    time_zone: str = "UTC"


def converted(
    bronze: DataFrame,
    source: Source,
    entity: str,
    feed: Feed,
    rules: QualityRules,
    standards: Standards,
    company: CompanyDefaults,
) -> tuple[DataFrame, list[str]]:
    """Grain as `bronze`. Returns the frame and the names of the feed's mapped columns: in contract order, then
    attributes.

    For each mapped column NAME, adds `_raw_NAME` (the cleaned text), `_text_NAME` (null for null markers), `_value_NAME`
    (the typed value), `_reason_NAME` (the reason code of an invalid value), where its conversion can warn
    `_note_NAME` (the reason code of a warning), and `_code_NAME`, the reason code of a placeholder, an invalid value or a
    warning.

    `company`: values of what neither the row nor the source names.
    """
    reader = _Reader(source, entity, feed, tuple(bronze.columns), rules, standards, company)
    kinds, mapped = feed.column_types(entity), feed.mapped
    frame = bronze.withColumns(reader.visible_cells(kinds))
    # One projection per step: Spark inlines expressions, so a single nested expression would make planning very slow.
    for steps in (
        ((RAW, reader.raw),),
        ((TEXT, reader.text), (REPAIR, reader.repair)),
        ((BESIDE, reader.beside), (PLAIN, reader.plain)),
        ((ZONE, reader.zone), (BARE, reader.bare)),
        ((DIGITS, reader.digits),),
        ((VALUE, reader.value),),
        ((REASON, reader.reason), (NOTE, reader.note)),
        ((CODE, reader.code),),
    ):
        added = {
            column.format(name): step(name, kind, mapped[name])
            for column, step in steps
            for name, kind in kinds.items()
        }
        frame = frame.withColumns({name: column for name, column in added.items() if column is not None})
        if steps[0][0] == TEXT and takes_currency_of_order(source, entity):
            # Before the amounts are converted: the scale of minor units depends on the currency.
            frame = frame.withColumn(TEXT.format("currency"), reader.currency_of_order())
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
    feed: Feed
    columns: tuple[str, ...]
    rules: QualityRules
    standards: Standards
    company: CompanyDefaults

    def visible_cells(self, kinds: dict[str, DataType]) -> dict[str, Column]:
        """Cells that a mapping reads, without invisible characters."""
        return {
            VISIBLE.format(name, i): cells.visible(
                self._cell(column), is_text=_is_text(name, kind, self.feed.mapped[name])
            )
            for name, kind in kinds.items()
            if name not in VERBATIM
            for i, column in enumerate(self.feed.mapped[name].from_)
        }

    def raw(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        if mapping.value is not None:
            return F.lit(str(mapping.value).lower() if isinstance(mapping.value, bool) else str(mapping.value))
        if mapping.cases:
            return self._cases(mapping)
        if mapping.hash_of is not None:
            return self._digest(mapping.hash_of)
        if name in VERBATIM:
            text = self._joined([self._cell(column) for column in mapping.from_], mapping)
            return F.when(F.trim(text) != "", text)
        text = F.trim(self._joined([self._clean(column, name, kind) for column in mapping.from_], mapping))
        if mapping.extract:
            text = F.regexp_extract(text, mapping.extract, 1)
        if mapping.part:
            country = self.feed.columns.get("country")
            at = country.from_[0] if country is not None and country.from_ else None
            where = F.lit(None).cast("string") if at is None else F.trim(self._cell(at))
            text = name_part(text, where, mapping.part, self.standards, default_country=self.source.country)
        return F.nullif(text, F.lit(""))

    def repair(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Reason code of a repair of the cell."""
        if not mapping.from_ or name in VERBATIM:
            return None
        delivered = F.trim(self._joined([self._cell(column) for column in mapping.from_], mapping))
        if mapping.extract or mapping.part:
            read = F.trim(self._joined([self._clean(column, name, kind) for column in mapping.from_], mapping))
        else:
            read = F.col(RAW.format(name))
        code = F.when(F.coalesce(read, F.lit("")) != delivered, cells.REPAIRED)
        return F.when(cells.is_rounded(delivered), cells.ROUNDED).otherwise(code) if cells.is_code(name) else code

    def text(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        raw = F.col(RAW.format(name))
        if not mapping.from_ or name in VERBATIM or not (spellings := self.rules.placeholders_of(self.entity, name)):
            return raw
        is_placeholder = F.lower(raw).isin(*spellings)
        if (is_name := self._is_name(name)) is not None:
            is_placeholder = is_placeholder & ~is_name
        return F.when(~is_placeholder, raw)

    def currency_of_order(self) -> Column:
        """Currency of a line as written, or the first that another line of its order in the file names."""
        order, currency = F.col(TEXT.format("order_id")), F.col(TEXT.format("currency"))
        lines = Window.partitionBy("_batch_id", "_file", order, F.when(order.isNull(), F.col("_row_id")))
        in_file = lines.orderBy("_block", "_position").rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
        return F.coalesce(currency, F.first(currency, ignorenulls=True).over(in_file))

    def beside(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Time zone beside a time, currency beside an amount, as written."""
        if isinstance(kind, _INSTANT):
            return self._dates.zone_in(self._mapped_text(name, mapping))
        return self.standards.currencies.sign_in(F.col(TEXT.format(name))) if isinstance(kind, DecimalType) else None

    def zone(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Time zone that a time names."""
        return self._dates.named_zone(F.col(BESIDE.format(name))) if isinstance(kind, _INSTANT) else None

    def plain(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Time without its zone, number without currency and grouping blanks."""
        if isinstance(kind, _INSTANT):
            return self._dates.without_zone(self._mapped_text(name, mapping))
        if _is_number(kind, mapping):
            return numbers.bare(self._mapped_text(name, mapping), self.standards.currencies)
        return None

    def bare(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Local timestamp, number in Spark's notation, or the mapped value."""
        plain, zone = F.col(PLAIN.format(name)), F.col(BESIDE.format(name))
        if isinstance(kind, _INSTANT):
            return F.coalesce(*self._locals(plain, zone, mapping))
        if _is_number(kind, mapping):
            return numbers.digits(plain, self.source.decimal)
        return self._mapped_text(name, mapping) if mapping.map or mapping.lookup else None

    def digits(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Timestamp in UTC, or number without its percent sign."""
        if isinstance(kind, _INSTANT):
            plain, local, zone = (F.col(column.format(name)) for column in (PLAIN, BARE, ZONE))
            epochs = [instants.epoch(plain, format_) for format_ in mapping.formats if format_ in instants.EPOCHS]
            instant = self._dates.instant(plain, local, zone)
            return F.coalesce(F.when(local.isNotNull(), instant), *epochs) if epochs else instant
        if not _is_number(kind, mapping):
            return None
        number = F.col(BARE.format(name))
        # The ranges of a rating are those of the file: 85 % is in [80, 100].
        return number if mapping.ranges else numbers.without_percent(F.col(PLAIN.format(name)), number)

    def value(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        if mapping.ranges:
            return _ranged(F.col(DIGITS.format(name)), mapping)
        if _is_number(kind, mapping):
            return self._scaled(F.col(DIGITS.format(name)), mapping).try_cast(kind)
        if isinstance(kind, DateType):
            local, instant, zone = (F.col(column.format(name)) for column in (BARE, DIGITS, ZONE))
            return F.when(_bounded(instant).isNotNull(), self._dates.day(local, instant, zone))
        if isinstance(kind, _INSTANT):
            return _bounded(F.col(DIGITS.format(name)))
        text = F.col((BARE if mapping.map or mapping.lookup else TEXT).format(name))
        if name == "currency":
            text = self.standards.currencies.code(text)
        return self._boolean(text) if isinstance(kind, BooleanType) else text

    def reason(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        text, value = F.col(TEXT.format(name)), F.col(VALUE.format(name))
        code = F.lit(_code(kind))
        if mapping.ranges:
            code = F.when(F.col(DIGITS.format(name)).isNull(), F.lit("bad_number")).otherwise(F.lit("bad_rating"))
        if mapping.map or mapping.lookup:
            code = F.when(self._mapped_text(name, mapping).isNull(), F.lit("unknown_value")).otherwise(code)
        return F.when(text.isNotNull() & value.isNull(), code)

    def note(self, name: str, kind: DataType, mapping: Mapping) -> Column | None:
        """Reason code of a warning about the value; the first of several."""
        if not mapping.from_ or name in VERBATIM:
            return None
        text, notes = F.col(TEXT.format(name)), []
        if isinstance(kind, TimestampType):
            plain, local, instant, zone = (F.col(column.format(name)) for column in (PLAIN, BARE, DIGITS, ZONE))
            if (of_clock := self._dates.note(plain, local, instant, zone)) is not None:
                notes.append(of_clock)
        if isinstance(kind, DecimalType):
            is_other = self.standards.currencies.is_other(F.col(BESIDE.format(name)), self._currency())
            notes.append(F.when(is_other, numbers.OTHER_CURRENCY))
        if words := self.rules.ambiguous_placeholders.get(f"{self.entity}.{name}"):
            is_placeholder_word = F.lower(text).isin(*(word.lower() for word in words))
            notes.append(F.when(is_placeholder_word, POSSIBLE_PLACEHOLDER))
        return F.when(text.isNotNull(), F.coalesce(*notes, F.col(REPAIR.format(name))))

    def code(self, name: str, kind: DataType, mapping: Mapping) -> Column:
        """Reason code of the finding about the cell: a placeholder, an invalid value or a warning."""
        is_placeholder = F.col(RAW.format(name)).isNotNull() & F.col(TEXT.format(name)).isNull()
        has_note = mapping.from_ and name not in VERBATIM
        others = [F.col(REASON.format(name)), *([F.col(NOTE.format(name))] if has_note else [])]
        return F.coalesce(F.when(is_placeholder, PLACEHOLDER), *others)

    @property
    def _dates(self) -> DateReader:
        zone = self.company.time_zone
        return DateReader(self.standards.dates, self.source.time_zone or zone, zone)

    def _cell(self, column: str) -> Column:
        if column == FILE:
            return F.col(FILE)
        stored = encoded(column, int(column[1:]) if column[1:].isdigit() and column[0] == "c" else 0)
        # A missing column reads as null; required columns are checked later.
        return F.col(f"`{stored}`") if stored in self.columns else F.lit(None).cast("string")

    def _clean(self, column: str, name: str, kind: DataType) -> Column:
        is_text = _is_text(name, kind, self.feed.mapped[name])
        visible = F.col(VISIBLE.format(name, self.feed.mapped[name].from_.index(column)))
        if cells.is_code(name):
            return cells.code(visible, is_phone=name == "phone")
        return cells.unwrapped(visible, is_text=is_text)

    def _joined(self, parts: list[Column], mapping: Mapping) -> Column:
        return parts[0] if len(parts) == 1 else F.concat_ws(mapping.join, *parts)

    def _is_name(self, name: str) -> Column | None:
        """Whether a word that is a null marker and a name is a name: beside another part of it, spelled like that."""
        words = self.rules.ambiguous_placeholders.get(f"{self.entity}.{name}", ())
        others = [other for other in _EVIDENCE.get(name, ()) if other in self.feed.columns]
        if self.entity != "person" or not words or not others:
            return None
        raw, known = F.col(RAW.format(name)), []
        for other in others:
            text = F.col(RAW.format(other))
            is_known = text.isNotNull() & ~F.lower(text).isin(*self.rules.placeholders_of(self.entity, other))
            is_upper, is_lower = (raw == F.upper(raw)), (raw == F.lower(raw))
            has_same_case = (is_upper & (text == F.upper(text))) | (is_lower & (text == F.lower(text)))
            is_spelled = F.when(is_upper | is_lower, has_same_case & text.rlike(r"\p{L}")).otherwise(F.lit(True))
            known.append(F.coalesce(is_known & is_spelled, F.lit(False)))
        is_ambiguous = F.coalesce(F.lower(raw).isin(*(word.lower() for word in words)), F.lit(False))
        return is_ambiguous & reduce(Column.__or__, known)

    def _mapped_text(self, name: str, mapping: Mapping) -> Column:
        text = F.col(TEXT.format(name))
        if mapping.lookup is not None:
            found = F.when(text.isNotNull(), F.col(FOUND.format(name)))
            if mapping.map:
                return self._mapped(found, mapping)
            return (
                found if mapping.otherwise is None else F.coalesce(found, F.when(text.isNotNull(), mapping.otherwise))
            )
        return self._mapped(text, mapping) if mapping.map else text

    def _currency(self) -> Column:
        """Currency of the row."""
        default = F.lit(self.source.currency or self.company.currency)
        if "currency" not in self.feed.columns:
            return default
        return F.coalesce(self.standards.currencies.code(F.col(TEXT.format("currency"))), default)

    def _locals(self, plain: Column, zone: Column, mapping: Mapping) -> list[Column]:
        """Local timestamps of the formats; null where an earlier format is an epoch and matches: it has no local time."""
        found, earlier_epochs = [F.lit(None).cast("timestamp")], []
        for name in mapping.formats or ["iso"]:
            if name in instants.EPOCHS:
                earlier_epochs.append(instants.epoch(plain, name))
                continue
            local = self._excel(plain) if name == "excel" else self._dates.local(plain, name, zone, mapping.newest_year)
            found.append(F.when(F.coalesce(*earlier_epochs).isNull(), local) if earlier_epochs else local)
        return found

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
        if mapping.scale == MINOR_UNITS:
            amount = self.standards.currencies.from_minor_units(amount, self._currency())
        elif mapping.scale is not None:
            amount = amount * F.lit(str(mapping.scale)).cast("decimal(20,8)")
        if mapping.divide_by is not None:
            amount = F.try_divide(amount, self._number(self._cell(mapping.divide_by)).try_cast("decimal(20,8)"))
        return amount

    def _number(self, text: Column) -> Column:
        bare = numbers.bare(cells.cleaned(text, is_text=False), self.standards.currencies)
        return numbers.digits(bare, self.source.decimal)

    def _excel(self, text: Column) -> Column:
        """Timestamp of a spreadsheet serial number; the fraction is the time of day."""
        number = self._number(text).try_cast("double")
        seconds = F.round(F.when(number.between(1, _LAST_EXCEL_DAY), number) * 86_400)
        return F.timestamp_seconds(F.unix_timestamp(F.lit(_EXCEL_DAY_0).cast("timestamp")) + seconds)


def _is_text(name: str, kind: DataType, mapping: Mapping) -> bool:
    return not (cells.is_code(name) or name == "email" or _is_number(kind, mapping) or isinstance(kind, _INSTANT))


def _is_number(kind: DataType, mapping: Mapping) -> bool:
    return bool(mapping.ranges) or isinstance(kind, _NUMBER)


def _bounded(instant: Column) -> Column:
    first, last = (F.lit(bound).cast("timestamp") for bound in (_FIRST_INSTANT, _LAST_INSTANT))
    return F.when(instant.between(first, last), instant)


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
