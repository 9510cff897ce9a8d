"""Facts of the strategy as of the day, with labels of the model in production."""

from datetime import date
from decimal import Decimal

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import FEATURE_CUSTOMER, TEXT
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE, SCORE_TEXT
from crm_spark.core.errors import ConfigError
from crm_spark.models.registry import register
from crm_spark.stages.decide import stage

FORMER, CURRENT = "ffff", "aaaa"
"""Versions are digests; the newer one may sort before the older one."""
STRATEGY = """
holdout_fraction: 0
actions:
  - {name: call, title: Call, reason: unhappy, when: [{fact: last_text_label, is: does_not_recommend}]}
  - {name: care, title: Care, reason: top_value, when: [{fact: value_band, is: high}]}
"""


@pytest.fixture(scope="module")
def ctx(spark, tmp_path_factory):
    """Three customers; only `anna` wrote texts and only `ben` has scores."""
    root = tmp_path_factory.mktemp("lake")
    (root / "strategy.yaml").write_text(STRATEGY)
    ctx = lake_context(spark, root / "lake", f"decide.strategy={root / 'strategy.yaml'}")
    names = ("anna", "ben", "cleo")
    put(ctx.tables, CUSTOMER, [{"customer_id": name} for name in names])
    put(ctx.tables, CUSTOMER_LINK, [{"system": "shop", "person_id": f"p-{n}", "customer_id": n} for n in names])
    put(ctx.tables, FEATURE_CUSTOMER, [{"customer_id": name, "as_of": AS_OF} for name in names])
    scored = {"customer_id": "ben", "as_of": AS_OF}
    put(ctx.tables, CHURN, [{**scored, "probability": 0.5, "risk": "medium"}])
    put(ctx.tables, LIFETIME_VALUE, [{**scored, "expected_revenue": Decimal(40), "value_band": "high"}])
    texts = [  # a text of 1 February is not known on 31 January
        ("r1", date(2025, 1, 5), "early"),
        ("r2", date(2025, 1, 20), "late"),
        ("r3", date(2025, 2, 1), "tomorrow"),
    ]
    text = {"system": "shop", "entity": "feedback", "person_id": "p-anna"}
    put(ctx.tables, TEXT, [{**text, "record_id": r, "written_on": day, "text_hash": h} for r, day, h in texts])
    readings = [
        ("early", CURRENT, "recommends"),
        ("late", CURRENT, "does_not_recommend"),
        ("late", FORMER, "recommends"),
        ("tomorrow", CURRENT, "no_clear_opinion"),
    ]
    put(ctx.tables, SCORE_TEXT, [{"text_hash": h, "model_version": v, "label": label} for h, v, label in readings])
    registry_dir = ctx.files_root / "models"
    registry_dir.mkdir(parents=True)
    register(registry_dir, FORMER, is_promoted=True)
    register(registry_dir, CURRENT, is_promoted=True)
    return ctx


def test_last_text_label_is_that_of_the_newest_text_by_the_model_in_production(ctx):
    assert [tuple(row) for row in stage.last_text_label(ctx).collect()] == [("anna", "does_not_recommend")]


def test_every_customer_gets_an_action_despite_unknown_facts(ctx):
    assert stage.run(ctx).num_rows == 3
    rows = ctx.tables.read(NEXT_BEST_ACTION).where("customer_id <> 'anna'").collect()
    assert {row["customer_id"]: (row["action"], row["priority"], row["as_of"]) for row in rows} == {
        "ben": ("care", 20.0, AS_OF),  # 0.5 x 40
        "cleo": ("none", None, AS_OF),
    }


def test_counts_of_data_that_the_company_lacks_are_unknown(ctx):
    rows = {row["customer_id"]: row for row in stage.facts(ctx).collect()}
    # The lake has neither orders nor feedback, and no recommendations of the day.
    names = ("num_orders", "monetary", "num_tickets", "num_feedback", "has_recommendation")
    assert [rows["cleo"][name] for name in names] == [None] * 5


def test_declared_features_are_facts(spark, tmp_path):
    strategy = "holdout_fraction: 0\nactions: [{name: call, title: Call, reason: few_visits, when: [{fact: declared.visits, at_most: 1}]}]"
    (tmp_path / "strategy.yaml").write_text(strategy)
    (tmp_path / "features.yaml").write_text("features: {visits: {title: visits, entity: usage, measure: count}}")
    chosen = f"decide.strategy={tmp_path / 'strategy.yaml'}"
    ctx = lake_context(spark, tmp_path / "lake", chosen, f"featurise.features=[{tmp_path / 'features.yaml'}]")
    put(ctx.tables, CUSTOMER, [{"customer_id": name} for name in ("anna", "ben", "cleo")])
    visits = {"anna": [("visits", 1.0)], "ben": [("visits", 2.0)], "cleo": None}
    rows = [{"customer_id": name, "as_of": AS_OF, "declared": values} for name, values in visits.items()]
    put(ctx.tables, FEATURE_CUSTOMER, rows)
    stage.run(ctx)
    actions = {row["customer_id"]: row["action"] for row in ctx.tables.read(NEXT_BEST_ACTION).collect()}
    assert actions == {"anna": "call", "ben": "none", "cleo": "none"}
    with pytest.raises(ConfigError, match="there is no declared feature visits; known: none are declared"):
        stage.run(lake_context(spark, tmp_path / "lake", chosen))
