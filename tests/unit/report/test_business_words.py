"""The report speaks of what the company sells: visits, policies, trips."""

from dataclasses import replace

import pytest
from support.report_facts import COMPLETE, PRIMARY

from crm_spark.customers.business import BusinessWords
from crm_spark.stages.report.customers_panel import customers, customers_at_risk
from crm_spark.stages.report.facts import churn_reasons
from crm_spark.stages.report.findings import findings
from crm_spark.stages.report.panels import key_figures

VISITS = BusinessWords(
    purchase="visit", purchases="visits", buy="visit", buying="visiting", bought="visited", buyers="visitors"
)
POLICIES = BusinessWords(contract="policy", contracts="policies")


def texts(facts):
    return "\n".join(
        [*findings(facts, PRIMARY), *(panel(facts, PRIMARY).lead for panel in (customers, customers_at_risk))]
    )


def test_visits_are_not_called_orders():
    facts = replace(COMPLETE, words=VISITS, reason_words=churn_reasons(VISITS))
    said = texts(facts)
    assert "order" not in said.lower()
    assert "a high risk of not visiting in the next 91 days" in said
    assert "Visits and revenue cover all visits up to" in said
    remarks = [figure[2] for figure in key_figures(facts)]
    assert any("visited again in the last 91 days" in remark for remark in remarks)
    assert any(remark.startswith("visited in the last 91 days; ") for remark in remarks)
    assert not any("order" in remark for remark in remarks)
    header = customers(facts, PRIMARY).tables[0][1].header
    assert {"Visits per customer (median)", "Days since last visit (median)"} <= set(header)


@pytest.mark.parametrize(
    ("churn", "event"),
    [
        ("inactivity", "Churn risk is the probability that a customer does not order in the next 91 days."),
        (
            "contract_end",
            "Churn risk is the probability that a customer has no running policy at the end of the next 91 days.",
        ),
        (
            "missed_renewal",
            "Churn risk is the probability that a customer has no renewed or running policy at the end of the next 91 days.",
        ),
        (
            "missed_appointment",
            "Churn risk is the probability that a customer misses an appointment and attends none in the next 91 days.",
        ),
    ],
)
def test_churn_risk_is_explained_by_what_loses_a_customer(churn, event):
    assert event in customers_at_risk(replace(COMPLETE, churn=churn, words=POLICIES), PRIMARY).lead


def test_reasons_name_the_purchase():
    reasons = churn_reasons(VISITS)
    assert reasons["recency_days"] == "a long time since the last visit"
    assert reasons["lateness"] == "next visit overdue"
    assert not any("order" in text or "{" in text for text in reasons.values())
