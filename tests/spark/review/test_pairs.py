"""Pairs of a lake: the most uncertain ones first, random ones for the quality, and the command without them."""

from datetime import datetime

import pytest
from support.lake import lake_context, put

from crm_spark.cli.app import main
from crm_spark.contracts.gold import CUSTOMER_LINK, IDENTITY_REVIEW
from crm_spark.contracts.silver import PERSON
from crm_spark.review.pairs import num_apart, num_links, random_pairs, uncertain_pairs
from crm_spark.stages.resolve.decision_files import Decision

CUSTOMERS = {"1": "a", "2": "a", "3": "a", "4": "b", "5": "b", "6": "c", "7": "d"}


def asked(left, right, probability, **more):
    row = {"system": "s", "person_id": left, "other_system": "s", "other_person_id": right, "status": "open"}
    both = {"customer_id": CUSTOMERS[left], "other_customer_id": CUSTOMERS.get(right, "e")}
    return {**row, **both, "match_probability": probability, **more}


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    tables = lake_context(spark, tmp_path_factory.mktemp("review") / "lake").tables
    attributes = [{"name": "card", "text": "X1", "number": None, "date": None, "flag": None}]
    put(
        tables,
        PERSON,
        [{"system": "s", "person_id": p, "given_name": "Ann", "attributes": attributes} for p in CUSTOMERS],
    )
    put(tables, CUSTOMER_LINK, [{"system": "s", "person_id": p, "customer_id": c} for p, c in CUSTOMERS.items()])
    evidence = [{"column": "given name", "comparison": "same", "bits": 3.0}]
    rows = [
        asked("1", "6", 0.8),
        asked("4", "7", 0.45, evidence=evidence),
        asked("6", "7", 0.3),
        asked("1", "gone", 0.5),
    ]
    put(tables, IDENTITY_REVIEW, [*rows, asked("1", "2", 0.4, is_one_customer=True)])
    return tables


def decided(left, right, sample=None):
    return Decision("s", left, "s", right, True, datetime(2025, 1, 1), sample=sample)


def ids(pairs):
    return [(pair.left.person_id, pair.right.person_id) for pair in pairs]


def test_the_most_uncertain_pairs_come_first(lake):
    pairs = uncertain_pairs(lake, [], num=10)
    assert ids(pairs) == [("4", "7"), ("1", "2"), ("6", "7"), ("1", "6")]  # 1-gone: the record was removed
    assert pairs[0].evidence == {"given name": ("same", 3.0)} and pairs[0].left.values == {
        "given_name": "Ann",
        "card": "X1",
    }
    assert [field.name for field in pairs[0].fields] == ["given name"]
    assert pairs[1].is_one_customer is True


def test_decided_pairs_are_left_out(lake):
    assert ids(uncertain_pairs(lake, [decided("4", "7")], num=3)) == [("1", "2"), ("6", "7")]


def test_random_pairs_of_the_links_and_of_those_apart(lake):
    pairs = random_pairs(lake, [], num=6, seed=1)
    linked = {pair.left.person_id + pair.right.person_id for pair in pairs if pair.sample == "linked"}
    assert len(linked) == 2 and "45" in linked and linked - {"45"} <= {"12", "13", "23"}  # one pair of each customer
    assert {pair for pair in ids(p for p in pairs if p.sample == "apart")} <= {("1", "6"), ("4", "7"), ("6", "7")}
    assert all(pair.match_probability is None and pair.is_one_customer is None for pair in pairs)
    assert ids(pairs) == ids(random_pairs(lake, [], num=6, seed=1))
    # A pair with a label is not drawn again; a decision for another reason does not keep it out of the sample.
    assert ("4", "5") not in ids(random_pairs(lake, [decided("4", "5", "linked")], num=6, seed=1))
    assert ("4", "5") in ids(random_pairs(lake, [decided("4", "5")], num=6, seed=1))


def test_numbers_of_links_and_of_pairs_apart(lake):
    assert num_links(lake) == 3  # 7 records of 4 customers
    assert num_apart(lake, max_pairs=10) == 4 and num_apart(lake, max_pairs=5) is None


def run(lake, *arguments):
    return main(["review", "--lake", str(lake), *map(str, arguments)])


def test_export(lake, tmp_path, capsys):
    out = tmp_path / "pairs.csv"
    assert run(lake.root, "--export", out, "--by", "Ada", "--num", 2) == 0
    assert [line.split(",")[:6] for line in out.read_text().splitlines()[1:]] == [["s", "4", "s", "7", "", "Ada"]]
    assert "Fill in the column decision" in capsys.readouterr().out
    assert run(lake.root, "--export", out) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_quality_is_printed_where_there_are_labels(lake, tmp_path, capsys):
    path = tmp_path / "d.csv"
    path.write_text(
        "system,person_id,other_system,other_person_id,decision,decided_at,sample\n"
        "s,1,s,2,same,2025-01-01,linked\ns,4,s,5,different,2025-01-01,linked\n"
    )
    assert run(lake.root, "--export", tmp_path / "x.csv", "--set", f"resolve.decisions={path}") == 0
    # 1 of 2: (0.25 + 3.8415/16) ** 0.5 * 1.96 / (1 + 3.8415/2) = 0.4054
    assert "Precision of the links: 50.0 % (95 % interval 9.5 to 90.5 %, 2 labels)" in capsys.readouterr().out


def test_a_lake_without_the_table(tmp_path, capsys):
    assert run(tmp_path / "lake", "--export", tmp_path / "x.csv") == 2
    assert "there is no gold.identity_review yet. Run resolve or a refresh first" in capsys.readouterr().err


def test_decisions_need_a_file(lake, capsys):
    assert run(lake.root) == 2
    assert "resolve.decisions: not set" in capsys.readouterr().err
