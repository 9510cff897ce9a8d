"""What mappings make of a company's files: records before and after, matches between sources, revenue, quarantined rows."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY, QUARANTINE, RECONCILIATION
from crm_spark.contracts.sales import SALE_STATUSES
from crm_spark.contracts.silver import ENTITIES, ORDER, ORDER_LINE, PERSON, SILVER_ENVELOPE
from crm_spark.core.contract import Sensitivity
from crm_spark.core.days import local_time
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
_RECORDS = ": as "
"""In the titles of tables of records."""
_ENVELOPE = {"system", *(column.name for column in SILVER_ENVELOPE)} - {"updated_at"}


@dataclass(frozen=True)
class Table:
    """A table of text."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def preview(tables: TableStore, sources: Iterable[Source], rules: Iterable[Rule], *, currency: str, zone: str) -> str:
    """The preview as Markdown; values of personal columns are masked.

    Args:
        tables: lake with bronze and silver of the files.
        sources: configured sources.
        rules: quality rules; those that reference another entity tell which columns should match.
        currency: reporting currency.
        zone: IANA time zone of the company's days.
    """
    sections = [_counts(tables), _quarantined(tables), _rejected(tables), _matches(tables, rules)]
    sections += [_revenue(tables, currency, zone)]
    for source in sources:
        sections += _records(tables, source)
    shown = [section for section in sections if section.rows]
    num_people = tables.read(PERSON).count()
    head = f"# Preview\n\n{num_people:,} person records. Personal values are masked: letters as x, digits as 9."
    return "\n\n".join([head, *map(_markdown, shown)]) + "\n"


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
    harmless = _harmless_columns(source)
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
                f"{source.name}{_RECORDS}delivered, for {entity}",
                columns,
                [[_cell(row[name], is_masked=name not in harmless) for name in columns] for row in before],
            )
        )
        hidden = {c.name for c in contract.columns if c.sensitivity is Sensitivity.PERSONAL}
        found.append(
            Table(
                f"{source.name}{_RECORDS}{entity}",
                present,
                [[_cell(row[name], is_masked=name in hidden) for name in present] for row in after],
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


def _harmless_columns(source: Source) -> set[str]:
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


def _cell(value: Any, *, is_masked: bool) -> str:
    if value is None:
        return ""
    text = " ".join(str(value).split())
    if is_masked or any(pattern.search(text) for pattern in _PERSONAL):
        text = re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", text))
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def _markdown(table: Table) -> str:
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    cells = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([f"## {table.title}", "", *cells])


def without_records(text: str) -> str:
    """A preview without its longest part, the records."""
    first, *sections = text.split("\n## ")
    kept = [section for section in sections if _RECORDS not in section.split("\n", 1)[0]]
    return "\n## ".join([first, *kept])
