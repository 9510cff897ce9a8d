"""Link records to clusters: on DuckDB in this process, or on Spark."""

import logging
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from crm_spark.stages.resolve.blocking import keys_of, with_keys
from crm_spark.stages.resolve.certain import by_identifiers
from crm_spark.stages.resolve.components import Save
from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.resolve.evidence import Evidence
from crm_spark.stages.resolve.link_locally import link_locally
from crm_spark.stages.resolve.link_on_spark import link_on_spark
from crm_spark.stages.resolve.linkage import Linked, Records


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
    save: Save | None = None,
) -> Linked:
    """Train the model, score the pairs of the blocking plan and cluster them. Both backends give the same clusters.

    Args:
        spark: the session.
        records: record_key and the columns of evidence.
        evidence: result of `present_evidence`.
        cfg: settings of the stage.
        num_records: number of records.
        seed: of the sample of random pairs.
        decided: record_key_l, record_key_r, support: pairs that decisions join (ALWAYS) or keep apart (NEVER).
        save: materialises a frame, which cuts its plan; None: on the executors.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    is_small = num_records <= cfg.duckdb_max_records
    backend = cfg.backend if cfg.backend != "auto" else "duckdb" if is_small else "spark"
    keys = keys_of(evidence)
    constraints = [frame for frame in (decided, by_identifiers(records, evidence)) if frame is not None]
    given = Records(
        with_keys(records, keys),
        tuple(evidence),
        tuple(keys),
        num_records,
        reduce(DataFrame.unionByName, constraints) if constraints else None,
    )
    if backend == "duckdb":
        return link_locally(spark, given, cfg, seed=seed)
    return link_on_spark(spark, given, cfg, seed=seed, save=save or _kept)


def _kept(frame: DataFrame) -> DataFrame:
    return frame.localCheckpoint()
