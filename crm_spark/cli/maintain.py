"""`crm-spark maintain`: compact the tables of a lake, and remove what is no longer read."""

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crm_spark.cli.options import DEFAULT_CONF, Conf, Lake, Overrides
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import number_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MaintainDryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be removed, and remove nothing.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("maintain", help="Compact tables, and remove old versions, models, shard sets and leftovers.")(
        _maintain
    )


def _maintain(
    lake: Lake, conf: Conf = DEFAULT_CONF, dry_run: MaintainDryRun = False, overrides: Overrides = None
) -> None:
    raise typer.Exit(exit_code_of(lambda: run(lake, conf, overrides or [], is_dry_run=dry_run)))


def run(lake: str, conf: Path, overrides: list[str], *, is_dry_run: bool = False) -> int:
    """Maintain a lake under its lease, and print what was done or would be.

    Raises:
        InputError: the lake has another layout.
        LeaseHeldError: a refresh runs.
    """
    from crm_spark.core.files import LakeFiles
    from crm_spark.core.hadoop_files import HadoopFolder
    from crm_spark.core.session import build_session
    from crm_spark.core.tables import TableStore
    from crm_spark.core.uri_lease import lease_of
    from crm_spark.core.uris import is_remote, lake_root
    from crm_spark.maintenance.lake_files import removals
    from crm_spark.maintenance.lake_tables import maintain_tables
    from crm_spark.migrations import require_supported_layout
    from crm_spark.models.registry import models_dir, read_registry
    from crm_spark.settings import load_settings

    settings = load_settings(conf, overrides)
    cfg = settings.maintain

    def session() -> "SparkSession":
        return build_session(settings.session, app_name="crm_spark maintain")

    run_id = uuid.uuid4().hex[:12]
    with lease_of(lake, spark=session, run_id=run_id, time_to_live_seconds=settings.lease_seconds) as lease:
        spark = session()
        root = lake_root(lake)
        store = TableStore(spark, root, committing=lease.committing, is_dry_run=is_dry_run)
        require_supported_layout(store)
        copy = LakeFiles(spark, store.root)
        copy.fetch()
        files = copy.folder
        would = "would be " if is_dry_run else ""
        total = 0
        for removal in removals(files, keep_versions=cfg.keep_versions, teacher=settings.train.teacher):
            total += (num_bytes := removal.num_bytes)
            print(f"{removal.path}: {would}removed, {num_bytes / 1e6:.1f} MB: {removal.reason}")
            if not is_dry_run:
                with lease.committing():
                    _remove(removal.path)
        if not is_dry_run and is_remote(root):
            with lease.committing():
                copy.publish()
                HadoopFolder(spark, f"{root}/_scratch").delete()
        registry = read_registry(models_dir(files))
        used = {registry["production"], registry["candidate"]} - {None}
        for done in maintain_tables(store, cfg, used_models=used):
            parts = [
                number_of(done.num_rows_deleted, "expired row") + f" {would}deleted" if done.num_rows_deleted else "",
                number_of(done.num_files_compacted, "file") + f" {would}compacted" if done.num_files_compacted else "",
                number_of(done.num_files_removed, "obsolete file") + f" {would}removed"
                if done.num_files_removed
                else "",
            ]
            if any(parts):
                print(f"{done.table}: {', '.join(filter(None, parts))}")
        print(f"{total / 1e6:.1f} MB of models, shard sets and leftovers {would}removed")
    return 0


def _remove(path: Path) -> None:
    """Remove a file or a folder; a folder that is removed in part is hidden from those that list versions."""
    if path.is_dir():
        hidden = path if path.name.startswith(".") else path.with_name(f".{path.name}.removed")
        shutil.rmtree(path.replace(hidden))
    else:
        path.unlink(missing_ok=True)
