"""Which texts are explained, what Spark's workers say of them, and which words are kept."""

import pytest
from support.tiny_bert import tiny_encoder, tiny_model_version

from crm_spark.stages.score.driving_words import driving_words, sampled, word_shares
from crm_spark.text.attributions import Explainer

WRITTEN = "segment_id int, text_hash string, customer_id string"
MANY = [(segment, f"t{i}", f"c{i}") for segment in (1, 2) for i in range(40)]


def drawn(spark, rows, **how):
    found = sampled(spark.createDataFrame(rows, WRITTEN).repartition(3), **{"per_segment": 5, "seed": 1, **how})
    return {(row["segment_id"], row["text_hash"]) for row in found.collect()}


def test_so_many_texts_of_each_segment_are_drawn_whatever_their_order(spark):
    found = drawn(spark, [*MANY, (3, "only", "c1")])
    assert sorted(segment for segment, _ in found) == [1] * 5 + [2] * 5 + [3]
    assert found == drawn(spark, [*MANY[::-1], (3, "only", "c1")])
    assert found != drawn(spark, [*MANY, (3, "only", "c1")], seed=2)


def test_more_texts_leave_most_of_the_draw_as_it_is(spark):
    more = [*MANY, *((1, f"new{i}", f"n{i}") for i in range(4))]
    assert len(drawn(spark, MANY) - drawn(spark, more)) <= 4
    assert {pair for pair in drawn(spark, MANY) if pair[0] == 2} < drawn(spark, more)


def test_every_writer_of_a_drawn_text_stays(spark):
    rows = [(1, "same", f"c{i}") for i in range(4)]
    assert sampled(spark.createDataFrame(rows, WRITTEN), per_segment=1, seed=1).count() == 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    root = tmp_path_factory.mktemp("model")
    return tiny_model_version(root, tiny_encoder(root / "encoder"))


def test_workers_say_what_one_process_says(spark, model):
    texts = {"a": "Good good parcel!", "b": "late, [name] wrote 3 times", "c": "!!!"}
    frame = spark.createDataFrame(list(texts.items()), "text_hash string, text string").repartition(2)
    rows = word_shares(frame, folder=str(model.folder), threads=1).collect()
    found = {(row["text_hash"], row["word"]): row["share"] for row in rows}
    assert set(found) == {("a", "good"), ("a", "parcel"), *(("b", word) for word in ("late", "wrote", "times"))}
    explainer = Explainer(model, most_steps=16)
    for key in ("a", "b"):
        alone = explainer.explain(texts[key])
        assert {row["label"] for row in rows if row["text_hash"] == key} == {alone.label}
        shares = {}
        for word in alone.words:
            shares[word.word.lower()] = shares.get(word.word.lower(), 0.0) + word.share
        for (text, word), share in found.items():
            if text == key:
                assert share == pytest.approx(shares[word], abs=1e-4)
    assert max(map(abs, found.values())) > 0.02


def test_words_are_averaged_over_texts_and_those_of_few_are_left_out(spark):
    written = [(1, "t1", "anna"), (1, "t1", "ben"), (1, "t2", "cleo"), (1, "t3", "anna"), (2, "t1", "dora")]
    shares = [
        ("t1", "recommends", "good", 1.0),
        ("t2", "recommends", "good", 0.5),
        ("t3", "no_clear_opinion", "good", 0.25),
        ("t1", "recommends", "rare", 2.0),
        ("t3", "no_clear_opinion", "rare", 2.0),
    ]
    frame = spark.createDataFrame(shares, "text_hash string, label string, word string, share double")
    every = driving_words(spark.createDataFrame(written, WRITTEN), frame, min_customers_per_cell=1)
    assert {tuple(row) for row in every.collect()} == {
        (1, "recommends", "good", 2, 3, 0.75),  # t1 counts once, though two wrote it
        (1, "recommends", "rare", 1, 2, 2.0),
        (1, "no_clear_opinion", "good", 1, 1, 0.25),
        (1, "no_clear_opinion", "rare", 1, 1, 2.0),
        (2, "recommends", "good", 1, 1, 1.0),
        (2, "recommends", "rare", 1, 1, 2.0),
    }
    kept = driving_words(spark.createDataFrame(written, WRITTEN), frame, min_customers_per_cell=3).collect()
    assert [tuple(row) for row in kept] == [(1, "recommends", "good", 2, 3, 0.75)]
