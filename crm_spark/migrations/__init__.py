"""Declared changes of a lake's layout, applied once to lakes that older code wrote."""

from crm_spark.migrations.upgrade import current_models_dir, require_supported_layout, upgrade_lake

__all__ = ["current_models_dir", "require_supported_layout", "upgrade_lake"]
