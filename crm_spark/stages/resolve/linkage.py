"""Probabilistic record linkage with Splink: train the model (unsupervised), score pairs, cluster them."""

import logging
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from splink import DuckDBAPI, Linker, SparkAPI

from crm_spark.stages.resolve.comparisons import (
    DEFAULT_PRIOR,
    IDENTIFYING,
    certain_rules,
    rule_settings,
    settings,
    training_rules,
)
from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.resolve.splink_adapter import configure_duckdb, train_by_rule

PAIRS = "record_key_l string, record_key_r string, match_probability double"
CLUSTERS = "record_key string, cluster string"
_RECALL = 0.7
"""Assumed fraction of the true matches that the deterministic rules find."""
_MAX_PRIOR = 0.1
"""Where more pairs than this match, random pairs do not show how records of different people look: u cannot be estimated."""
_BY_RULES = "by deterministic rules: too many pairs match to train a model"


def candidates(people: DataFrame, *, max_block: int, nicknames: dict[str, str]) -> DataFrame:
    """Records with enough identifying data to be linked, without over-shared phones and e-mails. Grain: record_key.

    A record needs an e-mail, a phone, or a full name with a birth date or an address.
    """
    given = F.lower(F.col("given_name"))
    if nicknames:
        pairs = [F.lit(part) for item in nicknames.items() for part in item]
        given = F.coalesce(F.try_element_at(F.create_map(*pairs), given), given)
    frame = people.select(
        F.concat_ws("|", "system", "person_id").alias("record_key"),
        given.alias("given_key"),
        F.lower(F.col("family_name")).alias("family_name"),
        _unless_shared("email_match", max_block).alias("email_match"),
        _unless_shared("phone", max_block).alias("phone"),
        F.col("birth_on").cast("string").alias("birth_on"),
        "street",
        "postcode",
    )
    has_name = F.col("given_key").isNotNull() & F.col("family_name").isNotNull()
    has_place = F.col("birth_on").isNotNull() | F.col("street").isNotNull() | F.col("postcode").isNotNull()
    return frame.where(F.col("email_match").isNotNull() | F.col("phone").isNotNull() | (has_name & has_place))


def _unless_shared(column: str, max_block: int) -> Column:
    return F.when(F.count(column).over(Window.partitionBy(column)) <= max_block, F.col(column))


def only_email(records: DataFrame) -> DataFrame:
    """Records whose only identifying column is the e-mail (help desk, newsletter). Grain: record_key.

    They are linked by exact e-mail, since an e-mail alone does not reach the match probability in Splink.
    """
    other_columns = F.coalesce(*(F.col(name).cast("string") for name in IDENTIFYING if name != "email_match"))
    is_bare = F.col("email_match").isNotNull() & other_columns.isNull()
    return records.where(is_bare).select("record_key", "email_match")


def with_mailboxes(clusters: DataFrame, records: DataFrame, bare: DataFrame) -> DataFrame:
    """Add e-mail-only records to the clusters. Grain: record_key.

    A record joins the cluster with its e-mail if there is exactly one; otherwise records with the same e-mail form a
    cluster of their own.
    """
    owned = records.where(F.col("email_match").isNotNull()).join(clusters, "record_key")
    owners = owned.groupBy("email_match").agg(
        F.count_distinct("cluster").alias("num_clusters"), F.min("cluster").alias("owner")
    )
    first = bare.groupBy("email_match").agg(F.min("record_key").alias("first_key"))
    placed = bare.join(first, "email_match").join(owners, "email_match", "left")
    cluster = F.when(F.col("num_clusters") == 1, F.col("owner")).otherwise(F.col("first_key"))
    return clusters.unionByName(placed.select("record_key", cluster.alias("cluster")))


def present_columns(records: DataFrame) -> set[str]:
    """Identifying columns with at least two non-null values."""
    row = records.agg(*(F.count(name).alias(name) for name in IDENTIFYING)).first()
    assert row is not None
    return {name for name in IDENTIFYING if row[name] >= 2}


def link(
    spark: SparkSession,
    records: DataFrame,
    present: set[str],
    cfg: ResolveConfig,
    *,
    num_records: int,
    seed: int,
    checkpoints: str | None = None,
) -> tuple[DataFrame, DataFrame, str]:
    """Train the Splink model, score candidate pairs and cluster them.

    Args:
        spark: the session.
        records: result of `candidates` without the e-mail-only records.
        present: result of `present_columns`.
        cfg: settings of the stage.
        num_records: number of records.
        seed: of the sample of random pairs.
        checkpoints: folder for intermediate results of the Spark backend, which every executor can reach; the results
            read from it. None: they are cached.

    Returns:
        Pairs at or above the match probability; the cluster of every record (grain: record_key); the backend, and
        how records were linked if not by the model.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    is_small = num_records <= cfg.duckdb_max_records
    backend = cfg.backend if cfg.backend != "auto" else "duckdb" if is_small else "spark"
    if backend == "spark":
        if checkpoints:
            spark.sparkContext.setCheckpointDir(checkpoints)
        api: Any = SparkAPI(spark_session=spark, break_lineage_method="parquet" if checkpoints else "persist")
        frame = api.register(records)
    else:
        api = DuckDBAPI()
        configure_duckdb(api)
        # Limited by duckdb_max_records; sorted, because sampling depends on the row order.
        frame = api.register(records.orderBy("record_key").toArrow())
    prior = _prior(frame, present, backend, num_records=num_records)
    if prior > _MAX_PRIOR:
        return (*_linked_by_rules(spark, frame, present, backend), f"{backend} {_BY_RULES}")
    linker = Linker(frame, settings(present, backend, prior=prior), log_level=logging.ERROR)
    _train(linker, present, cfg, seed=seed)
    scored = linker.inference.predict(threshold_match_probability=min(0.5, cfg.match_probability))
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        scored, threshold_match_probability=cfg.match_probability
    )
    pairs = _to_spark(spark, scored, ["record_key_l", "record_key_r", "match_probability"], PAIRS, backend)
    members = _to_spark(spark, clusters, ["record_key", "cluster_id"], CLUSTERS, backend)
    return pairs.where(F.col("match_probability") >= cfg.match_probability), members, backend


def _prior(frame: Any, present: set[str], backend: str, *, num_records: int) -> float:
    """Probability that two random records match, above 0: the fraction of pairs that the deterministic rules link."""
    certain = certain_rules(present)
    if not certain:
        return DEFAULT_PRIOR
    linker = Linker(frame, settings(present, backend), log_level=logging.ERROR)
    try:
        linker.training.estimate_probability_two_random_records_match(certain, recall=_RECALL)
    except ValueError:
        return 1.0  # more pairs match than a recall below 1 allows
    prior = float(linker.misc.save_model_to_json()["probability_two_random_records_match"])
    # Splink cannot compute with a prior of 0: without a matching pair there is at most one.
    num_pairs = max(1, num_records * (num_records - 1) // 2)
    return prior or min(DEFAULT_PRIOR, 1 / num_pairs)


def _linked_by_rules(spark: SparkSession, frame: Any, present: set[str], backend: str) -> tuple[DataFrame, DataFrame]:
    """Pairs and clusters by the deterministic rules; the match probability is unknown."""
    linker = Linker(frame, rule_settings(present), log_level=logging.ERROR)
    linked = linker.inference.deterministic_link()
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(linked)
    pairs = _to_spark(
        spark, linked, ["record_key_l", "record_key_r"], "record_key_l string, record_key_r string", backend
    )
    members = _to_spark(spark, clusters, ["record_key", "cluster_id"], CLUSTERS, backend)
    return pairs.withColumn("match_probability", F.lit(None).cast("double")), members


def _train(linker: Linker, present: set[str], cfg: ResolveConfig, *, seed: int) -> None:
    # One chunk: early stopping of the chunked estimate depends on the chunk order.
    linker.training.estimate_u_using_random_sampling(max_pairs=cfg.training_pairs, seed=seed, num_chunks=1)
    for rule in training_rules(present):
        if not train_by_rule(linker, rule):
            # No or too few pairs agree on these columns: parameters come from the other passes or Splink's defaults.
            logging.getLogger("crm_spark").debug("resolve: a training rule has too few pairs and is skipped")


def _to_spark(spark: SparkSession, frame: Any, columns: list[str], schema: str, backend: str) -> DataFrame:
    if backend == "spark":
        result: DataFrame = frame.as_spark_dataframe().select(*columns)
    else:
        table = frame.as_pyarrow_table().select(columns)
        result = spark.createDataFrame(table) if table.num_rows else spark.createDataFrame([], schema)
    names = [field.split(" ")[0] for field in schema.split(", ")]
    return result.toDF(*names).select(*(F.col(f.split(" ")[0]).cast(f.split(" ")[1]) for f in schema.split(", ")))
