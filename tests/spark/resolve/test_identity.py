"""Customer ids survive reruns, merges and splits."""

from datetime import datetime

from crm_spark.stages.resolve.evidence import PERSON_EVIDENCE, person_records
from crm_spark.stages.resolve.identity import MINTED, assign
from crm_spark.stages.resolve.ledger import current_ids, events, link_changes, links_as_of, minted_at
from crm_spark.stages.resolve.linkage import PAIRS
from crm_spark.stages.resolve.stage import nicknames

NIGHT = [datetime(2025, 1, day, 2) for day in (1, 2, 3)]
LEDGER = "kind string, customer_id string, other_customer_id string, happened_at timestamp, batch_id string"


def assigned(spark, clusters, links=(), ages=()):
    members = spark.createDataFrame(
        [(r, c) for c, rs in clusters.items() for r in rs], "record_key string, cluster string"
    )
    known = spark.createDataFrame(list(links), "record_key string, former_id string")
    return assign(members, known, spark.createDataFrame(list(ages), MINTED))


def ids(frame):
    return {row["record_key"]: row["customer_id"] for row in frame.collect()}


def happened(frame, ages=(), pairs=()):
    spark = frame.sparkSession
    found = events(frame, spark.createDataFrame(list(ages), MINTED), spark.createDataFrame(list(pairs), PAIRS))
    return sorted((r["kind"], r["customer_id"], r["other_customer_id"]) for r in found.collect())


def test_cluster_members_share_an_id(spark):
    customer_ids = ids(assigned(spark, {"x": ["s|1", "s|2"], "y": ["s|3"]}))
    assert customer_ids["s|1"] == customer_ids["s|2"] != customer_ids["s|3"] and customer_ids["s|1"].startswith("c")


def test_renamed_cluster_keeps_its_ids(spark):
    first = ids(assigned(spark, {"x": ["s|1", "s|2"], "y": ["s|3"]}))
    assert ids(assigned(spark, {"p": ["s|3"], "q": ["s|2", "s|1"]}, first.items())) == first


def test_merge_keeps_the_id_with_most_records(spark):
    frame = assigned(spark, {"x": ["s|1", "s|2", "s|3"]}, [("s|1", "cA"), ("s|2", "cB"), ("s|3", "cB")])
    assert set(ids(frame).values()) == {"cB"}
    assert happened(frame) == [("merged", "cA", "cB")]


def test_split_keeps_the_id_with_most_records_and_creates_one(spark):
    links = [(f"s|{i}", "cA") for i in (1, 2, 3)]
    frame = assigned(spark, {"x": ["s|1"], "y": ["s|2", "s|3"]}, links)
    customer_ids = ids(frame)
    assert customer_ids["s|2"] == customer_ids["s|3"] == "cA" and customer_ids["s|1"] not in ("cA", None)
    assert ("split", customer_ids["s|1"], "cA") in happened(frame) and (
        "minted",
        customer_ids["s|1"],
        None,
    ) in happened(frame)


def test_assign_is_idempotent(spark):
    clusters = {"x": ["s|1", "s|2"], "y": ["s|3"], "z": ["s|4"]}
    first = ids(assigned(spark, clusters, [("s|1", "cA"), ("s|3", "cA")]))
    again = assigned(spark, clusters, first.items())
    assert ids(again) == first and happened(again) == []


def test_a_merge_keeps_the_older_id_although_the_other_has_more_records(spark):
    links, ages = [("s|1", "cB"), ("s|2", "cA"), ("s|3", "cA")], [("cA", NIGHT[2]), ("cB", NIGHT[1])]
    frame = assigned(spark, {"x": ["s|1", "s|2", "s|3"]}, links, ages)
    assert set(ids(frame).values()) == {"cB"} and happened(frame, ages) == [("merged", "cA", "cB")]


def test_the_ledger_names_the_pair_that_joined_two_customers_and_the_one_that_remains_after_a_split(spark):
    pairs = [("s|1", "s|2", 0.75, True, None), ("s|1", "s|3", 0.986, True, None), ("s|2", "s|3", 0.99, True, None)]
    merged = assigned(spark, {"x": ["s|1", "s|2", "s|3"]}, [("s|1", "cA"), ("s|2", "cB"), ("s|3", "cB")])
    split = assigned(spark, {"x": ["s|1"], "y": ["s|2", "s|3"]}, [(f"s|{i}", "cA") for i in (1, 2, 3)])
    ages = spark.createDataFrame([], MINTED)
    for frame, words in (
        (merged, "s|1 and s|3, match probability 0.986"),
        (split, "s|1 and s|3, match probability 0.986"),
    ):
        found = (
            events(frame, ages, spark.createDataFrame(pairs, PAIRS)).where("other_customer_id IS NOT NULL").collect()
        )
        assert [(row["evidence"], row["num_records"]) for row in found] == [(words, 1)]


def test_ids_of_a_merge_that_is_undone_are_what_they_were(spark):
    """Three nights: two customers, one after a merge, two again."""
    nights = [{"x": ["s|1"], "y": ["s|2"]}, {"x": ["s|1", "s|2"]}, {"x": ["s|1"], "y": ["s|2"]}]
    links, ledger, changes = {}, [], []
    for at, clusters in zip(NIGHT, nights):
        known = spark.createDataFrame(ledger, LEDGER)
        ages = minted_at(known).collect()
        frame = assigned(spark, clusters, links.items(), ages).localCheckpoint()
        ledger += [(*event, at, "b") for event in happened(frame, ages)]
        changes += [(*r["record_key"].split("|"), r["customer_id"], at, "b") for r in link_changes(frame).collect()]
        links = ids(frame)
        if at == NIGHT[1]:
            survivor = links["s|1"]
    one, two = links["s|1"], links["s|2"]
    retired = two if survivor == one else one
    assert [event[:3] for event in ledger] == [("minted", *pair) for pair in sorted([(one, None), (two, None)])] + [
        ("merged", retired, survivor),
        ("restored", retired, None),
        ("split", retired, survivor),
    ]
    columns = "system string, person_id string, customer_id string, changed_at timestamp, batch_id string"
    history = spark.createDataFrame(changes, columns)
    as_of = [{r["customer_id"] for r in links_as_of(history, at).collect()} for at in NIGHT]
    assert as_of == [{one, two}, {survivor}, {one, two}]


def test_every_past_id_leads_to_the_one_of_today(spark):
    ledger = [
        ("minted", "cA", None, NIGHT[0], "b"),
        ("merged", "cB", "cA", NIGHT[0], "b"),
        ("merged", "cC", "cB", NIGHT[0], "a"),
        ("merged", "cA", "cD", NIGHT[1], "c"),
        ("merged", "cE", "cA", NIGHT[1], "c"),
        ("restored", "cE", None, NIGHT[2], "d"),
    ]
    links = spark.createDataFrame([("cD",), ("cE",)], "customer_id string")
    found = current_ids(spark.createDataFrame(ledger, LEDGER), links).collect()
    assert {r["customer_id"]: r["current_id"] for r in found} == {
        "cA": "cD", "cB": "cD", "cC": "cD", "cD": "cD", "cE": "cE"
    }  # fmt: skip


def test_ids_that_were_merged_into_each_other_in_turn_are_no_circle(spark):
    """The records of both are gone since."""
    ledger = [
        ("merged", "cA", "cB", NIGHT[0], "a"),
        ("restored", "cA", None, NIGHT[1], "b"),
        ("merged", "cB", "cA", NIGHT[2], "c"),
    ]
    found = current_ids(spark.createDataFrame(ledger, LEDGER), spark.createDataFrame([], "customer_id string"))
    assert {r["customer_id"]: r["current_id"] for r in found.collect()} == {"cA": "cA", "cB": "cA"}


def people(spark, *rows):
    schema = (
        "system string, person_id string, given_name string, family_name string, email_match string, phone string, "
        "birth_on date, street string, postcode string, city string"
    )
    return spark.createDataFrame([("s", *row, None) for row in rows], schema)


def records_of(frame, nicknames=None):
    return person_records(frame, PERSON_EVIDENCE, max_shared=3, nicknames=nicknames or {})


def test_phone_shared_by_too_many_records_is_ignored(spark):
    rows = [(str(i), "Ann", f"Fam{i}", None, "+49301", None, None, "10115") for i in range(4)]
    records = records_of(people(spark, *rows)).collect()
    assert [row["phone"] for row in records] == [None] * 4


def test_records_with_nothing_to_compare_are_left_out(spark):
    rows = [("1", "Ann", None, None, None, None, None, None), ("2", None, None, "a@b.de", None, None, None, None)]
    assert [r["record_key"] for r in records_of(people(spark, *rows)).collect()] == ["s|2"]


def test_unambiguous_nicknames_are_expanded(spark, tmp_path):
    (tmp_path / "n.yaml").write_text("william: [bill]\nchristina: [chris]\nchristian: [chris]\n")
    rows = [("1", "Bill", "A", "x@y.de", None, None, None, None), ("2", "Chris", "A", "z@y.de", None, None, None, None)]
    records = records_of(people(spark, *rows), nicknames(str(tmp_path / "n.yaml"))).collect()
    assert sorted(row["given_key"] for row in records) == ["chris", "william"]
