"""Values that a mapping takes from the records of another source."""

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.core.errors import InputError
from crm_spark.sources.mappings import Feed, Lookup
from crm_spark.stages.clean.records import FILE, field_of, stored_column

FOUND = "_looked_up_{}"
"""Value found for a column, formatted with the column name."""


def with_found_values(rows: DataFrame, feed: Feed, read: Callable[[str], DataFrame]) -> DataFrame:
    """Grain as `rows`. Adds the value that each lookup of the feed finds; null for none.

    Args:
        rows: records of one source.
        feed: mapping of the records.
        read: reads the bronze records of a source.

    Raises:
        InputError: a key has several values in one delivery, or the other source lacks a column.
    """
    for name, mapping in feed.mapped.items():
        if mapping.lookup is not None:
            found = _values(mapping.lookup, read(mapping.lookup.source)).withColumnRenamed("_value", FOUND.format(name))
            keyed = rows.withColumn("_key", F.trim(field_of(mapping.from_[0], rows.columns)))
            rows = keyed.join(found, "_key", "left").drop("_key")
    return rows


def _values(lookup: Lookup, records: DataFrame) -> DataFrame:
    """Grain: _key. The last delivered `_value` of each."""
    for name in (lookup.key, lookup.value):
        if stored_column(name, records.columns) is None:
            raise InputError(f"lookup in {lookup.source}: no delivery has a column `{name}`. Correct the name.")
    key, value = (F.trim(field_of(name, records.columns)) for name in (lookup.key, lookup.value))
    pairs = records.select(key.alias("_key"), value.alias("_value"), "_arrived_at", "_batch_id", FILE, "_position")
    pairs = pairs.where("_key <> '' AND _value <> ''")
    several = pairs.groupBy("_key", "_batch_id").agg(F.count_distinct("_value").alias("n"), F.max(FILE).alias(FILE))
    if (example := several.where("n > 1").first()) is not None:
        raise InputError(
            f"lookup in {lookup.source}: {lookup.key} is no key: {example[FILE]} has a value of it with {example['n']} different "
            f"values of {lookup.value}. Look up by another column, or correct the file."
        )
    last = F.struct("_arrived_at", FILE, "_position")
    return pairs.groupBy("_key").agg(F.max_by("_value", last).alias("_value"))
