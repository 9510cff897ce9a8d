"""A whole refresh of a generated company, held against what only its generator knows."""

import json
from pathlib import Path

import pandas as pd
import pytest
from support.refreshed import digests, files_of

from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import DELIVERY, METRIC, QUARANTINE, RECONCILIATION
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE, RECOMMENDATION
from crm_spark.pipeline import STAGES
from crm_spark.sources.config import load_sources


def frame(generated, table):
    return generated.tables.read(table).toPandas()


def test_every_stage_completes(generated):
    assert list(generated.results) == list(STAGES)
    assert {name: r.status for name, r in generated.results.items()} == dict.fromkeys(list(STAGES), "done")


def test_row_counts_of_every_file_reconcile(generated):
    statuses, deliveries = frame(generated, RECONCILIATION), frame(generated, DELIVERY)
    sums = statuses.num_accepted + statuses.num_quarantined + statuses.num_duplicate
    assert (statuses.num_in == sums).all()
    ingested = deliveries[deliveries.status == "ingested"].groupby("source").num_rows.sum().to_dict()
    assert len(ingested) == 12
    for source in load_sources(Path(generated.pipeline.settings.ingest.sources_dir)):
        for entity, feed in source.feeds.items():
            if not feed.one_row_per_key:  # a folded entity reads only the records that name its key
                num_records = statuses[(statuses.source == source.name) & (statuses.entity == entity)].num_in.sum()
                assert num_records == ingested[source.name], (source.name, entity)


def test_injected_faults_are_quarantined_with_their_reason_and_few_valid_rows_are(generated):
    planted, reasons = generated.truth("dirty_row"), frame(generated, QUARANTINE)
    reasons = reasons.explode("reasons").rename(columns={"reasons": "reason"})
    keys = ["source", "file", "position", "reason"]
    hits = planted.merge(reasons[keys].drop_duplicates(), on=keys)
    assert len(planted) > 200 and len(hits) / len(planted) >= 0.99
    quarantined = reasons[reasons.status == "quarantined"][["source", "file", "position"]].drop_duplicates()
    innocent = quarantined.merge(planted[["source", "file", "position"]], how="left", indicator=True)
    num_records = int(frame(generated, DELIVERY).num_rows.sum())
    assert (innocent["_merge"] == "left_only").sum() / num_records <= 0.001


def test_records_of_one_person_are_one_customer(generated):
    truth = generated.truth("person")[["system", "person_id", "customer"]]
    both = frame(generated, CUSTOMER_LINK).merge(truth, on=["system", "person_id"])
    pairs = lambda sizes: float((sizes * (sizes - 1) / 2).sum())  # noqa: E731
    shared = pairs(both.groupby(["customer", "customer_id"]).size())
    precision, recall = (
        shared / pairs(both.groupby("customer_id").size()),
        shared / pairs(both.groupby("customer").size()),
    )
    assert precision >= 0.98 and recall >= 0.9, (precision, recall)


def test_every_customer_is_in_every_output(generated):
    known = frame(generated, CUSTOMER)
    assert known.is_prospect.sum() < 0.02 * len(known)
    customers = set(known[~known.is_prospect].customer_id)
    as_of = frame(generated, NEXT_BEST_ACTION).as_of.max()
    for table in (FEATURE_CUSTOMER, SEGMENT, NEXT_BEST_ACTION):
        rows = frame(generated, table)
        rows = rows[rows.as_of == as_of]
        assert set(rows.customer_id) == customers and len(rows) == len(customers), table.name


def test_churn_probability_ranks_customers_like_the_ground_truth(generated):
    from sklearn.metrics import roc_auc_score

    truth = generated.truth("person")[["system", "person_id", "customer"]]
    links = frame(generated, CUSTOMER_LINK).merge(truth, on=["system", "person_id"])
    whole = links.groupby("customer_id").customer.agg(["nunique", "first"])
    owner = whole[whole["nunique"] == 1]["first"].rename("customer").reset_index()
    outcome = generated.truth("customer")[["customer", "orders_in_horizon"]]
    scored = frame(generated, CHURN).merge(owner, on="customer_id").merge(outcome, on="customer")
    assert roc_auc_score(scored.orders_in_horizon == 0, scored.probability) > 0.65


def test_every_prediction_metric_has_a_baseline(generated):
    metrics = frame(generated, METRIC)
    for name in ("churn_auc", "value_mean_absolute_error", "hit_rate_at_10", "macro_f1", "information_gap"):
        rows = metrics[(metrics.metric == name) & (metrics.slice == "all")]
        assert set(rows.is_baseline) == {0, 1}, name


def test_a_second_refresh_writes_nothing(generated):
    before = files_of(generated.lake)
    results = generated.pipeline.run()
    assert {r.status for r in results.values()} == {"up_to_date"}
    assert files_of(generated.lake) == before


def test_tables_are_readable_with_another_delta_reader(generated):
    from deltalake import DeltaTable

    table = DeltaTable(str(generated.lake / "gold" / "customer")).to_pyarrow_table()
    assert table.num_rows == generated.tables.read(CUSTOMER).count() > 700


def test_delta_statistics_contain_no_direct_identifier(generated):
    log = "".join(path.read_text() for path in (generated.lake / "silver" / "person" / "_delta_log").glob("*.json"))
    addresses = pd.Series(generated.tables.read(CUSTOMER).select("email").toPandas().email.dropna())
    assert len(addresses) > 500 and not any(address in log for address in addresses)


def test_report_contains_no_direct_identifier(generated):
    page = generated.report.read_text()
    rows = generated.tables.read(CUSTOMER).select("email", "phone", "customer_id").toPandas()
    assert not any(value in page for column in rows for value in rows[column].dropna())


def test_page_shows_every_finding_and_there_are_at_most_ten(generated):
    findings = json.loads((generated.lake / "files" / "findings.json").read_text())
    page = generated.report.read_text().replace("&#39;", "'")
    assert 8 <= len(findings) <= 10 and all(sentence in page for sentence in findings)


WRITTEN_BY = {
    "resolve": (CUSTOMER,),
    "featurise": (FEATURE_CUSTOMER,),
    "segment": (SEGMENT, SEGMENT_PROFILE),
    "predict": (CHURN, LIFETIME_VALUE),
    "recommend": (RECOMMENDATION,),
    "decide": (NEXT_BEST_ACTION,),
}
IN_DEFAULT_TIER = ("featurise",)


@pytest.mark.parametrize(
    "stage", [pytest.param(s, marks=() if s in IN_DEFAULT_TIER else pytest.mark.slow) for s in WRITTEN_BY]
)
def test_forced_stage_rewrites_its_tables_with_equal_content(generated, stage):
    tables, contracts = generated.tables, WRITTEN_BY[stage]
    # The name of a model contains the version of its inputs, which another forced stage may have rewritten.
    before = digests(tables, contracts, without=["model"])
    versions = [tables.version(table) for table in contracts]
    results = generated.pipeline.run((stage,), is_forced=True)
    assert results[stage].status == "done" and results[stage].num_rows > 0
    assert all(tables.version(table) > version for table, version in zip(contracts, versions, strict=True))
    assert digests(tables, contracts, without=["model"]) == before
    generated.pipeline.run((stage,))
    assert generated.pipeline.run((stage,))[stage].status == "up_to_date"


def test_forced_report_is_rewritten(generated):
    before = generated.report.stat().st_mtime_ns
    assert generated.pipeline.run(("report",), is_forced=True)["report"].status == "done"
    assert generated.report.stat().st_mtime_ns > before
