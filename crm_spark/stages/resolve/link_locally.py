"""Linkage in this process, by DuckDB."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from crm_spark.stages.resolve.certain import by_rules
from crm_spark.stages.resolve.clusters import LOWEST, Pairs, clusters_of, exclusive_codes
from crm_spark.stages.resolve.config import ResolveConfig, ReviewConfig
from crm_spark.stages.resolve.linkage import (
    CLUSTERS,
    EXPLAINED_PER_REVIEWED,
    PAIRS,
    TOO_MANY_MATCH,
    Linked,
    Records,
    compare,
)
from crm_spark.stages.resolve.local_engine import LocalEngine, with_probability


def link_locally(spark: SparkSession, records: Records, cfg: ResolveConfig, *, seed: int) -> Linked:
    """Link records in the memory of the driver; at most `resolve.duckdb_max_records`, unless the backend is set.

    Args:
        spark: the session.
        records: what is linked.
        cfg: settings of the stage.
        seed: of the sample of random pairs.
    """
    table = records.frame.orderBy("record_key").toArrow()
    names = table["record_key"]
    engine = LocalEngine(table, records.evidence)
    scored = compare(engine, records, training_pairs=cfg.training_pairs, seed=seed)
    declared = [] if records.constraints is None else [records.constraints.toArrow()]
    if scored is None:
        rules = by_rules(records.frame, records.evidence)
        declared += [] if rules is None else [rules.toArrow()]
        pairs, note = _NO_PAIRS, TOO_MANY_MATCH
    else:
        probable = with_probability(scored.pairs, scored.rates)
        pairs, note = (
            probable.filter((pc.field("probability") >= LOWEST) | (pc.field("support") <= -LOWEST)),
            scored.note,
        )
        pairs = _with_weights(pairs, engine.explain(_in_doubt(pairs, cfg.review), scored.model), len(names))
    codes = exclusive_codes(names.to_pylist(), cfg.one_record_per_person)
    found = clusters_of(len(names), _numbered(pairs, declared, names), max_size=cfg.max_cluster, exclusive=codes)
    likely = pairs.filter(pc.field("probability") >= LOWEST)
    compared = {
        "record_key_l": names.take(likely["l"]),
        "record_key_r": names.take(likely["r"]),
        "match_probability": likely["probability"],
        "is_linked": found[likely["l"].to_numpy()] == found[likely["r"].to_numpy()],
        "weights": likely["weights"],
    }
    clusters = {"record_key": names, "cluster": names.take(pa.array(found))}
    return Linked(_frame(spark, pa.table(compared), PAIRS), _frame(spark, pa.table(clusters), CLUSTERS), note)


_NO_PAIRS = pa.schema(
    {
        "l": pa.int64(),
        "r": pa.int64(),
        "probability": pa.float64(),
        "support": pa.float64(),
        "weights": pa.map_(pa.string(), pa.float64()),
    }
).empty_table()


def _with_weights(pairs: pa.Table, explained: pa.Table, num_records: int) -> pa.Table:
    """Add the weights of explained pairs; null for the others."""
    number = [pc.add(pc.multiply(table["l"], num_records), table["r"]) for table in (pairs, explained)]
    place = pc.index_in(number[0], value_set=number[1])
    return pairs.append_column("weights", explained["weights"].combine_chunks().take(place.combine_chunks()))


def _in_doubt(pairs: pa.Table, review: ReviewConfig) -> pa.Table:
    """The pairs that may be reviewed, those with a probability next to 0.5."""
    band = pairs.filter((pc.field("probability") >= review.low) & (pc.field("probability") <= review.high))
    doubt = pc.abs(pc.subtract(band["probability"], 0.5))
    order = pc.sort_indices(
        band.append_column("doubt", doubt), [("doubt", "ascending"), ("l", "ascending"), ("r", "ascending")]
    )
    return band.take(order[: EXPLAINED_PER_REVIEWED * review.max_pairs])


def _numbered(pairs: pa.Table, declared: list[pa.Table], names: pa.ChunkedArray) -> Pairs:
    """Scored and declared pairs with the numbers of the records; declared pairs of unknown records are left out."""
    left, right, support = ([pairs[name].to_numpy()] for name in ("l", "r", "support"))
    for table in declared:
        ends = [pc.index_in(table[name], value_set=names) for name in ("record_key_l", "record_key_r")]
        is_known = pc.and_(pc.is_valid(ends[0]), pc.is_valid(ends[1]))
        left.append(ends[0].filter(is_known).to_numpy().astype(np.int64))
        right.append(ends[1].filter(is_known).to_numpy().astype(np.int64))
        support.append(table["support"].filter(is_known).to_numpy())
    return Pairs(np.concatenate(left), np.concatenate(right), np.concatenate(support))


def _frame(spark: SparkSession, table: pa.Table, schema: str) -> DataFrame:
    return spark.createDataFrame(table) if table.num_rows else spark.createDataFrame([], schema)
