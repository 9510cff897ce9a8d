"""Decide stage: write the next best action of every customer to actions.next_best."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE, TEXT
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE, RECOMMENDATION, SCORE_TEXT
from crm_spark.contracts.silver import (
    APPOINTMENT,
    CAMPAIGN_CONTACT,
    CAMPAIGN_RESPONSE,
    ENTITIES,
    FEEDBACK,
    INTERACTION,
    ORDER,
    ORDER_LINE,
    SUBSCRIPTION,
)
from crm_spark.core.config import read_yaml, validated
from crm_spark.core.context import JobContext, StageResult, skipped_without_persons
from crm_spark.core.errors import ConfigError
from crm_spark.core.stage import Stage
from crm_spark.core.tables import TableStore
from crm_spark.customers.business import is_predictable
from crm_spark.customers.links import with_customer_id
from crm_spark.features.columns import with_declared
from crm_spark.features.declarations import features_of
from crm_spark.models.registry import current_version, serving_order
from crm_spark.stages.decide.config import DECLARED, Strategy
from crm_spark.stages.decide.policy import decide
from crm_spark.text.predictions import current_predictions

INPUTS = (
    CUSTOMER,
    CUSTOMER_LINK,
    FEATURE_CUSTOMER,
    SEGMENT,
    SEGMENT_PROFILE,
    CHURN,
    LIFETIME_VALUE,
    RECOMMENDATION,
    SCORE_TEXT,
    TEXT,
)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Return the strategy and the text model in production: a change of either requires a new run."""
    strategy = load_strategy(ctx.settings.decide.strategy).model_dump(mode="json")
    return {"strategy": strategy, "model": current_version(ctx.files_root)}


def load_strategy(path: str) -> Strategy:
    """Load the strategy from a YAML file.

    Raises:
        ConfigError: the file is invalid; the message names file, key, value and allowed values.
    """
    return validated(Strategy, read_yaml(Path(path)), origin=path)


def run(ctx: JobContext) -> StageResult:
    """Assign one action to every customer."""
    if not ctx.tables.exists(FEATURE_CUSTOMER):
        return skipped_without_persons()
    strategy = load_strategy(ctx.settings.decide.strategy)
    names = features_of(ctx).names
    require_known_features(strategy, names, origin=ctx.settings.decide.strategy)
    actions = decide(facts(ctx, names), strategy, seed=ctx.seed).withColumn("as_of", F.lit(ctx.as_of))
    result = ctx.tables.replace(
        NEXT_BEST_ACTION,
        actions.select(*NEXT_BEST_ACTION.column_names),
        batch_id=ctx.batch_id(),
        digest=ctx.fingerprint,
        where={"as_of": str(ctx.as_of)},
        is_unique=True,
    )
    return StageResult(result.num_rows, note=f"strategy with {len(strategy.actions)} actions")


_OF_PURCHASES = (
    "num_orders",
    "num_orders_recent",
    "monetary",
    "monetary_recent",
    "num_returns",
    "return_fraction",
    "num_channels",
)
"""Features that are unknown, not 0, if no table of purchases exists."""
_WITH_PRODUCTS = (ORDER_LINE.entity, APPOINTMENT.entity, SUBSCRIPTION.entity)
_FEATURES_BY_TABLE = {
    INTERACTION: ("num_tickets", "num_tickets_recent", "num_web_events_recent"),
    FEEDBACK: ("num_feedback",),
    CAMPAIGN_CONTACT: ("num_campaign_contacts",),
    CAMPAIGN_RESPONSE: ("num_campaign_responses",),
}
"""Table -> features that are unknown, not 0, if the table does not exist."""


def with_unknown_as_null(features: DataFrame, tables: TableStore, purchases: Collection[str]) -> DataFrame:
    """Grain unchanged. Replace 0 by null in features whose source table does not exist.

    `purchases`: entities that count as purchases.
    """
    existing = {entity for entity in (*purchases, ORDER_LINE.entity) if tables.exists(ENTITIES[entity])}
    unknown = [] if existing & set(purchases) else list(_OF_PURCHASES)
    sold = {ORDER_LINE.entity if entity == ORDER.entity else entity for entity in purchases}
    if not existing & sold & set(_WITH_PRODUCTS):
        unknown.append("num_products")
    unknown += [name for table, names in _FEATURES_BY_TABLE.items() if not tables.exists(table) for name in names]
    types = {field.name: field.dataType for field in features.schema.fields}
    return features.withColumns({name: F.lit(None).cast(types[name]) for name in unknown})


def require_known_features(strategy: Strategy, names: Collection[str], *, origin: str) -> None:
    """Check that the declared features in conditions exist.

    Raises:
        ConfigError: one of them does not.
    """
    for action in strategy.actions:
        for condition in action.when:
            name = condition.fact.removeprefix(DECLARED)
            if condition.fact.startswith(DECLARED) and name not in names:
                known = ", ".join(names) or "none are declared"
                raise ConfigError(
                    f"{origin}: {action.name}: there is no declared feature {name}; known: {known}. Correct the name, or list its "
                    "file under featurise.features."
                )


def facts(ctx: JobContext, declared: Sequence[str] = ()) -> DataFrame:
    """Grain: customer_id. Facts for the conditions of the strategy; null if unknown.

    `declared`: names of declared features.
    """
    tables, day = ctx.tables, F.col("as_of") == F.lit(ctx.as_of)
    features = with_unknown_as_null(
        tables.read(FEATURE_CUSTOMER).where(day).drop("as_of"), tables, ctx.settings.company.purchases
    )
    features = features.withColumn("is_predictable", is_predictable(ctx.settings.company.churn))
    features = with_declared(features, declared).withColumnsRenamed({name: f"{DECLARED}{name}" for name in declared})
    consent = tables.read(CUSTOMER).select("customer_id", "has_marketing_consent")
    churn = tables.read(CHURN).where(day)
    churn = churn.select(
        "customer_id", F.col("probability").alias("churn_probability"), F.col("risk").alias("churn_risk")
    )
    value = tables.read(LIFETIME_VALUE).where(day).select("customer_id", "expected_revenue", "value_band")
    profile = tables.read(SEGMENT_PROFILE).where(day).select("segment_id", F.col("name").alias("segment"))
    segment = tables.read(SEGMENT).where(day).join(F.broadcast(profile), "segment_id").select("customer_id", "segment")
    recommended = tables.read(RECOMMENDATION).where(day & (F.col("rank") == 1)).select("customer_id")
    joined = features.join(consent, "customer_id", "left")
    for part in (churn, value, segment, last_text_label(ctx)):
        joined = joined.join(part, "customer_id", "left")
    joined = joined.join(recommended.withColumn("has_recommendation", F.lit(True)), "customer_id", "left")
    # Without any recommendation of this day, it is unknown whether there is a suitable product.
    default = F.lit(None if recommended.isEmpty() else False).cast("boolean")
    return joined.withColumn("has_recommendation", F.coalesce("has_recommendation", default))


def last_text_label(ctx: JobContext) -> DataFrame:
    """Grain: customer_id. `last_text_label`: predicted label of the newest text of a customer."""
    texts = ctx.tables.read(TEXT).where(F.col("written_on") <= F.lit(ctx.as_of))
    scores = current_predictions(ctx.tables, serving_order(ctx.files_root)).select(
        "text_hash", F.col("label").alias("predicted_label")
    )
    labelled = with_customer_id(texts, ctx.tables).join(scores, "text_hash")
    newest = F.struct("written_on", "record_id")
    return labelled.groupBy("customer_id").agg(F.max_by("predicted_label", newest).alias("last_text_label"))


STAGE = Stage("decide", run, reads=INPUTS, inputs=inputs)
