"""Aspects, monthly sentiment and driving words of the score stage."""

import hashlib
import re
import shutil
from datetime import date, datetime

import pytest
from support.lake import AS_OF, lake_context, put
from support.tiny_bert import tiny_encoder, tiny_model_version

from crm_spark.contracts.features import SEGMENT
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.scores import CUSTOMER_SENTIMENT, DRIVING_WORD, PRODUCT_SENTIMENT, SCORE_ASPECT, SCORE_TEXT
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.models.registry import register
from crm_spark.stages.score import stage
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.scorer import Scorer

FIRST = "aspects:\n  delivery: {en: [deliver*]}\n  price: {en: [price]}\nturns: {en: [but]}\n"
SECOND = "aspects:\n  price: {en: [price, parcel]}\nturns: {en: [but]}\n"
BOTH, ONE, NONE = "Good price but late delivery. Delivery!", "Late delivery", "A parcel of words"
WRITERS = {"anna": [BOTH, NONE], "ben": [BOTH], "cleo": [ONE], "dora": [BOTH]}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def feedback(writers, month=1):
    return [
        {"system": "shop", "source": "reviews", "feedback_id": f"{who}{month}{i}", "plain_text": text, "language": "en",
         "person_id": who, "product_id": "lamp" if i == 0 else None, "given_at": datetime(2025, month, 3)}
        for who, texts in writers.items()
        for i, text in enumerate(texts)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    """A lake with texts of four customers in two segments, and a context factory."""
    root = tmp_path_factory.mktemp("lake")
    model = tiny_model_version(root / "made", tiny_encoder(root / "encoder"))
    shutil.copytree(model.folder, root / "files" / "models" / model.version)
    register(root / "files" / "models", model.version, is_promoted=True)
    words = root / "aspects.yaml"
    words.write_text(FIRST)
    how = (f"score.aspects={words}", "score.min_customers_per_cell=2", "score.precision=fp32")

    def make(fingerprint, *more):
        return lake_context(spark, root, *how, *more, fingerprint=fingerprint * 64)

    tables = make("0").tables
    put(tables, FEEDBACK, feedback(WRITERS))
    put(tables, INTERACTION, [])
    put(tables, CUSTOMER, [{"customer_id": who.upper()} for who in WRITERS])
    put(tables, CUSTOMER_LINK, [{"system": "shop", "person_id": who, "customer_id": who.upper()} for who in WRITERS])
    segment = {"anna": 1, "ben": 1, "cleo": 1, "dora": 2}
    put(tables, SEGMENT, [{"customer_id": k.upper(), "segment_id": n, "as_of": AS_OF} for k, n in segment.items()])
    return make, words, Scorer(model.folder, ScoreConfig(precision="fp32", engine="torch"))


@pytest.fixture(scope="module")
def first(lake):
    """Note and tables of the first run."""
    make, _, _ = lake
    ctx = make("1")
    note = stage.run(ctx).note
    return note, {
        t.name: ctx.tables.read(t).collect()
        for t in (SCORE_ASPECT, CUSTOMER_SENTIMENT, PRODUCT_SENTIMENT, DRIVING_WORD)
    }


def sentiment_of(scorer, *texts):
    shares = scorer.probabilities(list(texts))
    return float((shares[:, 0] - shares[:, 1]).mean())


def test_aspect_sentiment_equals_that_of_a_single_process(first, lake):
    _, tables = first
    aspects = {(row["text_hash"], row["aspect"]): row for row in tables["scores.aspect"]}
    assert {key: row["num_clauses"] for key, row in aspects.items()} == {
        (digest(BOTH), "price"): 1,
        (digest(BOTH), "delivery"): 2,
        (digest(ONE), "delivery"): 1,
        (digest(NONE), "none"): 0,
    }
    clauses = {"price": ["Good price"], "delivery": ["but late delivery.", "Delivery!"]}
    for aspect, parts in clauses.items():
        assert aspects[digest(BOTH), aspect]["sentiment"] == pytest.approx(sentiment_of(lake[2], *parts), abs=1e-5)
    assert aspects[digest(ONE), "delivery"]["sentiment"] == pytest.approx(sentiment_of(lake[2], ONE), abs=1e-5)
    assert aspects[digest(NONE), "none"]["sentiment"] is None


def test_monthly_sentiment_is_the_mean_of_the_texts(first, lake):
    _, tables = first
    by_customer = {row["customer_id"]: row for row in tables["scores.customer_sentiment"]}
    assert by_customer["ANNA"]["num_texts"] == 2 and by_customer["ANNA"]["month"] == date(2025, 1, 1)
    assert by_customer["ANNA"]["mean_sentiment"] == pytest.approx(sentiment_of(lake[2], BOTH, NONE), abs=1e-5)
    (lamp,) = tables["scores.product_sentiment"]
    assert (lamp["system"], lamp["product_id"], lamp["num_texts"]) == ("shop", "lamp", 4)
    assert lamp["mean_sentiment"] == pytest.approx(sentiment_of(lake[2], BOTH, BOTH, ONE, BOTH), abs=1e-5)


def test_words_of_a_single_customer_are_dropped(first):
    _, tables = first
    rows = tables["scores.driving_word"]
    assert {row["segment_id"] for row in rows} == {1}  # dora is the only customer of the other segment
    assert {row["word"] for row in rows} >= {"good", "price"}
    # parcel: used by anna only; but: a stop word
    assert not {"parcel", "but"} & {row["word"] for row in rows}
    assert all(row["num_customers"] >= 2 for row in rows)


def num_done(note):
    return tuple(map(int, re.search(r"aspects of (\d+) texts, (\d+) newly explained", note).groups()))


def test_second_run_extracts_aspects_of_new_texts_only(first, lake):
    make, _, _ = lake
    assert num_done(first[0]) == (3, 3)
    ctx = make("2")
    assert num_done(stage.run(ctx).note) == (0, 0)
    assert {t: sorted(map(tuple, ctx.tables.read(c).collect())) for t, c in (("a", SCORE_ASPECT), ("w", DRIVING_WORD))} \
        == {"a": sorted(map(tuple, first[1]["scores.aspect"])), "w": sorted(map(tuple, first[1]["scores.driving_word"]))}  # fmt: skip
    put(ctx.tables, FEEDBACK, [*feedback(WRITERS), *feedback({"ben": ["Price!"], "cleo": [ONE]}, month=2)])
    assert num_done(stage.run(make("3")).note) == (1, 0)  # texts after as_of are scored but not counted
    assert ctx.tables.read(SCORE_ASPECT).where(f"text_hash = '{digest('Price!')}'").count() == 1
    assert {row["month"] for row in ctx.tables.read(CUSTOMER_SENTIMENT).collect()} == {date(2025, 1, 1)}


def test_changed_aspects_are_extracted_from_all_texts(first, lake):
    make, words, scorer = lake
    before = stage.inputs(make("4"))
    words.write_text(SECOND)
    ctx = make("4")
    assert stage.inputs(ctx) != before  # changed inputs trigger a new run
    stage.run(ctx)
    aspects = {(row["text_hash"], row["aspect"]): row for row in ctx.tables.read(SCORE_ASPECT).collect()}
    read = {row["text_hash"] for row in ctx.tables.read(SCORE_TEXT).collect()}
    assert {text for text, _ in aspects} == read  # every text has a row
    assert {aspect for _, aspect in aspects} == {"price", "none"}  # delivery is no longer an aspect
    assert aspects[digest(NONE), "price"]["sentiment"] == pytest.approx(sentiment_of(scorer, NONE), abs=1e-5)
    assert aspects[digest(ONE), "none"]["num_clauses"] == 0


def test_other_stop_words_explain_the_texts_again(first, lake, tmp_path):
    make, _, _ = lake
    (tmp_path / "words.yaml").write_text("stop_words: {en: [good]}")
    ctx = make("6", f"score.stop_words={tmp_path / 'words.yaml'}")
    assert num_done(stage.run(ctx).note)[1] == 3
    words = {row["word"] for row in ctx.tables.read(DRIVING_WORD).collect()}
    assert "good" not in words and words >= {"but", "price"}


def test_driving_words_can_be_disabled(first, lake):
    make, _, _ = lake
    assert num_done(stage.run(make("5", "score.explain_texts_per_segment=0")).note)[1] == 0
