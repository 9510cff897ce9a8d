"""Score stage: distributed scoring, increments, re-scoring budget, altered models."""

import hashlib
import json
import re
import shutil
from datetime import datetime, timedelta

import numpy as np
import pytest
from pyspark.sql import functions as F
from support.lake import lake_context, put
from support.tiny_bert import tiny_encoder

from crm_spark.contracts.features import ANNOTATION_CANDIDATE, TEXT
from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.core.errors import ArtifactError
from crm_spark.models.registry import CARD, TOKENIZER, WEIGHTS, open_model, register, seal, serving_order
from crm_spark.stages.score import stage
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.scorer import SCHEMA, Scorer, make_scorer
from crm_spark.text.labels import LABELS
from crm_spark.text.predictions import current_predictions

MAX_LENGTH, TEMPERATURE = 24, 1.5
ODD = {
    "null": None,
    "empty": "",
    "blank": " \n\t ",
    "long": "word " * 10_000,
    "emoji": "👩‍👩‍👧‍👦 😡😡 👍🏽",
    "rtl": "المنتج ممتاز وأنصح به",
    "cjk": "商品はとても良かったです。质量很好。",
    "mixed": "naïve Ünïcödé – ½ price\u0000\ufffd",
}


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def feedback(texts):
    return [
        {"system": "shop", "source": "reviews", "feedback_id": key, "plain_title": title, "plain_text": text}
        for key, title, text in texts
    ]


TEXTS = [
    ("r1", None, "Same words"),
    ("r2", None, "Same words"),
    ("r3", "Same", "words"),  # a title makes it a different text
    ("r4", None, "Write to me@home.example"),
    ("r5", None, "Write to you@work.example"),  # equal after redaction
    ("r6", None, None),
    *((f"n{i}", None, f"Number {i} " + "and on " * (i % 9)) for i in range(20)),
]
TICKETS = [
    {"system": "desk", "source": "tickets", "interaction_id": "t1", "plain_text": "Same words"},
    {
        "system": "desk",
        "source": "tickets",
        "interaction_id": "t2",
        "topic": "search",
        "plain_text": None,
    },  # a web event
]


@pytest.fixture(scope="module")
def model_version(tmp_path_factory):
    """A registered two-layer BERT with random weights."""
    import torch
    from transformers import BertModel

    from crm_spark.text.model import TextClassifier, save_model

    root = tmp_path_factory.mktemp("model")
    encoder = tiny_encoder(root / "encoder")
    draft = root / "draft"
    draft.mkdir()
    torch.manual_seed(3)
    model = TextClassifier(BertModel.from_pretrained(encoder, add_pooling_layer=False))
    torch.nn.init.normal_(model.head.weight, std=3.0)  # so that scores differ clearly
    save_model(model, draft)
    shutil.copyfile(encoder / "tokenizer.json", draft / "tokenizer.json")
    (draft / CARD).write_text(json.dumps({"temperature": TEMPERATURE, "max_length": MAX_LENGTH}))
    return seal(draft, root / "models")


@pytest.fixture(scope="module")
def context(spark, tmp_path_factory, model_version):
    """Contexts on a lake with texts and a model in production."""
    lake = tmp_path_factory.mktemp("lake")

    def make(fingerprint):
        return lake_context(
            spark,
            lake,
            "score.window_rows=7",
            "score.max_tokens=512",
            "score.precision=fp32",
            fingerprint=fingerprint * 64,
        )

    ctx = make("0")
    put(ctx.tables, FEEDBACK, feedback(TEXTS))
    put(ctx.tables, INTERACTION, [{"happened_at": datetime(2025, 1, 5), **ticket} for ticket in TICKETS])
    registry_dir = ctx.files_root / "models"
    shutil.copytree(model_version.folder, registry_dir / model_version.version)
    register(registry_dir, model_version.version, is_promoted=True)
    return make


@pytest.fixture(scope="module")
def first(context):
    """Result and scores of the first run."""
    ctx = context("1")
    result = stage.run(ctx)
    rows = ctx.tables.read(SCORE_TEXT).collect()
    scores = {row["text_hash"]: row for row in rows}
    assert len(scores) == len(rows)
    return result, scores, ctx.tables.read(TEXT).collect()


def test_equal_texts_are_scored_once(first, model_version):
    result, scores, texts = first
    # Same words, Same\nwords, Write to [email], 20 numbers; r6 has no text, t2 is a visit
    assert result.num_rows == len(scores) == 23
    assert {row["model_version"] for row in scores.values()} == {model_version.version}
    assert {row["text_hash"] for row in texts} == set(scores)
    records = {row["record_id"]: row["text_hash"] for row in texts}
    assert set(records) == {"r1", "r2", "r3", "r4", "r5", "t1", *(f"n{i}" for i in range(20))}
    assert records["r1"] == records["r2"] == records["t1"] == digest("Same words")
    assert records["r3"] == digest("Same\nwords")
    assert records["r4"] == records["r5"] == digest("Write to [email]")


def alone(model_version, texts):
    """Probabilities of each text scored alone, without batch and padding."""
    import torch
    from tokenizers import Tokenizer

    from crm_spark.text.model import load_model

    tokenizer = Tokenizer.from_file(str(model_version.folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=MAX_LENGTH)
    model, batches = load_model(model_version), []
    with torch.inference_mode():
        for text in texts:
            tokens = torch.tensor([tokenizer.encode(text).ids])
            logits = model(tokens, torch.ones_like(tokens)).double()[0]
            batches.append(torch.softmax(logits / TEMPERATURE, dim=0).tolist())
    return batches


def test_scores_equal_those_of_a_single_process(first, model_version):
    _, scores, _ = first
    texts = ["Same words", "Same\nwords", "Write to [email]", *(text for key, _, text in TEXTS if key[0] == "n")]
    expected = alone(model_version, texts)
    for text, shares in zip(texts, expected):
        row = scores[digest(text)]
        probabilities = [row[f"p_{label}"] for label in LABELS]
        assert probabilities == pytest.approx(shares, abs=1e-5)
        assert row["label"] == LABELS[max(range(3), key=lambda k: probabilities[k])]
    first_label = [shares[0] for shares in expected]
    assert max(first_label) - min(first_label) > 0.01  # texts have different scores


def test_second_run_scores_new_texts_only(context, first):
    _, scores, _ = first
    assert stage.run(context("2")).num_rows == 0
    ctx = context("3")
    put(ctx.tables, FEEDBACK, feedback([*TEXTS, ("new", None, "Never seen before"), ("again", None, "Same words")]))
    assert stage.run(ctx).num_rows == 1
    scores_now = {row["text_hash"]: row for row in ctx.tables.read(SCORE_TEXT).collect()}
    assert set(scores_now) - set(scores) == {digest("Never seen before")}
    assert all(scores_now[text] == row for text, row in scores.items())


def test_any_text_gets_probabilities(spark, model_version):
    frame = spark.createDataFrame(list(ODD.items()), "text_hash string, text string").repartition(2)
    recipe = make_scorer(str(model_version.folder), ScoreConfig(max_tokens=512, window_rows=3))
    scores = {row["text_hash"]: row for row in frame.mapInPandas(recipe, SCHEMA).collect()}
    assert set(scores) == set(ODD)
    for row in scores.values():
        shares = [row[f"p_{label}"] for label in LABELS]
        assert sum(shares) == pytest.approx(1, abs=1e-9) and min(shares) >= 0
    assert [scores["null"][f"p_{label}"] for label in LABELS] == pytest.approx(
        [scores["empty"][f"p_{label}"] for label in LABELS], abs=1e-6
    )


def test_long_text_is_truncated(model_version):
    scorer = Scorer(model_version.folder, ScoreConfig(max_tokens=512))
    # 22 words and two special tokens are 24 tokens
    whole, cut = scorer.probabilities(["word " * 10_000, "word " * 22])
    assert list(whole) == pytest.approx(list(cut), abs=1e-6)


def test_altered_model_is_rejected_before_scoring(spark, model_version, tmp_path):
    ctx = lake_context(spark, tmp_path)
    put(ctx.tables, FEEDBACK, feedback(TEXTS))
    folder = ctx.files_root / "models" / model_version.version
    shutil.copytree(model_version.folder, folder)
    register(folder.parent, model_version.version, is_promoted=True)
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"{WEIGHTS} is missing or altered, so the model is not used"):
        stage.run(ctx)
    assert not ctx.tables.exists(SCORE_TEXT) and not ctx.tables.exists(TEXT)
    assert open_model(model_version.folder).version == model_version.version  # the original is valid


def test_without_a_model_in_production_the_stage_is_skipped(spark, model_version, tmp_path):
    ctx = lake_context(spark, tmp_path)
    registry_dir = ctx.files_root / "models"
    registry_dir.mkdir(parents=True)
    register(registry_dir, model_version.version, is_promoted=False)  # a candidate is not used for scoring
    result = stage.run(ctx)
    assert (result.status, result.note) == ("skipped", "needs a text model in production; there is none")


def test_new_model_rescores_within_budget_and_older_predictions_are_used_meanwhile(spark, model_version, tmp_path):
    def make(fingerprint):
        return lake_context(spark, tmp_path, "score.rescore_texts=9", fingerprint=fingerprint * 64)

    ctx = make("1")
    days = [datetime(2025, 1, 1) + timedelta(days=day) for day in range(20)]
    old = [{**row, "given_at": day} for row, day in zip(feedback(TEXTS[6:]), days)]
    put(ctx.tables, FEEDBACK, old)
    registry_dir = ctx.files_root / "models"
    shutil.copytree(model_version.folder, registry_dir / model_version.version)
    register(registry_dir, model_version.version, is_promoted=True)
    assert stage.run(ctx).num_rows == 20  # new texts are scored regardless of the budget
    assert not stage.must_run(ctx)
    second = another(model_version, tmp_path / "draft", registry_dir)
    register(registry_dir, second, is_promoted=True)
    put(ctx.tables, FEEDBACK, [*old, *feedback([("new", None, "Never seen before")])])
    ctx = make("2")
    steps, result = [], stage.run(ctx)
    assert "; 11 texts keep the predictions of the previous model for now" in result.note
    newest = {digest(text) for _, _, text in TEXTS[-9:]}
    read = {row["text_hash"] for row in ctx.tables.read(SCORE_TEXT).where(F.col("model_version") == second).collect()}
    assert read == {digest("Never seen before"), *newest}
    counts = [row["model_version"] for row in current_predictions(ctx.tables, serving_order(ctx.files_root)).collect()]
    assert (counts.count(second), counts.count(model_version.version)) == (10, 11)
    while stage.must_run(ctx) and len(steps) < 5:
        steps.append(stage.run(ctx).num_rows)
    assert steps == [9, 2]
    counts = {row["model_version"] for row in current_predictions(ctx.tables, serving_order(ctx.files_root)).collect()}
    assert counts == {second} and ctx.tables.read(SCORE_TEXT).count() == 41  # the scores of both versions are kept
    assert (
        ctx.tables.read(ANNOTATION_CANDIDATE).count() == 21
    )  # all texts are unrated; the list grows with the scored texts


def another(model_version, draft, registry_dir):
    """A model with a different card and therefore a different version."""
    shutil.copytree(model_version.folder, draft)
    (draft / CARD).write_text(json.dumps({"temperature": 2.0, "max_length": MAX_LENGTH}))
    return seal(draft, registry_dir).version


def test_cost_per_million_texts_is_logged_for_enough_texts(first, context):
    assert re.search(r"model \w{16}, \d+ new texts, torch fp32 \(", first[0].note)
    shown = stage._throughput(context("9"), "an engine", 250_000, 900.0)
    cores = float(context("9").spark.sparkContext.defaultParallelism)
    assert shown == f"278 texts/s, {cores:.1f} core hours per million texts, an engine"


def test_windows_of_a_long_text_are_averaged(model_version, tmp_path):
    shutil.copytree(model_version.folder, tmp_path / "draft")
    card = {"temperature": 1.0, "max_length": MAX_LENGTH, "long_texts": "windows"}
    (tmp_path / "draft" / CARD).write_text(json.dumps(card))
    scorer = Scorer(seal(tmp_path / "draft", tmp_path).folder, ScoreConfig(max_tokens=512))
    parts = [" ".join([word] * 22) for word in ("good", "bad")]
    one, other, both, short = np.log(scorer.probabilities([*parts, " ".join(parts), "good"]))
    mean = (one + other) / 2
    assert both - both[0] == pytest.approx(mean - mean[0], abs=1e-5) and np.abs(one - other).max() > 0.01
    assert short == pytest.approx(np.log(scorer.probabilities(["good"]))[0], abs=1e-5)


def test_annotation_candidates_are_unrated_texts_with_the_highest_entropy(spark, model_version, tmp_path):
    ctx = lake_context(spark, tmp_path, "score.annotation_candidates=3")
    rated = [{**row, "label": "recommends"} for row in feedback(TEXTS[6:16])]
    put(ctx.tables, FEEDBACK, [*rated, *feedback(TEXTS[16:])])
    registry_dir = ctx.files_root / "models"
    shutil.copytree(model_version.folder, registry_dir / model_version.version)
    register(registry_dir, model_version.version, is_promoted=True)
    stage.run(ctx)
    unrated = {digest(text) for _, _, text in TEXTS[16:]}
    scores = {row["text_hash"]: row for row in ctx.tables.read(SCORE_TEXT).collect() if row["text_hash"] in unrated}
    shares = {text: np.array([row[f"p_{label}"] for label in LABELS]) for text, row in scores.items()}
    bits = {text: -(p * np.log2(p)).sum() for text, p in shares.items()}
    rows = ctx.tables.read(ANNOTATION_CANDIDATE).collect()
    assert {row["text_hash"] for row in rows} == set(sorted(bits, key=lambda text: -bits[text])[:3])
    for row in rows:
        assert row["entropy_bits"] == pytest.approx(bits[row["text_hash"]], abs=1e-9)
        assert row["predicted_label"] == scores[row["text_hash"]]["label"]
