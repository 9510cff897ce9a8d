"""Facts and page of a small hand-written lake."""

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import SEGMENT, SEGMENT_PROFILE, TEXT
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import (
    DELIVERY,
    DRIFT,
    FINDING,
    METRIC,
    QUARANTINE,
    RECONCILIATION,
    RELEASE,
    RUN,
    SUPERSEDED,
)
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE, RECOMMENDATION, SCORE_TEXT
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.context import in_parallel
from crm_spark.models.registry import ModelVersion
from crm_spark.stages.report import stage
from crm_spark.stages.report.facts import collect_facts

BEFORE = date(2024, 11, 1)
DANGEROUS = "<script>alert('lamp')</script>"


def reconciliation(entity, batch_id, *counts, newest=None):
    names = ("num_in", "num_accepted", "num_quarantined", "num_duplicate")
    return {
        "source": "orders",
        "entity": entity,
        "batch_id": batch_id,
        **dict(zip(names, counts)),
        "last_event_at": newest,
    }


def scored(name, probability, risk, expected, band, reasons):
    churn = {"customer_id": name, "probability": probability, "risk": risk, "reasons": reasons}
    return churn, {"customer_id": name, "expected_revenue": Decimal(expected), "value_band": band}


SCORES = [
    scored("anna", 0.75, "high", "200.00", "high", ["lateness", "monetary"]),
    scored("ben", 0.5, "medium", "100.00", "high", ["lateness"]),
    scored("cleo", 0.125, "low", "10.00", "low", ["recency_days"]),
    scored("dora", 1.0, "high", "40.00", "high", ["monetary"]),
]
CONTENT = {
    RECONCILIATION: [
        reconciliation("order", "b1", 10, 7, 2, 1, newest=datetime(2025, 1, 20)),
        reconciliation("order", "b2", 5, 5, 0, 0, newest=datetime(2025, 1, 25)),
        reconciliation("person", "b1", 4, 4, 0, 0),
    ],
    DELIVERY: [
        {"source": "orders", "file": "1", "file_sha256": "1", "num_bytes": 50, "num_rows": 10, "status": "ingested"},
        {"source": "orders", "file": "2", "file_sha256": "2", "num_bytes": 20, "num_rows": 5, "status": "ingested"},
        {"source": "orders", "file": "3", "file_sha256": "3", "num_bytes": 9, "num_rows": 0, "status": "rejected",
         "reason": "truncated_file"},
        {"source": "orders", "file": "2", "file_sha256": "2", "num_bytes": 20, "num_rows": 0, "status": "rejected",
         "reason": "wrong_encoding"},  # ingested later with another configuration
        {"source": "orders", "file": "1", "file_sha256": "4", "num_bytes": 9, "num_rows": 0, "status": "skipped"},
    ],
    QUARANTINE: [
        {"row_id": "1", "source": "orders", "entity": "order", "file": "b.csv", "position": 9, "status": "quarantined",
         "reasons": ["bad_date", "bad_number"]},
        {"row_id": "2", "source": "orders", "entity": "order", "file": "a.csv", "position": 3, "status": "quarantined",
         "reasons": ["bad_date"]},
        {"row_id": "3", "source": "orders", "entity": "order", "file": "a.csv", "position": 4, "status": "duplicate",
         "reasons": ["exact_duplicate"]},
        {"row_id": "4", "source": "orders", "entity": "order", "file": "a.csv", "position": 1, "status": "released",
         "reasons": ["unknown_value"]},
    ],
    FINDING: [
        {"source": "orders", "entity": "order", "batch_id": b, "code": "placeholder", "column": "person_id",
         "severity": "nulled", "num_rows": n, "file": f"{b}.csv", "position": n}
        for b, n in (("b2", 3), ("b1", 4))
    ] + [
        {"source": "orders", "entity": "order", "batch_id": "b1", "code": "bad_date", "column": "ordered_at",
         "severity": "quarantine", "num_rows": 2},
        {"source": "orders", "entity": "order", "batch_id": "b1", "code": "unusually_few_rows", "column": "*",
         "severity": "warn", "num_rows": 10},
    ],
    SUPERSEDED: [
        {"row_id": r, "source": "orders", "entity": "order", "by_row_id": "b1", "by_source": by}
        for r, by in (("a1", "orders"), ("a2", "orders"), ("a3", "crm_orders"))
    ],
    RELEASE: [
        {"row_id": "4", "source": "orders", "entity": "order", "outcome": "accepted", "reasons": ["unknown_value"],
         "rules_version_before": "old", "rules_version": "new", "released_by": "ada", "released_at": datetime(2025, 1, 26)},
    ],
    CUSTOMER: [{"customer_id": name} for name in ("anna", "ben", "cleo", "dora")],
    CUSTOMER_LINK: [{"system": "shop", "person_id": f"p{i}", "customer_id": "anna"} for i in range(5)],
    SEGMENT: [
        {"customer_id": "anna", "as_of": AS_OF, "segment_id": 1, "map_x": 0.1234567, "map_y": -1.0},
        {"customer_id": "ben", "as_of": AS_OF, "segment_id": 0},
        {"customer_id": "cleo", "as_of": BEFORE, "segment_id": 1},
    ],
    SEGMENT_PROFILE: [
        {"segment_id": 0, "as_of": AS_OF, "name": "Has not bought yet", "num_customers": 3, "revenue_fraction": 0.0},
        {"segment_id": 1, "as_of": AS_OF, "name": "Champions", "num_customers": 1, "revenue_fraction": 1.0},
        {"segment_id": 1, "as_of": BEFORE, "name": "Champions", "num_customers": 99, "revenue_fraction": 1.0},
    ],
    CHURN: [{"as_of": AS_OF, **churn} for churn, _ in SCORES]
    + [{**SCORES[0][0], "as_of": BEFORE, "reasons": ["monetary"]}],
    LIFETIME_VALUE: [{"as_of": AS_OF, **value} for _, value in SCORES],
    NEXT_BEST_ACTION: [
        {"customer_id": "anna", "as_of": AS_OF, "action": "vip_care", "reason": "top_value", "priority": 150.0},
        {"customer_id": "ben", "as_of": AS_OF, "action": "vip_care", "reason": "top_value", "priority": 50.0,
         "is_holdout": 1},
        {"customer_id": "cleo", "as_of": AS_OF, "action": "none", "reason": "no_consent", "priority": 1.25},
        {"customer_id": "cleo", "as_of": BEFORE, "action": "vip_care", "reason": "top_value"},
    ],
    RECOMMENDATION: [
        {"customer_id": who, "as_of": AS_OF, "rank": rank, "system": "shop", "product_id": product}
        for who, rank, product in [
            ("anna", 1, "lamp"), ("ben", 2, "lamp"), ("cleo", 3, "lamp"), ("anna", 2, "vase"), ("ben", 4, "vase"),
        ]
    ],
    PRODUCT: [{"system": "shop", "product_id": "lamp", "name": DANGEROUS}],
    SCORE_TEXT: [
        {"text_hash": "t1", "model_version": "production", "label": "recommends"},
        {"text_hash": "t2", "model_version": "production", "label": "does_not_recommend"},
        {"text_hash": "t1", "model_version": "candidate", "label": "no_clear_opinion"},
    ],
    TEXT: [
        {"system": "shop", "entity": "feedback", "record_id": record, "text_hash": text, "written_on": day,
         "source": "surveys" if record == "5" else "reviews"}
        for record, text, day in [
            ("1", "t1", date(2025, 1, 5)), ("2", "t1", date(2025, 1, 6)), ("3", "t2", date(2024, 12, 31)),
            ("4", "t2", None), ("5", "t1", date(2025, 2, 1)), ("6", "unscored", date(2025, 1, 5)),
        ]
    ],
    METRIC: [
        {"metric": "retention", "stage": "monitor", "slice": "all", "model": "observed", "as_of": AS_OF, "value": 0.5,
         "unit": "fraction", "num_rows": 8},
        {"metric": "retention", "stage": "monitor", "slice": "all", "model": "observed", "as_of": BEFORE, "value": 0.9,
         "unit": "fraction", "num_rows": 8},
    ],
    DRIFT: [
        {"feature": "monetary", "as_of": AS_OF, "psi": 0.3, "threshold": 0.1},
        {"feature": "monetary", "as_of": BEFORE, "psi": 9.0, "threshold": 0.1},
    ],
    RUN: [
        {"run_id": run, "stage": "clean", "status": status, "num_rows": rows, "ended_at": at}
        for run, status, rows, at in [
            ("1", "done", 12, datetime(2025, 1, 30)), ("2", "skipped", 0, datetime(2025, 1, 31)),
        ]
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def ctx(spark, tmp_path_factory):
    ctx = lake_context(spark, tmp_path_factory.mktemp("lake"))
    in_parallel(lambda item: put(ctx.tables, *item), CONTENT.items())
    return ctx


def collect(tables):
    return collect_facts(
        tables,
        company="Us",
        currency="EUR",
        horizon_days=91,
        as_of=AS_OF,
        model=ModelVersion(Path("."), "production", {}),
        versions=("production",),
        map_points=100,
        min_customers_per_cell=5,
        seed=11,
    )


@pytest.fixture(scope="module")
def facts(ctx):
    return collect(ctx.tables)


@pytest.fixture(scope="module")
def page(ctx):
    """HTML of the page after a run of the stage."""
    assert stage.must_run(ctx)
    stage.run(ctx)
    assert not stage.must_run(ctx)
    return stage.page_path(ctx).read_text(encoding="utf-8")


def test_record_counts_are_summed_over_deliveries(facts):
    assert [tuple(row.values()) for row in facts.flow] == [
        ("orders", "order", 15, 12, 2, 1, datetime(2025, 1, 25)),  # 10 + 5 = 12 + 2 + 1
        ("orders", "person", 4, 4, 0, 0, None),
    ]
    expected = {"source": "orders", "files": 2, "bytes": 70, "rows": 15, "skipped": 1}
    assert facts.deliveries == [expected]


def test_quality_facts_by_day_rule_and_release(facts):
    assert [(str(r["day"]), r["reason"], r["n"], r["file"], r["position"]) for r in facts.quarantined_by_day] == [
        ("2025-01-01", "bad_date", 2, "a.csv", 3),
        ("2025-01-01", "bad_number", 1, "b.csv", 9),
    ]
    finding = {
        "source": "orders",
        "entity": "order",
        "column": "person_id",
        "code": "placeholder",
        "severity": "nulled",
    }
    assert facts.findings_in_accepted == [{**finding, "n": 7, "file": "b1.csv", "position": 4}]
    assert facts.warnings == [{"source": "orders", "entity": "order", "code": "unusually_few_rows", "n": 1}]
    release = {
        "day": date(2025, 1, 26),
        "released_by": "ada",
        "source": "orders",
        "entity": "order",
        "reason": "unknown_value",
    }
    assert facts.released == [{**release, "n": 1, "rules_before": "old", "rules": "new"}]
    superseded = [(r["source"], r["entity"], r["by_source"], r["n"]) for r in facts.superseded]
    assert superseded == [("orders", "order", "orders", 2), ("orders", "order", "crm_orders", 1)]
    assert facts.rejected_files == [{"source": "orders", "reason": "truncated_file", "n": 1, "file": "3"}]


def test_reasons_have_a_count_and_one_example(facts):
    counts = {(r["status"], r["reason"]): (r["n"], r["file"], r["position"]) for r in facts.reasons}
    assert counts == {
        ("quarantined", "bad_date"): (2, "a.csv", 3),
        ("quarantined", "bad_number"): (1, "b.csv", 9),
        ("duplicate", "exact_duplicate"): (1, "a.csv", 4),
    }


def test_customers_are_counted_and_mapped_without_ids(facts):
    assert (facts.num_customers, facts.num_records) == (4, 5)
    assert [(row["name"], row["num_customers"]) for row in facts.segments] == [
        ("Champions", 1),
        ("Has not bought yet", 3),
    ]
    assert facts.segment_map == [{"name": "Champions", "x": 0.123, "y": -1.0}]


def test_texts_are_counted_by_label_of_the_model_in_production(facts):
    # t1 and t2 occur in two reviews each; the other model scored t1 only; one text has no score
    counts = [(row["source"], row["label"], row["n"]) for row in facts.texts if row["source"] == "reviews"]
    assert counts == [("reviews", "does_not_recommend", 2), ("reviews", "recommends", 2)]


def test_texts_written_after_as_of_are_not_counted(facts):
    assert {row["source"] for row in facts.texts} == {"reviews"}  # the survey was answered on 1 February


def test_texts_by_month_end_at_as_of(facts):
    counts = [(row["month"], row["label"], row["n"]) for row in facts.texts_by_month]
    assert counts == [("2024-12", "does_not_recommend", 1), ("2025-01", "recommends", 2)]


def test_risk_is_aggregated_by_value_band_and_risk(facts):
    counts = {(r["value_band"], r["risk"]): (r["n"], r["expected_revenue"], r["at_stake"]) for r in facts.risk}
    assert counts == {
        ("high", "high"): (2, 240.0, 190.0),  # 200 + 40; 0.75 x 200 + 1 x 40
        ("high", "medium"): (1, 100.0, 50.0),
        ("low", "low"): (1, 10.0, 1.25),
    }
    # twentieths: 0.125 is in the third, 0.5 in the eleventh, 0.75 in the sixteenth, 1.0 in the last
    assert [(r["bucket"], r["n"]) for r in facts.churn_histogram] == [(2, 1), (10, 1), (15, 1), (19, 1)]


def test_churn_reasons_count_customers_at_risk_only(facts):
    assert facts.churn_reasons == [{"reason": "lateness", "n": 2}, {"reason": "monetary", "n": 1}]


def test_customer_without_churn_reasons_is_in_the_histogram_only(spark, tmp_path):
    tables = lake_context(spark, tmp_path).tables
    put(tables, CHURN, [{"customer_id": "anna", "as_of": AS_OF, "probability": 0.5, "risk": "medium", "reasons": []}])
    facts = collect(tables)
    assert (facts.churn_reasons, facts.churn_histogram) == ([], [{"bucket": 10, "n": 1}])


def test_actions_and_recommendations_are_those_of_as_of(facts):
    assert [tuple(row.values()) for row in facts.actions] == [
        ("vip_care", "top_value", 2, 1, 200.0),
        ("none", "no_consent", 1, 0, 1.25),
    ]
    counts = [(row["product_id"], row["name"], row["n"]) for row in facts.offers]
    assert counts == [("lamp", DANGEROUS, 3), ("vase", None, 1)]  # rank 4 is not in the top three


def test_metrics_drift_and_runs_are_the_newest(facts):
    assert [row["value"] for row in facts.metrics] == [0.5]
    assert [row["psi"] for row in facts.drift] == [0.3]
    assert [(row["stage"], row["status"], row["num_rows"]) for row in facts.runs] == [("clean", "skipped", 0)]


def test_page_shows_the_figures_of_the_lake(page):
    assert "<td>Personal care for the best customers</td>" in page  # the strategy's title of vip_care
    for cell in ("€240", "€190", "€200", "0.300", "50%"):
        assert f">{cell}<" in page
    assert ">9.000<" not in page and ">99<" not in page  # drift and segments of an earlier day


def test_product_name_is_escaped(page):
    assert "&lt;script&gt;alert(" in page and DANGEROUS not in page and "<script>alert" not in page


def test_page_contains_no_customer_id(page):
    assert not [name for name in ("anna", "cleo", "dora") if name in page.split("<script>", 1)[0]]


def test_findings_are_written_as_json(ctx, page):
    sentences = json.loads((ctx.files_root / "findings.json").read_text())
    assert "5 person records belong to 4 customers: 20% were additional records of the same person." in sentences


def test_no_draft_of_the_page_remains(ctx, page):
    assert sorted(path.name for path in ctx.files_root.iterdir()) == ["findings.json", "report.html"]
