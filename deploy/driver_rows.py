"""What the driver holds: every place that brings rows to it, with the largest number at 10 million customers.

`sites` finds the places in the code; a test requires an entry for each of them.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "crm_spark"
_TO_DRIVER = ("collect", "toPandas", "toLocalIterator", "toArrow")
_DELIVERIES = "one row per file ever delivered: 10 million files in 1,000 nights would need about 10 GB"
_BATCHES = "one row per source, entity and delivery ever cleaned"

DRIVER_ROWS = {
    "cli/contactability.py:count_causes": "one row per cause: 10",
    "cli/status.py:_runs": "one row per stage: 14",
    "cli/status.py:_blocked": "one row per blocked delivery that still has quarantined rows",
    "cli/status.py:_rejected": "6 rows (limit)",
    "core/ordering.py:with_position": "one row per partition",
    "core/tables/upkeep.py:table_size": "one row",
    "maintenance/lake_tables.py:_deletions": "one row per logical date: 1,000 nights",
    "onboarding/column_profile.py:profiled": "a limited number of first values",
    "onboarding/column_profile.py:words_of": "a limited number of most frequent values",
    "onboarding/folder_profile.py:_samples": "200 records of a profiled file",
    "onboarding/totals.py:totals_in": "201 lines (limit)",
    "onboarding/id_overlap.py:overlaps": "one row per pair of columns of the profiled files",
    "onboarding/preview.py:_counts": "one row per source and entity",
    "onboarding/preview.py:_quarantined": "40 rows (limit)",
    "onboarding/preview.py:_rejected": "40 rows (limit)",
    "onboarding/preview.py:_matches": "one row per source and rule",
    "onboarding/preview.py:_revenue": "60 rows (limit)",
    "onboarding/preview.py:_records": "20 rows (limit) of each source and entity",
    "onboarding/preview.py:_bronze_rows": "20 rows (limit) of each source and entity",
    "onboarding/nested_columns.py:flat": "200 records of a profiled file",
    "onboarding/locale_hints.py:_counted": "a limited number of most frequent values",
    "pipeline/ledger.py:load": "one row per stage: 14",
    "review/pairs.py:uncertain_pairs": "`--num` rows and one per decision",
    "review/pairs.py:random_pairs": "`--num` rows and one per label",
    "review/pairs.py:_people": "two rows per pair of `--num`",
    "stages/clean/reconciliation.py:reconcile": "one row per source, entity and pending delivery",
    "stages/clean/reconciliation.py:findings_of": "one row per finding code, column and pending delivery",
    "stages/clean/replay.py:run": "one row per entity: 9",
    "stages/clean/replay.py:_replay": _BATCHES,
    "stages/clean/replay.py:_still_blocked": "one row per combination of reasons",
    "stages/clean/replay.py:_apply_release_log": "one row per unfinished release",
    "stages/clean/stage.py:run": _BATCHES,
    "stages/clean/validation.py:of": _DELIVERIES,
    "stages/clean/validation.py:left_out": "one row per pending delivery of a source with conditions",
    "stages/ingest/file_stream.py:batch": "`ingest.files_per_batch` rows",
    "stages/ingest/file_validation.py:_examined": "one row per new file",
    "stages/ingest/stage.py:_ingest_staged": _DELIVERIES,
    "stages/ingest/stage.py:_ingest": "one row per file of a delivery",
    "stages/monitor/drift.py:bin_counts": "12 rows per feature: 250",
    "stages/monitor/gap.py:gap_measures": "one row per slice of the metrics",
    "stages/monitor/relationship.py:campaign_measures": "2 rows",
    "stages/recommend/factors.py:fit_item_factors": "one row per product, with `recommend.rank` numbers",
    "stages/report/facts.py:_rows": "aggregates by source, segment, month, action or metric, or a limited sample",
    "stages/report/quality_facts.py:_rows": "60 rows (limit)",
    "stages/report/topic_facts.py:_rows": "aggregates by aspect, month, or a limited number of products and words",
    "stages/resolve/components.py:_in_driver": "2,000,000 edges; above, Spark finds the components",
    "stages/resolve/link_locally.py:link_locally": "`resolve.duckdb_max_records` rows; above, Spark compares them",
    "stages/resolve/spark_engine.py:_collected": "about 200,000 records for training, and those of some sampled blocks",
    "stages/resolve/spark_engine.py:_weights": "one row per pair of weights in sixteenths of a bit, at most some ten thousand",
    "stages/resolve/spark_engine.py:agreeing_pairs": "one row per column and per pair of columns of evidence",
    "stages/resolve/spark_engine.py:count_pairs": "one row per possible blocking rule, some hundred",
    "stages/resolve/decisions.py:remembered": "one row per decision that a person has made",
    "stages/resolve/decisions.py:_existing": "two rows per decision that a person has made",
    "stages/resolve/enforcement.py:enforced": "two rows per decision that a person has made",
    "stages/resolve/stage.py:_too_large": "one row",
    "stages/score/newest_texts.py:newest_of": "one row per day",
    "stages/segment/fitting.py:fit_or_keep": "one row per segment id ever used",
    "stages/segment/stage.py:run": "one row per segment: `segment.max_k`",
    "stages/segment/stage.py:_previous_profile": "one row per segment: `segment.max_k`",
    "stages/shard/layout.py:with_groups": "one row per bucket of lengths",
    "stages/shard/splits.py:newest_from": "one row per day",
    "stages/shard/stage.py:run": "one row per split and label: 9",
    "stages/shard/stage.py:_write": "one row per shard file; for a lake at a URI on a cluster, one after the other with its content",
    "telemetry/source_status.py:source_status": "one row per source",
    "world/engine.py:generate": "one row per task of the generator",
}
"""`module:function` -> largest number of rows. A window over all rows in one task would be listed too; there is none."""


def sites(package: Path = PACKAGE) -> set[str]:
    """`module:function` of every call that brings rows to the driver, or sorts all rows in one task."""
    return {
        f"{path.relative_to(package).as_posix()}:{function}"
        for path in package.rglob("*.py")
        for function, call in _calls(ast.parse(path.read_text(encoding="utf-8")), "")
        if call.attr in _TO_DRIVER or _is_global_window(call)
    }


def _calls(node: ast.AST, function: str) -> Iterator[tuple[str, ast.Attribute]]:
    for child in ast.iter_child_nodes(node):
        name = child.name if isinstance(child, ast.FunctionDef) else function
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
            is_empty_partition = child.func.attr == "partitionBy" and not child.args
            if child.func.attr != "partitionBy" or is_empty_partition:
                yield name, child.func
        yield from _calls(child, name)


def _is_global_window(call: ast.Attribute) -> bool:
    return isinstance(call.value, ast.Name) and call.value.id == "Window" and call.attr in ("orderBy", "partitionBy")
