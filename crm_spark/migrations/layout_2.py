"""Layout 2: standard names for tables, columns, values and model files.

Contracts declare the former names of tables and columns; this module declares the former values.
"""

import json
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts import ALL_TABLES
from crm_spark.contracts.ops import DELIVERY, FINDING, METRIC, QUARANTINE, RELEASE, RUN
from crm_spark.core.tables import TableStore
from crm_spark.core.tables.migration import Transform, migrate_table, replaced
from crm_spark.models.registry import models_dir

VERSION = 2
FORMER_MODELS_DIR = "bundles"
_REASON_CODES = {"exact_repeat": "exact_duplicate", "folded": "same_key", "folded_differs": "conflicting_values"}
_MODEL_NAMES = {
    "majority": "class_prior",
    "usual_share": "class_prior",
    "usual_shares": "class_prior",
    "current": "production",
    "reads_the_text": "text_model",
}
_OLD_NOTE, _NEW_NOTE = "^folded_differs:", "conflicting_values:"
"""Prefix of the values in `notes`, which have the form `code:column`."""


def _replace_reasons(frame: DataFrame) -> DataFrame:
    return frame.withColumn("reasons", F.transform("reasons", _replaced_code))


def _replace_in_deliveries(frame: DataFrame) -> DataFrame:
    changed = {"status": {"refused": "rejected"}, "reason": {"repeated_column": "duplicate_column"}}
    return replaced(changed)(frame).withColumn("batch_id", F.regexp_replace("batch_id", "^refused:", "rejected:"))


def _replace_notes(frame: DataFrame) -> DataFrame:
    return frame.withColumn("notes", F.transform("notes", lambda note: F.regexp_replace(note, _OLD_NOTE, _NEW_NOTE)))


def _replaced_code(code: Column) -> Column:
    for old, new in _REASON_CODES.items():
        code = F.when(code == old, F.lit(new)).otherwise(code)
    return code


_TRANSFORMS: dict[str, Transform] = {
    DELIVERY.name: _replace_in_deliveries,
    QUARANTINE.name: _replace_reasons,
    FINDING.name: replaced({"code": _REASON_CODES, "severity": {"stop": "block"}}),
    RELEASE.name: replaced({"duplicate_reason": _REASON_CODES}),
    METRIC.name: replaced({"model": _MODEL_NAMES}),
}


def migrate(tables: TableStore, files_root: Path) -> None:
    """Rename tables, columns and values, and the files of the model registry."""
    for table in ALL_TABLES:
        if table in (DELIVERY, RUN):
            continue
        transform = _TRANSFORMS.get(table.name)
        if transform is None and "notes" in table.column_names:
            transform = _replace_notes
        migrate_table(tables, table, VERSION, transform)
    migrate_models(files_root)
    # Last, because their layout version marks the lake as migrated.
    migrate_table(tables, RUN, VERSION)
    migrate_table(tables, DELIVERY, VERSION, _TRANSFORMS[DELIVERY.name])


def migrate_models(files_root: Path) -> None:
    """Rename `bundles/` to `models/`, `bundle.json` to `model.json`, and the stages in the registry."""
    old, new = files_root / FORMER_MODELS_DIR, models_dir(files_root)
    if old.is_dir() and not new.exists():
        old.rename(new)
    for index in new.glob("*/bundle.json*"):
        index.rename(index.with_name(index.name.replace("bundle.json", "model.json")))
    registry = new / "registry.json"
    if registry.exists() and "current" in (content := json.loads(registry.read_text(encoding="utf-8"))):
        renamed = {
            "production": content["current"],
            "candidate": content["candidate"],
            "archived": content["retired"],
        }
        temporary = registry.with_name(f".{registry.name}.tmp")
        temporary.write_text(json.dumps(renamed, indent=1, sort_keys=True), encoding="utf-8")
        temporary.replace(registry)
