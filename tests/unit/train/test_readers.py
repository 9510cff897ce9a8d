"""Steps are equal on all ranks, or the plan is refused; batches are a permutation of the rows."""

import numpy as np
import pytest

from crm_spark.stages.shard.stage import num_groups
from crm_spark.stages.train.evaluation import calibration_error, evaluate
from crm_spark.stages.train.readers import Rows, micro_batches, num_steps


def rows(start, count, seed=0):
    draw = np.random.default_rng(seed + start)
    lengths = draw.integers(1, 8, count).astype(np.int32)
    ids = np.zeros((count, 8), np.int32)
    ids[:, 0] = np.arange(start, start + count)
    return Rows(ids, lengths, np.zeros(count, np.int32), np.ones(count, np.float32))


def test_equal_row_groups_give_equal_steps():
    # 4 groups of 50 rows on 2 ranks: 100 rows each, batches of 16 in one window: 7 steps
    assert num_steps([50] * 4, world_size=2, batch_rows=16, window_rows=1000) == [7, 7]


def test_unequal_row_groups_are_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"3 row groups on 2 ranks give \[7, 4\] steps"):
        num_steps([50, 50, 50], world_size=2, batch_rows=16, window_rows=1000)


def test_fewer_row_groups_than_ranks_are_refused():
    with pytest.raises(ValueError, match="wanted the same number, not 0"):
        num_steps([50], world_size=2, batch_rows=16, window_rows=1000)


@pytest.mark.parametrize(("num_rows", "expected"), [(1, 4), (2048, 4), (2049, 8), (10_000, 20)])
def test_row_groups_are_a_multiple_of_the_largest_world_size(num_rows, expected):
    assert num_groups(num_rows, rows_per_group=512, max_world_size=4) == expected


@pytest.mark.parametrize("window_rows", [1, 30, 1000])
def test_micro_batches_hold_every_row_exactly_once(window_rows):
    groups = iter([rows(0, 25), rows(25, 25), rows(50, 25)])
    seen = [
        int(i) for b in micro_batches(groups, batch_rows=8, window_rows=window_rows, seed=3) for i in b.input_ids[:, 0]
    ]
    assert sorted(seen) == list(range(75))


def test_number_of_micro_batches_is_the_one_that_was_planned():
    for window_rows in (1, 30, 1000):
        found = len(
            list(micro_batches(iter([rows(0, 25), rows(25, 25)]), batch_rows=8, window_rows=window_rows, seed=3))
        )
        assert [found] == num_steps([25, 25], world_size=1, batch_rows=8, window_rows=window_rows)


def test_order_of_micro_batches_is_a_function_of_the_seed():
    def order(seed):
        return [
            b.input_ids[0, 0] for b in micro_batches(iter([rows(0, 64)]), batch_rows=4, window_rows=1000, seed=seed)
        ]

    assert order(1) == order(1) != order(2)


def test_batches_carry_no_column_that_all_rows_pad():
    for batch in micro_batches(iter([rows(0, 64)]), batch_rows=4, window_rows=1000, seed=1):
        assert batch.input_ids.shape[1] == batch.num_tokens.max()


def test_figures_of_four_predictions_by_hand():
    probabilities = np.array([[0.8, 0.1, 0.1], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.2, 0.2, 0.6]])
    found = evaluate(probabilities, np.array([0, 1, 1, 2]))
    assert found.accuracy == 0.75
    # F1: class 0 2/3 (one false), class 1 2/3 (one missed), class 2 1 -> mean 7/9
    assert abs(found.macro_f1 - 7 / 9) < 1e-12
    # bits: -log2 of 0.8, 0.25, 0.5, 0.6 = 0.3219, 2, 1, 0.7370 -> mean 1.0147
    assert abs(found.cross_entropy_bits - 1.0147) < 1e-4
    assert found.confusion == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]


def test_calibration_error_of_a_sure_model_that_is_right_half_the_time():
    probabilities = np.array([[0.9, 0.05, 0.05]] * 10)
    assert abs(calibration_error(probabilities, np.array([0] * 5 + [1] * 5)) - 0.4) < 1e-12
