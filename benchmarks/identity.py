"""Identity: the linkage of the resolve stage beside plain Splink, judged on people who were written down badly.

Plain Splink has the comparisons that its documentation recommends for each column, blocking rules and training rules written by
hand, and connected components at a match probability of 0.95. FEBRL sets are read from `febrl/` in the folder of `--data`; the
others are generated. Neither sees the truth.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import splink.comparison_library as cl
from pyspark.sql import SparkSession
from splink import DuckDBAPI, Linker, SettingsCreator, block_on

from benchmarks.dirty_people import TITLES, dirty_people
from benchmarks.figures import Figure
from crm_spark.stages.resolve.evidence import CATEGORY, CODE, DATE, NAME, PLACE, TEXT, Evidence

SEED = 20240229
NUM_PEOPLE = (500, 2_500)
"""Sizes of the generated sets, in people; ten times as many records."""
_FEBRL = {"febrl2": ["2"], "febrl3": ["3"], "febrl4": ["4a", "4b"]}
_EVIDENCE_FEBRL = (
    Evidence("given_key", NAME),
    Evidence("family_name", NAME, is_shared=True),
    Evidence("birth_digits", DATE),
    Evidence("street", PLACE, is_shared=True),
    Evidence("postcode", CODE, is_shared=True),
    Evidence("city", PLACE, is_shared=True),
    Evidence("district", TEXT, is_shared=True),
    Evidence("state", CATEGORY, is_shared=True),
)
_EVIDENCE_DIRTY = (
    Evidence("given_key", NAME),
    Evidence("family_name", NAME, is_shared=True),
    Evidence("birth_digits", DATE),
    Evidence("postcode", CODE, is_shared=True),
    Evidence("place", CATEGORY),
    Evidence("occupation", CATEGORY),
)


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Judge ours and plain Splink on every set."""
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
    for resolver, clusters_of in (("ours", _ours), ("plain Splink", _plain_splink)):
        started = time.monotonic()
        clusters = clusters_of(spark, frame, evidence)
        seconds = time.monotonic() - started
        measures = {"pairwise": pairwise(truth, clusters), "B-cubed": b_cubed(truth, clusters)}
        for kind, values in measures.items():
            for measure, value in zip(("precision", "recall", "F1"), values):
                figures.append(Figure(f"{name}: {resolver}, {kind} {measure}", value, "fraction"))
        figures.append(Figure(f"{name}: {resolver}", seconds, "seconds"))
        print(f"{name}: {resolver} {measures} {seconds:.0f} s", flush=True)
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


def b_cubed(truth: Mapping[str | None, str], clusters: Mapping[str, object]) -> tuple[float, float, float]:
    """Return B-cubed precision, recall and F1: means over the records (Bagga and Baldwin 1998)."""
    frame = pd.DataFrame(
        [(truth[key], str(cluster)) for key, cluster in clusters.items()], columns=["truth", "cluster"]
    )
    both = frame.groupby(["truth", "cluster"])["truth"].transform("size")
    precision = float((both / frame.groupby("cluster")["cluster"].transform("size")).mean())
    recall = float((both / frame.groupby("truth")["truth"].transform("size")).mean())
    return precision, recall, 2 * precision * recall / (precision + recall)


def _ours(spark: SparkSession, frame: pd.DataFrame, evidence: tuple[Evidence, ...]) -> dict[str, str]:
    from crm_spark.stages.resolve.config import ResolveConfig
    from crm_spark.stages.resolve.link import link, present_evidence

    records = spark.createDataFrame(frame).cache()
    present = present_evidence(records, evidence)
    linked = link(spark, records, present, ResolveConfig(), num_records=len(frame), seed=SEED)
    return {row["record_key"]: row["cluster"] for row in linked.clusters.collect()}


def _plain_splink(_: SparkSession, frame: pd.DataFrame, evidence: tuple[Evidence, ...]) -> dict[str, str]:
    names = [e.column for e in evidence if e.kind == NAME]
    date = next(e.column for e in evidence if e.kind == DATE)
    rules: list[Any] = [block_on(*names), block_on(date), *(block_on(name, "postcode") for name in names)]
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_key",
        comparisons=[_documented(e) for e in evidence],
        blocking_rules_to_generate_predictions=rules,
    )
    linker = Linker(DuckDBAPI().register(frame), settings)
    linker.training.estimate_probability_two_random_records_match([block_on(*names, date)], recall=0.7)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=SEED)
    for rule in (block_on(*names), block_on(date)):
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    scored = linker.inference.predict(threshold_match_probability=0.95)
    found = linker.clustering.cluster_pairwise_predictions_at_threshold(scored, threshold_match_probability=0.95)
    table = found.as_pyarrow_table()
    return dict(zip(table["record_key"].to_pylist(), map(str, table["cluster_id"].to_pylist())))


def _documented(each: Evidence) -> Any:
    """The comparison that Splink's documentation uses for such a column."""
    if each.kind == NAME:
        return cl.NameComparison(each.column)
    if each.kind == DATE:
        return cl.DamerauLevenshteinAtThresholds(each.column, [1, 2])
    if each.kind in (PLACE, TEXT):
        return cl.JaroWinklerAtThresholds(each.column, [0.9, 0.7])
    return cl.ExactMatch(each.column).configure(term_frequency_adjustments=True)


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
