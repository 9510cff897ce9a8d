"""The pairs as a file of decisions to be filled in."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from crm_spark.review.masking import Part
from crm_spark.review.pairs import Pair
from crm_spark.stages.resolve.decision_files import COLUMNS, csv_line, row_of

_SHOWN = ("match_probability", "comparison", "record", "other_record")
"""Further columns, which are not read."""


def export_lines(pairs: Sequence[Pair], *, decided_by: str | None, decided_at: datetime) -> Iterator[str]:
    """The file, line by line; the column `decision` is empty.

    Args:
        pairs: pairs to decide.
        decided_by: name of the person who decides.
        decided_at: time of the export, which is to be the time of the decisions.
    """
    yield csv_line([*COLUMNS, *_SHOWN])
    for pair in pairs:
        row = row_of(pair.decision(None, decided_by=decided_by, decided_at=decided_at, note=None)) | {"decision": ""}
        yield csv_line([*(row[name] for name in COLUMNS), *_shown(pair)])


def _shown(pair: Pair) -> tuple[str, str, str, str]:
    probability = "" if pair.match_probability is None else f"{pair.match_probability:.2f}"
    words = [
        f"{field.name}: {field.comparison}" + ("" if field.bits is None else f" ({field.bits:+.0f})")
        for field in pair.fields
    ]
    left = [f"{f.name}: {_text(f.compared.left)}" for f in pair.fields if f.compared.left]
    right = [f"{f.name}: {_text(f.compared.right)}" for f in pair.fields if f.compared.right]
    return probability, "; ".join(words), "; ".join(left), "; ".join(right)


def _text(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts)
