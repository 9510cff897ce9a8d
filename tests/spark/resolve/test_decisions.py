"""Decisions of people: files with bad lines, the newest of a pair, contradictions, and what is remembered."""

from datetime import datetime
from pathlib import Path

import pytest
from support.lake import lake_context, put

from crm_spark.contracts.gold import IDENTITY_DECISION
from crm_spark.core.errors import InputError
from crm_spark.stages.resolve.decision_files import Decision, append_decision, read_decisions, review_file
from crm_spark.stages.resolve.decisions import decisions_digest, must_or_cannot, settled

HEADER = "system,person_id,other_system,other_person_id,decision,decided_by,decided_at,note\n"
NOW = datetime(2026, 2, 1, 12)


def written(path, *lines, header=HEADER):
    path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def read(path):
    return read_decisions(path, zone="Europe/Berlin", now=NOW)


def decision(left, right, is_same, day, origin=""):
    return Decision("s", left, "s", right, is_same, datetime(2026, 1, day), origin=origin)


def test_lines_of_a_file(tmp_path):
    path = written(
        tmp_path / "d.csv",
        'shop,7,crm,0042,Same,Ada,2026-01-31,"same phone, asked her"',
        "crm,1,crm,2,different,,2026-01-31T14:05:00Z,",
        "crm,3,crm,4,,,,",
        ",,,,,,,",
    )
    found = read(path)
    assert found.problems == () and found.num_open == 1
    first, second = found.decisions
    assert first.pair == ("crm|0042", "shop|7") and first.is_same is True and first.note == "same phone, asked her"
    assert first.decided_at == datetime(2026, 1, 30, 23)  # midnight in Berlin
    assert second.decided_at == datetime(2026, 1, 31, 14, 5) and second.is_same is False and second.decided_by is None


def test_a_spreadsheet_may_have_saved_the_file(tmp_path):
    path = tmp_path / "d.csv"
    text = HEADER.replace(",", ";").replace("note", "note;given_name") + "crm;'=1;crm;2;same;Ada;2026-01-31;;A•••\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    (only,) = read(str(path)).decisions
    assert only.pair == ("crm|2", "crm|=1")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("crm,1,crm,2,yes,,2026-01-31,", "decision: expected same, different or undo."),
        ("crm,,crm,2,same,,2026-01-31,", "person_id: missing. Name both records by system and id."),
        ("crm,1,crm,1,same,,2026-01-31,", "names the same record twice. Name two records."),
        ("crm,1,crm,2,same,,31.01.2026,", "decided_at: expected a day or time such as 2026-01-31"),
        ("crm,1,crm,2,same,,,", "decided_at: expected a day or time"),
        ("crm,1,crm,2,same,,2026-03-31,", "decided_at: lies in the future."),
        ("crm,1,crm,2,same,,2026-01-31,one, two", "has 9 cells, the header has 8. Put a text with a ','"),
        ('crm,1,crm,2,same,,2026-01-31,"open', "a quotation mark is not closed."),
    ],
)
def test_a_bad_line_is_reported_and_the_others_hold(tmp_path, line, problem):
    path = written(tmp_path / "d.csv", line, "crm,5,crm,6,same,Ada,2026-01-31,")
    found = read(path)
    assert [d.pair for d in found.decisions] == [("crm|5", "crm|6")]
    (message,) = found.problems
    assert message.startswith(f"{path}, line 2: {problem}") and message.endswith("This decision is not applied.")


def test_a_file_that_is_not_utf_8_or_has_no_header_is_reported(tmp_path):
    written(tmp_path / "a.csv", "crm,1,crm,2,same,,2026-01-31,")
    (tmp_path / "b.csv").write_bytes(HEADER.encode() + "crm,1,crm,3,same,Jörg,2026-01-31,\n".encode("cp1252"))
    written(tmp_path / "c.csv", header="system,person_id\n")
    found = read(str(tmp_path))
    assert len(found.decisions) == 1
    assert found.problems[0].startswith(f"{tmp_path / 'b.csv'}, line 2: is not UTF-8.")
    assert found.problems[1].startswith(
        f"{tmp_path / 'c.csv'}, line 1: columns other_system, other_person_id, decision, "
    )


def test_appended_decisions_are_read_back(tmp_path):
    path = tmp_path / "folder" / "d.csv"
    ours = [
        Decision("crm", "=1+1", "shop", "'x", True, datetime(2026, 1, 31, 14, 5), "Ada", 'a "b", c', "linked"),
        Decision("crm", "1", "shop", "2", None, datetime(2026, 1, 31, 14, 6)),
    ]
    for each in ours:
        append_decision(path, each)
    assert read(str(path)).decisions == tuple(ours)
    assert path.read_text().splitlines()[1] == (
        'crm,\'=1+1,shop,\'\'x,same,Ada,2026-01-31T14:05:00.000Z,"a ""b"", c",linked'
    )
    assert list(path.parent.iterdir()) == [path]


def test_appending_follows_the_header_and_a_torn_line_stays_alone(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("decision;decided_at;system;person_id;other_system;other_person_id\nsame;2026-01-3")
    append_decision(path, decision("1", "2", False, 5))
    assert path.read_text().splitlines()[1:] == ["same;2026-01-3", "different;2026-01-05T00:00:00.000Z;s;1;s;2"]
    found = read(str(path))
    assert len(found.decisions) == len(found.problems) == 1


def test_another_file_is_not_appended_to(tmp_path):
    path = written(tmp_path / "d.csv", header="name,city\n")
    with pytest.raises(InputError, match="columns system, person_id"):
        append_decision(Path(path), decision("1", "2", True, 1))
    assert Path(path).read_text() == "name,city\n"


def test_the_file_of_the_review_page(tmp_path):
    assert review_file(str(tmp_path)) == tmp_path / "review.csv"
    assert review_file(str(tmp_path / "d.csv")) == tmp_path / "d.csv"
    assert review_file(str(tmp_path / "new")) == tmp_path / "new" / "review.csv"
    (tmp_path / "plain").write_text(HEADER)
    assert review_file(str(tmp_path / "plain")) == tmp_path / "plain"


def test_the_newest_decision_of_a_pair_counts():
    newest, applied, problems = settled(
        [
            decision("1", "2", False, 3),
            decision("1", "2", True, 2),
            decision("3", "4", True, 2),
            decision("3", "4", None, 2),
        ]
    )
    assert [(d.pair, d.is_same) for d in newest] == [(("s|1", "s|2"), False), (("s|3", "s|4"), None)]
    assert [d.pair for d in applied] == [("s|1", "s|2")]
    assert problems == ()


def test_of_contradictory_decisions_the_oldest_does_not_apply():
    chain = [decision("a", "b", True, 1, "f, line 2"), decision("b", "c", True, 2, "f, line 3")]
    _, applied, problems = settled([*chain, decision("a", "c", False, 3, "g, line 2")])
    assert [(d.pair, d.is_same) for d in applied] == [(("s|a", "s|c"), False), (("s|b", "s|c"), True)]
    assert problems == (
        "f, line 2: `same` contradicts newer decisions, by which the records are different people (g, line 2; f, line 3). It is "
        "not applied. Decide the pair again, or undo one of the others.",
    )
    _, applied, problems = settled([decision("a", "c", False, 0 + 1, "g, line 2"), *chain])
    # The line of the file decides at the same time: a-b is newer than a-c.
    assert [(d.pair, d.is_same) for d in applied] == [(("s|a", "s|b"), True), (("s|b", "s|c"), True)]
    assert problems[0].startswith(
        "g, line 2: `different` contradicts newer decisions, by which the records are one person"
    )


@pytest.fixture
def ctx(spark, tmp_path):
    return lambda path: lake_context(spark, tmp_path / "lake", f"resolve.decisions={path}")


def known(spark, *keys):
    return spark.createDataFrame([(key,) for key in keys], "record_key string")


def rows(frame):
    return sorted(tuple(row) for row in frame.collect())


def test_decisions_are_remembered_until_they_are_undone(spark, tmp_path, ctx):
    records = known(spark, "s|1", "s|2", "s|3")
    path = written(tmp_path / "d.csv", "s,1,s,2,same,Ada,2025-01-10,", "s,2,s,3,different,Ada,2025-01-10,")
    pairs, decided = must_or_cannot(ctx(path), records)
    assert rows(pairs) == [("s|1", "s|2", True), ("s|2", "s|3", False)]
    context = ctx(path)
    context.tables.replace(IDENTITY_DECISION, decided.rows(spark), batch_id="1", digest="1", is_unique=True)
    # The file is replaced by one that undoes a decision: the other stays.
    written(tmp_path / "d.csv", "s,3,s,2,undo,Ada,2025-01-11,")
    pairs, decided = must_or_cannot(context, records)
    assert rows(pairs) == [("s|1", "s|2", True)]
    assert [(d.pair, d.is_same) for d in decided.newest] == [(("s|1", "s|2"), True), (("s|2", "s|3"), None)]
    assert rows(decided.pairs(spark))[1] == ("s|2", "s|3", None)


def test_a_decision_about_an_unknown_record_is_reported(spark, tmp_path, ctx, project_log):
    path = written(tmp_path / "d.csv", "s,1,s,9,same,Ada,2025-01-10,", "s,1,s,2,same,Ada,2025-01-10,")
    pairs, decided = must_or_cannot(ctx(path), known(spark, "s|1", "s|2"))
    assert rows(pairs) == [("s|1", "s|2", True)]
    (problem,) = decided.problems
    assert problem.startswith(f"{path}, line 2: a record does not exist.") and problem in project_log.text


def test_an_erased_person_leaves_no_decision(spark, tmp_path, ctx):
    context = ctx("null")
    row = {"system": "s", "person_id": "1", "other_system": "s", "other_person_id": "2", "is_same_person": True}
    put(context.tables, IDENTITY_DECISION, [row, {**row, "other_person_id": "3", "note": "her daughter"}])
    _, decided = must_or_cannot(context, known(spark, "s|1", "s|2"))
    assert [d.pair for d in decided.newest] == [("s|1", "s|2")] and decided.problems == ()
    assert decided.rows(spark).count() == 1


def test_no_decisions(spark, tmp_path, ctx, project_log):
    pairs, decided = must_or_cannot(ctx("null"), known(spark, "s|1"))
    assert rows(pairs) == [] and decided.problems == () and decided.rows(spark).count() == 0
    _, decided = must_or_cannot(ctx(tmp_path / "missing.csv"), known(spark, "s|1"))
    assert decided.problems == () and "missing.csv: there is no file of decisions yet" in project_log.text


def test_the_digest_follows_the_content(tmp_path):
    assert decisions_digest(None) is None and decisions_digest(str(tmp_path)) is None
    written(tmp_path / "d.csv", "s,1,s,2,same,Ada,2025-01-10,")
    first = decisions_digest(str(tmp_path))
    written(tmp_path / "d.csv", "s,1,s,2,undo,Ada,2025-01-10,")
    assert first != decisions_digest(str(tmp_path)) != None  # noqa: E711
