"""Featurise stage: features.customer from gold and silver, one partition per snapshot."""

from pyspark import StorageLevel
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE, FEEDBACK, INTERACTION, ORDER, ORDER_LINE
from crm_spark.core.context import JobContext, StageResult, skipped_without_persons
from crm_spark.core.stage import Stage
from crm_spark.stages.featurise.activity import activity
from crm_spark.stages.featurise.features import features, snapshot_days

INPUTS = (CUSTOMER, CUSTOMER_LINK, ORDER, ORDER_LINE, INTERACTION, FEEDBACK, CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE)


def run(ctx: JobContext) -> StageResult:
    """Write the snapshots as_of, as_of - 1 horizon, as_of - 2 horizons ..."""
    if not ctx.tables.exists(CUSTOMER):
        return skipped_without_persons()
    horizon_days = ctx.settings.company.horizon_days
    days = snapshot_days(ctx.as_of, num_snapshots=ctx.settings.featurise.num_snapshots, horizon_days=horizon_days)
    table = features(activity(ctx.tables, ctx.settings.company.time_zone), days, horizon_days=horizon_days).persist(
        StorageLevel.MEMORY_AND_DISK
    )
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


STAGE = Stage("featurise", run, reads=INPUTS)
