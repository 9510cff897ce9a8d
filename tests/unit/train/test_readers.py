"""Reader shards, steps and micro-batches of the ranks; evaluation metrics."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from crm_spark.stages.shard.layout import num_groups
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.evaluation import best_decision, calibration_error, evaluate
from crm_spark.stages.train.readers import Rows, micro_batches, num_steps, reader_shards_of
from crm_spark.stages.train.shard_reader import ShardReader, default_batch_rows
from crm_spark.stages.train.slices import highest_losses, length_band
from crm_spark.text.manifest import TRAIN, ShardFile, ShardManifest


def rows(start, count, seed=0):
    random = np.random.default_rng(seed + start)
    lengths = random.integers(1, 8, count).astype(np.int32)
    ids = np.zeros((count, 8), np.int32)
    ids[:, 0] = np.arange(start, start + count)
    return Rows(ids, lengths, np.zeros(count, np.int32), np.ones(count, np.float32))


def test_equal_row_groups_give_equal_steps():
    # 4 groups of 50 rows in 2 reader_shards: 100 rows each, batches of 16 in one window: 7 steps
    assert num_steps([50] * 4, num_reader_shards=2, batch_rows=16, window_rows=1000) == 7


def test_unequal_row_groups_are_rejected_with_the_step_counts():
    with pytest.raises(ValueError, match=r"3 row groups in 2 reader shards give \[7, 4\] steps"):
        num_steps([50, 50, 50], num_reader_shards=2, batch_rows=16, window_rows=1000)


def test_fewer_row_groups_than_reader_shards_are_rejected():
    with pytest.raises(ValueError, match="expected the same positive number"):
        num_steps([50], num_reader_shards=2, batch_rows=16, window_rows=1000)


@pytest.mark.parametrize(
    ("world_size", "expected"),
    [(1, [[0, 1, 2, 3]]), (2, [[0, 2], [1, 3]]), (3, [[0, 3], [1], [2]]), (4, [[0], [1], [2], [3]])],
)
def test_every_reader_shard_is_read_by_one_rank(world_size, expected):
    assert [
        reader_shards_of(rank, num_reader_shards=4, world_size=world_size) for rank in range(world_size)
    ] == expected


def test_more_ranks_than_reader_shards_are_rejected():
    with pytest.raises(ValueError, match=r"5 ranks exceed the number of reader shards \(4\).* shard\.max_world_size=5"):
        reader_shards_of(4, num_reader_shards=4, world_size=5)


def shard_set(folder, *, num_groups, group_rows):
    """Row groups whose first token is the row number."""
    (folder / TRAIN).mkdir()
    files = []
    for group in range(num_groups):
        part, name = rows(group * group_rows, group_rows), f"{TRAIN}/{group:05d}.parquet"
        columns = {"input_ids": list(part.input_ids), "num_tokens": part.num_tokens, "label": part.label}
        pq.write_table(pa.table({**columns, "weight": part.weight}), folder / name)
        files.append(ShardFile(name, TRAIN, "", group_rows, group_rows))
    return ShardManifest(tuple(files), 8, 4, "", {TRAIN: {}}, {}, {})


def examples_of_steps(folder, manifest, *, world_size, epoch):
    """Row numbers of each step over all ranks."""
    cfg = TrainConfig(batch_rows=16, window_rows=30, reader="direct")
    readers = [ShardReader(folder, manifest, cfg, 7, rank, world_size) for rank in range(world_size)]
    return [
        sorted(int(i) for part in step for i in part.input_ids[:, 0])
        for step in zip(*(reader.steps(epoch) for reader in readers), strict=True)
    ]


def test_steps_have_the_same_examples_for_any_number_of_ranks(tmp_path):
    manifest = shard_set(tmp_path, num_groups=8, group_rows=25)
    alone = examples_of_steps(tmp_path, manifest, world_size=1, epoch=0)
    assert sorted(i for step in alone for i in step) == list(range(200))
    for world_size in (2, 3, 4):
        assert examples_of_steps(tmp_path, manifest, world_size=world_size, epoch=0) == alone
    assert examples_of_steps(tmp_path, manifest, world_size=1, epoch=1) != alone


@pytest.mark.parametrize(
    ("num_rows", "num_epochs", "max_world_size", "expected"),
    [
        (15_832, 3, 4, 64),
        (4_000, 2, 4, 32),  # 8,000 rows: 125 steps of 64, 250 of 32
        (1_264, 2, 4, 16),  # 158 steps of 16, the smallest size
        (1_264, 2, 3, 15),
        (100, 1, 64, 64),
    ],
)
def test_default_batch_is_smaller_for_few_texts(num_rows, num_epochs, max_world_size, expected):
    files = (ShardFile("train/0.parquet", TRAIN, "", num_rows, num_rows),)
    manifest = ShardManifest(files, 8, max_world_size, "", {TRAIN: {}}, {}, {})
    assert default_batch_rows(manifest, TrainConfig(num_epochs=num_epochs)) == expected


def test_batch_rows_must_be_a_multiple_of_the_reader_shards(tmp_path):
    manifest = shard_set(tmp_path, num_groups=4, group_rows=8)
    with pytest.raises(ValueError, match=r"train\.batch_rows: 30 is not a multiple of the shard set's 4 reader shards"):
        ShardReader(tmp_path, manifest, TrainConfig(batch_rows=30), 7, 0, 1)


@pytest.mark.parametrize(("num_rows", "expected"), [(1, 4), (2048, 4), (2049, 8), (10_000, 20)])
def test_row_groups_are_a_multiple_of_the_largest_world_size(num_rows, expected):
    assert num_groups(num_rows, rows_per_group=512, max_world_size=4) == expected


@pytest.mark.parametrize("window_rows", [1, 30, 1000])
def test_micro_batches_contain_every_row_once(window_rows):
    groups = iter([rows(0, 25), rows(25, 25), rows(50, 25)])
    row_ids = [
        int(i) for b in micro_batches(groups, batch_rows=8, window_rows=window_rows, seed=3) for i in b.input_ids[:, 0]
    ]
    assert sorted(row_ids) == list(range(75))


def test_number_of_micro_batches_equals_num_steps():
    for window_rows in (1, 30, 1000):
        groups = iter([rows(0, 25), rows(25, 25)])
        count = len(list(micro_batches(groups, batch_rows=8, window_rows=window_rows, seed=3)))
        assert count == num_steps([25, 25], num_reader_shards=1, batch_rows=8, window_rows=window_rows)


def test_order_of_micro_batches_depends_on_the_seed_only():
    def order(seed):
        return [
            b.input_ids[0, 0] for b in micro_batches(iter([rows(0, 64)]), batch_rows=4, window_rows=1000, seed=seed)
        ]

    assert order(1) == order(1) != order(2)


def test_metrics_of_four_predictions_are_computed():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.2, 0.2, 0.6]])
    metrics = evaluate(probabilities, np.array([0, 1, 1, 2]))
    assert metrics.accuracy == 0.75
    # F1: class 0 2/3 (one false), class 1 2/3 (one missed), class 2 1 -> mean 7/9
    assert abs(metrics.macro_f1 - 7 / 9) < 1e-12
    # bits: -log2 of 0.8, 0.25, 0.5, 0.6 = 0.3219, 2, 1, 0.7370 -> mean 1.0147
    assert abs(metrics.cross_entropy_bits - 1.0147) < 1e-4
    assert metrics.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_calibration_error_of_a_confident_model_with_half_accuracy():
    probabilities = np.array([[0.9, 0.05, 0.05]] * 10)
    assert abs(calibration_error(probabilities, np.array([0] * 5 + [1] * 5)) - 0.4) < 1e-12


def test_decision_weights_predict_a_label_that_argmax_never_predicts():
    # Ten texts 0.6 : 0.4. Always the first: expected F1 of the classes 2*6/(10+6) = 0.75 and 0, mean 0.375.
    # Five of each would be better; equal texts cannot be told apart, so half of them are a little more likely.
    probabilities = np.array([[0.62, 0.38]] * 5 + [[0.58, 0.42]] * 5)
    weights = best_decision(probabilities)
    assert (probabilities.argmax(1) == 0).all() and (probabilities * weights).argmax(1).tolist() == [0] * 5 + [1] * 5


def test_decision_weights_of_a_confident_model_are_one():
    assert best_decision(np.array([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.01, 0.98]])).tolist() == [1, 1, 1]


def test_decision_changes_labels_but_not_cross_entropy():
    probabilities, labels = np.array([[0.6, 0.4], [0.6, 0.4], [0.9, 0.1]]), np.array([0, 1, 0])
    plain, decided = evaluate_two(probabilities, labels), evaluate_two(probabilities, labels, np.array([1.0, 2.0]))
    assert (plain.accuracy, decided.accuracy) == (2 / 3, 2 / 3)
    assert (plain.recall[:2], decided.recall[:2]) == ([1.0, 0.0], [0.5, 1.0])
    assert plain.cross_entropy_bits == decided.cross_entropy_bits


def evaluate_two(probabilities, labels, decision=None):
    """Evaluate two of the three labels; the third has probability 0."""
    three = np.column_stack([probabilities, np.zeros(len(labels))])
    return evaluate(three, labels, None if decision is None else np.append(decision, 1.0))


@pytest.mark.parametrize(
    ("num_tokens", "expected"),
    [
        (1, "up to 32 tokens"),
        (32, "up to 32 tokens"),
        (33, "33 to 64 tokens"),
        (256, "129 to 256 tokens"),
        (257, "over 256 tokens"),
    ],
)
def test_lengths_are_grouped_into_bands(num_tokens, expected):
    assert length_band(num_tokens) == expected


def test_highest_losses_are_misclassified_texts_with_the_highest_loss_first():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25], [0.0625, 0.9, 0.0375], [0.1, 0.8, 0.1]])
    losses = highest_losses(probabilities, np.array([0, 1, 0, 1]), np.array(["right", "unsure", "worst", "right too"]))
    assert [(row["text_hash"], row["predicted_label"], row["bits"]) for row in losses] == [
        ("worst", "does_not_recommend", 4.0),
        ("unsure", "recommends", 2.0),
    ]
