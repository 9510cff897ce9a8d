"""DuckDB in one process and Spark compare the same pairs and find the same clusters."""

import pytest

from benchmarks.dirty_people import dirty_people
from crm_spark.stages.resolve.components import components
from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.resolve.evidence import CATEGORY, CODE, DATE, NAME, Evidence
from crm_spark.stages.resolve.link import link
from crm_spark.stages.resolve.linkage import CONSTRAINTS

EVIDENCE = (
    Evidence("given_name", NAME),
    Evidence("family_name", NAME),
    Evidence("birth", DATE),
    Evidence("place", CATEGORY),
    Evidence("postcode", CODE),
)


def kept(frame):
    return frame.localCheckpoint()


@pytest.fixture(scope="module")
def people(spark):
    """5,000 records, and the person of each."""
    records, numbers = dirty_people(520, seed=7)
    rows = [(r["id"], *(r[e.column] and r[e.column].lower() for e in EVIDENCE)) for r in records[:5_000]]
    schema = ", ".join(f"{name} string" for name in ("record_key", *(e.column for e in EVIDENCE)))
    return spark.createDataFrame(rows, schema).repartition(5).cache(), numbers


def test_both_backends_find_the_same_clusters(spark, people):
    records, _ = people
    decided = spark.createDataFrame([("1", "2", 1e9), ("3", "4", -1e9)], CONSTRAINTS)
    found = {}
    for backend in ("duckdb", "spark"):
        cfg = ResolveConfig(backend=backend, training_pairs=100_000)
        linked = link(spark, records, EVIDENCE, cfg, num_records=5_000, seed=3, decided=decided)
        clusters = {row["record_key"]: row["cluster"] for row in linked.clusters.collect()}
        doubtful = linked.pairs.where("weights IS NOT NULL").orderBy("record_key_l", "record_key_r").collect()
        weights = [
            (r["record_key_l"], r["record_key_r"], r["is_linked"], sorted(r["weights"].items())) for r in doubtful
        ]
        found[backend] = clusters, linked.note, linked.pairs.count(), weights
    assert found["spark"] == found["duckdb"]
    assert len(weights) > 100
    assert len(clusters) == 5_000 and len(set(clusters.values())) < 2_500
    assert clusters["1"] == clusters["2"] and clusters["3"] != clusters["4"]


def test_components_are_the_same_on_spark_and_in_the_driver(spark):
    # A chain, a star, a triangle, and numbers in no order.
    edges = [(2 * i + 3, 2 * i + 1) for i in range(40)] + [(1_000, 1_000 + i) for i in range(1, 60)]
    edges += [(500, 502), (502, 504), (504, 500)]
    frame = spark.createDataFrame(edges, "l bigint, r bigint")
    small, large = (
        {r["record"]: r["component"] for r in components(spark, frame, kept, collect_up_to=most).collect()}
        for most in (1_000, 0)
    )
    assert small == large
    assert {small[i] for i in (1, 41, 81)} == {1} and small[1_030] == 1_000 and small[504] == 500
