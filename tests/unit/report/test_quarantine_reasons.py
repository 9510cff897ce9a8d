"""Summary and panel name the same reason for quarantine; a record of several entities counts once."""

from datetime import date

from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import quarantined_by_reason
from crm_spark.stages.report.quality_panel import data_quality


def reason(source, entity, code, number):
    names = ("source", "entity", "status", "reason", "n", "file", "position")
    return dict(zip(names, (source, entity, "quarantined", code, number, "a.csv", 1), strict=True))


def test_a_record_of_several_entities_counts_once():
    rows = [
        reason("orders", "order", "malformed_record", 5),
        reason("orders", "order_line", "malformed_record", 5),
        reason("orders", "order_line", "bad_number", 2),
        reason("reviews", "feedback", "bad_number", 6),
    ]
    facts = Facts(company="New", currency="EUR", horizon_days=91, as_of=date(2025, 1, 31), reasons=rows)
    assert quarantined_by_reason(facts) == {"malformed_record": 5, "bad_number": 8}
    assert data_quality(facts, {}).lead.startswith("Most frequent reason for quarantine: invalid number. ")
