"""Whether the outcomes of the training snapshot can be learnt from, in one sentence if not."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.core.context import lacking
from crm_spark.customers.business import (
    CONTRACT_END,
    INACTIVITY,
    MISSED_APPOINTMENT,
    MISSED_RENEWAL,
    BusinessWords,
    ChurnKind,
)

_CUSTOMERS = {
    INACTIVITY: "customers with completed {purchases} by {since}",
    CONTRACT_END: "customers with a running {contract} on {since}",
    MISSED_RENEWAL: "customers with a running {contract} on {since}",
    MISSED_APPOINTMENT: "customers with completed {purchases} by {since}",
}
"""Churn of a company -> the customers from whom it is learnt."""
_STAYED = {
    INACTIVITY: "customers who {bought} again by {until}",
    CONTRACT_END: "customers with a running {contract} on {until}",
    MISSED_RENEWAL: "customers who renewed their {contract} by {until}",
    MISSED_APPOINTMENT: "customers who missed no appointment by {until}",
}
"""Churn of a company -> the customers who stayed."""


def missing_outcomes(
    train: DataFrame, min_customers: int, days: list[date], churn: ChurnKind, words: BusinessWords
) -> str:
    """Return what is missing in one sentence; empty if there are enough customers, and only some of them stayed.

    Args:
        train: the training examples.
        min_customers: smallest number of them.
        days: newest, middle and oldest snapshot.
        churn: what the company loses a customer by.
        words: what it calls purchases and contracts.
    """
    row = train.agg(F.count(F.lit(1)), F.coalesce(F.sum("has_lapsed"), F.lit(0))).first()
    assert row is not None
    num_train, num_lapsed = int(row[0]), int(row[1])
    values = {**words.model_dump(), "since": days[2], "until": days[1]}
    if num_train < min_customers:
        return lacking(f"at least {min_customers} {_CUSTOMERS[churn].format(**values)}", num_train)
    if num_lapsed in (0, num_train):
        outcome = "none of them" if num_lapsed else f"all {num_train:,}"
        return f"needs {_STAYED[churn].format(**values)}, and customers who did not; {outcome} did"
    return ""
