"""Table contracts, one file per layer: the schema of the lake and its data dictionary."""

from crm_spark.contracts import actions, features, gold, ops, scores, silver
from crm_spark.core.contract import TableContract

ALL_TABLES: tuple[TableContract, ...] = (
    *silver.ENTITIES.values(),
    *silver.HISTORY.values(),
    silver.CONSENT_HISTORY,
    *gold.TABLES,
    *features.TABLES,
    *scores.TABLES,
    *actions.TABLES,
    *ops.TABLES,
)
"""Every table except bronze, whose tables follow the sources."""
