"""Compute declared features. Grain: customer_id x as_of."""

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.attributes import value_of
from crm_spark.contracts.silver import ENTITIES, EVENT_TIMES, HISTORY
from crm_spark.core.days import day_of
from crm_spark.core.tables import TableStore
from crm_spark.customers.business import INACTIVITY, ChurnKind
from crm_spark.customers.links import with_customer_id, with_person_of_order
from crm_spark.features.columns import DECLARED, packed_features
from crm_spark.features.declarations import AttributeFeature, DeclaredFeature, DeclaredFeatures
from crm_spark.sources.mappings import ATTRIBUTE_TYPES
from crm_spark.stages.featurise.features import as_of_snapshots
from crm_spark.stages.featurise.outcomes import is_running

_KEY = ["customer_id", "as_of"]
_NUMBERS_OF = ("count", "count_distinct", "sum", "num_active")
"""Measures that are 0 for a customer without records."""


def with_declared_features(
    customers: DataFrame,
    declared: DeclaredFeatures,
    tables: TableStore,
    snapshots: Sequence[date],
    zone: str,
    *,
    churn: ChurnKind = INACTIVITY,
) -> DataFrame:
    """Add the column `declared` to customers. Grain unchanged.

    Args:
        customers: customer_id, as_of.
        declared: the declared features.
        tables: the lake.
        snapshots: days for which features are computed.
        zone: IANA time zone of the company's days.
        churn: what the company loses a customer by; it tells when a contract ends.
    """
    by_entity: dict[str, dict[str, DeclaredFeature]] = {}
    for name, feature in declared.of_events.items():
        by_entity.setdefault(feature.entity, {})[name] = feature
    for entity, features in sorted(by_entity.items()):
        customers = customers.join(_of_events(tables, entity, features, snapshots, zone, churn), _KEY, "left")
        zero = {n: F.coalesce(F.col(n), F.lit(0.0)) for n, f in features.items() if f.measure in _NUMBERS_OF}
        customers = customers.withColumns(zero) if zero else customers
    if declared.of_attributes:
        values = _of_attributes(tables, declared.of_attributes, snapshots, zone)
        customers = customers.join(values, _KEY, "left")
    return customers.withColumn(DECLARED, packed_features(declared.names)).drop(*declared.names)


def _of_events(
    tables: TableStore,
    entity: str,
    features: dict[str, DeclaredFeature],
    snapshots: Sequence[date],
    zone: str,
    churn: ChurnKind,
) -> DataFrame:
    records = with_customer_id(with_person_of_order(tables.read(ENTITIES[entity]), entity, tables), tables)
    known = as_of_snapshots(records.withColumn("happened_on", day_of(EVENT_TIMES[entity], zone)), snapshots)
    measures = [_measure(feature, zone, churn).cast("double").alias(name) for name, feature in features.items()]
    return known.groupBy(*_KEY).agg(*measures)


def _measure(feature: DeclaredFeature, zone: str, churn: ChurnKind) -> Column:
    """Aggregate over the records known at a snapshot."""
    is_counted = F.lit(True)
    for name, wanted in feature.where.items():
        values = [wanted] if isinstance(wanted, str) else wanted
        is_counted = is_counted & F.col(name).cast("string").isin(*values)
    days_ago = F.col("days_ago")
    if feature.window_days is not None:
        is_counted = is_counted & (days_ago < feature.window_days)
    if feature.measure == "count":
        return F.count(F.when(is_counted, 1))
    if feature.measure == "days_since_first":
        return F.max(F.when(is_counted, days_ago))
    if feature.measure == "days_since_last":
        return F.min(F.when(is_counted, days_ago))
    if feature.measure == "num_active":
        return F.count(F.when(is_counted & is_running(zone, churn), 1))
    assert feature.column is not None
    value = F.when(is_counted, F.col(feature.column))
    if feature.measure == "count_distinct":
        return F.count_distinct(value)
    aggregates = {"sum": F.sum, "mean": F.avg, "min": F.min, "max": F.max}
    return aggregates[feature.measure](value.cast("double"))


def _of_attributes(
    tables: TableStore, features: Mapping[str, AttributeFeature], snapshots: Sequence[date], zone: str
) -> DataFrame:
    """Values known at each snapshot: of the customer's records that know the attribute, the newest version of then."""
    history = tables.read(HISTORY["person"]).where(F.col("attributes").isNotNull())
    versions = with_customer_id(history, tables)
    days = F.explode(F.array(*(F.lit(day) for day in snapshots)))
    until = day_of("valid_to", zone)
    is_of_then = (day_of("valid_from", zone) <= F.col("as_of")) & (until.isNull() | (until > F.col("as_of")))
    known = versions.withColumn("as_of", days).withColumn("_is_of_then", is_of_then)
    declarations = {feature.attribute: feature.declaration for feature in features.values()}
    newest = []
    for name, declaration in sorted(declarations.items()):
        value = value_of(F.col("attributes"), name, ATTRIBUTE_TYPES[declaration.type])
        is_known = F.col("is_current") if declaration.is_constant else F.col("_is_of_then")
        age = F.struct("valid_from", "source_rank", "system", "person_id")
        newest.append(F.max_by(value, F.when(is_known & value.isNotNull(), age)).alias(f"_{name}"))
    values = known.groupBy(*_KEY).agg(*newest)
    return values.select(*_KEY, *(_number(feature).cast("double").alias(name) for name, feature in features.items()))


def _number(feature: AttributeFeature) -> Column:
    value = F.col(f"_{feature.attribute}")
    if feature.value is not None:
        return (value == F.lit(feature.value)).cast("int")
    if feature.declaration.type == "date":
        return F.datediff("as_of", value)
    return value.cast("int") if feature.declaration.type == "flag" else value
