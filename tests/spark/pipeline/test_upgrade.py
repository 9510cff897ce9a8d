"""A lake written by older code is upgraded once; newer lakes are refused."""

import json
import shutil

import pytest
from deltalake import DeltaTable
from support.old_lake import unpack

from crm_spark.contracts import ALL_TABLES
from crm_spark.contracts.ops import DELIVERY, FINDING, METRIC, QUARANTINE, RECONCILIATION
from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.contracts.silver import PERSON
from crm_spark.core.errors import InputError
from crm_spark.core.tables import TableStore
from crm_spark.core.tables.migration import set_layout
from crm_spark.migrations import require_supported_layout, upgrade_lake
from crm_spark.migrations.layout_2 import migrate_models
from crm_spark.models.registry import current_version, models_dir, open_model

ADDED_SINCE = {"merged_from", "reading_version", "position", "hint", "num_replaced"}
"""Columns that a table gets with its next write."""


@pytest.fixture(scope="module")
def upgraded(spark, tmp_path_factory):
    """The old lake after its upgrade, and what any Delta reader saw in it before."""
    old = unpack(tmp_path_factory.mktemp("old"))
    before = {path.parent: DeltaTable(str(path.parent)) for path in old.lake.glob("*/*/_delta_log")}
    rows = {f"{path.parent.name}.{path.name}": table.to_pyarrow_table().num_rows for path, table in before.items()}
    store = TableStore(spark, str(old.lake))
    assert upgrade_lake(store, old.lake / "files")
    return old, rows, store


def test_every_row_of_every_table_is_kept(upgraded):
    _, rows, store = upgraded
    for table in ALL_TABLES:
        before = rows.get(table.former_name or table.name)
        if before is not None:
            read = DeltaTable(store.path(table)).to_pyarrow_table()
            assert read.num_rows == before, table.name
            added = ADDED_SINCE | {column.name for column in table.columns if column.is_added}
            assert set(table.column_names) - added <= set(read.column_names), table.name
    assert "ops.batch_fate" in rows and store.exists(RECONCILIATION)


def test_no_former_name_remains(upgraded):
    old, _, store = upgraded
    for table in ALL_TABLES:
        if store.exists(table):
            names = set(DeltaTable(store.path(table)).to_pyarrow_table().column_names)
            assert not names & {column.former_name for column in table.columns if column.former_name}, table.name
            if table.former_name:
                assert not (old.lake / table.former_name.replace(".", "/")).exists()


def test_stored_values_are_replaced(upgraded):
    _, _, store = upgraded
    reasons = {r for row in store.read(QUARANTINE).collect() for r in row["reasons"]}
    assert "exact_duplicate" in reasons and "exact_repeat" not in reasons
    assert {row["status"] for row in store.read(QUARANTINE).collect()} == {"quarantined", "duplicate"}
    assert {row["severity"] for row in store.read(FINDING).collect()} <= {"nulled", "warn", "quarantine", "block"}
    models = {row["model"] for row in store.read(METRIC).where("stage = 'train'").collect()}
    assert "class_prior" in models and "majority" not in models


def test_versions_from_before_the_upgrade_stay_readable(upgraded):
    _, _, store = upgraded
    first = store.read(PERSON, version=1)
    assert first.columns == list(PERSON.column_names) and first.where("updated_at IS NOT NULL").count() > 0


def test_the_model_in_production_is_found_and_verified(upgraded):
    old, _, store = upgraded
    version = current_version(old.lake / "files")
    model = open_model(models_dir(old.lake / "files") / version)
    assert model.version == version
    assert {row["model_version"] for row in store.read(SCORE_TEXT).collect()} == {version}


def test_an_upgraded_lake_is_not_upgraded_again(upgraded):
    old, _, store = upgraded
    versions = {table.name: store.version(table) for table in ALL_TABLES}
    assert not upgrade_lake(store, old.lake / "files")
    assert {table.name: store.version(table) for table in ALL_TABLES} == versions


def test_dry_run_upgrades_nothing_and_explains_the_next_step(spark, tmp_path):
    old = unpack(tmp_path)
    store = TableStore(spark, str(old.lake), is_dry_run=True)
    with pytest.raises(
        InputError, match=r"has layout 1, and this version of crm_spark reads layout 2\. A refresh upgrades"
    ):
        upgrade_lake(store, old.lake / "files")
    assert (old.lake / "ops" / "batch_fate").exists()


def test_lake_of_newer_code_is_rejected(spark, tmp_path):
    old = unpack(tmp_path)
    for name in ("silver", "gold", "features", "scores", "bronze"):
        shutil.rmtree(old.lake / name)
    store = TableStore(spark, str(old.lake))
    upgrade_lake(store, old.lake / "files")
    set_layout(store, DELIVERY, 3)
    for check in (require_supported_layout, lambda tables: upgrade_lake(tables, old.lake / "files")):
        set_layout(store, DELIVERY, 3)
        with pytest.raises(InputError, match=r"supports layouts up to 2\. Upgrade crm_spark"):
            check(store)


def test_the_model_registry_is_migrated_once(tmp_path):
    old = tmp_path / "bundles" / "v1"
    old.mkdir(parents=True)
    (old / "bundle.json").write_text("{}")
    (old / "bundle.json.hmac").write_text("x")
    (tmp_path / "bundles" / "registry.json").write_text('{"current": "v1", "candidate": null, "retired": ["v0"]}')
    for _ in range(2):
        migrate_models(tmp_path)
        assert sorted(path.name for path in (tmp_path / "models" / "v1").iterdir()) == ["model.json", "model.json.hmac"]
        content = json.loads((tmp_path / "models" / "registry.json").read_text())
        assert content == {"production": "v1", "candidate": None, "archived": ["v0"]}
