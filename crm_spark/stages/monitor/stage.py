"""Monitor stage: customer relationship metrics, feature drift and information gap -> ops.metric, ops.drift."""

from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import EXAMPLE, FEATURE_COLUMNS, FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE, TEXT
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.ops import DRIFT
from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.contracts.silver import CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE
from crm_spark.core.context import JobContext, StageResult, is_known, lacking
from crm_spark.core.days import day_of
from crm_spark.core.stage import Stage
from crm_spark.customers.links import with_customer_id
from crm_spark.features.columns import with_declared
from crm_spark.features.declarations import features_of
from crm_spark.models.metrics import Measure, record
from crm_spark.models.registry import current_version
from crm_spark.stages.monitor.config import MonitorConfig
from crm_spark.stages.monitor.drift import drift_rows
from crm_spark.stages.monitor.gap import gap_measures, with_class_prior
from crm_spark.stages.monitor.relationship import activity_measures, campaign_measures
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import TEST

INPUTS = (
    FEATURE_CUSTOMER,
    SEGMENT,
    SEGMENT_PROFILE,
    SCORE_TEXT,
    TEXT,
    EXAMPLE,
    CAMPAIGN_CONTACT,
    CAMPAIGN_RESPONSE,
    CUSTOMER_LINK,
)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Return the text model in production."""
    return {"model": current_version(ctx.files_root)}


def run(ctx: JobContext) -> StageResult:
    """Compute and record the metrics as of the date of the run."""
    measures: list[Measure] = []
    drift = "feature drift needs customers; no source contains persons"
    if ctx.tables.exists(FEATURE_CUSTOMER):
        # Compare with the snapshot one horizon earlier, not with the latest previous refresh.
        days = [ctx.as_of, ctx.as_of - timedelta(days=ctx.settings.company.horizon_days)]
        features = ctx.tables.read(FEATURE_CUSTOMER).where(F.col("as_of").isin(*days)).cache()
        before = None if features.where(F.col("as_of") == F.lit(days[1])).isEmpty() else days[1]
        currency = ctx.settings.company.currency
        measures += activity_measures(
            features, newest=ctx.as_of, before=before, currency=currency, **_known_activity(features)
        )
        drift = _drift(ctx, features, days)
    if ctx.tables.exists(CAMPAIGN_CONTACT):
        contacts = _of_customers(ctx, CAMPAIGN_CONTACT, "contacted_at")
        measures += campaign_measures(contacts, _of_customers(ctx, CAMPAIGN_RESPONSE, "responded_at"))
    if ctx.tables.exists(SCORE_TEXT):
        measures += _gap(ctx)
    record(ctx, "monitor", measures)
    return StageResult(len(measures), note=drift)


def _known_activity(features: DataFrame) -> dict[str, bool]:
    """Return whether there is any order, and any ticket: without one, the company has no such source."""
    kinds = {"has_orders": ("num_orders", "num_orders_recent"), "has_tickets": ("num_tickets", "num_tickets_recent")}
    row = features.agg(*(F.max(F.greatest(*names) > 0).alias(kind) for kind, names in kinds.items())).first()
    assert row is not None
    return {kind: bool(row[kind]) for kind in kinds}


def _drift(ctx: JobContext, features: DataFrame, days: list[date]) -> str:
    """Write the drift of each feature since the earlier snapshot; return a summary, or what is missing."""
    cfg: MonitorConfig = ctx.settings.monitor
    after, before = (features.where(F.col("as_of") == F.lit(day)) for day in days)
    for day, snapshot in zip(days, (after, before)):
        if (num_customers := snapshot.count()) < cfg.min_customers:
            return f"feature drift {lacking(f'at least {cfg.min_customers} customers on {day}', num_customers)}"
    declared = features_of(ctx).names
    names = [*(c.name for c in FEATURE_COLUMNS), *declared]
    as_doubles = [F.col(name).cast("double").alias(name) for name in names]
    after, before = with_declared(after, declared), with_declared(before, declared)
    rows = drift_rows(
        before.select(*as_doubles), after.select(*as_doubles), names, days=(days[1], days[0]), effect=cfg.psi_threshold
    )
    frame = ctx.spark.createDataFrame(rows, DRIFT.schema)
    ctx.tables.merge(DRIFT, frame, batch_id=ctx.batch_id("drift"), digest=ctx.fingerprint)
    num_drifted = sum(1 for row in rows if row[3] > row[4])
    return f"{num_drifted} of {len(rows)} features drifted"


def _of_customers(ctx: JobContext, table: Any, event: str) -> DataFrame:
    """Return the events of customers up to as_of, including undated ones."""
    day = day_of(event, ctx.settings.company.time_zone)
    return with_customer_id(ctx.tables.read(table).where(is_known(day, ctx.as_of)), ctx.tables)


def _gap(ctx: JobContext) -> list[Measure]:
    """Return the information gap on the test split: overall, by source, by segment of the writer."""
    tables = ctx.tables
    labelled = tables.read(TEXT).where(F.col("label").isNotNull() & is_known(F.col("written_on"), ctx.as_of))
    scores = tables.read(SCORE_TEXT).where(F.col("model_version") == F.lit(current_version(ctx.files_root)))
    scores = scores.select("text_hash", *(f"p_{label}" for label in LABELS))
    linked = with_customer_id(labelled, tables, how="left")
    test = linked.join(tables.read(EXAMPLE).where(F.col("split") == TEST).select("text_hash"), "text_hash")
    predictions = with_class_prior(test.join(scores, "text_hash")).cache()
    if predictions.isEmpty():
        return []
    day = F.col("as_of") == F.lit(ctx.as_of)
    segments = tables.read(SEGMENT).where(day).join(tables.read(SEGMENT_PROFILE).where(day), ["segment_id", "as_of"])
    by_person = predictions.join(segments.select("customer_id", "name"), "customer_id")
    measures = gap_measures(predictions.withColumn("slice", F.lit("all")), dimension="all")
    measures += gap_measures(predictions.withColumn("slice", F.col("source")), dimension="source")
    measures += gap_measures(by_person.withColumn("slice", F.col("name")), dimension="segment")
    return measures


STAGE = Stage("monitor", run, reads=INPUTS, inputs=inputs)
