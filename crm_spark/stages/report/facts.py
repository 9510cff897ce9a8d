"""Facts of the report: small aggregates read from the lake. Panels format them and compute no figures of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import CHURN_REASONS, SEGMENT, SEGMENT_PROFILE, TEXT
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import DELIVERY, DRIFT, METRIC, QUARANTINE, RECONCILIATION, RUN
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE, RECOMMENDATION
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.context import is_known
from crm_spark.core.days import local_time
from crm_spark.core.tables import TableStore
from crm_spark.customers.business import INACTIVITY, ORDERS, BusinessWords, ChurnKind
from crm_spark.models.registry import ModelVersion
from crm_spark.stages.report.quality_facts import quality_facts
from crm_spark.stages.report.topic_facts import topic_facts
from crm_spark.text.predictions import current_predictions

Rows = list[dict[str, Any]]


def churn_reasons(words: BusinessWords) -> dict[str, str]:
    """Feature -> words where its value raises the churn risk, as the company calls its purchases."""
    return {name: text.format(**words.model_dump()) for name, text in CHURN_REASONS.items()}


@dataclass(frozen=True)
class Facts:
    """Aggregates as of one day; a list is empty if the company has no such data."""

    company: str
    currency: str
    horizon_days: int
    as_of: date
    time_zone: str = "UTC"
    """IANA time zone of days and times."""
    words: BusinessWords = ORDERS
    """What the company calls its purchases and contracts."""
    churn: ChurnKind = INACTIVITY
    """What it loses a customer by."""
    flow: Rows = field(default_factory=list)
    """source, entity, num_in, num_accepted, num_quarantined, num_duplicate, last_event_at."""
    deliveries: Rows = field(default_factory=list)
    """source, files, bytes, rows, skipped."""
    reasons: Rows = field(default_factory=list)
    """source, entity, status, reason, n, and file and position of one example."""
    # From quality_facts, where the function of the same name documents the columns:
    quarantined_by_day: Rows = field(default_factory=list)
    findings_in_accepted: Rows = field(default_factory=list)
    warnings: Rows = field(default_factory=list)
    released: Rows = field(default_factory=list)
    superseded: Rows = field(default_factory=list)
    rejected_files: Rows = field(default_factory=list)
    # From the tables of the lake:
    num_customers: int = 0
    """Customers without prospects."""
    num_prospects: int = 0
    num_records: int = 0
    segments: Rows = field(default_factory=list)
    segment_map: Rows = field(default_factory=list)
    """name, x, y of sampled customers."""
    texts: Rows = field(default_factory=list)
    """source, label, n: predicted labels of all texts."""
    texts_by_month: Rows = field(default_factory=list)
    # From topic_facts, which documents the columns:
    aspects: Rows = field(default_factory=list)
    sentiment_by_month: Rows = field(default_factory=list)
    product_sentiment: Rows = field(default_factory=list)
    segment_words: Rows = field(default_factory=list)
    # From the tables of the lake:
    min_customers_per_cell: int = 5
    risk: Rows = field(default_factory=list)
    """value_band, risk, n, expected_revenue, at_stake; all but risk and n are null if the expected revenue is unknown."""
    churn_histogram: Rows = field(default_factory=list)
    churn_reasons: Rows = field(default_factory=list)
    reason_words: Mapping[str, str] = field(default_factory=lambda: churn_reasons(ORDERS))
    """Feature -> words where its value raises the churn risk."""
    actions: Rows = field(default_factory=list)
    """action, reason, n, num_holdout, at_stake (null if unknown)."""
    offers: Rows = field(default_factory=list)
    """system, product_id, name, n: the products recommended most often."""
    metrics: Rows = field(default_factory=list)
    drift: Rows = field(default_factory=list)
    runs: Rows = field(default_factory=list)
    model_card: dict[str, Any] = field(default_factory=dict)
    """Model card of the text model in production."""


def collect_facts(
    tables: TableStore,
    *,
    company: str,
    currency: str,
    horizon_days: int,
    as_of: date,
    model: ModelVersion | None,
    versions: tuple[str, ...],
    map_points: int,
    min_customers_per_cell: int,
    seed: int,
    time_zone: str = "UTC",
    declared_reasons: Mapping[str, str] | None = None,
    words: BusinessWords = ORDERS,
    churn: ChurnKind = INACTIVITY,
) -> Facts:
    """Collect the facts; every query returns a small number of rows, whatever the size of the lake.

    Args:
        tables: tables of the lake.
        company: company name.
        currency: reporting currency, ISO 4217.
        horizon_days: length of the prediction and comparison period.
        as_of: day of the report.
        model: text model in production, or None.
        versions: text model versions in order of precedence, see `current_predictions`.
        map_points: number of customers sampled for the segment map.
        min_customers_per_cell: smallest number of customers a figure about texts may be based on.
        seed: of the customer sample.
        time_zone: IANA time zone of days and times.
        declared_reasons: words of the reasons of declared features.
        words: what the company calls its purchases and contracts.
        churn: what it loses a customer by.
    """
    day = F.col("as_of") == F.lit(as_of)
    num_customers, num_records, num_prospects = _customers(tables)
    return Facts(
        company=company,
        currency=currency,
        horizon_days=horizon_days,
        as_of=as_of,
        time_zone=time_zone,
        words=words,
        churn=churn,
        flow=_flow(tables, time_zone),
        deliveries=_deliveries(tables),
        reasons=_reasons(tables),
        **quality_facts(tables, time_zone),
        num_customers=num_customers,
        num_records=num_records,
        num_prospects=num_prospects,
        segments=_segments(tables.read(SEGMENT_PROFILE).where(day)),
        segment_map=_map(tables, as_of, map_points, seed),
        texts=_texts(tables, versions, as_of),
        texts_by_month=_texts_by_month(tables, versions, as_of),
        **topic_facts(
            tables, versions, as_of, horizon_days=horizon_days, min_customers_per_cell=min_customers_per_cell
        ),
        min_customers_per_cell=min_customers_per_cell,
        model_card=model.card if model else {},
        risk=_risk(tables, as_of),
        churn_histogram=_histogram(tables.read(CHURN).where(day)),
        reason_words={**churn_reasons(words), **(declared_reasons or {})},
        churn_reasons=_churn_reasons(tables.read(CHURN).where(day)),
        actions=_actions(tables.read(NEXT_BEST_ACTION).where(day)),
        offers=_offers(tables, as_of),
        metrics=_metrics(tables, as_of),
        drift=_rows(tables.read(DRIFT).where(day).orderBy(F.desc("psi"))),
        runs=_runs(tables),
    )


def _rows(frame: DataFrame) -> Rows:
    return [row.asDict() for row in frame.collect()]


def _metrics(tables: TableStore, as_of: date) -> Rows:
    """Metrics of the day, and those of the text model, which is kept for many days, from the day of its training."""
    known, day = tables.read(METRIC), F.lit(as_of)
    trained = known.where(F.col("stage") == "train")
    # The last training up to the day; for a report of an earlier day the first one.
    days = trained.agg(F.max(F.when(F.col("as_of") <= day, F.col("as_of"))), F.min("as_of")).first()
    newest = (days[0] or days[1]) if days is not None else None
    is_shown = (F.col("as_of") == day) & (F.col("stage") != "train")
    if newest is not None:
        is_shown = is_shown | ((F.col("stage") == "train") & (F.col("as_of") == F.lit(newest)))
    return _rows(known.where(is_shown).orderBy("stage", "metric", "slice", "is_baseline"))


def _flow(tables: TableStore, zone: str) -> Rows:
    counts = ("num_in", "num_accepted", "num_quarantined", "num_duplicate")
    sums = [F.sum(name).alias(name) for name in counts]
    newest = local_time(F.max("last_event_at"), zone).alias("last_event_at")
    return _rows(tables.read(RECONCILIATION).groupBy("source", "entity").agg(*sums, newest).orderBy("source", "entity"))


def _deliveries(tables: TableStore) -> Rows:
    def total(status: str, column: str) -> Any:
        return F.sum(F.when(F.col("status") == status, F.col(column)).otherwise(0))

    frame = tables.read(DELIVERY).withColumn("one", F.lit(1))
    return _rows(
        frame.groupBy("source")
        .agg(
            total("ingested", "one").alias("files"),
            total("ingested", "num_bytes").alias("bytes"),
            total("ingested", "num_rows").alias("rows"),
            total("skipped", "one").alias("skipped"),
        )
        .orderBy("source")
    )


def _reasons(tables: TableStore) -> Rows:
    exploded = tables.read(QUARANTINE).where("status <> 'released'").withColumn("reason", F.explode("reasons"))
    example = F.min(F.struct("file", "position"))
    counted = exploded.groupBy("source", "entity", "status", "reason").agg(
        F.count(F.lit(1)).alias("n"), example.alias("e")
    )
    return _rows(
        counted.select(
            "source",
            "entity",
            "status",
            "reason",
            "n",
            F.col("e.file").alias("file"),
            F.col("e.position").alias("position"),
        )
        .orderBy(F.desc("n"))
        .limit(60)
    )


def _segments(profile: DataFrame) -> Rows:
    order = (F.desc("revenue_fraction"), F.desc("num_customers"), F.asc("segment_id"))
    return _rows(profile.drop("centre").orderBy(*order))


def _map(tables: TableStore, as_of: date, num_points: int, seed: int) -> Rows:
    day = F.col("as_of") == F.lit(as_of)
    positions = tables.read(SEGMENT).where(day & (F.col("segment_id") > 0))
    names = tables.read(SEGMENT_PROFILE).where(day).select("segment_id", "name")
    sample = positions.orderBy(F.xxhash64(F.lit(seed), F.col("customer_id"))).limit(num_points)
    # The page may be shared: no customer ids in it.
    return _rows(
        sample.join(F.broadcast(names), "segment_id").select(
            "name", F.round("map_x", 3).alias("x"), F.round("map_y", 3).alias("y")
        )
    )


def _texts(tables: TableStore, versions: tuple[str, ...], as_of: date) -> Rows:
    known = tables.read(TEXT).where(is_known(F.col("written_on"), as_of)).drop("label")
    labelled = known.join(_predicted_labels(tables, versions), "text_hash")
    return _rows(labelled.groupBy("source", "label").agg(F.count(F.lit(1)).alias("n")).orderBy("source", "label"))


def _texts_by_month(tables: TableStore, versions: tuple[str, ...], as_of: date) -> Rows:
    dated = tables.read(TEXT).where(F.col("written_on") <= F.lit(as_of)).drop("label")
    month = F.date_format("written_on", "yyyy-MM").alias("month")
    labelled = dated.join(_predicted_labels(tables, versions), "text_hash")
    return _rows(labelled.groupBy(month, "label").agg(F.count(F.lit(1)).alias("n")).orderBy("month", "label"))


def _predicted_labels(tables: TableStore, versions: tuple[str, ...]) -> DataFrame:
    """Grain: text_hash. Current predicted label."""
    return current_predictions(tables, versions).select("text_hash", "label")


def _risk(tables: TableStore, as_of: date) -> Rows:
    day = F.col("as_of") == F.lit(as_of)
    churn = tables.read(CHURN).where(day).select("customer_id", "probability", "risk")
    value = tables.read(LIFETIME_VALUE).where(day).select("customer_id", "expected_revenue", "value_band")
    # Without amounts there are churn scores, but no expected revenue: the sums are null then.
    joined = churn.join(value, "customer_id", "left").groupBy("value_band", "risk")
    return _rows(
        joined.agg(
            F.count(F.lit(1)).alias("n"),
            F.sum(F.col("expected_revenue").cast("double")).alias("expected_revenue"),
            F.sum(F.col("probability") * F.col("expected_revenue").cast("double")).alias("at_stake"),
        )
    )


def _histogram(churn: DataFrame) -> Rows:
    bucket = F.least(F.floor(F.col("probability") * 20), F.lit(19)).alias("bucket")
    return _rows(churn.groupBy(bucket).agg(F.count(F.lit(1)).alias("n")).orderBy("bucket"))


def _customers(tables: TableStore) -> tuple[int, int, int]:
    """Return the numbers of customers without prospects, of their person records, and of prospects."""
    customers, links = tables.read(CUSTOMER), tables.read(CUSTOMER_LINK)
    prospects = customers.where("is_prospect").select("customer_id")
    num_prospects = prospects.count()
    if num_prospects:
        links = links.join(prospects, "customer_id", "left_anti")
    return customers.count() - num_prospects, links.count(), num_prospects


def _churn_reasons(churn: DataFrame) -> Rows:
    first = churn.where("risk <> 'low'").select(F.get("reasons", F.lit(0)).alias("reason")).where("reason IS NOT NULL")
    return _rows(first.groupBy("reason").agg(F.count(F.lit(1)).alias("n")).orderBy(F.desc("n")).limit(8))


def _actions(actions: DataFrame) -> Rows:
    return _rows(
        actions.groupBy("action", "reason")
        .agg(
            F.count(F.lit(1)).alias("n"), F.sum("is_holdout").alias("num_holdout"), F.sum("priority").alias("at_stake")
        )
        .orderBy(F.desc("n"))
    )


def _offers(tables: TableStore, as_of: date) -> Rows:
    first = tables.read(RECOMMENDATION).where((F.col("as_of") == F.lit(as_of)) & (F.col("rank") <= 3))
    names = tables.read(PRODUCT).select("system", "product_id", "name")
    most = (
        first.groupBy("system", "product_id")
        .agg(F.count(F.lit(1)).alias("n"))
        .orderBy(F.desc("n"), "product_id")
        .limit(8)
    )
    return _rows(most.join(names, ["system", "product_id"], "left").orderBy(F.desc("n"), "product_id"))


def _runs(tables: TableStore) -> Rows:
    frame = tables.read(RUN)
    newest = frame.groupBy("stage").agg(
        F.max_by(F.struct("status", "num_rows", "seconds", "note", "ended_at"), "ended_at").alias("r")
    )
    return _rows(newest.select("stage", "r.*").orderBy("ended_at"))
