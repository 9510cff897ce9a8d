"""A small company of each industry, with known truth, goes through every stage."""

import csv
import re
from datetime import date, timedelta

import pytest
from support.refreshed import FAST

from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import SEGMENT_PROFILE
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import QUARANTINE
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE, SCORE_TEXT
from crm_spark.features.sensitive import sensitive_word, sensitive_words
from crm_spark.world.industry import last_day
from crm_spark.world.industry_files import generate_industry, industries, load_industry

SOLD = {
    "ecommerce": ("order", "orders"),
    "education": ("learning session", "learning sessions"),
    "finance": ("transaction", "transactions"),
    "health": ("visit", "visits"),
    "telecom": ("use", "uses"),
    "travel": ("trip", "trips"),
}
NUM_CUSTOMERS = 400
PURCHASES = {"order": "completed", "appointment": "attended", "usage": ""}


def test_every_industry_has_a_company():
    assert industries() == sorted(SOLD)


def lost_after(company, settings, end):
    """Truth: person -> whether the company loses the customer within the horizon after the history."""
    until = end + timedelta(days=settings.company.horizon_days)
    people = list(csv.DictReader((company / "truth" / "customers.csv").open()))
    events = [
        row
        for row in csv.DictReader((company / "truth" / "future.csv").open())
        if row["record"] in PURCHASES and row["on"] <= str(until)
    ]
    bought = {row["person"] for row in events if row["status"] == PURCHASES[row["record"]]}
    missed = {row["person"] for row in events if row["status"] == "missed"}
    lost = {
        "inactivity": lambda row: row["person"] not in bought,
        "contract_end": lambda row: date.fromisoformat(row["leaves_on"]) <= until,
        "missed_renewal": lambda row: date.fromisoformat(row["leaves_on"]) <= until,
        "missed_appointment": lambda row: row["person"] in missed - bought,
    }[settings.company.churn]
    return {row["person"]: (lost(row), float(row["leaves_per_month"])) for row in people}


def auc(pairs):
    """Area under the ROC curve of (score, outcome) pairs; ties count half."""
    lost, kept = [s for s, is_lost in pairs if is_lost], [s for s, is_lost in pairs if not is_lost]
    assert lost and kept
    return sum((a > b) + 0.5 * (a == b) for a in lost for b in kept) / (len(lost) * len(kept))


@pytest.mark.slow  # the default tier has test_gym: an industry with contracts, visits and courses
@pytest.mark.parametrize("industry", SOLD)
def test_industry_goes_through_every_stage(spark, tmp_path, industry):
    from crm_spark.pipeline import Pipeline
    from crm_spark.settings import load_settings

    spec = load_industry(industry, {"customers": NUM_CUSTOMERS})
    generate_industry(industry, spec, tmp_path)
    settings = load_settings(tmp_path / "company.yaml", [*FAST, "segment.min_k=2"])
    pipeline = Pipeline(settings, lake=str(tmp_path / "lake"))
    results = pipeline.run()
    tables, end = pipeline.tables, last_day(spec)

    assert {name: r.note for name, r in results.items() if r.status == "skipped"}.keys() <= {"recommend"}
    assert tables.read(QUARANTINE).isEmpty()
    num_people = tables.read(CUSTOMER).count()
    assert num_people == NUM_CUSTOMERS
    assert {row["as_of"] for row in tables.read(CHURN).select("as_of").distinct().collect()} == {end}
    assert tables.read(LIFETIME_VALUE).count() > 0
    assert tables.read(SCORE_TEXT).count() > 100
    assert tables.read(NEXT_BEST_ACTION).where("action <> 'none'").count() > 0
    assert tables.read(SEGMENT_PROFILE).where("segment_id > 0").count() >= 2

    truth = lost_after(tmp_path, settings, end)
    links = tables.read(CUSTOMER_LINK).select("customer_id", "person_id")
    scores = tables.read(CHURN).join(links, "customer_id").collect()
    ours = auc([(row["probability"], truth[row["person_id"]][0]) for row in scores])
    hazard = auc([(truth[row["person_id"]][1], truth[row["person_id"]][0]) for row in scores])
    assert ours > 0.55, (ours, hazard)

    page = re.sub(
        r"<script>.*?</script>|<style>.*?</style>", "", (tmp_path / "lake/files/report.html").read_text(), flags=re.S
    )
    purchase, purchases = SOLD[industry]
    assert f"{purchases.capitalize()} per customer (median)" in page
    if purchase != "order":
        assert not re.search(r"\b(last|next|recent|per|all|of) orders?\b", page)
    sensitive = sensitive_words(settings.featurise.sensitive_attributes)
    reasons = {reason for row in scores for reason in row["reasons"]}
    assert reasons and not any(sensitive_word(reason, sensitive) for reason in reasons)
