"""Facts of a company for the tests of the report: reviews only, and everything."""

from dataclasses import replace
from datetime import date, datetime

from crm_spark.sources.config import Source
from crm_spark.stages.report.facts import Facts


def source(name, *entities):
    """A source that feeds entities; a trailing `*` sets one_row_per_key."""
    columns = {
        "order_line": {"line_id": "a", "order_id": "b", "quantity": "c", "unit_price": "d"},
        "order": {"order_id": "b", "ordered_at": "e", "status": "f"},
        "feedback": {"feedback_id": "a", "kind": {"value": "review"}},
    }
    feeds = {
        entity.strip("*"): {"one_row_per_key": entity.endswith("*"), "columns": columns[entity.strip("*")]}
        for entity in entities
    }
    return Source(name=name, system="shop", files={"path": "*.csv", "format": "csv"}, feeds=feeds)


SOURCES = (source("orders", "order*", "order_line"), source("reviews", "feedback"), source("prices"))
PRIMARY = {"orders": "order_line", "reviews": "feedback"}
DAY = date(2025, 1, 31)


def metric(name, value, *, model="observed", unit="fraction", num_rows=7, slice="all", is_baseline=0):
    return {
        "metric": name,
        "model": model,
        "value": value,
        "unit": unit,
        "num_rows": num_rows,
        "slice": slice,
        "is_baseline": is_baseline,
    }


def flow(source, entity, num_in, accepted, quarantined, duplicate, newest=None):
    return {
        "source": source,
        "entity": entity,
        "num_in": num_in,
        "num_accepted": accepted,
        "num_quarantined": quarantined,
        "num_duplicate": duplicate,
        "last_event_at": newest,
    }


def delivery(source, files, rows):
    return {"source": source, "files": files, "bytes": 10 * rows, "rows": rows, "skipped": 0}


REVIEWS_ONLY = Facts(
    company="Reviews & more",
    currency="USD",
    horizon_days=91,
    as_of=DAY,
    flow=[flow("reviews", "feedback", 1234, 1200, 30, 4)],
    deliveries=[delivery("reviews", 1, 1234)],
    reasons=[
        {
            "source": "reviews",
            "entity": "feedback",
            "status": "quarantined",
            "reason": "bad_rating",
            "n": 30,
            "file": "r.csv",
            "position": 5,
        }
    ],
    texts=[
        {"source": "reviews", "label": "recommends", "n": 900},
        {"source": "reviews", "label": "does_not_recommend", "n": 240},
        {"source": "reviews", "label": "no_clear_opinion", "n": 60},
    ],
)
SEGMENT = {
    "segment_id": 1,
    "as_of": DAY,
    "name": "Champions",
    "num_customers": 1500,
    "customer_fraction": 0.25,
    "revenue_fraction": 0.625,
    "median_num_orders": 12.0,
    "median_recency_days": None,
    "median_monetary": 432.5,
    "mean_satisfaction": None,
}
COMPLETE = replace(
    REVIEWS_ONLY,
    currency="EUR",
    flow=[
        *REVIEWS_ONLY.flow,
        flow("orders", "order", 900, 880, 15, 5),
        flow("orders", "order_line", 2000, 1900, 70, 30, datetime(2025, 1, 30, 8, 15)),
    ],
    deliveries=[*REVIEWS_ONLY.deliveries, delivery("orders", 3, 2000), delivery("prices", 1, 77)],
    rejected_files=[{"source": "orders", "reason": "truncated_file", "n": 2, "file": "2/orders.csv.gz"}],
    quarantined_by_day=[
        {
            "day": DAY,
            "source": "orders",
            "entity": "order",
            "reason": "bad_date",
            "n": 15,
            "file": "o.csv",
            "position": 7,
        }
    ],
    findings_in_accepted=[
        {
            "source": "orders",
            "entity": "order_line",
            "column": "product_id",
            "code": "unknown_product",
            "severity": "warn",
            "n": 1234,
            "file": "o.csv",
            "position": 9,
        }
    ],
    warnings=[{"source": "orders", "entity": "order", "code": "unusually_few_rows", "n": 2}],
    released=[
        {
            "day": DAY,
            "released_by": "ada",
            "source": "orders",
            "entity": "order",
            "reason": "unknown_value",
            "n": 30,
            "rules_before": "0123456789abcdef",
            "rules": "fedcba9876543210",
        }
    ],
    superseded=[{"source": "orders", "entity": "order_line", "by_source": "crm_orders", "n": 5}],
    aspects=[
        {"aspect": "delivery", "n": 1234, "sentiment": -0.354, "standard_error": 0.021},
        {"aspect": "fit and size", "n": 7, "sentiment": 0.5, "standard_error": None},
    ],
    sentiment_by_month=[
        {"month": "2024-12", "n": 40, "sentiment": 0.25, "standard_error": 0.05},
        {"month": "2025-01", "n": 5, "sentiment": -0.125, "standard_error": None},
    ],
    product_sentiment=[
        {
            "system": "shop",
            "product_id": "p1",
            "name": "Lamp",
            "before": 0.5,
            "now": -0.25,
            "change": -0.75,
            "n_before": 12,
            "n_now": 9,
        },
        {
            "system": "shop",
            "product_id": "p2",
            "name": None,
            "before": 0.0,
            "now": 0.5,
            "change": 0.5,
            "n_before": 1300,
            "n_now": 8,
        },
    ],
    segment_words=[
        {"name": "Champions", "label": "recommends", "word": "great", "mean_attribution": 0.815, "num_texts": 20},
        {"name": "Champions", "label": "recommends", "word": "love", "mean_attribution": 0.4, "num_texts": 9},
        {"name": "Lost", "label": "does_not_recommend", "word": "late", "mean_attribution": 1.2, "num_texts": 8},
        {"name": "Lost", "label": "no_clear_opinion", "word": "okay", "mean_attribution": 0.9, "num_texts": 8},
    ],
    num_customers=6000,
    num_prospects=240,
    num_records=8000,
    segments=[
        SEGMENT,
        {**SEGMENT, "segment_id": 2, "name": "Lost", "customer_fraction": 0.75, "revenue_fraction": 0.375},
    ],
    segment_map=[{"name": "Champions", "x": 1.5, "y": 2.0}],
    risk=[
        {"value_band": "high", "risk": "high", "n": 120, "expected_revenue": 9000.0, "at_stake": 7500.0},
        {"value_band": "low", "risk": "high", "n": 400, "expected_revenue": 900.0, "at_stake": 700.0},
        {"value_band": "medium", "risk": "low", "n": 33, "expected_revenue": 1000.0, "at_stake": 100.0},
    ],
    churn_histogram=[{"bucket": 3, "n": 44}],
    churn_reasons=[{"reason": "recency_days", "n": 321}],
    actions=[
        {"action": "win_back", "reason": "leaving", "n": 150, "num_holdout": 15, "at_stake": 2500.0},
        {"action": "none", "reason": "no_consent", "n": 42, "num_holdout": 0, "at_stake": 0.0},
        {"action": "none", "reason": "no_rule_applies", "n": 5808, "num_holdout": 0, "at_stake": 0.0},
    ],
    offers=[
        {"system": "shop", "product_id": "p1", "name": "Lamp", "n": 64},
        {"system": "shop", "product_id": "p2", "name": None, "n": 8},
    ],
    metrics=[
        metric("active_customers", 1500.0),
        metric("revenue_recent", 1200.0),
        metric("revenue_before", 1000.0),
        metric("retention", 0.625),
        metric("churn_auc", 0.9, model="xgboost"),
        metric("churn_auc", 0.75, model="recency", is_baseline=1),
        metric("churn_cross_entropy", 0.7, model="xgboost", unit="bits"),
        metric("churn_cross_entropy", 0.6, model="class_prior", unit="bits", is_baseline=1),
    ],
    drift=[
        {"feature": "monetary", "psi": 0.3, "threshold": 0.1, "as_of": DAY, "num_rows": 9},
        {"feature": "num_orders", "psi": 0.05, "threshold": 0.1, "as_of": DAY, "num_rows": 9},
    ],
    runs=[{"stage": "predict", "status": "done", "num_rows": 553, "seconds": 12.34, "note": "wrote 553 rows"}],
)


def model_card():
    figures = {"cross_entropy_bits": 0.5, "macro_f1": 0.7, "accuracy": 0.8, "calibration_error": 0.012, "num_rows": 10}
    confusion = [[3, 1, 0], [1, 2, 0], [0, 1, 2]]
    return {
        "examples": {"train": {"recommends": 30, "does_not_recommend": 10}},
        "made_from": {"test_from": "2025-01-20", "labels_checked": 40, "labels_doubtful": 3},
        "test": {"bert": {**figures, "confusion": confusion}, "class_prior": {"cross_entropy_bits": 1.25}},
        "test_slices": {
            "language=de": {**figures, "cross_entropy_bits": 0.9, "num_rows": 4},
            "source=app_reviews": {**figures, "cross_entropy_bits": 0.25, "num_rows": 6},
        },
        "training": {
            "curve": [[5, 1.1], [10, 0.8], [20, 0.6]],
            "steps": 20,
            "validation_bits": [0.7, 0.65],
            "best_epoch": 2,
        },
    }
