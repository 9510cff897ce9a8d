"""Segment ids."""

import numpy as np

from crm_spark.stages.segment.clustering import matched_ids

CENTRES = np.array([[-1.0, 1.2, 1.3], [0.9, -1.0, -0.9], [-0.5, -0.8, -0.8]])


def test_first_segments_are_numbered_from_one():
    assert matched_ids(CENTRES, {}) == [1, 2, 3]


def test_centre_close_to_a_former_one_keeps_its_id():
    former = {7: CENTRES[1] + 0.1, 4: CENTRES[0] - 0.1, 9: CENTRES[2]}
    assert matched_ids(CENTRES, former) == [4, 7, 9]


def test_centre_far_from_all_former_ones_gets_a_new_id():
    assert matched_ids(CENTRES, {1: CENTRES[0], 2: CENTRES[1], 3: CENTRES[2] + 9}) == [1, 2, 4]
