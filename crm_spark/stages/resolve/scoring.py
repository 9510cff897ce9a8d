"""Weights of evidence of given pairs of records, computed by Splink on DuckDB in this process."""

import logging
from collections.abc import Sequence

import duckdb
import pyarrow as pa
from splink import DuckDBAPI, Linker

from crm_spark.stages.resolve.comparisons import FIRST_PRIOR, UNIQUE_ID
from crm_spark.stages.resolve.evidence import Evidence
from crm_spark.stages.resolve.mixture import prior_bits
from crm_spark.stages.resolve.model import Model
from crm_spark.stages.resolve.splink_adapter import configure_duckdb

FREQUENCY = "tf_{}"
"""Column with the frequency of a value among the known values of its column; Splink reads it by this name."""
_BITS = 16
"""Weights are rounded to 1/16 bit: sums over pairs do not depend on their order, and groups of equal weights are few."""


def score_pairs(
    connection: duckdb.DuckDBPyConnection, records: str, pairs: str, model: Model, evidence: Sequence[Evidence]
) -> pa.Table:
    """Score pairs.

    Args:
        connection: with the two tables.
        records: name of the table of records: record, the columns of evidence and their frequencies.
        pairs: name of the table of pairs: l, r, numbers of records.
        model: the trained model.
        evidence: its columns.

    Returns:
        l, r; bits, weight of all columns for a match, without a prior; own, that of the columns which a household does not share;
        in the order of l and r.
    """
    api = DuckDBAPI(connection=connection)
    linker = Linker(api.register(connection.table(records)), model, log_level=logging.ERROR)
    blocked = connection.sql(f"SELECT '0' AS match_key, l AS join_key_l, r AS join_key_r FROM {pairs}")
    linker.table_management.register_blocked_pairs_for_predict(api.register(blocked.to_arrow_table()))
    scored = linker.inference.predict(warning_mode="never")
    own = [f"mw_{e.column} + mw_tf_adj_{e.column}" for e in evidence if not e.is_shared] or ["0"]
    rounded = "round(({}) * {}) / {}"
    total = rounded.format(f"match_weight - ({prior_bits(FIRST_PRIOR)})", _BITS, _BITS)
    result = connection.sql(
        f"SELECT {UNIQUE_ID}_l AS l, {UNIQUE_ID}_r AS r, {total} AS bits, "
        f"{rounded.format(' + '.join(own), _BITS, _BITS)} AS own FROM {scored.physical_name} ORDER BY l, r"
    ).to_arrow_table()
    scored.drop_table_from_database_and_remove_from_cache()
    return result


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB database in memory."""
    connection = duckdb.connect()
    configure_duckdb(DuckDBAPI(connection=connection))
    return connection
