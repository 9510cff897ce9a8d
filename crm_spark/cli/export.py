"""`crm-spark export`: one table of the lake as one CSV file that is safe to open in a spreadsheet.

Cells that a spreadsheet would run as a formula get an apostrophe in front, as do cells that begin with one: removing the
first apostrophe of a cell restores every value (the OWASP rule against CSV injection, made reversible).
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crm_spark.cli.contactability import contact_warning
from crm_spark.cli.options import DEFAULT_CONF, Conf, Lake, Overrides, Overwrite
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from crm_spark.core.contract import TableContract

_IS_ACTIVE = "^(?:[\\t\\r\\n']|[\\s\\p{Z}]*[=+\\-@\uff1d\uff0b\uff0d\uff20])"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", help="Write one table of the lake as one CSV file.")(_export)


def _export(
    table: Annotated[str, typer.Option(help="Name of the table, such as actions.next_best.")],
    lake: Lake,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")],
    columns: Annotated[
        str | None, typer.Option(help="Columns, separated by commas; default: all except personal ones.")
    ] = None,
    conf: Conf = DEFAULT_CONF,
    overrides: Overrides = None,
    force: Overwrite = False,
) -> None:
    raise typer.Exit(exit_code_of(lambda: _run(table, lake, out, columns, conf, overrides or [], is_forced=force)))


def exportable_tables() -> "dict[str, TableContract]":
    """Every table with a fixed contract, by name."""
    from crm_spark.contracts import ALL_TABLES

    return {table.name: table for table in ALL_TABLES}


def _run(
    name: str, lake: str, out: Path, columns: str | None, conf: Path, overrides: list[str], *, is_forced: bool
) -> int:
    from crm_spark.core.contract import Sensitivity
    from crm_spark.core.session import build_session
    from crm_spark.core.tables import TableStore
    from crm_spark.core.uris import lake_root
    from crm_spark.migrations import require_supported_layout
    from crm_spark.settings import load_settings
    from crm_spark.stages.decide.stage import load_strategy

    tables = exportable_tables()
    if name not in tables:
        raise ConfigError(f"--table: unknown table {name}; known tables: {', '.join(tables)}.")
    table = tables[name]
    names = _columns(table, columns)
    if out.exists() and not is_forced:
        raise ConfigError(f"{out}: exists already. Give another name, or --force to overwrite it.")
    settings = load_settings(conf, overrides)
    spark = build_session(settings.session, app_name="crm_spark export")
    store = TableStore(spark, lake_root(lake))
    require_supported_layout(store)
    if not store.exists(table):
        raise InputError(f"{table.name}: not in {lake}. Run the stage that writes it first.")
    num_rows = write_csv(store.read(table).select(*names), out)
    get_logger().info("wrote %s: %d rows, columns %s", out, num_rows, ", ".join(names))
    if hidden := [c.name for c in table.columns if c.sensitivity is Sensitivity.PERSONAL and c.name not in names]:
        get_logger().info("personal columns left out: %s; include them with --columns", ", ".join(hidden))
    if "customer_id" in table.column_names:
        require_consent = load_strategy(settings.decide.strategy).require_consent
        if warning := contact_warning(store, table, require_consent=require_consent):
            get_logger().warning("warning: %s", warning)
    return 0


def _columns(table: "TableContract", asked: str | None) -> list[str]:
    from crm_spark.core.contract import Sensitivity

    if not asked:
        return [c.name for c in table.columns if c.sensitivity is not Sensitivity.PERSONAL]
    names = [name.strip() for name in asked.split(",")]
    if unknown := [name for name in names if name not in table.column_names]:
        raise ConfigError(
            f"--columns: {table.name} has no column {', '.join(unknown)}; its columns: {', '.join(table.column_names)}."
        )
    return names


def write_csv(frame: "DataFrame", out: Path) -> int:
    """Write the rows as UTF-8 with a header, through one task, in constant memory; return their number."""
    draft = out.with_name(f".{out.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    cells = [_cell(frame, name).alias(name) for name in frame.columns]
    writer = (
        frame.select(*cells).coalesce(1).write.option("header", True).option("escape", '"').option("emptyValue", "")
    )
    # Spark trims values by default, and line ends within cells must stay as they are.
    writer = writer.option("ignoreLeadingWhiteSpace", False).option("ignoreTrailingWhiteSpace", False)
    try:
        writer.option("quoteAll", True).option("timestampFormat", "yyyy-MM-dd HH:mm:ss").csv(str(draft.absolute()))
        (part,) = draft.glob("part-*.csv")
        part.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return frame.count()


def _cell(frame: "DataFrame", name: str) -> "Column":
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, DoubleType, FloatType, MapType, StringType, StructType

    kind, column = frame.schema[name].dataType, F.col(name)
    if isinstance(kind, DoubleType | FloatType):  # an unknown number is an empty cell
        infinite = F.abs(column) == F.lit(float("inf"))
        return F.when(~F.isnan(column) & ~infinite, column)
    if isinstance(kind, ArrayType | MapType | StructType):
        return neutralised(F.to_json(column))
    return neutralised(column) if isinstance(kind, StringType) else column


def neutralised(text: "Column") -> "Column":
    """The text, with an apostrophe before formulas and before a leading apostrophe."""
    from pyspark.sql import functions as F

    return F.when(text.rlike(_IS_ACTIVE), F.concat(F.lit("'"), text)).otherwise(text)
