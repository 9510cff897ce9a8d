"""Drift, information gap, retention and campaign response."""

from datetime import date, datetime

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import EXAMPLE, FEATURE_CUSTOMER, TEXT
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.ops import DRIFT, METRIC
from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.contracts.silver import CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE
from crm_spark.models.registry import register
from crm_spark.stages.monitor import stage
from crm_spark.stages.monitor.drift import bin_counts, drift_rows, edges
from crm_spark.stages.monitor.gap import gap_measures, with_class_prior
from crm_spark.stages.monitor.relationship import activity_measures, campaign_measures

YESTERDAY, BEFORE = date(2025, 1, 30), date(2024, 11, 1)  # BEFORE: one horizon of 91 days before AS_OF
LABELS = ("recommends", "does_not_recommend", "no_clear_opinion")


def snapshot(spark, size, num_large, num_null):
    """`moved`: 0, or 1 for the last `num_large`. `emptied`: 5, or null for the first `num_null`. `same`: 1 to 10."""
    rows = [(float(i >= size - num_large), None if i < num_null else 5.0, float(1 + i % 10)) for i in range(size)]
    return spark.createDataFrame(rows, "moved double, emptied double, same double")


def test_psi_uses_the_bins_of_the_earlier_snapshot(spark):
    before, after = snapshot(spark, 100, 50, 0), snapshot(spark, 100, 20, 50)
    rows = drift_rows(before, after, ["moved", "emptied", "same"], days=(BEFORE, AS_OF), effect=0.1)
    by_name = {row[0]: row for row in rows}
    # moved: 0.5 and 0.5 became 0.8 and 0.2: 0.3 ln(0.8 / 0.5) - 0.3 ln(0.2 / 0.5)
    assert by_name["moved"][3] == pytest.approx(0.4159, abs=1e-4)
    # emptied: nulls 0 (counted as 0.0001) became 0.5, the rest 1 became 0.5: 0.4999 ln 5000 - 0.5 ln 0.5
    assert by_name["emptied"][3] == pytest.approx(4.6043, abs=1e-4)
    assert by_name["same"][3] == 0.0
    assert by_name["moved"][1:3] == (AS_OF, BEFORE) and by_name["moved"][5] == 100
    assert by_name["moved"][4] == pytest.approx(0.5575, abs=1e-3)  # chi2(9) at 0.999 is 27.88, x (1/100 + 1/100)


def test_every_row_is_in_one_bin_even_outside_the_earlier_range(spark):
    before = snapshot(spark, 100, 50, 10)
    bins = edges(before, ["same", "emptied"])
    assert bins["same"] == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    wild = spark.createDataFrame([(-9.0, None), (99.0, 4.0), (5.0, 6.0)], "same double, emptied double")
    counted = bin_counts(wild, bins)
    assert counted["same"] == [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1]  # 0 null, 1 below the range, 5, 1 above the range
    assert counted["emptied"] == [1, 1, 1]


def test_information_gap_is_the_mean_cross_entropy(spark):
    columns = "slice string, label string, " + ", ".join(f"{p}_{n} double" for p in ("p", "share") for n in LABELS)
    rows = [
        ("shop", "recommends", 0.5, 0.3, 0.2, 0.25, 0.5, 0.25),  # text model 1 bit, class prior 2 bits
        ("shop", "does_not_recommend", 0.75, 0.125, 0.125, 0.25, 0.5, 0.25),  # 3 bits, 1 bit
        ("desk", "no_clear_opinion", 0.0, 0.0, 1.0, 0.25, 0.5, 0.25),  # 0 bits, 2 bits
        (None, "recommends", 0.0, 1.0, 0.0, 0.25, 0.5, 0.25),  # unknown writer
    ]
    measures = gap_measures(spark.createDataFrame(rows, columns), dimension="source")
    values = {(m.slice, m.model): (m.value, m.num_rows, m.is_baseline) for m in measures}
    assert values == {
        ("source=shop", "text_model"): (2.0, 2, False),  # (1 + 3) / 2
        ("source=shop", "class_prior"): (1.5, 2, True),  # (2 + 1) / 2
        ("source=desk", "text_model"): (0.0, 1, False),
        ("source=desk", "class_prior"): (2.0, 1, True),
    }


def test_zero_probability_of_the_actual_label_gives_finite_bits(spark):
    row = [("all", "recommends", 0.0, 1.0, 0.0, 1.0, 0.0, 0.0)]
    columns = "slice string, label string, " + ", ".join(f"{p}_{n} double" for p in ("p", "share") for n in LABELS)
    ours = gap_measures(spark.createDataFrame(row, columns), dimension="all")[0]
    assert ours.slice == "all" and ours.value == pytest.approx(19.93, abs=0.01)  # log2(1e6)


def test_class_prior_is_computed_over_all_texts(spark):
    labels = ["recommends", "recommends", "recommends", "no_clear_opinion"]
    read = with_class_prior(spark.createDataFrame([(label,) for label in labels], "label string"))
    shares_of = {tuple(row[f"share_{name}"] for name in LABELS) for row in read.collect()}
    assert shares_of == {(0.75, 0.0, 0.25)}


def customer(name, day, orders, revenue, *, mood=None, tickets=0):
    return {
        "customer_id": name,
        "as_of": day,
        "num_orders_recent": orders,
        "monetary_recent": revenue,
        "mean_satisfaction": mood,
        "num_tickets_recent": tickets,
    }


FEATURES = [
    customer("a", BEFORE, 1, 10.0),
    customer("b", BEFORE, 2, 20.0),
    customer("c", BEFORE, 1, 30.0),
    customer("d", BEFORE, 0, 0.0),
    customer("a", AS_OF, 3, 40.0, mood=1.0),
    customer("b", AS_OF, 1, 5.0, mood=-0.5, tickets=2),
    customer("c", AS_OF, 0, 0.0, tickets=1),
    customer("d", AS_OF, 1, 8.0),  # ordered, but not in the horizon before
    customer("e", AS_OF, 0, 0.0),
]
CAMPAIGN = [  # customer, held out, day
    ("a", False, datetime(2025, 1, 10)),
    ("b", False, datetime(2025, 1, 10)),
    ("c", False, datetime(2025, 1, 10)),
    ("d", False, datetime(2025, 1, 10)),
    ("e", True, datetime(2025, 1, 10)),
    ("f", True, datetime(2025, 1, 10)),
]
RESPONSES = [("a", datetime(2025, 1, 12)), ("a", datetime(2025, 1, 13)), ("e", datetime(2025, 1, 14))]
TOMORROW = datetime(2025, 2, 1)
FORMER, CURRENT = "ffff", "aaaa"
"""Versions are digests; the newer one may sort before the older one."""


def put_texts(ctx):
    """Forty texts per source by unknown writers, scored by two models; one source is dated after as_of."""
    texts = [(f"{source}-{i}", source, day) for source, day in (("now", AS_OF), ("late", TOMORROW)) for i in range(40)]
    known = {"system": "shop", "entity": "feedback", "label": "recommends"}
    rows = [{**known, "record_id": t, "source": source, "written_on": day, "text_hash": t} for t, source, day in texts]
    put(ctx.tables, TEXT, rows)
    readings = [(t, version, p) for t, _, _ in texts for version, p in ((FORMER, 0.125), (CURRENT, 0.5))]
    put(
        ctx.tables,
        SCORE_TEXT,
        [{"text_hash": t, "model_version": version, "p_recommends": p} for t, version, p in readings],
    )
    sides = {0: "test", 1: "validation"}
    put(
        ctx.tables,
        EXAMPLE,
        [{"text_hash": t, "split": sides.get(int(t.split("-")[1]) % 5, "train")} for t, _, _ in texts],
    )
    registry_dir = ctx.files_root / "models"
    registry_dir.mkdir(parents=True)
    for version in (FORMER, CURRENT):
        register(registry_dir, version, is_promoted=True)


@pytest.fixture(scope="module")
def measured(spark, tmp_path_factory):
    """Metrics of a lake that also has yesterday's snapshot and later events."""
    ctx = lake_context(spark, tmp_path_factory.mktemp("lake"))
    yesterday = [{**row, "as_of": YESTERDAY} for row in FEATURES if row["as_of"] == AS_OF]
    later = [{**row, "as_of": date(2025, 2, 1), "num_orders_recent": 9} for row in FEATURES if row["as_of"] == AS_OF]
    put(ctx.tables, FEATURE_CUSTOMER, [*FEATURES, *yesterday, *later])
    links = [{"system": "crm", "person_id": f"p{name}", "customer_id": name} for name in "abcdef"]
    put(ctx.tables, CUSTOMER_LINK, links)
    contacts = [*CAMPAIGN, ("f", False, TOMORROW), ("e", False, TOMORROW)]
    base = {"system": "crm", "campaign_id": "spring"}
    put(
        ctx.tables,
        CAMPAIGN_CONTACT,
        [
            {**base, "contact_id": f"k{i}", "person_id": f"p{name}", "is_holdout": held, "contacted_at": at}
            for i, (name, held, at) in enumerate(contacts)
        ],
    )
    responses = [*RESPONSES, ("b", TOMORROW), ("c", TOMORROW)]
    put(
        ctx.tables,
        CAMPAIGN_RESPONSE,
        [
            {**base, "response_id": f"r{i}", "person_id": f"p{name}", "responded_at": at}
            for i, (name, at) in enumerate(responses)
        ],
    )
    put_texts(ctx)
    stage.run(ctx)
    assert not ctx.tables.exists(DRIFT)  # five customers are too few for drift detection
    rows = ctx.tables.read(METRIC).collect()
    assert len({(row["metric"], row["model"], row["slice"]) for row in rows}) == len(rows)
    return {
        (row["metric"], row["slice"] if "=" in row["slice"] else row["model"]): (
            row["value"],
            row["num_rows"],
            row["unit"],
        )
        for row in rows
        if row["metric"] != "information_gap" or not row["is_baseline"]
    }


def test_activity_metrics_of_the_newest_horizon(measured):
    assert measured["customers", "observed"] == (5.0, 5, "customers")
    assert measured["active_customers", "observed"] == (3.0, 5, "customers")  # a, b, d
    assert measured["revenue_recent", "observed"] == (53.0, 5, "EUR")  # 40 + 5 + 8
    assert measured["tickets_recent", "observed"] == (3.0, 5, "tickets")
    assert measured["satisfaction", "observed"] == (0.25, 2, "score")  # (1 - 0.5) / 2


def test_retention_is_the_fraction_of_previous_buyers_who_ordered_again(spark):
    frame = spark.createDataFrame(
        [(r["customer_id"], r["as_of"], r["num_orders_recent"], r["monetary_recent"], None, 0) for r in FEATURES],
        "customer_id string, as_of date, num_orders_recent int, monetary_recent double, mean_satisfaction double,"
        "num_tickets_recent int",
    )
    measures = activity_measures(frame, newest=AS_OF, before=BEFORE, currency="EUR")
    values = {m.metric: (m.value, m.num_rows) for m in measures}
    assert values["retention"] == (pytest.approx(0.6667, abs=1e-4), 3)  # a and b of a, b, c
    assert values["revenue_before"] == (60.0, 4)  # 10 + 20 + 30
    assert "retention" not in {m.metric for m in activity_measures(frame, newest=AS_OF, before=None, currency="EUR")}


def test_previous_snapshot_is_one_horizon_earlier(measured):
    assert measured["revenue_before", "observed"] == (60.0, 4, "EUR")
    assert measured["retention", "observed"] == (pytest.approx(0.6667, abs=1e-4), 3, "fraction")


def test_response_rates_of_contacted_customers_and_holdout(spark):
    contacts = spark.createDataFrame(
        [("spring", name, held) for name, held, _ in CAMPAIGN],
        "campaign_id string, customer_id string, is_holdout boolean",
    )
    # a response counts once, for its own campaign only
    answers = [("spring", name) for name, _ in RESPONSES] + [("winter", "b")]
    responses = spark.createDataFrame(answers, "campaign_id string, customer_id string")
    values = {m.model: (m.value, m.num_rows, m.is_baseline) for m in campaign_measures(contacts, responses)}
    assert values == {"contacted": (0.25, 4, False), "holdout": (0.5, 2, True)}  # a of a, b, c, d; e of e, f


def test_campaign_events_after_as_of_are_ignored(measured):
    assert measured["campaign_response", "contacted"] == (0.25, 4, "fraction")
    assert measured["campaign_response", "holdout"] == (0.5, 2, "fraction")


def test_information_gap_uses_the_production_model_on_the_test_split(measured):
    bits, num_texts, unit = measured["information_gap", "source=now"]
    assert (bits, unit) == (1.0, "bits")  # the production model gives the actual label 0.5, the previous one 0.125
    assert num_texts == 8  # every fifth of 40 texts is in the test split


def test_texts_after_as_of_are_not_in_the_information_gap(measured):
    assert ("information_gap", "source=now") in measured and ("information_gap", "source=late") not in measured
