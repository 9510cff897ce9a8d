"""Fingerprint of a stage's run: equal fingerprints mean that running the stage again would change nothing."""

from typing import Any

from crm_spark.core.context import JobContext
from crm_spark.core.hashing import sha256_of
from crm_spark.core.stage import Stage
from crm_spark.pipeline.source_digest import source_digest


def fingerprint(stage: Stage, ctx: JobContext) -> str:
    """Digest of the stage's inputs, configuration, code, seed and logical date."""
    return sha256_of(
        {
            "stage": stage.name,
            "code": source_digest(stage.package),
            "config": getattr(ctx.settings, stage.name).model_dump(mode="json"),
            "company": ctx.settings.company.model_dump(mode="json"),
            "seed": ctx.seed,
            "as_of": str(ctx.as_of) if stage.has_as_of else None,
            "inputs": _inputs(stage, ctx),
        }
    )


def _inputs(stage: Stage, ctx: JobContext) -> dict[str, Any]:
    versions = {table.name: ctx.tables.version(table) for table in stage.reads}
    return {**versions, **(stage.inputs(ctx) if stage.inputs else {})}
