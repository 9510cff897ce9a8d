"""Fingerprint of a stage's run: equal fingerprints mean that running the stage again would change nothing."""

from typing import Any

from crm_spark.core.context import JobContext
from crm_spark.core.hashing import sha256_of
from crm_spark.core.stage import Stage


def fingerprint(stage: Stage, ctx: JobContext) -> str:
    """Digest of the stage's inputs, configuration, code, seed and logical date."""
    return sha256_of(
        {
            "stage": stage.name,
            "code": ctx.code,
            "config": getattr(ctx.settings, stage.name).model_dump(mode="json"),
            "company": ctx.settings.company.model_dump(mode="json") if stage.reads_company else None,
            "seed": ctx.seed,
            "as_of": str(ctx.as_of) if stage.has_as_of and stage.reruns_on_new_date else None,
            "inputs": _inputs(stage, ctx),
        }
    )


def _inputs(stage: Stage, ctx: JobContext) -> dict[str, Any]:
    versions = {table.name: ctx.tables.version(table) for table in stage.reads}
    return {**versions, **(stage.inputs(ctx) if stage.inputs else {})}
