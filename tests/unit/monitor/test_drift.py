"""PSI and its noise threshold."""

from math import log

from crm_spark.stages.monitor.drift import noise_threshold, psi


def test_equal_histograms_have_no_psi():
    assert psi([10, 20, 70], [100, 200, 700]) == 0


def test_psi_of_two_bins_is_computed():
    # shares 0.5/0.5 -> 0.8/0.2: (0.3) ln(1.6) + (-0.3) ln(0.4)
    assert abs(psi([50, 50], [80, 20]) - (0.3 * log(1.6) - 0.3 * log(0.4))) < 1e-12


def test_small_samples_need_a_larger_change():
    # chi2(9) at 0.999 is 27.88: with 200 and 200 rows 27.88 x 0.01
    assert abs(noise_threshold(200, 200, effect=0.1) - 0.2788) < 1e-3
    assert noise_threshold(100_000, 100_000, effect=0.1) == 0.1
