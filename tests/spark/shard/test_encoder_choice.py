"""Choice of the encoder by the languages of the labelled texts."""

from dataclasses import replace

import pytest
from support.lake import lake_context, put

from crm_spark.contracts.silver import FEEDBACK
from crm_spark.stages.shard import stage
from crm_spark.stages.shard.encoder_choice import choose_encoder
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import current_shards, read_manifest

ENGLISH = ("Fits well", "en")


@pytest.fixture
def texts(spark):
    return lambda rows: spark.createDataFrame(rows, "text string, language string")


@pytest.mark.parametrize(
    ("others", "share"),
    [
        ([("Passt gut", "de")], 0.05),
        ([("很好", None)], 0.05),  # too short for detection: by script
        ([("Ок, да 5", None)], 0.05),
        ([("很好 ok", None), ("Passt gut", "de")], 0.05),  # two of four letters are Latin: unknown, not counted
        ([("ok", None), ("", None)], 0.0),
        ([("Fits", "en-us"), ("Fits", "EN")], 0.0),
    ],
)
def test_share_of_texts_that_are_not_english(texts, others, share):
    choice = choose_encoder(texts([ENGLISH] * 19 + others), "auto")
    assert (choice.encoder, choice.num_texts, choice.other_languages) == ("embedded", 19 + len(others), share)


def test_more_than_a_fifth_in_other_languages_selects_the_multilingual_encoder(texts):
    choice = choose_encoder(texts([ENGLISH] * 3 + [("很好", "zh")]), "auto")
    assert choice == ("multilingual", 4, 0.25)
    assert choice.note == "encoder multilingual, 25.0 % of the texts are not in English"


def test_without_texts_the_english_encoder_is_used(texts):
    assert choose_encoder(texts([]), "auto") == ("embedded", 0, 0.0)


@pytest.mark.parametrize("setting", ["embedded", "multilingual", "/models/bert"])
def test_another_setting_is_used_whatever_the_languages(texts, setting):
    assert choose_encoder(texts([("很好", "zh")]), setting).encoder == setting


def reviews(language, texts):
    rows = [f"{texts[i % 3]} {chr(0x4E00 + 7 * i)}{chr(0x5E00 + 11 * i)}{chr(0x6E00 + 13 * i)}" for i in range(90)]
    columns = {"system": "shop", "source": "reviews", "person_id": None, "language": language}
    return [
        {**columns, "feedback_id": f"{language}{i}", "plain_text": text, "label": LABELS[i % 3]}
        for i, text in enumerate(rows)
    ]


def test_shard_set_states_its_encoder_and_keeps_it_until_it_is_written_again(spark, tmp_path):
    settings = ("shard.min_examples=12", "shard.max_length=16", "shard.label_check_texts=0", "shard.retrain.growth=2")
    ctx = lake_context(spark, tmp_path, *settings, fingerprint="1" * 64)
    put(ctx.tables, FEEDBACK, reviews("zh", ["质量很好", "质量很差", "一般"]))
    assert stage.run(ctx).note.endswith("encoder multilingual, 100.0 % of the texts are not in English")
    manifest = read_manifest(current_shards(ctx.files_root))
    assert manifest.encoder == "multilingual"
    assert (manifest.inputs["encoder_setting"], manifest.inputs["other_languages"]) == ("auto", 1.0)
    # A few English texts do not replace the set; a new set is tokenised for the texts of its time.
    put(
        ctx.tables,
        FEEDBACK,
        reviews("zh", ["质量很好", "质量很差", "一般"])[:3] + reviews("en", ["Good", "Bad", "Fine"]),
    )
    later = replace(ctx, fingerprint="2" * 64)
    assert stage.run(later).note.startswith("kept the shard set of ")
    assert read_manifest(current_shards(ctx.files_root)).encoder == "multilingual"
    put(ctx.tables, FEEDBACK, reviews("en", ["Good", "Bad", "Fine"]))
    note = stage.run(replace(later, is_forced=True)).note
    assert note.endswith("encoder embedded, 0.0 % of the texts are not in English")
    assert read_manifest(current_shards(ctx.files_root)).encoder == "embedded"
