"""Shard sets: nothing is on two sides, every example is there once, every rank finds row groups on every side."""

import hashlib
from collections import Counter

import pytest
from pyarrow import parquet as pq
from pyspark.sql import functions as F
from support.lake import lake_context, put

from crm_spark.contracts.silver import FEEDBACK
from crm_spark.stages.shard import stage
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import SPLITS, read_manifest
from crm_spark.text.splits import side

NUM_PEOPLE, NUM_SHARED = 60, 12


def feedback():
    """Two texts of each of 60 people, 12 texts of 10 people each, one text of nobody, one without a rating."""
    rows = [
        (f"{p}-{k}", f"p{p}", f"Text {k} of person {p}", LABELS[(p + k) % 3]) for p in range(NUM_PEOPLE) for k in (0, 1)
    ]
    for s in range(NUM_SHARED):
        writers = [(s * 5 + k) % NUM_PEOPLE for k in range(10)]
        rows += [(f"s{s}-{p}", f"p{p}", f"Everybody says {s}", LABELS[s % 3]) for p in writers]
    rows += [("nobody", None, "Written by a guest", "recommends"), ("unrated", "p1", "No stars", None)]
    names = ("feedback_id", "person_id", "text", "label")
    return [{"system": "shop", "source": "reviews", **dict(zip(names, row))} for row in rows]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


PERSON_OF = {digest(row["text"]): row["person_id"] for row in feedback() if row["feedback_id"][0].isdigit()}
WRITERS_OF = {
    digest(f"Everybody says {s}"): {f"p{(s * 5 + k) % NUM_PEOPLE}" for k in range(10)} for s in range(NUM_SHARED)
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def context(spark, lake):
    def make(fingerprint, *overrides):
        settings = ("shard.max_length=12", "shard.rows_per_group=16", "shard.max_world_size=2", *overrides)
        return lake_context(spark, lake, *settings, fingerprint=fingerprint * 64)

    return make


@pytest.fixture(scope="module")
def made(context):
    """A shard set with its manifest and the rows of every file."""
    ctx = context("1")
    put(ctx.tables, FEEDBACK, feedback())
    result = stage.run(ctx)
    folder = stage.shard_dir(ctx)
    manifest = read_manifest(folder)
    rows = {file.name: pq.read_table(folder / file.name).to_pylist() for file in manifest.files}
    return result, manifest, rows


def examples(made, split):
    _, manifest, rows = made
    return [row for file in manifest.of(split) for row in rows[file.name] if row["weight"] == 1.0]


def sides(made):
    """The split of each text."""
    return {row["example_id"]: split for split in SPLITS for row in examples(made, split)}


def test_every_text_is_there_once_with_its_label(made):
    result, _, _ = made
    every = [row for split in SPLITS for row in examples(made, split)]
    label_of = {digest(row["text"]): row["label"] for row in feedback() if row["label"]}
    assert len(every) == result.num_rows == 133  # 2 x 60 + 12 + 1; who gave no stars teaches nothing
    assert {row["example_id"]: LABELS[row["label"]] for row in every} == label_of


def test_no_person_is_on_two_sides(made):
    found = {}
    for text, split in sides(made).items():
        if text in PERSON_OF:
            found.setdefault(PERSON_OF[text], set()).add(split)
    assert len(found) == 60 and all(len(splits) == 1 for splits in found.values())
    assert Counter(split for splits in found.values() for split in splits)["train"] > 30


def test_a_text_of_people_on_several_sides_is_on_the_test_side_first(made):
    where = sides(made)
    side_of = {person: where[text] for text, person in PERSON_OF.items()}
    wanted = {}
    for text, writers in WRITERS_OF.items():
        splits = {side_of[person] for person in writers}
        wanted[text] = next(split for split in ("test", "validation", "train") if split in splits)
    assert {text: where[text] for text in WRITERS_OF} == wanted
    assert "test" in wanted.values()


def test_one_row_stands_for_a_text_whatever_the_order(spark):
    # The hash of the seed and the writer decides: two writers are looked up on each side.
    people = spark.range(40).select(F.concat(F.lit("p"), F.col("id")).alias("person_id"))
    drawn = people.withColumn("split", side(F.lit("shop"), F.col("person_id"), F.lit(""), seed=11)).collect()
    by_side = {split: next(r["person_id"] for r in drawn if r["split"] == split) for split in SPLITS}
    rows = [
        ("shop", "feedback", f"{text}-{split}", by_side[split], text)
        for text, found_on in (("a", SPLITS), ("b", ("train", "validation")), ("c", ("train",)))
        for split in found_on
    ]
    frame = spark.createDataFrame(
        rows, "system string, noun string, record_id string, person_id string, text_hash string"
    )
    for given in (frame, frame.orderBy(F.desc("record_id")).repartition(3)):
        kept = stage.one_side(given, seed=11).collect()
        found = sorted((r["text_hash"], r["split"], r["record_id"]) for r in kept)
        assert found == [("a", "test", "a-test"), ("b", "validation", "b-validation"), ("c", "train", "c-train")]


def test_the_manifest_counts_what_the_files_hold(made):
    result, manifest, rows = made
    for file in manifest.files:
        assert file.num_rows == len(rows[file.name])
        assert file.num_examples == sum(row["weight"] for row in rows[file.name])
    for split in SPLITS:
        labels = Counter(LABELS[row["label"]] for row in examples(made, split))
        assert manifest.classes[split] == dict(labels) and manifest.num_examples(split) == sum(labels.values())
    assert manifest.dropped == {"repeated_text": 108}  # 12 texts of 10 people: 9 repeats each
    assert result.note.endswith("108 repeated texts left out")


def test_row_groups_of_a_side_are_equal_and_shared_evenly_by_the_ranks(made):
    _, manifest, _ = made
    for split in SPLITS:
        sizes = [file.num_rows for file in manifest.of(split)]
        assert len(sizes) % 2 == 0 and len(set(sizes)) == 1 and sizes[0] <= 16


def test_padding_rows_weigh_nothing(made):
    _, manifest, rows = made
    padding = [row for file in manifest.files for row in rows[file.name] if row["weight"] != 1.0]
    assert len(padding) == sum(file.num_rows - file.num_examples for file in manifest.files) > 0
    assert all((row["weight"], row["example_id"], row["num_tokens"]) == (0.0, "", 1) for row in padding)


def test_tokens_are_those_of_the_encoder_cut_and_padded_to_one_length(made):
    row = next(
        row for split in SPLITS for row in examples(made, split) if row["example_id"] == digest("Written by a guest")
    )
    # [CLS] written by a guest [SEP] in the vocabulary of uncased BERT
    assert row["input_ids"] == [101, 2517, 2011, 1037, 4113, 102, 0, 0, 0, 0, 0, 0]
    assert (row["num_tokens"], row["source"]) == (6, "reviews")


def test_the_same_texts_in_another_order_make_the_same_files(context, made):
    _, manifest, _ = made
    ctx = context("2")
    put(ctx.tables, FEEDBACK, feedback()[::-1], num_partitions=5)
    stage.run(ctx)
    again = read_manifest(stage.shard_dir(ctx))
    assert {f.name: f.sha256 for f in again.files} == {f.name: f.sha256 for f in manifest.files}
    assert (ctx.files_root / "shards" / "current").read_text() == "2" * 24


def test_more_ranks_than_texts_of_a_side_still_find_a_row_group_each(context, made):
    ctx = context("3", "shard.max_world_size=64")
    stage.run(ctx)
    manifest = read_manifest(stage.shard_dir(ctx))
    assert manifest.num_examples("validation") < 64  # a rank without a text gets padding
    assert {split: len(manifest.of(split)) % 64 for split in SPLITS} == {"train": 0, "validation": 0, "test": 0}


def test_too_few_texts_are_said_with_their_number_and_leave_nothing(context, made):
    ctx = context("4", "shard.min_examples=134")
    result = stage.run(ctx)
    assert (result.status, result.note) == ("skipped", "133 labelled texts; at least 134 are needed")
    assert not stage.shard_dir(ctx).exists()
