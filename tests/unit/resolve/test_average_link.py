"""Average-link clustering: bridges do not chain, order does not matter, pairs that must stay apart do."""

import time

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from crm_spark.stages.resolve.average_link import ALWAYS, NEVER, average_link


def clusters(num_records, pairs, threshold=0.35, exclusive=None):
    left, right, support = (np.array(column) for column in zip(*pairs))
    codes = None if exclusive is None else np.array(exclusive)
    return average_link(num_records, left, right, support.astype(float), threshold=threshold, exclusive=codes).tolist()


def test_a_bridge_does_not_join_two_people():
    people = [(0, 1, 0.9), (0, 2, 0.9), (1, 2, 0.9), (3, 4, 0.9), (3, 5, 0.9), (4, 5, 0.9)]
    # The mean over all nine pairs of the two is 0.8 / 9.
    assert clusters(6, [*people, (2, 3, 0.8)]) == [0, 0, 0, 3, 3, 3]


def test_a_chain_breaks_into_pairs():
    chain = [(i, i + 1, 0.9) for i in range(9)]
    assert clusters(10, chain) == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_records_without_pairs_stay_alone():
    assert clusters(4, [(1, 3, 0.2)]) == [0, 1, 2, 3]


def test_a_pair_that_must_be_joined_is():
    assert clusters(4, [(0, 1, 0.0), (0, 1, ALWAYS), (1, 2, 0.9), (0, 2, 0.9)]) == [0, 0, 0, 3]


def test_a_decision_holds_also_through_a_third_record():
    decided = [(0, 1, ALWAYS), (1, 2, NEVER)]
    assert clusters(3, [(0, 1, 0.1), (0, 2, 0.9), (1, 2, 0.9), *decided]) == [0, 0, 2]


def test_a_record_that_fits_a_father_and_his_son_does_not_join_them():
    # 0 and 1 differ in the date of birth, which 2 lacks.
    assert clusters(3, [(0, 1, -1.0), (0, 2, 0.94), (1, 2, 0.9)]) == [0, 1, 0]


def test_two_records_of_a_source_without_duplicates_stay_apart():
    pairs = [(0, 1, 0.9), (1, 2, 0.8), (0, 2, 0.9)]
    assert clusters(3, pairs, exclusive=[0, -1, 0]) == [0, 0, 2]
    assert clusters(3, pairs, exclusive=[0, -1, 1]) == [0, 0, 0]


def test_a_pair_that_must_stay_apart_does():
    assert clusters(3, [(0, 1, 0.9), (1, 2, 0.9), (0, 2, NEVER)]) == [0, 0, 2]


@pytest.mark.parametrize("seed", range(5))
def test_clusters_equal_those_of_scipy_on_a_full_graph(seed):
    rng = np.random.default_rng(seed)
    size = 40
    left, right = np.triu_indices(size, 1)
    person = rng.integers(0, 10, size)
    probability = np.clip(np.where(person[left] == person[right], 0.8, 0.15) + rng.normal(0, 0.15, len(left)), 0, 1)
    ours = average_link(size, left, right, probability, threshold=0.35)
    matrix = np.zeros((size, size))
    matrix[left, right] = matrix[right, left] = 1 - probability
    theirs = fcluster(linkage(squareform(matrix, checks=False), "average"), 0.65, "distance")
    assert ((ours[:, None] == ours) == (theirs[:, None] == theirs)).all()


def test_the_order_and_direction_of_the_pairs_do_not_matter():
    rng = np.random.default_rng(3)
    left, right = np.triu_indices(60, 1)
    keep = rng.random(len(left)) < 0.2
    left, right, probability = left[keep], right[keep], rng.random(keep.sum())
    expected = average_link(60, left, right, probability, threshold=0.3)
    for _ in range(5):
        order, flip = rng.permutation(len(left)), rng.random(len(left)) < 0.5
        a, b = np.where(flip, right, left)[order], np.where(flip, left, right)[order]
        assert (average_link(60, a, b, probability[order], threshold=0.3) == expected).all()


def test_chains_and_stars_of_100_000_records_end_in_seconds():
    size = 100_000
    index = np.arange(size - 1)
    started = time.monotonic()
    chain = average_link(size, index, index + 1, np.full(size - 1, 0.9), threshold=0.35)
    star = average_link(size, np.zeros(size - 1, np.int64), index + 1, np.full(size - 1, 0.9), threshold=0.35)
    assert np.bincount(chain).max() == 2
    assert np.bincount(star).max() == 3  # the second leaf joins at a mean of 0.45, a third would at 0.3
    assert time.monotonic() - started < 120
