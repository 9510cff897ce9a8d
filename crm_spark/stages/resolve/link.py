"""Link records to clusters: on DuckDB in this process, or on Spark."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from crm_spark.stages.resolve.blocking import Key, keys_of, with_keys
from crm_spark.stages.resolve.certain import by_identifiers, by_rules
from crm_spark.stages.resolve.clusters import LOWEST, Pairs, clusters_of
from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.resolve.evidence import Evidence
from crm_spark.stages.resolve.linkage import Scored, match_rate_by_rules, score, train
from crm_spark.stages.resolve.local_engine import LocalEngine, with_probability

PAIRS = "record_key_l string, record_key_r string, match_probability double, is_linked boolean"
CLUSTERS = "record_key string, cluster string"
_MAX_MATCH_RATE = 0.1
"""Where more of all pairs match, random pairs do not show how records of different people look, and no model can be trained."""


@dataclass(frozen=True)
class Linked:
    """Result of a linkage.

    Attributes:
        pairs: record_key_l, record_key_r, match_probability and is_linked (in one cluster) of compared pairs, from a low
            probability on.
        clusters: record_key, cluster of every record.
        note: how the records were linked.
    """

    pairs: DataFrame
    clusters: DataFrame
    note: str


def present_evidence(records: DataFrame, evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Evidence of which at least two records have a value."""
    row = records.agg(*(F.count(e.column).alias(e.column) for e in evidence)).first()
    assert row is not None
    return tuple(e for e in evidence if row[e.column] >= 2)


def link(
    spark: SparkSession,
    records: DataFrame,
    evidence: Sequence[Evidence],
    cfg: ResolveConfig,
    *,
    num_records: int,
    seed: int,
    decided: DataFrame | None = None,
) -> Linked:
    """Train the model, score the pairs of the blocking plan and cluster them.

    Args:
        spark: the session.
        records: record_key and the columns of evidence.
        evidence: result of `present_evidence`.
        cfg: settings of the stage.
        num_records: number of records.
        seed: of the sample of random pairs.
        decided: record_key_l, record_key_r, probability: pairs that decisions join (ALWAYS) or keep apart (NEVER).
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    keys = keys_of(evidence)
    constraints = [frame for frame in (decided, by_identifiers(records, evidence)) if frame is not None]
    table = with_keys(records, keys).orderBy("record_key").toArrow()  # limited by duckdb_max_records
    return _link_locally(spark, table, records, evidence, keys, cfg, constraints, seed=seed)


def _link_locally(
    spark: SparkSession,
    table: pa.Table,
    records: DataFrame,
    evidence: Sequence[Evidence],
    keys: Sequence[Key],
    cfg: ResolveConfig,
    constraints: Sequence[DataFrame],
    *,
    seed: int,
) -> Linked:
    num_records = table.num_rows
    names = table["record_key"]
    scored = _scored(table, evidence, keys, training_pairs=cfg.training_pairs, seed=seed) if num_records > 1 else None
    if scored is None:
        rules = by_rules(records, evidence)
        constraints, pairs, note = (
            [*constraints, *([rules] if rules is not None else [])],
            _NO_PAIRS,
            "by deterministic rules: too many pairs match to train a model",
        )
    else:
        probable = with_probability(scored.pairs, scored.rates)
        pairs, note = probable.filter(pc.field("probability") >= LOWEST), f"{scored.num_compared:,} pairs compared"
    declared = reduce(DataFrame.unionByName, constraints).toArrow() if constraints else None
    found = clusters_of(num_records, _numbered(pairs, declared, names), max_size=cfg.max_cluster)
    clusters = pa.table({"record_key": names, "cluster": names.take(pa.array(found))})
    compared = pa.table(
        {
            "record_key_l": names.take(pairs["l"]),
            "record_key_r": names.take(pairs["r"]),
            "match_probability": pairs["probability"],
            "is_linked": found[pairs["l"].to_numpy()] == found[pairs["r"].to_numpy()],
        }
    )
    return Linked(_frame(spark, compared, PAIRS), _frame(spark, clusters, CLUSTERS), note)


_NO_PAIRS = pa.table(
    {"l": pa.array([], pa.int64()), "r": pa.array([], pa.int64()), "probability": pa.array([], pa.float64())}
)


def _scored(
    table: pa.Table, evidence: Sequence[Evidence], keys: Sequence[Key], *, training_pairs: int, seed: int
) -> Scored[pa.Table] | None:
    """Scored pairs; None where too many match to train a model."""
    engine, number = LocalEngine(table, evidence), table.num_rows
    if match_rate_by_rules(engine, evidence, num_records=number) > _MAX_MATCH_RATE:
        return None
    model = train(engine, evidence, num_records=number, training_pairs=training_pairs, seed=seed)
    return score(engine, model, evidence, keys, num_records=number)


def _numbered(pairs: pa.Table, declared: pa.Table | None, names: pa.ChunkedArray) -> Pairs:
    """Scored and declared pairs with the numbers of the records; declared pairs of unknown records are left out."""
    left, right, probability = (pairs[name].to_numpy() for name in ("l", "r", "probability"))
    if declared is not None and declared.num_rows:
        ends = [pc.index_in(declared[name], value_set=names) for name in ("record_key_l", "record_key_r")]
        is_known = pc.and_(pc.is_valid(ends[0]), pc.is_valid(ends[1]))
        known = [end.filter(is_known).to_numpy().astype(np.int64) for end in ends]
        left, right = np.concatenate([left, known[0]]), np.concatenate([right, known[1]])
        probability = np.concatenate([probability, declared["probability"].filter(is_known).to_numpy()])
    return Pairs(left, right, probability)


def _frame(spark: SparkSession, table: pa.Table, schema: str) -> DataFrame:
    return spark.createDataFrame(table) if table.num_rows else spark.createDataFrame([], schema)
