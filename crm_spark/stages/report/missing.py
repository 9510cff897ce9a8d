"""What the company's data lacks: the note of a skipped stage, shown once, in the panel that is empty because of it."""

from crm_spark.core.context import SKIPPED
from crm_spark.stages.report.facts import Facts

PANEL_OF_STAGE = {
    "segment": "Customer segments",
    "shard": "Text model",
    "train": "Text model",
    "score": "Text model",
    "predict": "Customers at risk",
    "recommend": "Next best actions",
    "decide": "Next best actions",
}
"""Stage -> title of the panel that states why the stage was skipped."""


def note_of(facts: Facts, stage: str) -> str:
    """Return the note of the newest run of a stage; empty if there is none."""
    return next((run["note"] or "" for run in facts.runs if run["stage"] == stage), "")


def is_skipped(facts: Facts, stage: str) -> bool:
    """Return whether the newest run of a stage found no or too little data."""
    return any(run["stage"] == stage and run["status"] == SKIPPED for run in facts.runs)


def reason_for_skipping(facts: Facts, *stages: str) -> str:
    """Return why the first skipped of these stages was skipped, as the end of a sentence; empty if none was."""
    return next((note_of(facts, stage) for stage in stages if is_skipped(facts, stage)), "")


def explained(statement: str, reason: str) -> str:
    """Return a sentence: the statement, with the reason if it is known."""
    return f"{statement}: this {reason}." if reason.startswith("needs ") else _plain(statement, reason)


def _plain(statement: str, reason: str) -> str:
    return f"{statement}: {reason}." if reason else f"{statement}."
