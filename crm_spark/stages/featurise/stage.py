"""Featurise stage: features.customer from gold and silver, one partition per snapshot."""

from typing import Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import ENTITIES, HISTORY, ORDER_LINE
from crm_spark.core.context import JobContext, StageResult, skipped_without_persons
from crm_spark.core.stage import Stage
from crm_spark.features.declarations import MEASURABLE, features_of
from crm_spark.stages.featurise.activity import activity
from crm_spark.stages.featurise.declared import with_declared_features
from crm_spark.stages.featurise.features import features, snapshot_days
from crm_spark.stages.featurise.outcomes import with_outcomes

INPUTS = (CUSTOMER, CUSTOMER_LINK, ORDER_LINE, HISTORY["person"], *(ENTITIES[entity] for entity in MEASURABLE))


def run(ctx: JobContext) -> StageResult:
    """Write the snapshots as_of, as_of - 1 horizon, as_of - 2 horizons ..."""
    if not ctx.tables.exists(CUSTOMER):
        return skipped_without_persons()
    company = ctx.settings.company
    horizon_days, zone, churn = company.horizon_days, company.time_zone, company.churn
    days = snapshot_days(ctx.as_of, num_snapshots=ctx.settings.featurise.num_snapshots, horizon_days=horizon_days)
    table = features(activity(ctx.tables, zone, company.purchases, company.revenue), days, horizon_days=horizon_days)
    table = with_declared_features(table, features_of(ctx), ctx.tables, days, zone, churn=churn)
    table = with_outcomes(table, ctx.tables, days, churn=churn, horizon_days=horizon_days, zone=zone)
    table = table.persist(StorageLevel.MEMORY_AND_DISK)
    num_rows = 0
    for day in days:
        snapshot = table.where(F.col("as_of") == F.lit(day))
        result = ctx.tables.replace(
            FEATURE_CUSTOMER,
            snapshot,
            batch_id=ctx.batch_id(str(day)),
            digest=ctx.fingerprint,
            where={"as_of": str(day)},
            is_unique=True,
        )
        num_rows += result.num_rows
    return StageResult(num_rows, note=f"{len(days)} snapshots, newest {ctx.as_of}")


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Declared features."""
    return features_of(ctx).definition


STAGE = Stage("featurise", run, reads=INPUTS, inputs=inputs)
