"""What a new feature must bring along."""

from crm_spark.contracts.features import CHURN_REASONS, FEATURE_COLUMNS
from crm_spark.stages.decide.config import FACTS


def test_every_feature_has_words_for_the_report():
    assert set(CHURN_REASONS) == {column.name for column in FEATURE_COLUMNS}


def test_conditions_of_the_strategy_may_use_every_feature():
    assert {column.name for column in FEATURE_COLUMNS} <= set(FACTS)
