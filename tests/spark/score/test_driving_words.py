"""Sampled texts, word attributions on Spark workers, aggregation, stop words."""

import pytest
from support.tiny_bert import tiny_encoder, tiny_model_version

from crm_spark.stages.score.driving_words import driving_words, sampled, word_attributions
from crm_spark.stages.score.stop_words import StopWordLists, StopWords, load_stop_words
from crm_spark.text.attributions import Explainer

WRITTEN = "segment_id int, text_hash string, customer_id string"
TEXTS = "text_hash string, text string, language string"
MANY = [(segment, f"t{i}", f"c{i}") for segment in (1, 2) for i in range(40)]


def sample(spark, rows, **options):
    frame = sampled(spark.createDataFrame(rows, WRITTEN).repartition(3), **{"per_segment": 5, "seed": 1, **options})
    return {(row["segment_id"], row["text_hash"]) for row in frame.collect()}


def test_sample_has_a_fixed_number_of_texts_per_segment_whatever_the_order(spark):
    texts = sample(spark, [*MANY, (3, "only", "c1")])
    assert sorted(segment for segment, _ in texts) == [1] * 5 + [2] * 5 + [3]
    assert texts == sample(spark, [*MANY[::-1], (3, "only", "c1")])
    assert texts != sample(spark, [*MANY, (3, "only", "c1")], seed=2)


def test_new_texts_leave_most_of_the_sample_unchanged(spark):
    more = [*MANY, *((1, f"new{i}", f"n{i}") for i in range(4))]
    assert len(sample(spark, MANY) - sample(spark, more)) <= 4
    assert {pair for pair in sample(spark, MANY) if pair[0] == 2} < sample(spark, more)


def test_sample_keeps_all_writers_of_a_text(spark):
    rows = [(1, "same", f"c{i}") for i in range(4)]
    assert sampled(spark.createDataFrame(rows, WRITTEN), per_segment=1, seed=1).count() == 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    root = tmp_path_factory.mktemp("model")
    return tiny_model_version(root, tiny_encoder(root / "encoder"))


def test_attributions_on_workers_equal_those_of_one_process(spark, model):
    texts = {"a": "Good good parcel!", "b": "late, [name] wrote 3 times", "c": "!!!"}
    frame = spark.createDataFrame([(*item, "en") for item in texts.items()], TEXTS).repartition(2)
    rows = word_attributions(frame, folder=str(model.folder), threads=1, stop_words=load_stop_words(None)).collect()
    by_word = {(row["text_hash"], row["word"]): row["attribution"] for row in rows}
    assert by_word.pop(("c", "")) == 0.0, "a text without words is explained, too"
    assert set(by_word) == {("a", "good"), ("a", "parcel"), *(("b", word) for word in ("late", "wrote", "times"))}
    explainer = Explainer(model, max_steps=16)
    for key in ("a", "b"):
        alone = explainer.explain(texts[key])
        assert {row["label"] for row in rows if row["text_hash"] == key} == {alone.label}
        expected = {}
        for word in alone.words:
            expected[word.word.lower()] = expected.get(word.word.lower(), 0.0) + word.attribution
        for (text, word), attribution in by_word.items():
            if text == key:
                assert attribution == pytest.approx(expected[word], abs=1e-4)
    assert max(map(abs, by_word.values())) > 0.02


def test_stop_words_of_the_language_are_left_out(spark, model):
    stop_words = StopWords(StopWordLists(stop_words={"en": ["the", "good"], "de": ["late"]}))
    texts = [("a", "the good parcel", "en"), ("b", "the good late parcel", "de"), ("c", "the late parcel", None)]
    frame = spark.createDataFrame(texts, TEXTS)
    rows = word_attributions(frame, folder=str(model.folder), threads=1, stop_words=stop_words).collect()
    words = {key: {row["word"] for row in rows if row["text_hash"] == key} for key in ("a", "b", "c")}
    assert words == {"a": {"parcel"}, "b": {"the", "good", "parcel"}, "c": {"late", "parcel"}}


def test_attributions_are_averaged_over_texts_and_need_enough_customers(spark):
    written = [(1, "t1", "anna"), (1, "t1", "ben"), (1, "t2", "cleo"), (1, "t3", "anna"), (2, "t1", "dora")]
    attributions = [
        ("t1", "recommends", "good", 1.0),
        ("t2", "recommends", "good", 0.5),
        ("t3", "no_clear_opinion", "good", 0.25),
        ("t1", "recommends", "rare", 2.0),
        ("t3", "no_clear_opinion", "rare", 2.0),
    ]
    frame = spark.createDataFrame(attributions, "text_hash string, label string, word string, attribution double")
    every = driving_words(spark.createDataFrame(written, WRITTEN), frame, min_customers_per_cell=1)
    assert {tuple(row) for row in every.collect()} == {
        (1, "recommends", "good", 2, 3, 0.75),  # t1 counts once, although two customers wrote it
        (1, "recommends", "rare", 1, 2, 2.0),
        (1, "no_clear_opinion", "good", 1, 1, 0.25),
        (1, "no_clear_opinion", "rare", 1, 1, 2.0),
        (2, "recommends", "good", 1, 1, 1.0),
        (2, "recommends", "rare", 1, 1, 2.0),
    }
    words = driving_words(spark.createDataFrame(written, WRITTEN), frame, min_customers_per_cell=3).collect()
    assert [tuple(row) for row in words] == [(1, "recommends", "good", 2, 3, 0.75)]
