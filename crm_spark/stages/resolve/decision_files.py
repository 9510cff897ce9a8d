"""CSV files with people's decisions about pairs of records: read with one problem per bad line, and appended to.

Cells that a spreadsheet would run as a formula have an apostrophe in front; it is removed when they are read.
"""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from crm_spark.core.errors import InputError

SAME, DIFFERENT, UNDO = "same", "different", "undo"
_MEANING = {SAME: True, DIFFERENT: False, UNDO: None}
PAIR = ("system", "person_id", "other_system", "other_person_id")
_REQUIRED = (*PAIR, "decision", "decided_at")
COLUMNS = (*PAIR, "decision", "decided_by", "decided_at", "note", "sample")
LINKED, APART = "linked", "apart"
"""Random samples from which a decided pair can be drawn: records of one customer, and compared records of two."""
REVIEW_FILE = "review.csv"
"""File to which the review page adds decisions, if the setting names a folder."""
_ACTIVE = re.compile("^(?:[\\t\\r\\n']|\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20])")
_TOLERANCE = timedelta(days=1)
"""How far the clock of the person who decided may be ahead."""


@dataclass(frozen=True)
class Decision:
    """Whether two records are one person.

    Attributes:
        system, person_id: the record whose key sorts first.
        other_system, other_person_id: the other record.
        is_same: whether they are one person; None: an earlier decision is undone.
        decided_at: time in UTC, without a zone.
        decided_by: name of the person who decided.
        note: their reason.
        sample: LINKED or APART if the pair was drawn at random.
        origin: where the decision was read.
    """

    system: str
    person_id: str
    other_system: str
    other_person_id: str
    is_same: bool | None
    decided_at: datetime
    decided_by: str | None = None
    note: str | None = None
    sample: str | None = None
    origin: str = field(default="", compare=False)

    @property
    def pair(self) -> tuple[str, str]:
        """Keys of the two records, in order."""
        return record_key(self.system, self.person_id), record_key(self.other_system, self.other_person_id)

    def ordered(self) -> "Decision":
        """The same decision with its records in order."""
        left, right = self.pair
        if left <= right:
            return self
        return replace(
            self,
            system=self.other_system,
            person_id=self.other_person_id,
            other_system=self.system,
            other_person_id=self.person_id,
        )


@dataclass(frozen=True)
class Decisions:
    """Content of the files.

    Attributes:
        decisions: in the order of files and lines.
        problems: a message for each line or file that is not used; names file and line.
        num_open: lines without a decision.
    """

    decisions: tuple[Decision, ...] = ()
    problems: tuple[str, ...] = ()
    num_open: int = 0


def record_key(system: str, person_id: str) -> str:
    """Key of a record."""
    return f"{system}|{person_id}"


def decision_files(path: str | None) -> list[Path]:
    """The files of the setting, sorted by name; those that do not exist yet are left out."""
    if path is None:
        return []
    root = Path(path)
    return sorted(root.glob("*.csv")) if root.is_dir() else [root] if root.exists() else []


def review_file(path: str) -> Path:
    """File to which the review page adds decisions."""
    root = Path(path)
    return root if root.is_file() or (root.suffix and not root.is_dir()) else root / REVIEW_FILE


def read_decisions(path: str | None, *, zone: str, now: datetime) -> Decisions:
    """Read all files.

    Args:
        path: a file, or a folder of `*.csv` files.
        zone: IANA time zone of times without one.
        now: current time in UTC; a decision from the future would outrank all later ones and is a problem.
    """
    read = [_read_file(file, zone=zone, now=now) for file in decision_files(path)]
    return Decisions(
        tuple(decision for each in read for decision in each.decisions),
        tuple(problem for each in read for problem in each.problems),
        sum(each.num_open for each in read),
    )


def _read_file(path: Path, *, zone: str, now: datetime) -> Decisions:
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    except OSError as error:
        return Decisions(problems=(f"{path}: cannot be read ({error.strerror}). Its decisions are not applied.",))
    if not lines:
        return Decisions()
    try:
        header, delimiter = _header(path, lines[0])
    except InputError as error:
        return Decisions(problems=(str(error),))
    decisions, problems, num_open = [], [], 0
    for number, line in enumerate(lines[1:], 2):
        where = f"{path}, line {number}"
        try:
            cells = _cells(line, header, delimiter)
            if not cells.get("decision"):
                num_open += any(cells.values())
                continue
            decisions.append(_decision(cells, where, zone=zone, now=now))
        except ValueError as error:
            problems.append(f"{where}: {error} This decision is not applied.")
    return Decisions(tuple(decisions), tuple(problems), num_open)


def _header(path: Path, line: bytes) -> tuple[list[str], str]:
    text = line.decode("utf-8", "replace")
    delimiter = max(",;\t", key=text.count)
    names = [name.strip().lower() for name in next(csv.reader([text], delimiter=delimiter), [])]
    if missing := [name for name in _REQUIRED if name not in names]:
        raise InputError(
            f"{path}, line 1: columns {', '.join(missing)} are missing. Expected a header with {', '.join(COLUMNS)}; none of the "
            "file's decisions is applied."
        )
    return names, delimiter


def _cells(line: bytes, header: Sequence[str], delimiter: str) -> dict[str, str]:
    try:
        # A line of its own for each record: an unbalanced quote damages one line and not all that follow.
        cells = next(csv.reader([line.decode("utf-8")], delimiter=delimiter, strict=True), [])
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8. Save the file as CSV UTF-8.") from None
    except csv.Error:
        raise ValueError("a quotation mark is not closed. Close it in the same line.") from None
    if any(cell.strip() for cell in cells[len(header) :]):
        raise ValueError(
            f"has {len(cells)} cells, the header has {len(header)}. Put a text with a {delimiter!r} in quotation marks."
        )
    return {name: _restored(cell.strip()) for name, cell in zip(header, cells)}


def _decision(cells: Mapping[str, str], where: str, *, zone: str, now: datetime) -> Decision:
    decision = cells["decision"].lower()
    if decision not in _MEANING:
        raise ValueError(f"decision: expected {SAME}, {DIFFERENT} or {UNDO}.")
    if missing := [name for name in PAIR if not cells.get(name)]:
        raise ValueError(f"{', '.join(missing)}: missing. Name both records by system and id.")
    sample = cells.get("sample") or None
    if sample not in (None, LINKED, APART):
        raise ValueError(f"sample: expected {LINKED}, {APART} or an empty cell.")
    made = Decision(
        **{name: cells[name] for name in PAIR},
        is_same=_MEANING[decision],
        decided_at=_time(cells.get("decided_at", ""), zone=zone),
        decided_by=cells.get("decided_by") or None,
        note=cells.get("note") or None,
        sample=sample,
        origin=where,
    )
    if made.pair[0] == made.pair[1]:
        raise ValueError("names the same record twice. Name two records.")
    if made.decided_at > now + _TOLERANCE:
        raise ValueError("decided_at: lies in the future. Correct the time.")
    return made.ordered()


def _time(text: str, *, zone: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("decided_at: expected a day or time such as 2026-01-31 or 2026-01-31T14:05:00Z.") from None
    return (time if time.tzinfo else time.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC).replace(tzinfo=None)


def row_of(decision: Decision) -> dict[str, str]:
    """The decision as a line of a file, by column."""
    word = next(word for word, meaning in _MEANING.items() if meaning is decision.is_same)
    return {
        **{name: getattr(decision, name) for name in PAIR},
        "decision": word,
        "decided_by": decision.decided_by or "",
        "decided_at": time_text(decision.decided_at),
        "note": " ".join((decision.note or "").split()),
        "sample": decision.sample or "",
    }


def time_text(time: datetime) -> str:
    """A time in UTC in a form that spreadsheets leave as it is."""
    return time.isoformat(timespec="milliseconds") + "Z"


def append_decision(path: Path, decision: Decision) -> None:
    """Add a line to a file, which is created if it does not exist, and wait until it is on disk.

    The line is written by one system call: after an interruption it is there as a whole or damaged alone.

    Raises:
        InputError: the file is no file of decisions, or cannot be written.
    """
    try:
        if not path.exists() or not path.stat().st_size:
            _create(path)
        with path.open("rb+") as file:
            content = file.readline().removeprefix(b"\xef\xbb\xbf")
            header, delimiter = _header(path, content.rstrip(b"\r\n"))
            file.seek(-1, os.SEEK_END)
            is_complete = file.read(1) == b"\n"
        line = csv_line([row_of(decision).get(name, "") for name in header], delimiter)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(handle, (("" if is_complete else "\n") + line).encode())
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). The decision was not saved.") from None


def _create(path: Path) -> None:
    """Create the file with its header, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8", newline="") as file:
        file.write(csv_line(COLUMNS))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def csv_line(cells: Sequence[str], delimiter: str = ",") -> str:
    """A line of a file, with cells that are safe to open in a spreadsheet."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerow(
        [f"'{cell}" if _ACTIVE.match(cell) else cell for cell in cells]
    )
    return text.getvalue()


def _restored(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _ACTIVE.match(cell[1:]) else cell
