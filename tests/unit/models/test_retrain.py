"""A model is kept until new examples, its loss or its age ask for a new one."""

import random

import pytest

from crm_spark.models.retrain import Changes, Losses, RetrainPolicy, is_worse, reason_to_retrain

POLICY = RetrainPolicy(growth=0.2, min_new=100, max_age_days=180, standard_errors=4, min_compared=50)


def reason(num_fitted, num_new, age_days, former=None, newer=None, policy=POLICY):
    return reason_to_retrain(policy, Changes(num_fitted, num_new, age_days, former, newer), examples="texts")


@pytest.mark.parametrize(
    ("num_fitted", "num_new", "age_days", "wanted"),
    [
        (10_000, 0, 1, ""),
        (10_000, 1_999, 1, ""),
        (10_000, 2_000, 1, "2,000 new texts beside 10,000"),
        (200, 99, 1, ""),  # more than a fifth, but few
        (200, 100, 1, "100 new texts beside 200"),
        (10_000, 1, 179, ""),
        (10_000, 1, 180, "fitted 180 days ago"),
        (10_000, 5, -30, ""),  # a refresh as of an earlier day
    ],
)
def test_number_share_and_age(num_fitted, num_new, age_days, wanted):
    assert reason(num_fitted, num_new, age_days) == wanted


def test_a_loss_that_noise_does_not_explain_asks_for_a_new_model():
    former = Losses(1.0, 0.5, 400)
    # Standard error of the difference: sqrt(0.25 / 400 + 0.25 / 100) = 0.0559; four of them: 0.2236.
    assert reason(10_000, 100, 1, former, Losses(1.22, 0.5, 100)) == ""
    assert (
        reason(10_000, 100, 1, former, Losses(1.23, 0.5, 100)) == "loss 1.230 on newer texts, 1.000 when it was fitted"
    )
    # With a million examples the standard error is nearly 0: the loss must also exceed the former by a twentieth.
    assert reason(10**7, 100, 1, Losses(1.0, 0.5, 10**6), Losses(1.049, 0.5, 10**6)) == ""
    assert reason(10**7, 100, 1, Losses(1.0, 0.5, 10**6), Losses(1.051, 0.5, 10**6)) != ""
    assert reason(10_000, 100, 1, former, Losses(0.2, 0.5, 100)) == "", "a better loss is no reason"
    assert reason(10_000, 100, 1, former, Losses(9.0, 0.5, 49)) == "", "too few to compare"
    assert reason(10_000, 100, 1, None, Losses(9.0, 0.5, 100)) == ""
    off = POLICY.model_copy(update={"standard_errors": None, "max_age_days": None})
    assert reason(10_000, 100, 999, former, Losses(9.0, 0.5, 100), off) == ""


def test_equal_losses_are_told_apart_by_noise_at_most_once_in_a_thousand_comparisons():
    draw = random.Random(5)

    def losses(num_rows):
        values = [draw.expovariate(1.0) for _ in range(num_rows)]  # skewed as cross-entropies are
        mean = sum(values) / num_rows
        deviation = (sum((value - mean) ** 2 for value in values) / (num_rows - 1)) ** 0.5
        return Losses(mean, deviation, num_rows)

    false_alarms = sum(is_worse(POLICY, losses(400), losses(60)) for _ in range(2_000))
    assert false_alarms <= 2
    assert is_worse(POLICY, losses(400), Losses(2.0, 1.0, 60)), "a loss twice as high is found"
