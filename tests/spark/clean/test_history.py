"""Histories have no gaps, no overlaps and one current row, and do not depend on the order of arrival."""

import random
from datetime import datetime, timedelta

import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F
from support.lake import frame, lake_context

from crm_spark.contracts.silver import CONSENT_HISTORY, HISTORY, PERSON
from crm_spark.stages.clean.history import update_histories

START = datetime(2025, 1, 1)
SETS, CUSTOMERS, ORDERS, BATCHINGS = 200, 5, 5, (1, 2, 4)


def versions_of(number):
    """Changes as (person, day or None, consent, rank, hash), including late, equal and undated ones."""
    draw = random.Random(number)
    rows = []
    for person in range(CUSTOMERS):
        for _ in range(draw.randint(1, 6)):
            day = draw.choice([None, *range(6)])  # few days: equal instants are common
            rows.append(
                (f"p{person}", day, draw.choice([True, False, None]), draw.randint(0, 1), f"h{draw.randint(0, 3)}")
            )
    return rows


def deliveries(number):
    """(variant, round, version) of one change set in five orders, each cut into one, two and four deliveries."""
    for order in range(ORDERS):
        rows = versions_of(number)
        random.Random(number * 100 + order).shuffle(rows)
        for num_batches in BATCHINGS:
            for i, row in enumerate(rows):
                yield f"{number}:{order}:{num_batches}", i * num_batches // len(rows), row


@pytest.fixture(scope="module")
def histories(spark, tmp_path_factory):
    """All variants of all change sets, each in its own namespace, after all deliveries."""
    ctx = lake_context(spark, tmp_path_factory.mktemp("lake"))
    rounds = {}
    for number in range(SETS):
        for variant, batch, (person, day, consent, rank, digest) in deliveries(number):
            at = None if day is None else START + timedelta(days=day)
            row = {"system": variant, "person_id": person, "updated_at": at, "has_marketing_consent": consent,
                   "record_hash": f"{digest}{consent}", "row_id": f"{person}{day}{digest}{consent}{rank}"}  # fmt: skip
            rounds.setdefault(batch, {}).setdefault(rank, []).append(row)
    for batch, by_rank in sorted(rounds.items()):
        parts = [frame(spark, PERSON, rows).withColumn("_rank", F.lit(rank)) for rank, rows in by_rank.items()]
        arrived = parts[0].unionByName(parts[1]).repartition(4).withColumn("_status", F.lit("duplicate"))
        update_histories(ctx, "person", arrived, batch_id=f"b{batch}", digest=f"d{batch}")
    return ctx.tables.read(HISTORY["person"]).cache(), ctx.tables.read(CONSENT_HISTORY).cache()


@pytest.mark.parametrize("which", [0, 1], ids=["person", "consent"])
def test_intervals_have_no_gaps_and_one_current_row(histories, which):
    table = histories[which]
    in_time = Window.partitionBy("system", "person_id").orderBy("valid_from")
    following = F.lead("valid_from").over(in_time)
    checked = table.withColumn("following", following)
    assert checked.where(~F.col("valid_to").eqNullSafe(F.col("following"))).count() == 0, "a gap or an overlap"
    assert checked.where("valid_to <= valid_from").count() == 0
    current = table.groupBy("system", "person_id").agg(F.sum(F.col("is_current").cast("int")).alias("n"))
    assert current.where("n <> 1").count() == 0
    assert current.count() == SETS * ORDERS * len(BATCHINGS) * CUSTOMERS


@pytest.mark.parametrize("which", [0, 1], ids=["person", "consent"])
def test_history_does_not_depend_on_order_and_batching(histories, which):
    table = histories[which]
    columns = ["person_id", "valid_from", "valid_to", "is_current", "has_marketing_consent", "row_id"]
    row = F.xxhash64(*columns).cast("decimal(38,0)")
    digests = table.groupBy("system").agg(F.sum(row).alias("digest"), F.count(F.lit(1)).alias("n"))
    by_set = digests.groupBy(F.split("system", ":")[0].alias("number")).agg(
        F.count(F.lit(1)).alias("variants"), F.count_distinct("digest", "n").alias("tables")
    )
    rows = by_set.collect()
    assert len(rows) == SETS
    assert {(r["variants"], r["tables"]) for r in rows} == {(ORDERS * len(BATCHINGS), 1)}


def test_small_history_has_the_expected_intervals(spark, tmp_path):
    ctx = lake_context(spark, tmp_path)
    at = {day: START + timedelta(days=day) for day in range(9)}

    def arrives(number, *rows):
        made = [{"system": "crm", "person_id": "1", "given_name": n, "updated_at": t, "record_hash": n, "row_id": n,
                 "has_marketing_consent": c} for n, t, c in rows]  # fmt: skip
        versions = frame(spark, PERSON, made).withColumns({"_rank": F.lit(0), "_status": F.lit("accepted")})
        update_histories(ctx, "person", versions, batch_id=str(number), digest=str(number))

    arrives(1, ("Ada", at[2], True))
    arrives(2, ("Eda", at[6], True), ("Ida", at[4], False), ("Oda", at[2], False))  # Oda: as old as Ada, and greater
    arrives(3, ("Zoe", None, None))
    arrives(4, ("Ude", None, None))  # without an update time the last one delivered counts, although Zoe is greater
    rows = ctx.tables.read(HISTORY["person"]).orderBy("valid_from").collect()
    assert [(r["given_name"], r["valid_from"], r["valid_to"], r["is_current"]) for r in rows] == [
        ("Ude", datetime(1900, 1, 1), at[2], False), ("Oda", at[2], at[4], False), ("Ida", at[4], at[6], False),
        ("Eda", at[6], None, True),
    ]  # fmt: skip
    consent = ctx.tables.read(CONSENT_HISTORY).orderBy("valid_from").collect()
    assert [(r["has_marketing_consent"], r["valid_from"], r["valid_to"]) for r in consent] == [
        (None, datetime(1900, 1, 1), at[2]), (False, at[2], at[6]), (True, at[6], None),
    ]  # fmt: skip
