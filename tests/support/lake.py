"""A lake filled by hand: a row names the columns that matter, the others get a value of their type."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
AS_OF = date(2025, 1, 31)
_FILLERS: dict[str, Any] = {
    "string": "-",
    "double": 0.0,
    "int": 0,
    "bigint": 0,
    "boolean": False,
    "date": date(2025, 1, 1),
    "timestamp": datetime(2025, 1, 1),
    "decimal(18,4)": Decimal(0),
    "array<string>": [],
}


def filled(contract, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The rows in the contract's order; what a row does not name is null, or 0, false, `-` where null may not be."""
    made = []
    for row in rows:
        unknown = set(row) - set(contract.column_names)
        assert not unknown, f"{contract.name} has no column {unknown}"
        missing = {f.name: None if f.nullable else _FILLERS[f.dataType.simpleString()] for f in contract.schema.fields}
        made.append(tuple({**missing, **row}[name] for name in contract.column_names))
    return made


def frame(spark, contract, rows: list[dict[str, Any]]):
    """The rows as a frame of the contract's schema."""
    return spark.createDataFrame(filled(contract, rows), contract.schema)


def put(tables, contract, rows: list[dict[str, Any]], *, num_partitions: int = 1) -> None:
    """Makes the rows the whole content of the table."""
    made = frame(tables.spark, contract, rows).repartition(num_partitions)
    writer = made.write.format("delta").mode("overwrite").partitionBy(*contract.partition_by)
    writer.save(tables.path(contract))


def lake_context(spark, lake: Path, *overrides: str, fingerprint: str = "f" * 64, as_of: date = AS_OF, conf=None):
    """A context on a lake that several tests share."""
    from crm_spark.core.context import JobContext
    from crm_spark.core.log import get_logger
    from crm_spark.core.tables import TableStore
    from crm_spark.settings import load_settings

    return JobContext(
        spark=spark,
        tables=TableStore(spark, str(lake)),
        settings=load_settings(conf or ROOT / "conf" / "local.yaml", list(overrides)),
        as_of=as_of,
        run_id="test",
        fingerprint=fingerprint,
        started_at=datetime(2025, 2, 1, 12, tzinfo=UTC).replace(tzinfo=None),
        seed=11,
        files_root=lake / "files",
        log=get_logger(),
    )


def cleaned_company(spark, folder: Path, sources, files, *overrides: str, fingerprint: str = "1" * 64):
    """Writes source files (name -> YAML) and data files (name -> content), runs ingest and clean, and returns the context."""
    from crm_spark.stages.clean import stage as clean
    from crm_spark.stages.ingest import stage as ingest

    for name in ("sources", "data"):
        (folder / name).mkdir(exist_ok=True)
    for name, text in sources.items():
        (folder / "sources" / f"{name}.yaml").write_text(text)
    for name, content in files.items():
        (folder / "data" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    paths = (f"ingest.sources_dir={folder / 'sources'}", f"ingest.data_dir={folder / 'data'}")
    ctx = lake_context(spark, folder / "lake", *paths, *overrides, fingerprint=fingerprint)
    for stage in (ingest, clean):
        stage.run(ctx)
    return ctx
