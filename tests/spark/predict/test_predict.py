"""Predict stage: planted signal, metrics, skipped runs."""

import math
from collections import Counter
from datetime import date

import pytest
from pyspark.sql import functions as F
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.ops import METRIC
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE
from crm_spark.features.columns import DECLARED
from crm_spark.stages.predict import churn as churn_prediction
from crm_spark.stages.predict import stage
from crm_spark.stages.predict import value as value_prediction
from crm_spark.stages.predict.churn import auc, churn_measures, top_reasons
from crm_spark.stages.predict.examples import INPUTS, labelled
from crm_spark.stages.predict.reasons import reason_is_true
from crm_spark.stages.predict.value import revenue_of_top, value_measures, with_value_band

MIDDLE, OLDEST = date(2024, 11, 1), date(2024, 8, 2)  # 91 and 182 days before AS_OF
NUM_BUYERS, NUM_VISITORS = 240, 10


def has_just_bought(customer, snapshot):
    """Whether customer i is a recent buyer in snapshot k (0: oldest): half of them, varying by snapshot."""
    return (customer * 7 + snapshot * snapshot * 5 + customer // 16 * snapshot) % 16 < 8


def history(days):
    """Recent buyers buy again within the horizon, others do not; no other feature is informative."""
    rows = []
    for k, day in enumerate(days):
        for i in range(NUM_BUYERS):
            is_recent = has_just_bought(i, k)
            came_back = k == 0 or has_just_bought(i, k - 1)
            rows.append(
                {
                    "customer_id": f"c{i:03d}",
                    "as_of": day,
                    "recency_days": (5 if is_recent else 120) + i * 13 % 40,
                    "num_orders": 3,
                    "num_orders_recent": int(came_back),
                    "monetary": 300.0 + i * 37 % 100,
                    "monetary_recent": (50.0 + i) * came_back,
                    "tenure_days": 400 + i * 29 % 200,
                }
            )
        rows += [{"customer_id": f"v{i}", "as_of": day} for i in range(NUM_VISITORS)]
    return rows


def context(spark, lake, *overrides):
    return lake_context(spark, lake, "predict.trees.num_trees=25", "predict.trees.learning_rate=0.3", *overrides)


@pytest.fixture(scope="module")
def predicted(spark, tmp_path_factory):
    """Lake, churn scores by customer and result of the stage."""
    ctx = context(spark, tmp_path_factory.mktemp("lake"))
    put(ctx.tables, FEATURE_CUSTOMER, history([OLDEST, MIDDLE, AS_OF]))
    result = stage.run(ctx)
    return ctx, ctx.tables.read(CHURN).collect(), result


def test_injected_signal_is_detected_on_the_test_snapshot(predicted):
    ctx, _, result = predicted
    measured = {(r["metric"], r["model"]): r["value"] for r in ctx.tables.read(METRIC).collect()}
    assert measured["churn_auc", "xgboost"] > 0.9
    assert measured["churn_cross_entropy", "class_prior"] == pytest.approx(1, abs=0.01)  # half lapse: one bit each
    assert measured["churn_cross_entropy", "xgboost"] < 0.5
    assert "on the test snapshot 2024-11-01" in result.note


def test_scores_have_churn_probability_and_reasons(predicted):
    _, churn, _ = predicted
    for row in churn:
        is_leaving = not has_just_bought(int(row["customer_id"][1:]), 2)
        assert row["risk"] == ("high" if is_leaving else "low")
        assert not is_leaving or row["reasons"][0] == "recency_days"


def test_every_customer_with_orders_gets_one_score_of_each_kind(predicted):
    ctx, churn, result = predicted
    buyers = [f"c{i:03d}" for i in range(240)]  # without the ten customers who never ordered
    assert result.num_rows == 240
    assert sorted(row["customer_id"] for row in churn) == buyers
    assert sorted(r["customer_id"] for r in ctx.tables.read(LIFETIME_VALUE).collect()) == buyers
    assert {row["as_of"] for row in churn} == {AS_OF}


def test_fewer_than_three_snapshots_are_skipped(spark, tmp_path):
    ctx = context(spark, tmp_path)
    put(ctx.tables, FEATURE_CUSTOMER, history([MIDDLE, AS_OF]))
    result = stage.run(ctx)
    assert (result.status, result.note) == (
        "skipped",
        "needs customers known by 2024-08-02, two horizons of 91 days before 2025-01-31; there are none",
    )
    assert not ctx.tables.exists(CHURN)


def test_snapshots_of_other_days_are_ignored(spark, tmp_path):
    # Snapshots of other refreshes exist; examples must still span whole horizons.
    days = [date(2024, 8, 1), OLDEST, date(2024, 10, 31), MIDDLE, date(2025, 1, 30), AS_OF, date(2025, 2, 1)]
    ctx = context(spark, tmp_path, "predict.min_customers=100000")
    put(ctx.tables, FEATURE_CUSTOMER, history(days))
    assert "customers with completed orders by 2024-08-02" in stage.run(ctx).note


def test_too_few_buyers_are_skipped_with_their_number(spark, tmp_path):
    ctx = context(spark, tmp_path, "predict.min_customers=241")
    put(ctx.tables, FEATURE_CUSTOMER, history([OLDEST, MIDDLE, AS_OF]))
    result = stage.run(ctx)
    assert result.status == "skipped"
    assert result.note == ("needs at least 241 customers with completed orders by 2024-08-02; there are 240")


def test_unknown_amounts_leave_churn_without_expected_revenue(spark, tmp_path):
    ctx = context(spark, tmp_path)
    rows = [{**row, "monetary": None, "monetary_recent": None} for row in history([OLDEST, MIDDLE, AS_OF])]
    put(ctx.tables, FEATURE_CUSTOMER, rows)
    result = stage.run(ctx)
    assert result.num_rows == ctx.tables.read(CHURN).count() == 240
    assert not ctx.tables.exists(LIFETIME_VALUE)
    assert result.note.endswith("value needs at least 200 customers whose orders have known amounts; there are none")


def test_customers_who_all_ordered_again_are_skipped(spark, tmp_path):
    ctx = context(spark, tmp_path)
    rows = [{**row, "num_orders_recent": 1} for row in history([OLDEST, MIDDLE, AS_OF])]
    put(ctx.tables, FEATURE_CUSTOMER, rows)
    result = stage.run(ctx)
    assert (result.status, result.note) == (
        "skipped",
        "needs customers who ordered again by 2024-11-01, and customers who did not; all 240 did",
    )


def test_examples_combine_features_with_later_outcomes(spark, tmp_path):
    schema = FEATURE_CUSTOMER.schema
    names = ("customer_id", "as_of", "recency_days", "num_orders", "num_orders_recent", "monetary_recent")
    rows = [
        ("stays", MIDDLE, 4, 2, 2, 20.0),
        ("stays", AS_OF, 1, 3, 1, 8.5),
        ("leaves", MIDDLE, 9, 1, 1, 30.0),
        ("leaves", AS_OF, 100, 1, 0, 0.0),
        ("comes", MIDDLE, None, 0, 0, 0.0),  # had not ordered yet: no example
        ("comes", AS_OF, 3, 1, 1, 5.0),
    ]
    features = spark.createDataFrame(rows, ", ".join(f"{n} {schema[n].dataType.simpleString()}" for n in names))
    others = [F.lit(0).cast(f.dataType).alias(f.name) for f in schema.fields if f.name not in (*names, DECLARED)]
    labels = churn_prediction.PREDICTION.labels("inactivity") + value_prediction.PREDICTION.labels("inactivity")
    examples = labelled(features.select("*", *others), labels, features_on=MIDDLE, outcome_on=AS_OF).collect()
    values = {r["customer_id"]: (r["recency_days"], r["num_orders"], r["has_lapsed"], r["revenue"]) for r in examples}
    assert values == {"stays": (4.0, 2.0, 0, 8.5), "leaves": (9.0, 1.0, 1, 0.0)}


def test_auc_is_the_fraction_of_correctly_ordered_pairs(spark):
    frame = spark.createDataFrame([(1, 0.9), (0, 0.8), (1, 0.4), (0, 0.1)], "has_lapsed int, score double")
    assert auc(frame, "score") == pytest.approx(0.75)  # 3 of 4 pairs are in the right order
    assert auc(frame.where("has_lapsed = 1"), "score") is None


def test_churn_metrics_of_model_and_baselines_are_computed(spark):
    rows = [(1, 0.5, 90.0), (0, 0.5, 1.0), (0, 0.5, 2.0), (0, 0.5, float("nan"))]
    scored = spark.createDataFrame(rows, "has_lapsed int, probability double, recency_days double")
    values = {(m.metric, m.model): m.value for m in churn_measures(scored, base_rate=0.25, model="ours")}
    assert values["churn_cross_entropy", "ours"] == pytest.approx(1.0)  # probability 0.5: one bit
    # -(log2 0.25 + 3 log2 0.75) / 4 = (2 + 1.2451) / 4
    assert values["churn_cross_entropy", "class_prior"] == pytest.approx(0.8113, abs=1e-4)
    assert values["churn_auc", "recency"] == pytest.approx(2 / 3)  # 90 is above 1 and 2; unknown ranks highest
    assert values["lapsed_fraction", "observed"] == 0.25


def spenders(spark):
    rows = [(f"c{i:02d}", float(20 - i), 100.0 if i == 0 else 300.0 if i == 9 else 0.0, float(i)) for i in range(20)]
    return spark.createDataFrame(
        rows, "customer_id string, expected_revenue double, revenue double, monetary_recent double"
    )


def test_revenue_share_of_the_top_tenth_is_computed(spark):
    scored = spenders(spark)
    # Total 400; top two by expected revenue: c00 and c01, 100; top half: c00 to c09.
    assert revenue_of_top(scored, "expected_revenue", fraction=0.1) == 0.25
    assert revenue_of_top(scored, "expected_revenue", fraction=0.5) == 1.0
    assert revenue_of_top(scored.withColumn("revenue", F.lit(0.0)), "expected_revenue", fraction=0.1) is None


def test_mean_absolute_error_of_expected_revenue_is_computed(spark):
    rows = [("a", 10.0, 12.0, 0.0), ("b", 5.0, 1.0, 1.0)]
    scored = spark.createDataFrame(
        rows, "customer_id string, expected_revenue double, revenue double, monetary_recent double"
    )
    values = {(m.metric, m.model): m.value for m in value_measures(scored, currency="EUR", model="ours")}
    assert values["value_mean_absolute_error", "ours"] == 3.0  # (2 + 4) / 2
    assert values["value_mean_absolute_error", "last_value"] == 6.0  # (12 + 0) / 2


def bands(frame):
    return Counter(row["value_band"] for row in with_value_band(frame, "expected_revenue").collect())


def test_value_bands_have_10_40_and_50_percent(spark):
    assert bands(spenders(spark)) == {"high": 2, "medium": 8, "low": 10}


def test_value_band_sizes_hold_with_ties(spark):
    alike = spenders(spark).withColumn("expected_revenue", F.lit(7.0))
    assert bands(alike) == {"high": 2, "medium": 8, "low": 10}


def test_reasons_are_the_three_largest_positive_contributions(spark):
    weights = {"monetary": 0.9, "recency_days": 0.5, "num_tickets": 0.2, "lateness": 0.1, "num_orders": -0.3}
    row = [weights.get(name, 0.0) for name in INPUTS] + [5.0]  # the last value is the bias
    frame = spark.createDataFrame([(row,), ([0.0] * len(row),)], "contributions array<double>")
    reasons = [r[0] for r in frame.select(top_reasons(F.col("contributions"))).collect()]
    assert reasons == [["monetary", "recency_days", "num_tickets"], []]


def test_reasons_are_only_those_whose_words_are_true(spark):
    known = {name: 1.0 for name in INPUTS}
    customers = [
        {**known, "recency_days": 5.0, "num_orders": 9.0, "mean_satisfaction": 0.5, "lateness": 0.4},
        {**known, "recency_days": 200.0, "num_orders": 1.0, "mean_satisfaction": -1.0, "lateness": 3.0},
        {**known, "recency_days": 90.0, "num_orders": 2.0, "mean_satisfaction": math.nan, "lateness": math.nan},
    ]
    columns = ", ".join(f"{name} double" for name in INPUTS)
    frame = spark.createDataFrame([tuple(row[name] for name in INPUTS) for row in customers], columns)
    holds = [column.alias(name) for name, column in zip(INPUTS, reason_is_true(frame, INPUTS))]
    rows = frame.select(*holds).collect()
    names = ("recency_days", "num_orders", "mean_satisfaction", "lateness")
    assert [[row[name] for name in names] for row in rows] == [
        [False, False, False, False],
        [True, True, True, True],
        [True, True, False, False],  # the median counts where values differ; an unknown value says nothing
    ]
    # All have the same revenue: nobody spends little.
    assert {row["monetary"] for row in rows} == {False} and {row["num_orders_recent"] for row in rows} == {False}


def test_no_response_is_a_reason_only_for_contacted_customers(spark):
    counts = [(0.0, 0.0), (3.0, 0.0), (3.0, 2.0), (math.nan, 0.0)]
    known = {name: 1.0 for name in INPUTS}
    customers = [{**known, "num_campaign_contacts": c, "num_campaign_responses": r} for c, r in counts]
    columns = ", ".join(f"{name} double" for name in INPUTS)
    frame = spark.createDataFrame([tuple(row[name] for name in INPUTS) for row in customers], columns)
    (is_true,) = reason_is_true(frame, ("num_campaign_responses",))
    assert [row[0] for row in frame.select(is_true).collect()] == [False, True, False, False]


def test_a_reason_that_is_not_true_is_left_out(spark):
    weights = [float(len(INPUTS) - i) for i in range(len(INPUTS))] + [5.0]
    frame = spark.createDataFrame([(weights, [i > 0 for i in range(len(INPUTS))])], "c array<double>, h array<boolean>")
    assert frame.select(top_reasons(F.col("c"), F.col("h"))).first()[0] == list(INPUTS[1:4])
