"""Label issues: wrong labels are found with few false positives."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from crm_spark.stages.shard.label_check import label_issues
from crm_spark.text.labels import LABELS

NUM_TEXTS, LENGTH = 600, 14


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Texts of common words and four label-specific words; every 20th label is wrong. Two files with a padding row."""
    random, folder = np.random.default_rng(8), tmp_path_factory.mktemp("shards")
    label = random.integers(0, 3, NUM_TEXTS)
    words = np.concatenate(
        [
            random.integers(2000, 2040, (NUM_TEXTS, 8)),
            3000 + 10 * label[:, None] + random.integers(0, 10, (NUM_TEXTS, 4)),
        ],
        1,
    )
    ids = np.concatenate([np.full((NUM_TEXTS, 1), 101), words, np.full((NUM_TEXTS, 1), 102)], 1).astype(np.int32)
    labels = np.where(np.arange(NUM_TEXTS) % 20 == 0, (label + 1) % 3, label)
    names = [f"t{i}" for i in range(NUM_TEXTS)]
    paths = []
    for number, part in enumerate(np.split(np.arange(NUM_TEXTS), 2)):
        table = pa.table(
            {
                "example_id": [*(names[i] for i in part), ""],
                "input_ids": [*ids[part], np.zeros(LENGTH, np.int32)],
                "num_tokens": pa.array([LENGTH] * len(part) + [1], pa.int32()),
                "label": pa.array([*labels[part], 0], pa.int32()),
                "weight": pa.array([1.0] * len(part) + [0.0], pa.float32()),
            }
        )
        paths.append(folder / f"{number}.parquet")
        pq.write_table(table, paths[-1])
    return paths, label


def test_wrong_labels_are_found(shards):
    paths, label = shards
    num_checked, issues = label_issues(paths, max_texts=1_000, seed=3)
    assert num_checked == NUM_TEXTS
    wrong = {f"t{i}" for i in range(0, NUM_TEXTS, 20)}
    reported = {issue.text_hash for issue in issues}
    # Some of the 30 wrong labels are below the confidence threshold.
    assert len(reported & wrong) >= 20 and len(reported - wrong) <= 6
    assert all(issue.suggested == LABELS[label[int(issue.text_hash[1:])]] for issue in issues[:20])
    assert all(issue.label != issue.suggested for issue in issues)
    assert issues == sorted(issues, key=lambda issue: issue.p_label - issue.p_suggested_label)


def test_number_of_checked_texts_is_limited(shards):
    assert label_issues(shards[0], max_texts=90, seed=3)[0] == 90


def test_texts_with_a_single_label_are_not_checked(tmp_path):
    table = pa.table(
        {
            "example_id": ["a", "b", "c"],
            "input_ids": [np.array([101, 5, 102], np.int32)] * 3,
            "num_tokens": pa.array([3] * 3, pa.int32()),
            "label": pa.array([1] * 3, pa.int32()),
            "weight": pa.array([1.0] * 3, pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "one.parquet")
    assert label_issues([tmp_path / "one.parquet"], max_texts=9, seed=1) == (0, [])


def test_texts_without_common_words_are_not_checked(tmp_path):
    size = 12
    table = pa.table(
        {
            "example_id": [f"t{i}" for i in range(size)],
            "input_ids": [np.array([101, 1000 + i, 102], np.int32) for i in range(size)],
            "num_tokens": pa.array([3] * size, pa.int32()),
            "label": pa.array([i % 2 for i in range(size)], pa.int32()),
            "weight": pa.array([1.0] * size, pa.float32()),
        }
    )
    pq.write_table(table, tmp_path / "unlike.parquet")
    assert label_issues([tmp_path / "unlike.parquet"], max_texts=99, seed=1) == (0, [])
