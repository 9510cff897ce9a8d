"""Models of churn, value, segments and recommendations are kept until their policy asks for new ones."""

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.ops import METRIC
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE, RECOMMENDATION
from crm_spark.contracts.silver import ORDER, ORDER_LINE
from crm_spark.stages.predict import stage as predict
from crm_spark.stages.recommend import stage as recommend
from crm_spark.stages.segment import stage as segment

HORIZON, NUM_CUSTOMERS = 91, 120
SETTINGS = (
    *("predict.min_customers=100", "predict.trees.num_trees=5", "predict.trees.learning_rate=0.3"),
    *("predict.trees.min_child_weight=1", "segment.max_k=4"),
    *("recommend.min_customers=10", "recommend.rank=4", "recommend.num_iterations=3"),
)


def snapshot(day, *, are_reversed=False, num_customers=NUM_CUSTOMERS):
    """Recent buyers, every other customer, came back within the last horizon; reversed: the others did."""
    rows = []
    for i in range(num_customers):
        is_recent = i % 2 == 0
        came_back = is_recent != are_reversed
        rows.append(
            {
                "customer_id": f"c{i:03d}",
                "as_of": day,
                "recency_days": (3 if is_recent else 200) + i % 7,
                "num_orders": 2 + i % 4 * 5,
                "num_orders_recent": int(came_back),
                "monetary": 100.0 + i % 5 * 100,
                "monetary_recent": (20.0 + i) * came_back,
                "tenure_days": 300 + i % 50,
            }
        )
    return rows


def context(spark, lake, night, *overrides):
    made = lake_context(spark, lake, *SETTINGS, *overrides, fingerprint=f"{night:08d}" * 8)
    return replace(made, as_of=AS_OF + timedelta(days=night), code="code of the stage")


def put_snapshots(ctx, **last):
    days = [ctx.as_of - i * timedelta(days=HORIZON) for i in range(3)]
    put(ctx.tables, FEATURE_CUSTOMER, snapshot(days[0], **last) + [r for day in days[1:] for r in snapshot(day)])


def versions(ctx, name):
    """The version in use, and all versions on disk."""
    home = ctx.files_root / "fitted" / name
    return (home / "current").read_text(), sorted(path.name for path in home.iterdir() if path.is_dir())


def models_of(ctx, table):
    day = f"as_of = '{ctx.as_of}'"
    return {row["model"] for row in ctx.tables.read(table).where(day).select("model").distinct().collect()}


def auc(ctx):
    rows = ctx.tables.read(METRIC).where(f"metric = 'churn_auc' AND model = 'xgboost' AND as_of = '{ctx.as_of}'")
    return rows.collect()[0]["value"]


@pytest.fixture(scope="module")
def first_night(spark, tmp_path_factory):
    """A lake whose models were fitted on night 0."""
    folder = tmp_path_factory.mktemp("first_night")
    ctx = context(spark, folder, 0)
    put_snapshots(ctx)
    predict.run(ctx)
    return folder


@pytest.fixture
def lake(spark, first_night, tmp_path):
    """Context of a later night on a copy of that lake."""
    shutil.copytree(first_night, tmp_path / "lake")
    return lambda night, *overrides: context(spark, tmp_path / "lake", night, *overrides)


def test_predictions_of_later_nights_name_the_kept_model_and_are_evaluated_anew(lake):
    first = lake(0)
    assert models_of(first, CHURN) == models_of(first, LIFETIME_VALUE) == {"xgboost:00000000"}
    rows = first.tables.read(CHURN).collect()
    before = {row["customer_id"]: (row["probability"], row["reasons"]) for row in rows}
    later = lake(29)
    put_snapshots(later)
    assert predict.run(later).note.endswith("churn model of 2025-01-31; value model of 2025-01-31")
    assert models_of(later, CHURN) == models_of(later, LIFETIME_VALUE) == {"xgboost:00000000"}
    scores = later.tables.read(CHURN).where(f"as_of = '{later.as_of}'").collect()
    # The same features give the same probability and reasons as on the first night, from the model on disk.
    after = {row["customer_id"]: (row["probability"], row["reasons"]) for row in scores}
    assert {who: pytest.approx(p) for who, (p, _) in after.items()} == {who: p for who, (p, _) in before.items()}
    assert {who: reasons for who, (_, reasons) in after.items()} == {who: r for who, (_, r) in before.items()}
    assert auc(later) == auc(first) == 1.0
    aged = lake(30)
    put_snapshots(aged)
    assert "churn fitted again: fitted 30 days ago" in predict.run(aged).note
    assert versions(aged, "churn") == ("00000030", ["00000000", "00000030"])
    assert models_of(aged, CHURN) == {"xgboost:00000030"}


@pytest.mark.slow
def test_growth_asks_for_new_models(lake):
    grown = lake(1)
    days = [grown.as_of - i * timedelta(days=HORIZON) for i in range(3)]
    rows = [row for day in days for row in snapshot(day, num_customers=2 * NUM_CUSTOMERS)]
    put(grown.tables, FEATURE_CUSTOMER, rows)
    assert "churn fitted again: 240 new examples beside 240" in predict.run(grown).note


def test_thresholds_are_applied_to_the_scores_of_the_same_model(lake):
    ctx = lake(1, "predict.high_risk=0.9")
    put_snapshots(ctx)
    predict.run(ctx)
    assert versions(ctx, "churn")[0] == "00000000"


@pytest.mark.parametrize(
    "change", ["force", pytest.param("settings", marks=pytest.mark.slow), pytest.param("code", marks=pytest.mark.slow)]
)
def test_other_settings_other_code_and_force_ask_for_new_models(lake, change):
    ctx = lake(1, *(["predict.trees.num_trees=6"] if change == "settings" else []))
    put_snapshots(ctx)
    predict.run(replace(ctx, **{"force": {"is_forced": True}, "code": {"code": "other code"}}.get(change, {})))
    assert versions(ctx, "churn")[0] == "00000001"


@pytest.mark.slow
def test_a_model_that_newer_outcomes_contradict_is_fitted_again(lake):
    ctx = lake(1, "predict.retrain.min_compared=50")
    put_snapshots(ctx, are_reversed=True)  # those who always came back did not, and the other way round
    assert "churn fitted again: loss" in predict.run(ctx).note
    assert auc(ctx) < 0.5, "the evaluated model has not seen these outcomes"


@pytest.mark.slow
def test_an_earlier_day_is_not_predicted_by_a_model_that_knows_later_ones(lake):
    earlier = lake(-10)
    put_snapshots(earlier)
    earlier = replace(earlier, fingerprint="e" * 64)
    predict.run(earlier)
    assert models_of(earlier, CHURN) == {"xgboost:eeeeeeee"}
    assert versions(earlier, "churn")[0] == "00000000", "the model in use stays"
    predict.run(replace(earlier, is_forced=True, fingerprint="d" * 64))
    assert versions(earlier, "churn")[0] == "dddddddd", "--retrain replaces it"


@pytest.mark.parametrize("damage", ["model", "card"])
def test_a_damaged_model_is_reported_and_fitted_again(lake, project_log, damage):
    ctx = lake(1)
    put_snapshots(ctx)
    home = ctx.files_root / "fitted" / "churn" / "00000000"
    models = (path for path in (home / "serving").rglob("part-*") if not path.name.endswith("crc"))
    altered = next(models) if damage == "model" else home / "card.json"
    altered.write_bytes(altered.read_bytes()[:-1])
    predict.run(ctx)
    assert "is missing or altered, so the model is not used" in project_log.text
    assert versions(ctx, "churn")[0] == "00000001" and versions(ctx, "value")[0] == "00000000"


@pytest.mark.slow
def test_a_dry_run_writes_no_model(spark, tmp_path):
    ctx = context(spark, tmp_path, 0)
    put_snapshots(ctx)
    predict.run(replace(ctx, is_dry_run=True))
    assert not (ctx.files_root / "fitted").exists()


@pytest.mark.slow
def test_segments_are_kept_and_their_map_too(spark, tmp_path):
    first, later = context(spark, tmp_path, 0), context(spark, tmp_path, 60)
    put_snapshots(first)
    segment.run(first)
    put_snapshots(later)
    note = segment.run(later).note
    assert note.startswith("4 segments of 2025-01-31 (silhouette 0.")
    columns = ("segment_id", "map_x", "map_y")

    def assigned(ctx):
        rows = ctx.tables.read(SEGMENT).where(f"as_of = '{ctx.as_of}'").collect()
        return {row["customer_id"]: tuple(round(row[name], 9) for name in columns) for row in rows}

    assert assigned(later) == assigned(first) and len(assigned(first)) == NUM_CUSTOMERS
    card = json.loads((first.files_root / "fitted" / "segments" / "00000000" / "card.json").read_text())
    assert sorted(card["ids"]) == [1, 2, 3, 4] and card["num_examples"] == NUM_CUSTOMERS
    old = context(spark, tmp_path, 90)
    put_snapshots(old)
    assert segment.run(old).note.endswith("formed again: fitted 90 days ago")
    assert {row[0] for row in assigned(old).values()} == {1, 2, 3, 4}, "new segments continue the former ones"


@pytest.mark.slow
def test_recommendations_of_a_kept_model_follow_new_purchases(spark, tmp_path):
    def shop(ctx, extra=()):
        # Two tastes. In January each customer buys the product of the taste that the popular products lack.
        bought = [
            (f"p{i:02d}", f"{'ab'[i % 2]}{j}", datetime(2024, 9, 1))
            for i in range(40)
            for j in range(8)
            if j != i // 2 % 8
        ]
        bought += [(f"p{i:02d}", f"c{j}", datetime(2024, 9, 1)) for i in range(40, 90) for j in range(8)]
        bought += [(f"p{i:02d}", f"{'ab'[i % 2]}{i // 2 % 8}", datetime(2025, 1, 15)) for i in range(40)]
        rows = [*bought, *extra]
        keys = [{"system": "shop", "order_id": f"o{i}"} for i in range(len(rows))]
        orders = [
            {**k, "person_id": who, "ordered_at": at, "status": "completed"} for k, (who, _, at) in zip(keys, rows)
        ]
        lines = [{**k, "line_id": k["order_id"], "product_id": what} for k, (_, what, _) in zip(keys, rows)]
        put(ctx.tables, ORDER, orders)
        put(ctx.tables, ORDER_LINE, lines)
        people = sorted({who for who, _, _ in rows})
        put(ctx.tables, CUSTOMER_LINK, [{"system": "shop", "person_id": p, "customer_id": f"c{p}"} for p in people])
        return recommend.run(ctx).note

    few = ("recommend.num_recommendations=2",)
    first = context(spark, tmp_path, 0, *few)
    assert shop(first).endswith("selected: als")
    night = context(spark, tmp_path, 1, *few)
    newcomer = [("new", f"a{j}", datetime(2025, 2, 1)) for j in range(3)] + [("p00", "z9", datetime(2025, 2, 1))]
    assert shop(night, newcomer).endswith("selected: als; ALS model of 2025-01-31")
    offers = night.tables.read(RECOMMENDATION).where(f"as_of = '{night.as_of}'").collect()
    assert {row["customer_id"] for row in offers} >= {"cnew", "cp00"}
    assert {row["model"] for row in offers} == {"als:00000000"}
    assert {row["product_id"] for row in offers if row["customer_id"] == "cnew"} <= {f"a{j}" for j in range(3, 8)}
    old = context(spark, tmp_path, 14, *few)
    assert shop(old, newcomer).endswith("ALS fitted again: fitted 14 days ago")
