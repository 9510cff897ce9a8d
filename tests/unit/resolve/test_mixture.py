"""The rates of matches and of household members are those of the pairs that were generated."""

import numpy as np
import pytest

from crm_spark.stages.resolve.mixture import Rates, fit_rates, match_probability

ALL_PAIRS = 5e7


def weighed(matches, relatives, others, seed=1):
    """Weights of pairs: own and shared columns agree in matches, only the shared ones among relatives."""
    draw = np.random.default_rng(seed)
    kinds = [(matches, 15, 20), (relatives, -6, 20), (others, -6, -8)]
    own = np.concatenate([draw.normal(mean, 2, number) for number, mean, _ in kinds])
    shared = np.concatenate([draw.normal(mean, 2, number) for number, _, mean in kinds])
    return own + shared, own


def test_rates_are_those_of_the_pairs():
    bits, own = weighed(7_000, 3_000, 100_000)
    rates = fit_rates(bits, own, np.ones(len(bits)), num_pairs=ALL_PAIRS, with_relatives=True)
    assert rates.match * ALL_PAIRS == pytest.approx(7_000, rel=0.05)
    assert rates.relatives * ALL_PAIRS == pytest.approx(3_000, rel=0.05)
    probability, support = match_probability(bits, own, rates)
    assert (probability[:7_000] > 0.5).mean() > 0.99 and (support[7_000:10_000] < -0.5).mean() > 0.99
    assert (np.abs(support[10_000:]) < 0.01).mean() > 0.99


def test_without_shared_columns_there_are_no_relatives():
    bits, _ = weighed(500, 0, 10_000)
    rates = fit_rates(bits, bits, np.ones(len(bits)), num_pairs=ALL_PAIRS, with_relatives=False)
    assert rates.relatives == 0 and rates.match * ALL_PAIRS == pytest.approx(500, rel=0.05)


def test_weights_of_hundreds_of_bits_keep_their_difference():
    bits, own = np.array([300.0, 300.0]), np.array([12.0, -12.0])
    probability, support = match_probability(bits, own, Rates(1e-5, 1e-5))
    assert probability.tolist() == pytest.approx([1, 0], abs=0.01) and support.tolist() == pytest.approx(
        [1, -1], abs=0.01
    )


def test_groups_count_like_single_pairs():
    bits, own = weighed(50, 20, 400)
    single = fit_rates(np.tile(bits, 3), np.tile(own, 3), np.ones(3 * len(bits)), num_pairs=1e5, with_relatives=True)
    grouped = fit_rates(bits, own, np.full(len(bits), 3.0), num_pairs=1e5, with_relatives=True)
    assert single.match == pytest.approx(grouped.match) and single.relatives == pytest.approx(grouped.relatives)
