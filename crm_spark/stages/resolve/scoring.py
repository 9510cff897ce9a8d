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
WEIGHT = "weight_{}"
_BITS = 16
"""Weights are rounded to 1/16 bit: sums over pairs do not depend on their order, and groups of equal weights are few."""


def score_pairs(
    connection: duckdb.DuckDBPyConnection,
    records: str,
    pairs: str,
    model: Model,
    evidence: Sequence[Evidence],
    *,
    by_column: bool = False,
) -> pa.Table:
    """Score pairs.

    Args:
        connection: with the two tables.
        records: name of the table of records: record, the columns of evidence and their frequencies.
        pairs: name of the table of pairs: l, r, numbers of records.
        model: the trained model.
        evidence: its columns.
        by_column: whether the weight of each column is returned, too.

    Returns:
        l, r; bits, weight of all columns for a match, without a prior; own, that of the columns which a household does not share;
        weight_COLUMN, null if one of the records lacks the column; in the order of l and r.
    """
    api = DuckDBAPI(connection=connection)
    linker = Linker(api.register(connection.table(records)), model, log_level=logging.ERROR)
    blocked = connection.sql(f"SELECT '0' AS match_key, l AS join_key_l, r AS join_key_r FROM {pairs}")
    linker.table_management.register_blocked_pairs_for_predict(api.register(blocked.to_arrow_table()))
    scored = linker.inference.predict(warning_mode="never")
    own = [_bits(e.column) for e in evidence if not e.is_shared] or ["0"]
    rounded = "round(({}) * {}) / {}"
    total = rounded.format(f"match_weight - ({prior_bits(FIRST_PRIOR)})", _BITS, _BITS)
    chosen = [
        f"{UNIQUE_ID}_l AS l, {UNIQUE_ID}_r AS r, {total} AS bits",
        f"{rounded.format(' + '.join(own), _BITS, _BITS)} AS own",
    ]
    source = str(scored.physical_name)
    if by_column:
        is_known = "a.{0} IS NOT NULL AND b.{0} IS NOT NULL"
        names = [e.column for e in evidence]
        chosen += [f"CASE WHEN {is_known.format(n)} THEN round({_bits(n)}, 2) END AS {WEIGHT.format(n)}" for n in names]
        for alias, end in (("a", "l"), ("b", "r")):
            source += f" JOIN {records} AS {alias} ON {alias}.{UNIQUE_ID} = {UNIQUE_ID}_{end}"
    query = f"SELECT {', '.join(chosen)} FROM {source} ORDER BY l, r"
    result = connection.sql(query).to_arrow_table()
    scored.drop_table_from_database_and_remove_from_cache()
    return result


def _bits(column: str) -> str:
    return f"mw_{column} + mw_tf_adj_{column}"


def weights_by_column(scored: pa.Table, evidence: Sequence[Evidence]) -> pa.Array:
    """Column -> bits of each pair, without the columns that one of the records lacks; from a result with `by_column`."""
    names = [e.column for e in evidence]
    rows = zip(*(scored[WEIGHT.format(name)].to_pylist() for name in names))
    maps = [[(name, bits) for name, bits in zip(names, row) if bits is not None] for row in rows]
    return pa.array(maps, pa.map_(pa.string(), pa.float64()))


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB database in memory."""
    connection = duckdb.connect()
    configure_duckdb(DuckDBAPI(connection=connection))
    return connection
