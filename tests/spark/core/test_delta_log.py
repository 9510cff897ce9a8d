"""The internals of Delta that the adapter uses exist and answer."""

import time
from pathlib import Path

from crm_spark.core.tables import delta_log
from crm_spark.core.tables.delta_log import TableState


def version_of(spark, path):
    return TableState(spark, path).version


def write(spark, path, app_id, version):
    writer = spark.range(1).write.format("delta").mode("append")
    writer.option("txnAppId", app_id).option("txnVersion", version).save(path)


def test_a_missing_table_has_version_minus_one(spark, tmp_path):
    assert version_of(spark, str(tmp_path / "none")) == -1


def test_versions_and_transactions_of_a_table_are_read(spark, tmp_path):
    path = str(tmp_path / "table")
    write(spark, path, "a", 7)
    write(spark, path, "b", 9)
    assert version_of(spark, path) == 1
    assert TableState(spark, path).transaction_version("a") == 7
    assert TableState(spark, path).transaction_version("b") == 9
    assert TableState(spark, path).transaction_version("c") is None
    assert TableState(spark, path).num_known_transactions == 2


def test_transactions_are_found_without_a_checksum_file(spark, tmp_path):
    path = str(tmp_path / "table")
    write(spark, path, "a", 7)
    for checksum in Path(path, "_delta_log").glob("*.crc"):
        checksum.unlink()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    assert TableState(spark, path).transaction_version("a") == 7


def test_properties_are_read_without_a_job(spark, tmp_path):
    path = str(tmp_path / "table")
    spark.sql(f"CREATE TABLE delta.`{path}` (id LONG) USING delta TBLPROPERTIES ('x.y' = 'z')")
    assert TableState(spark, path).properties["x.y"] == "z"


def test_what_a_failed_creation_left_is_removed(spark, tmp_path):
    path = tmp_path / "table"
    (path / "day=1").mkdir(parents=True)
    (path / "day=1" / "part-00000-x.parquet").write_text("")
    (path / "_delta_log").mkdir()
    delta_log.remove_incomplete_table(spark, str(path))
    assert not path.exists()
    (path / "day=1").mkdir(parents=True)
    (path / "day=1" / "orders.csv").write_text("")
    delta_log.remove_incomplete_table(spark, str(path))
    assert (path / "day=1" / "orders.csv").exists(), "not a file of a table"


def test_only_a_log_without_a_commit_is_removed(spark, tmp_path):
    path = tmp_path / "table"
    write(spark, str(path), "a", 1)
    delta_log.remove_incomplete_table(spark, str(path))
    assert version_of(spark, str(path)) == 0
    killed = tmp_path / "killed" / "_delta_log"
    killed.mkdir(parents=True)
    (killed / ".00000000000000000000.json.tmp").write_text("")
    delta_log.remove_incomplete_table(spark, str(killed.parent))
    assert not killed.exists()


def test_a_directory_is_renamed_once(spark, tmp_path):
    old, new = tmp_path / "a" / "old", tmp_path / "b" / "new"
    old.mkdir(parents=True)
    assert delta_log.rename_directory(spark, str(old), str(new))
    assert new.is_dir() and not old.exists()
    assert not delta_log.rename_directory(spark, str(old), str(new))


def test_only_the_newest_transactions_are_kept_and_the_checksum_file_lists_them(spark, tmp_path):
    path = str(tmp_path / "table")
    for number in range(8):
        if number == 5:
            time.sleep(10)  # ids expire by age
        write(spark, path, f"b{number}", 7)
    delta_log.expire_transactions(spark, path, keep=3, margin_seconds=7)
    write(spark, path, "b8", 7)
    assert TableState(spark, path).num_known_transactions == 4
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    versions = [TableState(spark, path).transaction_version(f"b{number}") for number in range(9)]
    assert versions == [None] * 5 + [7] * 4
    assert spark.read.format("delta").load(path).count() == 9
    assert "delta.setTransactionRetentionDuration" not in TableState(spark, path).properties


def test_rows_of_a_commit_are_read_from_the_log(spark, tmp_path):
    path = str(tmp_path / "table")
    spark.range(3).writeTo(f"delta.`{path}`").using("delta").create()
    spark.range(2).write.format("delta").mode("append").save(path)
    assert [delta_log.num_output_rows(spark, path, version) for version in (0, 1)] == [3, 2]
