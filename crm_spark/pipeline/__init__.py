"""Runs the stages in order, each only when something it depends on has changed."""

from crm_spark.pipeline.runner import Pipeline
from crm_spark.pipeline.stages import ON_REQUEST, load_stage
from crm_spark.stages import STAGES

__all__ = ["ON_REQUEST", "STAGES", "Pipeline", "load_stage"]
