"""What a company may lose a customer by, besides the lack of purchases. Grain: customer_id x as_of."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.silver import APPOINTMENT, SUBSCRIPTION
from crm_spark.core.days import day_of
from crm_spark.core.tables import TableStore
from crm_spark.customers.business import BY_CONTRACT, MISSED_APPOINTMENT, MISSED_RENEWAL, ChurnKind
from crm_spark.customers.links import with_customer_id
from crm_spark.stages.featurise.features import as_of_snapshots

_KEY = ["customer_id", "as_of"]


def contract_ended_on(zone: str, churn: ChurnKind) -> Column:
    """Day on which a subscription ended; null while it runs.

    The source may tell that a contract has ended, but not when: it ended at the latest when the source last changed it. A
    contract that does not renew ends with its term; where customers are lost by missed renewals, every contract does: a renewal
    moves the end of the term.
    """
    told = F.when(F.col("status") == "ended", F.coalesce("cancelled_at", "updated_at", "started_at"))
    ends_with_term = F.lit(True) if churn == MISSED_RENEWAL else F.col("is_renewing") == F.lit(False)
    return day_of(F.coalesce("ended_at", told, F.when(ends_with_term, F.col("renews_at"))), zone)


def is_running(zone: str, churn: ChurnKind) -> Column:
    """Whether a subscription that has begun runs at the end of the snapshot `as_of`."""
    ended_on = contract_ended_on(zone, churn)
    return ended_on.isNull() | (ended_on > F.col("as_of"))


def with_outcomes(
    customers: DataFrame,
    tables: TableStore,
    snapshots: Sequence[date],
    *,
    churn: ChurnKind,
    horizon_days: int,
    zone: str,
) -> DataFrame:
    """Add `num_contracts` and `num_missed_recent`; null where the churn of the company does not depend on them.

    Args:
        customers: customer_id, as_of.
        tables: the lake.
        snapshots: days for which features are computed.
        churn: what the company loses a customer by, see `company.churn`.
        horizon_days: length of the recent period.
        zone: IANA time zone of the company's days.
    """
    contracts, missed = F.lit(None).cast("int"), F.lit(None).cast("int")
    if churn in BY_CONTRACT:
        customers = customers.join(_running_contracts(tables, snapshots, zone, churn), _KEY, "left")
        contracts = F.coalesce("_contracts", F.lit(0))
    if churn == MISSED_APPOINTMENT:
        customers = customers.join(_missed_appointments(tables, snapshots, zone, horizon_days), _KEY, "left")
        missed = F.coalesce("_missed", F.lit(0))
    columns = {"num_contracts": contracts, "num_missed_recent": missed}
    return customers.withColumns(columns).drop("_contracts", "_missed")


def _running_contracts(tables: TableStore, snapshots: Sequence[date], zone: str, churn: ChurnKind) -> DataFrame:
    contracts = with_customer_id(tables.read(SUBSCRIPTION), tables).withColumn(
        "happened_on", day_of("started_at", zone)
    )
    running = as_of_snapshots(contracts, snapshots).where(is_running(zone, churn))
    return running.groupBy(*_KEY).agg(F.count(F.lit(1)).cast("int").alias("_contracts"))


def _missed_appointments(tables: TableStore, snapshots: Sequence[date], zone: str, horizon_days: int) -> DataFrame:
    missed = with_customer_id(tables.read(APPOINTMENT).where("status = 'missed'"), tables)
    missed = as_of_snapshots(missed.withColumn("happened_on", day_of("starts_at", zone)), snapshots)
    return (
        missed.where(F.col("days_ago") < horizon_days)
        .groupBy(*_KEY)
        .agg(F.count(F.lit(1)).cast("int").alias("_missed"))
    )
