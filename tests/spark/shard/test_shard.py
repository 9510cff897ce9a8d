"""Shard stage: splits, row groups, manifest."""

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest
from pyarrow import parquet as pq
from pyspark.sql import functions as F
from support.lake import lake_context, put

from crm_spark.contracts.features import TEXT_NEAR_DUPLICATE
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK
from crm_spark.stages.shard import stage
from crm_spark.stages.shard.splits import EARLIER, assign_splits, newest_from
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import SPLITS, read_manifest

NUM_CUSTOMERS, NUM_SHARED = 60, 12


def distinct_text(key):
    """A text without near-duplicates."""
    return "Text " + hashlib.sha256(key.encode()).hexdigest()


def record(key, system, person, text, label):
    return {
        "system": system,
        "source": "reviews",
        "feedback_id": key,
        "person_id": person,
        "plain_text": text,
        "label": label,
    }


def feedback():
    """A text in the shop and one in the CRM of each of 60 customers, 12 texts of two customers each, and two others."""
    rows = []
    for i in range(NUM_CUSTOMERS):
        rows.append(record(f"{i}-shop", "shop", f"s{i}", distinct_text(f"shop {i}"), LABELS[i % 3]))
        rows.append(record(f"{i}-crm", "crm", f"k{i}", distinct_text(f"survey {i}"), LABELS[(i + 1) % 3]))
    for t in range(NUM_SHARED):
        rows += [
            record(f"t{t}-{i}", "shop", f"s{i}", distinct_text(f"everybody {t}"), LABELS[t % 3])
            for i in (5 * t, 5 * t + 1)
        ]
    rows.append(record("nobody", "shop", None, "Written by a guest", "recommends"))
    rows.append(record("unrated", "shop", "s1", "No stars", None))
    return rows


def links():
    return [
        {"system": system, "person_id": f"{system[0].replace('c', 'k')}{i}", "customer_id": f"c{i}"}
        for i in range(NUM_CUSTOMERS)
        for system in ("shop", "crm")
    ]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


CUSTOMER_OF = {
    digest(distinct_text(f"{place} {i}")): f"c{i}" for i in range(NUM_CUSTOMERS) for place in ("shop", "survey")
}
WRITERS_OF = {digest(distinct_text(f"everybody {t}")): (f"c{5 * t}", f"c{5 * t + 1}") for t in range(NUM_SHARED)}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def context(spark, lake):
    def make(fingerprint, *overrides):
        settings = ("shard.max_length=12", "shard.rows_per_group=16", "shard.max_world_size=2", *overrides)
        # Forced: the tests share a lake, and the shard set of another test would be kept.
        return replace(lake_context(spark, lake, *settings, fingerprint=fingerprint * 64), is_forced=True)

    return make


@pytest.fixture(scope="module")
def made(context):
    """A shard set with its manifest and the rows of every file."""
    ctx = context("1")
    put(ctx.tables, FEEDBACK, feedback())
    put(ctx.tables, CUSTOMER_LINK, links())
    result = stage.run(ctx)
    folder = stage.shard_dir(ctx)
    manifest = read_manifest(folder)
    rows = {file.name: pq.read_table(folder / file.name).to_pylist() for file in manifest.files}
    return result, manifest, rows


def examples(made, split):
    _, manifest, rows = made
    return [row for file in manifest.of(split) for row in rows[file.name] if row["weight"] == 1.0]


def split_by_text(made):
    """The split of each text."""
    return {row["example_id"]: split for split in SPLITS for row in examples(made, split)}


def test_every_text_occurs_once_with_its_label(made):
    result, _, _ = made
    every = [row for split in SPLITS for row in examples(made, split)]
    label_of = {digest(row["plain_text"]): row["label"] for row in feedback() if row["label"]}
    assert len(every) == result.num_rows == 133  # 2 x 60 + 12 + 1; texts without stars have no label
    assert {row["example_id"]: LABELS[row["label"]] for row in every} == label_of


def test_no_customer_is_in_two_splits(made):
    splits_of = {}
    for text, split in split_by_text(made).items():
        if text in CUSTOMER_OF:
            splits_of.setdefault(CUSTOMER_OF[text], []).append(split)
    assert len(splits_of) == 60 and all(len(splits) == 2 and len(set(splits)) == 1 for splits in splits_of.values())
    num_train = sum(splits[0] == "train" for splits in splits_of.values())
    assert 30 < num_train < 54  # 70 of 100: 42, and three standard deviations of 3.5 around it


def test_text_of_customers_in_several_splits_is_in_the_test_split(made):
    where = split_by_text(made)
    split_of = {customer: where[text] for text, customer in CUSTOMER_OF.items()}
    expected = {}
    for text, writers in WRITERS_OF.items():
        splits = {split_of[customer] for customer in writers}
        expected[text] = next(split for split in ("test", "validation", "train") if split in splits)
    assert {text: where[text] for text in WRITERS_OF} == expected
    assert {"test", "train"} <= set(expected.values())
    assert any(expected[text] != split_of[customer] for text, writers in WRITERS_OF.items() for customer in writers)


def record_of(text, customer, *, day=None, number=""):
    return ("shop", "feedback", f"{text}-{customer}{number}", customer, text, day)


RECORDS = "system string, entity string, record_id string, customer_id string, text_hash string, written_on date"


def random_splits(spark):
    """Return one writer of each split of a random assignment."""
    frame = spark.createDataFrame([record_of(f"t{i}", f"c{i}") for i in range(40)], RECORDS)
    assigned = assign_splits(frame, test_from=None, seed=11).collect()
    return {split: next(r["customer_id"] for r in assigned if r["split"] == split) for split in SPLITS}


def test_selected_row_of_a_text_is_independent_of_the_order(spark):
    by_split = random_splits(spark)
    rows = [
        record_of(text, by_split[split])
        for text, splits in (("a", SPLITS), ("b", ("train", "validation")), ("c", ("train",)))
        for split in splits
    ]
    frame = spark.createDataFrame(rows, RECORDS)
    for records in (frame, frame.orderBy(F.desc("record_id")).repartition(3)):
        assigned = assign_splits(records, test_from=None, seed=11).collect()
        selected = sorted((r["text_hash"], r["split"], r["customer_id"]) for r in assigned)
        assert selected == [
            (t, split, by_split[split]) for t, split in (("a", "test"), ("b", "validation"), ("c", "train"))
        ]


def dated(spark, days_of):
    """One text per customer and day."""
    rows = [
        record_of(f"{customer}-{day}", customer, day=date(2025, 1, 1) + timedelta(days=day))
        for customer, days in days_of.items()
        for day in days
    ]
    return spark.createDataFrame(rows, RECORDS)


def test_newest_fifth_is_the_test_split_and_older_texts_of_its_writers_are_dropped(spark):
    # 100 customers, one text per day; the writers of days 90 and 95 also wrote on days 5 and 6
    days_of = {f"c{day}": [day] for day in range(98)} | {"again": [5, 90], "often": [6, 7, 95]}
    frame = dated(spark, days_of)
    test_from = newest_from(frame)
    assert test_from == date(2025, 1, 1) + timedelta(days=80)  # 18 + 2 of 103 texts; day 79 would exceed a fifth
    splits = {r["text_hash"]: r["split"] for r in assign_splits(frame, test_from=test_from, seed=11).collect()}
    assert all((split == "test") == (int(text.split("-")[1]) >= 80) for text, split in splits.items())
    assert {text for text, split in splits.items() if split == EARLIER} == {"again-5", "often-6", "often-7"}
    assert 2 <= sum(split == "validation" for split in splits.values()) <= 20  # an eighth of 80: 10


def test_undated_text_without_writer_is_in_the_training_split(spark):
    rows = [record_of(f"t{i}", None, day=date(2025, 1, 1) + timedelta(days=i)) for i in range(60)]
    frame = spark.createDataFrame([*rows, record_of("undated", None)], RECORDS)
    test_from = newest_from(frame)
    splits = {r["text_hash"]: r["split"] for r in assign_splits(frame, test_from=test_from, seed=11).collect()}
    assert splits["undated"] in ("train", "validation") and sum(s == "test" for s in splits.values()) == 12


@pytest.mark.parametrize(
    "days_of",
    [
        {f"c{i}": [3] for i in range(50)},  # all on one day
        {f"c{i}": [1, 2, 60] for i in range(50)},  # all customers wrote recently
        {f"c{i}": [i] for i in range(96)} | {f"d{i}": [97] for i in range(40)},  # the last day holds a third
    ],
)
def test_no_split_by_time_for_unsuitable_dates(spark, days_of):
    assert newest_from(dated(spark, days_of)) is None


def test_no_split_by_time_with_many_undated_texts(spark):
    rows = [record_of(f"t{i}", f"c{i}", day=date(2025, 1, 1) + timedelta(days=i)) for i in range(80)]
    assert newest_from(spark.createDataFrame(rows, RECORDS)) == date(2025, 1, 1) + timedelta(days=64)
    undated = [record_of(f"u{i}", f"u{i}") for i in range(10)]
    assert newest_from(spark.createDataFrame([*rows, *undated], RECORDS)) is None


def test_manifest_counts_match_the_files(made):
    result, manifest, rows = made
    for file in manifest.files:
        assert file.num_rows == len(rows[file.name])
        assert file.num_examples == sum(row["weight"] for row in rows[file.name])
    for split in SPLITS:
        labels = Counter(LABELS[row["label"]] for row in examples(made, split))
        assert manifest.classes[split] == dict(labels) and manifest.num_examples(split) == sum(labels.values())
    assert manifest.dropped == {
        "duplicate_text": 12,
        "earlier_text": 0,
        "near_duplicate": 0,
    }  # 12 texts occur in two records each
    assert "; test split: random customers; 12 duplicate, near-duplicate or earlier texts dropped; " in result.note


def test_row_groups_of_a_split_are_equal_and_divisible_by_the_world_size(made):
    _, manifest, _ = made
    for split in SPLITS:
        sizes = [file.num_rows for file in manifest.of(split)]
        assert len(sizes) % 2 == 0 and len(set(sizes)) == 1 and sizes[0] <= 16


def test_padding_rows_have_weight_zero(made):
    _, manifest, rows = made
    padding = [row for file in manifest.files for row in rows[file.name] if row["weight"] != 1.0]
    assert len(padding) == sum(file.num_rows - file.num_examples for file in manifest.files) > 0
    assert all((row["weight"], row["example_id"], row["num_tokens"]) == (0.0, "", 1) for row in padding)


def test_tokens_are_truncated_and_padded_to_one_length(made):
    row = next(
        row for split in SPLITS for row in examples(made, split) if row["example_id"] == digest("Written by a guest")
    )
    # [CLS] written by a guest [SEP] in the vocabulary of uncased BERT
    assert row["input_ids"] == [101, 2517, 2011, 1037, 4113, 102, 0, 0, 0, 0, 0, 0]
    assert (row["num_tokens"], row["source"]) == (6, "reviews")


def test_files_are_independent_of_the_row_order(context, made):
    _, manifest, _ = made
    ctx = context("2")
    put(ctx.tables, FEEDBACK, feedback()[::-1], num_partitions=5)
    stage.run(ctx)
    again = read_manifest(stage.shard_dir(ctx))
    assert {f.name: f.sha256 for f in again.files} == {f.name: f.sha256 for f in manifest.files}
    assert (ctx.files_root / "shards" / "current").read_text() == "2" * 24


def test_every_rank_has_a_row_group_even_with_few_texts(context, made):
    ctx = context("3", "shard.max_world_size=64")
    stage.run(ctx)
    manifest = read_manifest(stage.shard_dir(ctx))
    assert manifest.num_examples("validation") < 64  # ranks without texts get padding rows
    assert {split: len(manifest.of(split)) % 64 for split in SPLITS} == {"train": 0, "validation": 0, "test": 0}


def test_too_few_texts_are_skipped_with_their_number(context, made):
    ctx = context("4", "shard.min_examples=134")
    result = stage.run(ctx)
    assert (result.status, result.note) == ("skipped", "needs at least 134 different labelled texts; there are 133")
    assert not stage.shard_dir(ctx).exists()


def test_near_duplicate_of_a_held_out_text_is_dropped_and_counted(context, made):
    """A held-out text with one more word, by a customer of the training split and by its own writer."""
    where, by = split_by_text(made), {customer: text for text, customer in CUSTOMER_OF.items()}
    tester = next(customer for customer, text in by.items() if where[text] == "test")
    trainer = next(customer for customer, text in by.items() if where[text] == "train")
    long = " ".join(distinct_text(f"word {i}") for i in range(5))
    near = [
        record("far", "shop", f"s{trainer[1:]}", distinct_text("nothing like it"), "recommends"),
        record("near", "shop", f"s{trainer[1:]}", f"{long.upper()}!", "recommends"),
        record("first", "shop", f"s{tester[1:]}", long, "recommends"),
        record("own", "shop", f"s{tester[1:]}", f"Indeed: {long}", "recommends"),
    ]
    ctx = context("5")
    put(ctx.tables, FEEDBACK, [*feedback(), *near])
    stage.run(ctx)
    manifest = read_manifest(stage.shard_dir(ctx))
    assert manifest.dropped == {"duplicate_text": 12, "earlier_text": 0, "near_duplicate": 1}
    (row,) = ctx.tables.read(TEXT_NEAR_DUPLICATE).collect()
    assert row["text_hash"] == digest(near[1]["plain_text"])
    assert row["near_duplicate_hash"] in (digest(near[2]["plain_text"]), digest(near[3]["plain_text"]))
    assert row["similarity"] > 0.95


def test_texts_with_a_single_label_are_skipped(spark, tmp_path):
    ctx = lake_context(spark, tmp_path, "shard.max_length=12", fingerprint="7" * 64)
    put(ctx.tables, FEEDBACK, [{**row, "label": row["label"] and "recommends"} for row in feedback()])
    put(ctx.tables, CUSTOMER_LINK, links())
    result = stage.run(ctx)
    assert (result.status, result.note) == (
        "skipped",
        "needs training texts with at least 2 different labels; all are recommends",
    )
