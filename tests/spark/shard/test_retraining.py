"""The shard set, and with it the text model, is kept until enough new labelled texts arrive or the model gets worse."""

import hashlib
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import TEXT
from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.contracts.silver import FEEDBACK
from crm_spark.models.registry import models_dir, register
from crm_spark.stages.shard import retraining, stage
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import current_shards, read_manifest

NUM_FIRST = 90
SETTINGS = ("shard.min_examples=12", "shard.test_split=random", "shard.label_check_texts=0", "shard.max_length=16")
POLICY = ("shard.retrain.growth=0.2", "shard.retrain.min_new=10", "shard.retrain.min_compared=10")


def texts(prefix, number, *, batch, label=None):
    """Feedback of as many writers."""
    return [
        {
            "system": "shop",
            "source": "reviews",
            "feedback_id": f"{prefix}{i}",
            "person_id": None,
            "plain_text": f"{prefix} {hashlib.sha256(f'{prefix}{i}'.encode()).hexdigest()}",
            "label": label or LABELS[i % 3],
            "batch_id": batch,
        }
        for i in range(number)
    ]


def context(spark, folder, night, *overrides):
    made = lake_context(spark, folder, *SETTINGS, *POLICY, *overrides, fingerprint=str(night) * 64)
    return replace(made, as_of=AS_OF + timedelta(days=night), code="code of the stage")


@pytest.fixture(scope="module")
def first_night(spark, tmp_path_factory):
    """A lake with the shard set of the first night."""
    folder = tmp_path_factory.mktemp("first_night")
    ctx = context(spark, folder, 0)
    put(ctx.tables, FEEDBACK, texts("First", NUM_FIRST, batch="b0"))
    result = stage.run(ctx)
    assert result.num_rows == NUM_FIRST and current_shards(ctx.files_root).name == "0" * 24
    return folder


@pytest.fixture
def lake(spark, first_night, tmp_path):
    """Context of a later night on a copy of that lake."""
    shutil.copytree(first_night, tmp_path / "lake")
    return lambda night, *overrides: context(spark, tmp_path / "lake", night, *overrides)


def add(ctx, rows):
    put(ctx.tables, FEEDBACK, texts("First", NUM_FIRST, batch="b0") + rows)


def shard_set_after(ctx):
    """The note of a run, and the night whose shard set is current."""
    return stage.run(ctx).note, current_shards(ctx.files_root).name[0]


def test_few_new_labels_keep_the_set_and_many_replace_it(lake):
    ctx = lake(1)
    unlabelled = {**texts("Unrated", 1, batch="b1")[0], "label": None}
    empty = {**texts("Empty", 1, batch="b1")[0], "plain_text": " "}
    add(ctx, [*texts("New", 17, batch="b1"), unlabelled, empty])
    note, night = shard_set_after(ctx)
    assert (note, night) == ("kept the shard set of 2025-01-31: 17 labelled texts since then, beside 90", "0")
    ctx = lake(2)
    add(ctx, [*texts("New", 17, batch="b1"), *texts("Newer", 1, batch="b2")])  # 18 of 90: a fifth
    assert shard_set_after(ctx)[1] == "2"
    made = read_manifest(current_shards(ctx.files_root)).inputs
    assert (made["num_labelled"], made["as_of"]) == (108, "2025-02-02")
    assert shard_set_after(lake(3))[0] == "kept the shard set of 2025-02-02: 0 labelled texts since then, beside 108"


def test_other_deliveries_of_the_same_labels_are_not_new_and_a_corrected_label_is(lake):
    ctx = lake(1, "shard.retrain.min_new=1", "shard.retrain.growth=0")
    put(ctx.tables, FEEDBACK, texts("First", NUM_FIRST, batch="b1"))  # a full export with new update times
    assert "0 labelled texts since then" in shard_set_after(ctx)[0]
    first = texts("First", NUM_FIRST, batch="b1")
    put(ctx.tables, FEEDBACK, [{**first[0], "label": LABELS[2]}, *first[1:]])
    assert shard_set_after(ctx)[1] == "1"


def test_an_old_set_is_replaced_only_if_there_is_anything_new(lake):
    ctx = lake(6, "shard.retrain.max_age_days=5")
    assert shard_set_after(ctx)[1] == "0"
    add(ctx, texts("New", 1, batch="b1"))
    assert shard_set_after(ctx)[1] == "6"


def test_another_policy_keeps_the_set(lake):
    assert shard_set_after(lake(1, "shard.retrain.growth=0.5"))[1] == "0"


@pytest.mark.parametrize(
    "change",
    [pytest.param("settings", marks=pytest.mark.slow), pytest.param("seed", marks=pytest.mark.slow), "code", "forced"],
)
def test_other_settings_seed_or_code_replace_the_set(lake, change):
    ctx = lake(1, *(["shard.max_length=20"] if change == "settings" else []))
    changes = {"seed": {"seed": 12}, "code": {"code": "other code"}, "forced": {"is_forced": True}}
    assert shard_set_after(replace(ctx, **changes.get(change, {})))[1] == "1"


def test_a_missing_set_is_written_again(lake):
    ctx = lake(1)
    assert not stage.must_run(ctx)
    (current_shards(ctx.files_root) / "manifest.json").unlink()
    assert stage.must_run(ctx)
    assert shard_set_after(ctx)[1] == "1"


def test_a_damaged_manifest_is_reported_and_the_set_is_written_again(lake):
    ctx = lake(1)
    manifest = current_shards(ctx.files_root) / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:-9])
    assert shard_set_after(ctx)[1] == "1"


@pytest.mark.slow
def test_a_run_that_ended_while_it_wrote_the_set_is_made_up_for(lake, monkeypatch):
    """The tables of examples belong to the new set already; keeping the old one would compare it with other texts."""
    ctx = lake(1)
    add(ctx, texts("New", 18, batch="b1"))
    with monkeypatch.context() as patched:
        patched.setattr(stage, "_check_labels", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stage.run(ctx)
    assert current_shards(ctx.files_root).name[0] == "0"
    later = lake(2)
    assert shard_set_after(later)[1] == "2"
    assert retraining.unfinished_sets(later.files_root) == []
    assert "kept" in shard_set_after(lake(3))[0]


@pytest.mark.parametrize(("p_right", "kept"), [(0.8, True), (0.05, False)])
def test_a_model_that_is_worse_on_newer_texts_is_replaced(lake, p_right, kept):
    ctx = lake(1)
    models_dir(ctx.files_root).mkdir()
    register(models_dir(ctx.files_root), "m1", is_promoted=True)
    new = texts("New", 12, batch="b1")  # fewer than a fifth
    add(ctx, new)
    scored, hashed = [], []
    known = retraining.EXAMPLE, ctx.tables.read(retraining.EXAMPLE).collect()
    for i, row in enumerate(known[1]):
        hashed.append(("First", i, row["text_hash"], LABELS[i % 3]))
        scored.append((row["text_hash"], LABELS[i % 3], 0.8 - 0.001 * (i % 5)))
    for i, row in enumerate(new):
        hashed.append(("New", i, f"hash {i}", row["label"]))
        scored.append((f"hash {i}", row["label"], p_right - 0.001 * (i % 5)))
    put(
        ctx.tables,
        TEXT,
        [
            {"system": "shop", "entity": "feedback", "record_id": f"{prefix}{i}", "text_hash": text, "label": label}
            for prefix, i, text, label in hashed
        ],
    )
    put(
        ctx.tables,
        SCORE_TEXT,
        [
            {
                "text_hash": text,
                "model_version": "m1",
                "label": label,
                **{f"p_{name}": p if name == label else (1 - p) / 2 for name in LABELS},
            }
            for text, label, p in scored
        ],
    )
    assert (shard_set_after(ctx)[1] == "0") is kept
