"""Upkeep of the tables of a lake: rows that no run reads any more, small files, and old versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE
from crm_spark.contracts.scores import CHURN, DRIVING_WORD, LIFETIME_VALUE, RECOMMENDATION, WORD_ATTRIBUTION
from crm_spark.core.context import in_parallel
from crm_spark.core.contract import TableContract
from crm_spark.core.tables import TableStore, upkeep
from crm_spark.maintenance.config import MaintainConfig

SNAPSHOTS = (FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE, CHURN, LIFETIME_VALUE, RECOMMENDATION, DRIVING_WORD)
"""Tables with a snapshot per logical date that later runs do not read. Actions are kept: their outcomes come later."""


@dataclass(frozen=True)
class Upkeep:
    """What was done, or is to do, for one table; the fields without work are 0."""

    table: str
    num_rows_deleted: int = 0
    num_files_compacted: int = 0
    num_files_removed: int = 0


def expired(days: list[date], *, keep_days: int) -> list[date]:
    """Snapshots to delete: more than `keep_days` older than the newest one, and not the last of their month."""
    last_of_month: dict[tuple[int, int], date] = {}
    for day in sorted(days):
        last_of_month[day.year, day.month] = day
    oldest = max(days) - timedelta(days=keep_days) if days else date.min
    return sorted(day for day in days if day < oldest and day != last_of_month[day.year, day.month])


def maintain_tables(store: TableStore, cfg: MaintainConfig, *, used_models: set[str]) -> list[Upkeep]:
    """Delete expired rows, compact, and remove old versions, table by table; a dry run counts only.

    Args:
        store: the lake.
        cfg: settings.
        used_models: versions of the text model whose word attributions are kept; empty: all are.
    """
    deletions = {table.name: condition for table, condition in _deletions(store, cfg, used_models)}
    tables = upkeep.table_paths(store.spark, store.root)
    return in_parallel(lambda item: _maintain(store, cfg, *item, deletions.get(item[0])), tables.items())


def _maintain(store: TableStore, cfg: MaintainConfig, name: str, path: str, condition: str | None) -> Upkeep:
    size = upkeep.table_size(store.spark, path)
    is_fragmented = size.is_fragmented(cfg.compact_from_files)
    if store.is_dry_run:
        return Upkeep(
            name,
            store.spark.read.format("delta").load(path).where(condition).count() if condition else 0,
            size.num_files if is_fragmented else 0,
            upkeep.num_obsolete_files(store.spark, path, days=cfg.retention_days),
        )
    with store.committing():
        upkeep.set_retention(store.spark, path, size, days=cfg.retention_days)
        return Upkeep(
            name,
            upkeep.delete_rows(store.spark, path, condition) if condition else 0,
            upkeep.compact(store.spark, path) if is_fragmented else 0,
            upkeep.remove_obsolete_files(store.spark, path, days=cfg.retention_days),
        )


def _deletions(store: TableStore, cfg: MaintainConfig, used_models: set[str]) -> Iterator[tuple[TableContract, str]]:
    """Each table with expired rows, and the SQL condition that they satisfy."""
    for table in SNAPSHOTS if cfg.snapshot_days is not None else ():
        if store.exists(table):
            days = [row[0] for row in store.read(table).select("as_of").distinct().collect()]  # one per night
            if old := expired(days, keep_days=cfg.snapshot_days or 0):
                listed = ", ".join(f"DATE '{day}'" for day in old)
                yield table, f"as_of IN ({listed})"
    if used_models and store.exists(WORD_ATTRIBUTION):
        listed = ", ".join(f"'{version}'" for version in sorted(used_models))
        yield WORD_ATTRIBUTION, f"model_version NOT IN ({listed})"
