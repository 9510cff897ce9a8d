"""Declared features: of events, of attributes as they were known at each snapshot, and wrong declarations."""

from datetime import date, datetime, timedelta

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import APPOINTMENT, HISTORY, ORDER, PAYMENT, SUBSCRIPTION, USAGE
from crm_spark.core.errors import ConfigError
from crm_spark.features.columns import with_declared
from crm_spark.features.declarations import declared_features
from crm_spark.stages.featurise import stage

FEATURES = """
features:
  visits_recent: {title: visits, entity: usage, measure: count, where: {kind: visit}, window_days: 10}
  minutes: {title: minutes, entity: usage, measure: sum, column: quantity}
  days_since_visit: {title: last visit, entity: usage, measure: days_since_last, where: {kind: [visit, class]}}
  memberships: {title: memberships, entity: subscription, measure: num_active}
  days_since_start: {title: first membership, entity: subscription, measure: days_since_first}
  longest: {title: longest visit, entity: usage, measure: max, column: quantity}
  vouchers: {title: vouchers, entity: payment, measure: count, where: {method: voucher}}
  missed: {title: missed, entity: appointment, measure: count, where: {status: missed}}
"""
SOURCE = """
system: gym
files: {path: members.csv, format: csv}
feeds:
  person:
    columns: {person_id: no, updated_at: {from: changed, formats: [iso]}}
    attributes:
      goal: {from: goal, map: {a: fitness, b: weight}, role: feature}
      height: {from: height, type: number, role: feature}
      joined: {from: joined, type: date, role: feature, is_constant: true}
      trainer: {from: trainer, type: flag, role: feature}
      note: {from: note, type: text}
"""


def attribute(name, **value):
    members = {"text": None, "number": None, "date": None, "flag": None}
    return (name, *({**members, **value}[member] for member in members))


@pytest.fixture(scope="module")
def table(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("declared")
    (folder / "features.yaml").write_text(FEATURES)
    (folder / "sources").mkdir()
    (folder / "sources" / "members.yaml").write_text(SOURCE)
    overrides = (f"featurise.features=[{folder / 'features.yaml'}]", f"ingest.sources_dir={folder / 'sources'}")
    ctx = lake_context(spark, folder / "lake", "featurise.num_snapshots=2", "company.horizon_days=20", *overrides)
    put(ctx.tables, CUSTOMER, [{"customer_id": c, "joined_at": datetime(2024, 1, 1)} for c in ("a", "b")])
    links = {"1": "a", "2": "a", "3": "b"}
    put(ctx.tables, CUSTOMER_LINK, [{"system": "gym", "person_id": p, "customer_id": c} for p, c in links.items()])
    uses = [("1", "visit", 5, 30.0), ("2", "visit", 15, 20.0), ("2", "class", 30, 10.0), ("1", "visit", 40, 99.0)]
    rows = [
        {"usage_id": str(i), "person_id": p, "kind": kind, "happened_at": datetime(2025, 1, 1) + timedelta(days=day - 1), "quantity": n}
        for i, (p, kind, day, n) in enumerate(uses)
    ]  # fmt: skip
    put(ctx.tables, USAGE, [{"system": "gym", **row} for row in rows])
    subscriptions = [
        {
            "subscription_id": "x",
            "person_id": "1",
            "started_at": datetime(2024, 1, 1),
            "ended_at": datetime(2025, 1, 20),
        },
        {"subscription_id": "y", "person_id": "2", "started_at": datetime(2025, 1, 25), "status": "active"},
        {
            "subscription_id": "z",
            "person_id": "3",
            "started_at": datetime(2024, 1, 25),
            "updated_at": datetime(2025, 1, 12),
        },
    ]
    put(ctx.tables, SUBSCRIPTION, [{"system": "gym", "status": "ended", **row} for row in subscriptions])
    visits = [
        {"appointment_id": "1", "person_id": "3", "status": "missed", "starts_at": datetime(2025, 1, 3)},
        {"appointment_id": "2", "person_id": "3", "status": "booked", "starts_at": datetime(2025, 2, 3)},
    ]
    put(ctx.tables, APPOINTMENT, [{"system": "gym", **row} for row in visits])
    put(ctx.tables, ORDER, [{"system": "gym", "order_id": "o", "person_id": "3", "ordered_at": datetime(2025, 1, 2)}])
    paid = {"order_id": "o", "method": "voucher", "paid_at": datetime(2025, 1, 2)}  # by the person of the order
    put(ctx.tables, PAYMENT, [{"system": "gym", "payment_id": "p", **paid}])
    changed = datetime(2025, 1, 15)
    versions = [
        ("1", datetime(1900, 1, 1), changed, [attribute("goal", text="weight"), attribute("height", number=1.7)]),
        ("1", changed, None, [attribute("goal", text="fitness"), attribute("trainer", flag=True)]),
        ("2", datetime(2025, 1, 25), None, [attribute("joined", date=date(2025, 1, 1))]),
    ]
    history = [
        {
            "system": "gym",
            "person_id": p,
            "valid_from": at,
            "valid_to": to,
            "attributes": values,
            "is_current": to is None,
        }
        for p, at, to, values in versions
    ]
    put(ctx.tables, HISTORY["person"], history)
    stage.run(ctx)
    names = declared_features([str(folder / "features.yaml")], str(folder / "sources")).names
    rows = with_declared(ctx.tables.read(FEATURE_CUSTOMER), names).collect()
    return {(row["customer_id"], row["as_of"]): {name: row[name] for name in names} for row in rows}


def test_features_of_events_and_attributes(table):
    assert table["a", AS_OF] == {
        "visits_recent": 0.0,  # the class on the 30th does not count, the visits on the 5th and 15th are too old
        "minutes": 60.0,
        "days_since_visit": 1.0,
        "memberships": 1.0,  # one has ended
        "days_since_start": 396.0,  # it began first
        "longest": 30.0,
        "vouchers": 0.0,
        "missed": 0.0,
        "goal_is_fitness": 1.0,
        "goal_is_weight": 0.0,
        "height": None,  # the version of then does not know it
        "days_since_joined": 30.0,
        "trainer": 1.0,
    }
    assert table["b", AS_OF] == {
        **dict.fromkeys(table["b", AS_OF]), "visits_recent": 0.0, "minutes": 0.0, "memberships": 0.0, "missed": 1.0, "vouchers": 1.0,
        "days_since_start": 372.0,
    }  # fmt: skip


def test_an_earlier_snapshot_knows_nothing_later(table):
    earlier = table["a", date(2025, 1, 11)]
    known = {"visits_recent": 1.0, "minutes": 30.0, "days_since_visit": 6.0, "memberships": 1.0, "longest": 30.0, "missed": 0.0,
             "days_since_start": 376.0,
             "vouchers": 0.0, "goal_is_fitness": 0.0, "goal_is_weight": 1.0, "height": 1.7, "days_since_joined": 10.0}  # fmt: skip
    assert earlier == {**dict.fromkeys(earlier), **known}
    # The source says that this contract has ended, but not when; its last change came after the snapshot.
    assert table["b", date(2025, 1, 11)]["memberships"] == 1.0


@pytest.mark.parametrize(
    ("feature", "message"),
    [
        ("{title: x, entity: product, measure: count}", "entity product: expected one of"),
        ("{title: x, entity: usage, measure: sum}", "measure sum: set column"),
        ("{title: x, entity: usage, measure: count, column: kind}", "measure count: remove column"),
        ("{title: x, entity: usage, measure: sum, column: kind}", "sum of usage takes one of quantity, value, amount"),
        ("{title: x, entity: deal, measure: sum, column: value}", "measure sum: deal has no column for it"),
        (
            "{title: x, entity: order, measure: count, where: {status: returned}}",
            "order can be restricted by channel, location_id",
        ),
        ("{title: x, entity: subscription, measure: max, column: price}", "change after the event"),
        ("{title: x, entity: order, measure: num_active}", "expected entity subscription"),
        ("{title: x, entity: usage, measure: count, where: {colour: red}}", "where.colour"),
        ("{title: x, entity: subscription, measure: count, where: {status: active}}", "where.status"),
        ("{title: x, entity: usage, measure: count, reason: few}", "reason_when"),
        ("{title: x, entity: usage, measure: count, reason: few, reason_when: often}", "reason_when"),
    ],
)
def test_wrong_declarations(tmp_path, feature, message):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "members.yaml").write_text(SOURCE)
    path = tmp_path / "features.yaml"
    path.write_text(f"features: {{visits: {feature}}}")
    with pytest.raises(ConfigError, match=message):
        declared_features([str(path)], str(tmp_path / "sources"))


@pytest.mark.parametrize(
    ("entity", "declared", "message"),
    [
        (
            "person",
            "{grade: {from: g, role: feature, is_constant: true, values: [A+, A-]}}",
            "would be the feature grade_is_a_",
        ),
        ("person", "{grade: {from: g, role: feature, values: [A]}}", "map updated_at"),
        ("product", "{grade: {from: g, role: feature, is_constant: true, values: [A]}}", "only attributes of a person"),
    ],
)
def test_wrong_attributes(tmp_path, entity, declared, message):
    (tmp_path / "sources").mkdir()
    feeds = f"{{{entity}: {{columns: {{{entity}_id: no}}, attributes: {declared}}}}}"
    (tmp_path / "sources" / "a.yaml").write_text(f"files: {{path: a.csv, format: csv}}\nfeeds: {feeds}\n")
    with pytest.raises(ConfigError, match=message):
        declared_features([], str(tmp_path / "sources"))


def test_a_category_has_the_values_of_all_sources(tmp_path):
    (tmp_path / "sources").mkdir()
    for name, words in {"a": "{G: gold}", "b": "{S: silver}"}.items():
        attributes = f"{{tier: {{from: t, role: feature, is_constant: true, map: {words}}}}}"
        feeds = f"{{person: {{columns: {{person_id: no}}, attributes: {attributes}}}}}"
        (tmp_path / "sources" / f"{name}.yaml").write_text(
            f"files: {{path: {name}.csv, format: csv}}\nfeeds: {feeds}\n"
        )
    assert declared_features([], str(tmp_path / "sources")).names == ("tier_is_gold", "tier_is_silver")


@pytest.mark.parametrize("name", ["num_orders", "height", "as_of", "revenue"])
def test_names_are_unique(tmp_path, name):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "members.yaml").write_text(SOURCE)
    path = tmp_path / "features.yaml"
    path.write_text(f"features: {{{name}: {{title: x, entity: usage, measure: count}}}}")
    with pytest.raises(ConfigError, match=f"another feature or column called {name}"):
        declared_features([str(path)], str(tmp_path / "sources"))
