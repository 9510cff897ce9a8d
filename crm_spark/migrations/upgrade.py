"""Upgrade a lake to the current layout; reject lakes written by newer code."""

from collections.abc import Callable
from pathlib import Path

from crm_spark.contracts.ops import DELIVERY, RUN
from crm_spark.core.errors import InputError
from crm_spark.core.log import get_logger
from crm_spark.core.tables import TableStore
from crm_spark.core.tables.migration import layout_of, set_layout
from crm_spark.core.tables.store import LAYOUT_VERSION
from crm_spark.migrations import layout_2
from crm_spark.models.registry import models_dir

MIGRATIONS: dict[int, Callable[[TableStore, Path], None]] = {2: layout_2.migrate}
"""Layout version -> migration from the version before."""
_LAKE_TABLES = (DELIVERY, RUN)
"""Tables whose layout version is that of the lake: the first and the last table that a run writes."""


def lake_layout(tables: TableStore) -> int | None:
    """Layout version of a lake; None if it is empty.

    Raises:
        InputError: newer code wrote the lake.
    """
    versions = [version for table in _LAKE_TABLES if (version := layout_of(tables, table)) is not None]
    newest = max(versions, default=0)
    if newest > LAYOUT_VERSION:
        raise InputError(
            f"{tables.root}: this lake has layout {newest}, and this version of crm_spark supports layouts up to "
            f"{LAYOUT_VERSION}. Upgrade crm_spark."
        )
    return min(versions, default=None)


def require_supported_layout(tables: TableStore) -> None:
    """Check that this code can read the lake.

    Raises:
        InputError: the lake has another layout.
    """
    layout = lake_layout(tables)
    if layout is not None and layout < LAYOUT_VERSION:
        raise _needs_upgrade(tables.root, layout)


def current_models_dir(lake: Path) -> Path:
    """Folder of the lake's text models, found without Spark.

    Raises:
        InputError: there is no lake, or it has another layout.
    """
    if not lake.is_dir():
        raise InputError(f"{lake}: there is no lake. Give the folder that `--lake` of a refresh names.")
    files_root, folder = lake / "files", models_dir(lake / "files")
    if (files_root / layout_2.FORMER_MODELS_DIR).is_dir() and not folder.exists():
        raise _needs_upgrade(str(lake), layout_2.VERSION - 1)
    return folder


def _needs_upgrade(lake: str, layout: int) -> InputError:
    return InputError(
        f"{lake}: this lake has layout {layout}, and this version of crm_spark reads layout {LAYOUT_VERSION}. "
        "A refresh upgrades it."
    )


def upgrade_lake(tables: TableStore, files_root: Path) -> bool:
    """Apply the missing migrations to a lake.

    For a lake with the current layout only the logs of two tables are read.

    Returns:
        Whether the lake was upgraded.

    Raises:
        InputError: newer code wrote the lake, or an upgrade is due in a dry run.
    """
    layout = lake_layout(tables)
    if layout is None or layout == LAYOUT_VERSION:
        return False
    if tables.is_dry_run:
        require_supported_layout(tables)
    for version in range(layout + 1, LAYOUT_VERSION + 1):
        get_logger().info("upgrading the lake to layout %d", version)
        MIGRATIONS[version](tables, files_root)
        for table in _LAKE_TABLES:  # last, so that an interrupted upgrade is repeated
            if tables.exists(table):
                set_layout(tables, table, version)
    return True
