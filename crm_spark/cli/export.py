"""What `jobs/export.py` does: one table of the lake as one CSV file that a spreadsheet can open without running anything.

A text that a spreadsheet would take for a formula gets a quote in front, and so does one that begins with a quote: taking
the first quote of a cell away gives every value back (the OWASP rule against CSV injection, made reversible).
"""

import argparse
import shutil
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StringType, StructType

from crm_spark.contracts import features, gold, ops, silver
from crm_spark.core.contract import Sensitivity, TableContract
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger

TABLES: dict[str, TableContract] = {
    table.name: table
    for table in (
        *silver.ENTITIES.values(),
        *silver.HISTORY.values(),
        silver.CONSENT_HISTORY,
        *gold.TABLES,
        *features.TABLES,
        *ops.TABLES,
    )
}
_IS_ACTIVE = "^(?:[\\t\\r\\n']|[\\s\\p{Z}]*[=+\\-@\uff1d\uff0b\uff0d\uff20])"


def main(argv: list[str] | None = None) -> int:
    """Writes the file whole or not at all.

    Returns:
        0 done, 2 bad arguments or input.
    """
    arguments = _parser().parse_args(argv)
    return exit_code_of(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from crm_spark.core.session import build_session
    from crm_spark.core.tables import TableStore
    from crm_spark.settings import load_settings

    out, table = Path(arguments.out), TABLES.get(arguments.table)
    if table is None:
        raise ConfigError(f"--table: {arguments.table} is none of {', '.join(TABLES)}.")
    names = _columns(table, arguments.columns)
    if out.exists() and not arguments.force:
        raise ConfigError(f"{out}: is there already. Give another name, or --force to write it anew.")
    settings = load_settings(Path(arguments.conf), arguments.set)
    spark = build_session(settings.session, app_name="crm_spark export")
    tables = TableStore(spark, str(Path(arguments.lake).absolute()) if "://" not in arguments.lake else arguments.lake)
    if not tables.exists(table):
        raise InputError(f"{table.name}: is not in {arguments.lake}. Run the stage that writes it first.")
    num_rows = write_csv(tables.read(table).select(*names), out)
    get_logger().info("wrote %s: %d rows, columns %s", out, num_rows, ", ".join(names))
    if hidden := [c.name for c in table.columns if c.sensitivity is Sensitivity.PERSONAL and c.name not in names]:
        get_logger().info("left out, since they are personal: %s; --columns names what you want", ", ".join(hidden))
    return 0


def _columns(table: TableContract, asked: str | None) -> list[str]:
    if not asked:
        return [c.name for c in table.columns if c.sensitivity is not Sensitivity.PERSONAL]
    names = [name.strip() for name in asked.split(",")]
    if unknown := [name for name in names if name not in table.column_names]:
        raise ConfigError(
            f"--columns: {table.name} has no {', '.join(unknown)}; it has {', '.join(table.column_names)}."
        )
    return names


def write_csv(frame: DataFrame, out: Path) -> int:
    """Writes the rows, UTF-8 with a header, through one task and so in any amount of memory; how many there were."""
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    cells = [_cell(frame, name).alias(name) for name in frame.columns]
    writer = (
        frame.select(*cells).coalesce(1).write.option("header", True).option("escape", '"').option("emptyValue", "")
    )
    # Spark would trim what it writes, and a line end within a cell must not become another one.
    writer = writer.option("ignoreLeadingWhiteSpace", False).option("ignoreTrailingWhiteSpace", False)
    try:
        writer.option("quoteAll", True).option("timestampFormat", "yyyy-MM-dd HH:mm:ss").csv(str(draft.absolute()))
        (part,) = draft.glob("part-*.csv")
        part.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return frame.count()


def _cell(frame: DataFrame, name: str) -> Column:
    kind, column = frame.schema[name].dataType, F.col(name)
    if isinstance(kind, ArrayType | MapType | StructType):
        return neutralised(F.to_json(column))
    return neutralised(column) if isinstance(kind, StringType) else column


def neutralised(text: Column) -> Column:
    """The text, with a quote before what a spreadsheet would run and before what begins with one."""
    return F.when(text.rlike(_IS_ACTIVE), F.concat(F.lit("'"), text)).otherwise(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Writes one table of the lake as one CSV file.")
    parser.add_argument("--table", required=True, help="such as actions.next_best")
    parser.add_argument("--lake", required=True, help="folder or URI of the lake")
    parser.add_argument("--out", required=True, help="the file to write")
    parser.add_argument("--columns", help="names, with commas between; without: all but the personal ones")
    parser.add_argument("--conf", default="conf/local.yaml", help="configuration of the session")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="overrides one setting")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    return parser
