"""The private names of Splink that the adapter uses still exist and behave as expected."""

import duckdb
from splink import DuckDBAPI

from crm_spark.stages.resolve.splink_adapter import TrainingError, configure_duckdb


def test_configure_duckdb_sets_threads_and_row_order():
    connection = duckdb.connect()
    configure_duckdb(DuckDBAPI(connection=connection))
    query = "SELECT current_setting('threads'), current_setting('preserve_insertion_order')"
    assert connection.execute(query).fetchone() == (2, True)


def test_training_error_is_the_exception_splink_raises_when_a_training_rule_has_no_pairs():
    from splink.internals import em_training_session

    assert issubclass(TrainingError, Exception)
    assert em_training_session.EMTrainingException is TrainingError
