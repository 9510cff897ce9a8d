"""What mappings make of a company's files: records before and after, matches between sources, revenue, quarantined rows."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY, QUARANTINE, RECONCILIATION
from crm_spark.contracts.sales import SALE_STATUSES
from crm_spark.contracts.silver import ENTITIES, ORDER, ORDER_LINE, PERSON, SILVER_ENVELOPE
from crm_spark.core.contract import Sensitivity
from crm_spark.core.days import local_time
from crm_spark.core.failures import describe
from crm_spark.core.tables import TableStore
from crm_spark.onboarding.column_profile import PATTERNS
from crm_spark.quality.rules import Rule
from crm_spark.sources.config import Source
from crm_spark.sources.mappings import Feed
from crm_spark.stages.clean.records import field_of, stored_column

NUM_ROWS = 20
"""Records shown of each source and entity."""
_MAX_CELL = 40
_PERSONAL = tuple(map(re.compile, (r"[^@\s]+@[^@\s]+\.\w", PATTERNS["iban"], PATTERNS["phone"])))
"""Values that are masked in every column."""
_ENVELOPE = {"system", *(column.name for column in SILVER_ENVELOPE)} - {"updated_at"}


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: title.
        header: column names.
        rows: cells.
        has_records: whether its rows are records rather than counts.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    has_records: bool = False


@dataclass(frozen=True)
class Preview:
    """What the mappings make of the files.

    Attributes:
        num_people: number of person records; None: unknown.
        notes: sentences about sources that were sampled or could not be shown.
        tables: counts first, then the records of each source.
    """

    num_people: int | None
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()

    def with_notes(self, notes: Iterable[str]) -> "Preview":
        """The preview with further notes before its own."""
        return replace(self, notes=(*notes, *self.notes))


def preview(
    tables: TableStore, sources: Iterable[Source], rules: Sequence[Rule], *, currency: str, zone: str
) -> Preview:
    """Preview a lake; values of personal columns are masked, and a part that fails becomes a note.

    Args:
        tables: lake with bronze and silver of the files.
        sources: configured sources.
        rules: quality rules; those that reference another entity tell which columns should match.
        currency: reporting currency.
        zone: IANA time zone of the company's days.
    """
    parts: list[tuple[str, Callable[[], list[Table]]]] = [
        ("rows", lambda: [_counts(tables)]),
        ("quarantined rows", lambda: [_quarantined(tables)]),
        ("rejected files", lambda: [_rejected(tables)]),
        ("matches between sources", lambda: [_matches(tables, rules)]),
        ("revenue", lambda: [_revenue(tables, currency, zone)]),
        *((source.name, lambda source=source: _records(tables, source)) for source in sources),
    ]
    found, notes = list[Table](), list[str]()
    for name, build in parts:
        try:
            found += [table for table in build() if table.rows]
        except Exception as error:  # one part must not hide the others
            notes.append(f"{name}: cannot be shown: {describe(error)[0]}")
    num_people = tables.read(PERSON).count() if tables.exists(PERSON) else 0
    return Preview(num_people, tuple(notes), tuple(found))


def _counts(tables: TableStore) -> Table:
    counts = tables.read(RECONCILIATION).groupBy("source", "entity")
    names = ("num_in", "num_accepted", "num_duplicate", "num_quarantined")
    rows = counts.agg(*(F.sum(name).alias(name) for name in names)).orderBy("source", "entity").collect()
    header = ("source", "entity", "rows", "accepted", "duplicates", "quarantined")
    return Table("Rows", header, [[r["source"], r["entity"], *(f"{r[name]:,}" for name in names)] for r in rows])


def _quarantined(tables: TableStore) -> Table:
    waiting = tables.read(QUARANTINE).where("status = 'quarantined'").withColumn("reason", F.explode("reasons"))
    example = F.min(F.struct("file", "position")).alias("example")
    grouped = waiting.groupBy("source", "entity", "reason").agg(F.count(F.lit(1)).alias("n"), example)
    rows = grouped.orderBy(F.desc("n"), "source", "entity", "reason").limit(2 * NUM_ROWS).collect()
    listed = [
        [
            r["source"],
            r["entity"],
            r["reason"],
            f"{r['n']:,}",
            f"{r['example']['file']}, record {r['example']['position']}",
        ]
        for r in rows
    ]
    return Table("Quarantined rows", ("source", "entity", "reason", "rows", "example"), listed)


def _rejected(tables: TableStore) -> Table:
    rows = tables.read(DELIVERY).where("status = 'rejected'").select("file", "reason").limit(2 * NUM_ROWS).collect()
    return Table("Rejected files", ("file", "reason"), sorted([r["file"], r["reason"]] for r in rows))


def _matches(tables: TableStore, rules: Iterable[Rule]) -> Table:
    """Fraction of the rows with a reference whose record exists in the same system."""
    found = []
    for rule in rules:
        if rule.reference is None or not tables.exists(ENTITIES[rule.entity]):
            continue
        entity, key = rule.reference
        named = tables.read(ENTITIES[rule.entity]).where(F.col(rule.column).isNotNull())
        known = tables.read(ENTITIES[entity]).select("system", F.col(key).alias(rule.column), F.lit(1).alias("_known"))
        counts = named.join(known.distinct(), ["system", rule.column], "left").groupBy("source")
        rows = counts.agg(F.count(F.lit(1)).alias("n"), F.count("_known").alias("known")).orderBy("source").collect()
        found += [
            [r["source"], f"{rule.entity}.{rule.column}", entity, f"{r['n']:,}", f"{100 * r['known'] / r['n']:.1f} %"]
            for r in rows
        ]
    return Table("Matches between sources", ("source", "column", "refers to", "rows", "found"), found)


def _revenue(tables: TableStore, currency: str, zone: str) -> Table:
    """Amounts of sold orders by month: of their lines, or their total without lines, less discounts on the whole order."""
    sold = tables.read(ORDER).where(F.col("status").isin(*SALE_STATUSES))
    month = F.date_format(local_time("ordered_at", zone), "yyyy-MM").alias("month")
    sold = sold.select("system", "order_id", month, "amount", "discount_amount")
    kept = F.when(F.col("is_return"), F.lit(0)).otherwise(F.col("amount"))
    lines = tables.read(ORDER_LINE).groupBy("system", "order_id").agg(F.sum(kept).alias("_lines"))
    net = F.coalesce(F.col("_lines") - F.coalesce("discount_amount", F.lit(0)), F.col("amount"))
    months = sold.join(lines, ["system", "order_id"], "left").groupBy("month")
    counted = months.agg(F.count(F.lit(1)).alias("n"), F.sum(net).alias("amount"))
    rows = counted.orderBy(F.desc("month")).limit(3 * NUM_ROWS).collect()
    listed = [[r["month"], f"{r['n']:,}", "" if r["amount"] is None else f"{r['amount']:,.2f}"] for r in rows]
    return Table("Revenue by month, newest first", ("month", "orders", f"revenue ({currency})"), listed)


def _records(tables: TableStore, source: Source) -> list[Table]:
    """First records of a source as delivered, and the rows that its feeds make of them."""
    found = []
    harmless = harmless_columns(source)
    for entity, feed in source.feeds.items():
        contract = ENTITIES[entity]
        mapped = [name for name in contract.column_names if name not in _ENVELOPE]
        silver = tables.read(contract).where(F.col("source") == source.name).orderBy("row_id").limit(NUM_ROWS)
        after = silver.select("row_id", *mapped).collect()
        present = [name for name in mapped if any(row[name] is not None for row in after)]
        before = _bronze_rows(tables.read(bronze(source.name)), [row["row_id"] for row in after], feed)
        columns = list(before[0].asDict()) if before else []
        found.append(
            Table(
                f"{source.name}: as delivered, for {entity}",
                columns,
                [[masked_cell(row[name], is_masked=name not in harmless) for name in columns] for row in before],
                has_records=True,
            )
        )
        hidden = {c.name for c in contract.columns if c.sensitivity is Sensitivity.PERSONAL}
        found.append(
            Table(
                f"{source.name}: as {entity}",
                present,
                [[masked_cell(row[name], is_masked=name in hidden) for name in present] for row in after],
                has_records=True,
            )
        )
    return found


def _bronze_rows(records: DataFrame, row_ids: Sequence[str], feed: Feed) -> list[Row]:
    """Delivered records of silver rows, with the mapped fields; those of elements of a list are left out."""
    element = f"{feed.each}." if feed.each else None
    names = [n for n in feed.source_columns if not n.startswith("_") and n != feed.each]
    shown = [
        n for n in names if not (element and n.startswith(element)) and stored_column(n, records.columns) is not None
    ]
    # An element of a list has the id of its record, and its position.
    ids = sorted({":".join(row_id.split(":")[:3]) for row_id in row_ids})
    chosen = records.where(F.col("_row_id").isin(*ids)) if ids else records.limit(0)
    columns = [field_of(name, records.columns).alias(name) for name in shown]
    return chosen.orderBy("_row_id").select(*columns).limit(NUM_ROWS).collect() if columns else []


def harmless_columns(source: Source) -> set[str]:
    """Source columns that are mapped as they are, and only to columns and attributes that are not personal."""
    harmless, others = set[str](), set[str]()
    for entity, feed in source.feeds.items():
        personal = {c.name for c in ENTITIES[entity].columns if c.sensitivity is Sensitivity.PERSONAL}
        for name, mapping in feed.columns.items():
            is_plain = name not in personal and mapping.lookup is None and mapping.hash_of is None
            (harmless if is_plain else others).update(mapping.source_columns)
        for attribute in feed.attributes.values():
            is_plain = attribute.sensitivity == "internal" and attribute.lookup is None and attribute.hash_of is None
            (harmless if is_plain else others).update(attribute.source_columns)
    return harmless - others


def masked_cell(value: Any, *, is_masked: bool) -> str:
    """A cell in one short line; letters and digits are masked if `is_masked`, or if it looks like an e-mail, IBAN or phone."""
    if value is None:
        return ""
    text = " ".join(str(value).split())
    if is_masked or any(pattern.search(text) for pattern in _PERSONAL):
        text = re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", text))
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def markdown(shown: Preview, *, with_records: bool = True) -> str:
    """A preview as Markdown, with or without its longest part, the records."""
    people = "" if shown.num_people is None else f"{shown.num_people:,} person records. "
    head = f"# Preview\n\n{people}Personal values are masked: letters as x, digits as 9."
    notes = ["## Notes\n\n" + "\n".join(f"- {note}" for note in shown.notes)] if shown.notes else []
    tables = [_table(table) for table in shown.tables if with_records or not table.has_records]
    return "\n\n".join([head, *notes, *tables]) + "\n"


def _table(table: Table) -> str:
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    cells = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([f"## {table.title}", "", *cells])
