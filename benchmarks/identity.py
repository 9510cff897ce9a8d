"""Identity: the resolve stage and the trial of `identity_recipe`, judged by pairwise F1 on people who were written down badly.

FEBRL sets are read from `febrl/` in the folder of `--data`; the others are generated. Neither sees the truth.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from benchmarks.dirty_people import TITLES, dirty_people
from benchmarks.figures import Figure
from benchmarks.identity_recipe.evidence import CATEGORY, CODE, DATE, NAME, PLACE, TEXT, Evidence
from benchmarks.identity_recipe.resolve import resolve

SEED = 20240229
NUM_PEOPLE = (500, 2_500)
"""Sizes of the generated sets, in people; ten times as many records."""
_FEBRL = {"febrl2": ["2"], "febrl3": ["3"], "febrl4": ["4a", "4b"]}
_EVIDENCE_FEBRL = (
    Evidence("given_key", NAME),
    Evidence("family_name", NAME),
    Evidence("birth_digits", DATE),
    Evidence("street", PLACE),
    Evidence("postcode", CODE),
    Evidence("city", PLACE),
    Evidence("district", TEXT),
    Evidence("state", CATEGORY),
)
_EVIDENCE_DIRTY = (
    Evidence("given_key", NAME),
    Evidence("family_name", NAME),
    Evidence("birth_digits", DATE),
    Evidence("postcode", CODE),
    Evidence("place", CATEGORY),
    Evidence("occupation", CATEGORY),
)


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Judge both on every set."""
    from crm_spark.core.session import SessionConfig, build_session

    spark = build_session(
        SessionConfig(master="local[2]", driver_memory="4g", shuffle_partitions=4), app_name="identity"
    )
    figures: list[Figure] = []
    for num_people in arguments.customers or NUM_PEOPLE:
        records, people = dirty_people(num_people, seed=SEED)
        truth = {record["id"]: str(person) for record, person in zip(records, people)}
        figures += _judge(spark, f"dirty people, {len(records)} records", _dirty(records), truth, _EVIDENCE_DIRTY)
    folder = Path(arguments.data or os.environ.get("CRM_SPARK_EXAMPLES", "")) / "febrl"
    for name, parts in _FEBRL.items() if folder.is_dir() else ():
        frame = pd.concat(pd.read_csv(folder / f"febrl{part}.csv", dtype=str, skipinitialspace=True) for part in parts)
        truth = {key: key.split("-")[1] for key in frame["rec_id"]}
        figures += _judge(spark, name, _febrl(frame), truth, _EVIDENCE_FEBRL)
    return figures


def _judge(
    spark: SparkSession, name: str, frame: pd.DataFrame, truth: Mapping[str | None, str], evidence: tuple[Evidence, ...]
) -> list[Figure]:
    figures = []
    records = spark.createDataFrame(frame).cache()
    for resolver in ("resolve stage", "trial"):
        started = time.monotonic()
        clusters = (
            _by_stage(spark, records) if resolver == "resolve stage" else resolve(records, evidence, seed=SEED).clusters
        )
        seconds = time.monotonic() - started
        precision, recall, f1 = pairwise(truth, clusters)
        for measure, value in (("precision", precision), ("recall", recall), ("F1", f1)):
            figures.append(Figure(f"{name}: {resolver}, {measure}", value, "fraction"))
        figures.append(Figure(f"{name}: {resolver}", seconds, "seconds"))
        print(f"{name}: {resolver} {precision:.4f} {recall:.4f} {f1:.4f} {seconds:.0f} s", flush=True)
    records.unpersist()
    return figures


def pairwise(truth: Mapping[str | None, str], clusters: Mapping[str, object]) -> tuple[float, float, float]:
    """Return precision, recall and F1 over all pairs of records."""
    frame = pd.DataFrame(
        [(truth[key], str(cluster)) for key, cluster in clusters.items()], columns=["truth", "cluster"]
    )

    def num_pairs(*columns: str) -> float:
        sizes = frame.groupby(list(columns)).size()
        return float((sizes * (sizes - 1) // 2).sum())

    both, ours, true = num_pairs("truth", "cluster"), num_pairs("cluster"), num_pairs("truth")
    precision, recall = both / ours if ours else 1.0, both / true if true else 1.0
    return precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0


def _by_stage(spark: SparkSession, records: DataFrame) -> dict[str, str]:
    """Clusters of the resolve stage; it knows neither places nor occupations."""
    from pyspark.sql import functions as F

    from crm_spark.stages.resolve.config import ResolveConfig
    from crm_spark.stages.resolve.linkage import candidates, link, present_columns

    cfg = ResolveConfig()
    street = F.col("street") if "street" in records.columns else F.lit(None).cast("string")
    people = records.select(
        F.lit("x").alias("system"),
        F.col("record_key").alias("person_id"),
        F.col("given_key").alias("given_name"),
        "family_name",
        F.lit(None).cast("string").alias("email_match"),
        F.lit(None).cast("string").alias("phone"),
        F.try_to_timestamp("birth_digits", F.lit("yyyyMMdd")).cast("date").alias("birth_on"),
        street.alias("street"),
        "postcode",
    )
    linkable = candidates(people, max_block=cfg.max_block, nicknames={}).cache()
    _, clusters, _ = link(spark, linkable, present_columns(linkable), cfg, num_records=linkable.count(), seed=SEED)
    found = {row["record_key"].split("|", 1)[1]: row["cluster"] for row in clusters.collect()}
    return {row["record_key"]: found.get(row["record_key"], row["record_key"]) for row in records.collect()}


def _dirty(records: list[dict[str, str | None]]) -> pd.DataFrame:
    frame = pd.DataFrame(records)
    titles = {title.lower() for title in TITLES}
    given = frame["given_name"].str.lower().map(lambda name: _without(name, titles))
    columns = {
        "record_key": frame["id"],
        "given_key": given,
        "family_name": frame["family_name"].str.lower(),
        "birth_digits": frame["birth"],
        "postcode": frame["postcode"],
        "place": frame["place"].str.lower(),
        "occupation": frame["occupation"].str.lower(),
    }
    return _with_none(pd.DataFrame(columns))


def _without(name: str | None, titles: set[str]) -> str | None:
    return " ".join(word for word in name.split() if word not in titles) or None if isinstance(name, str) else None


def _febrl(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.reset_index(drop=True)
    street = (frame["street_number"].fillna("") + " " + frame["address_1"].fillna("")).str.strip()
    columns = {
        "record_key": frame["rec_id"],
        "given_key": frame["given_name"],
        "family_name": frame["surname"],
        "birth_digits": frame["date_of_birth"],
        "street": street.where(street != ""),
        "postcode": frame["postcode"],
        "city": frame["suburb"],
        "district": frame["address_2"],
        "state": frame["state"],
    }
    return _with_none(pd.DataFrame(columns))


def _with_none(frame: pd.DataFrame) -> pd.DataFrame:
    texts = frame.astype(object)
    return texts.where(texts.notna(), None)
