"""Which records are the same person: Splink learns, without labels, what agreement is worth, and scores the pairs."""

import logging
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from splink import DuckDBAPI, Linker, SparkAPI
from splink.internals.exceptions import EMTrainingException

from crm_spark.stages.resolve.comparisons import IDENTIFYING, certain_rules, settings, training_rules
from crm_spark.stages.resolve.config import ResolveConfig

PAIRS = "record_key_l string, record_key_r string, match_probability double"
CLUSTERS = "record_key string, cluster string"


def candidates(people: DataFrame, *, max_block: int, nicknames: dict[str, str]) -> DataFrame:
    """Grain: record_key. Records that say enough to be told by, with over-shared phones and e-mails blanked.

    A record is told by an e-mail, a phone, or a full name with a birth date or an address.
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
    """Grain: record_key, email_match. The records that say nothing but a mailbox: a help desk's, a newsletter's.

    Beside records that say more they would be weighed by the mailbox alone, which never reaches certainty.
    """
    says_more = F.coalesce(*(F.col(name).cast("string") for name in IDENTIFYING if name != "email_match"))
    is_bare = F.col("email_match").isNotNull() & says_more.isNull()
    return records.where(is_bare).select("record_key", "email_match")


def with_mailboxes(clusters: DataFrame, records: DataFrame, bare: DataFrame) -> DataFrame:
    """Grain: record_key -> cluster. A bare mailbox goes to the people who have it, where that is one cluster.

    Where several clusters have the mailbox it belongs to none of them, and equal bare mailboxes are one person.
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
    """The identifying columns that at least two records fill."""
    row = records.agg(*(F.count(name).alias(name) for name in IDENTIFYING)).first()
    assert row is not None
    return {name for name in IDENTIFYING if row[name] >= 2}


def link(
    spark: SparkSession, records: DataFrame, present: set[str], cfg: ResolveConfig, *, num_records: int, seed: int
) -> tuple[DataFrame, DataFrame, str]:
    """The matching pairs, the clusters they form, and the backend that found them.

    Returns:
        Pairs at or above the match probability; grain record_key -> cluster for every candidate; duckdb or spark.
    """
    logging.getLogger("splink").setLevel(logging.ERROR)
    is_small = num_records <= cfg.duckdb_max_records
    backend = cfg.backend if cfg.backend != "auto" else "duckdb" if is_small else "spark"
    if backend == "spark":
        spark.sparkContext.setCheckpointDir(f"{_scratch(spark)}/splink")
        api: Any = SparkAPI(spark_session=spark)
        frame = api.register(records)
    else:
        api = DuckDBAPI()
        api._con.execute("SET threads = 2; SET preserve_insertion_order = true")
        # Bounded by duckdb_max_records; sorted, because sampling depends on the order of rows.
        frame = api.register(records.orderBy("record_key").toArrow())
    linker = Linker(frame, settings(present, backend), log_level=logging.ERROR)
    _train(linker, present, cfg, seed=seed)
    scored = linker.inference.predict(threshold_match_probability=min(0.5, cfg.match_probability))
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        scored, threshold_match_probability=cfg.match_probability
    )
    pairs = _to_spark(spark, scored, ["record_key_l", "record_key_r", "match_probability"], PAIRS, backend)
    members = _to_spark(spark, clusters, ["record_key", "cluster_id"], CLUSTERS, backend)
    return pairs.where(F.col("match_probability") >= cfg.match_probability), members, backend


def _train(linker: Linker, present: set[str], cfg: ResolveConfig, *, seed: int) -> None:
    certain = certain_rules(present)
    if certain:
        linker.training.estimate_probability_two_random_records_match(certain, recall=0.7)
    # All chunks at once: the early stop of the chunked estimate depends on which chunk comes first.
    linker.training.estimate_u_using_random_sampling(max_pairs=cfg.training_pairs, seed=seed, num_chunks=1)
    for rule in training_rules(present):
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(rule)
        except EMTrainingException:
            # No pair agrees on these columns: what the other passes and Splink's defaults say must do.
            logging.getLogger("crm_spark").debug("resolve: no pairs to learn from for one training rule")


def _to_spark(spark: SparkSession, frame: Any, columns: list[str], schema: str, backend: str) -> DataFrame:
    if backend == "spark":
        found: DataFrame = frame.as_spark_dataframe().select(*columns)
    else:
        table = frame.as_pyarrow_table().select(columns)
        found = spark.createDataFrame(table) if table.num_rows else spark.createDataFrame([], schema)
    names = [field.split(" ")[0] for field in schema.split(", ")]
    return found.toDF(*names).select(*(F.col(f.split(" ")[0]).cast(f.split(" ")[1]) for f in schema.split(", ")))


def _scratch(spark: SparkSession) -> str:
    return spark.conf.get("spark.local.dir", None) or "/tmp"
