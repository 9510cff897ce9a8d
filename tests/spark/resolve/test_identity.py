"""Customer ids survive reruns, merges and splits."""

from crm_spark.stages.resolve.evidence import PERSON_EVIDENCE, person_records
from crm_spark.stages.resolve.identity import assign, events
from crm_spark.stages.resolve.stage import nicknames


def assigned(spark, clusters, links=()):
    members = spark.createDataFrame(
        [(r, c) for c, rs in clusters.items() for r in rs], "record_key string, cluster string"
    )
    return assign(members, spark.createDataFrame(list(links), "record_key string, former_id string"))


def ids(frame):
    return {row["record_key"]: row["customer_id"] for row in frame.collect()}


def happened(frame):
    return sorted((r["kind"], r["customer_id"], r["other_customer_id"]) for r in events(frame).collect())


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
