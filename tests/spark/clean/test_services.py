"""Entities of businesses that sell contracts and visits, attributes of people, and prospects."""

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pytest
from support.lake import ROOT, cleaned_company

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.ops import FINDING, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import (
    APPOINTMENT,
    DEAL,
    HISTORY,
    LOCATION,
    PERSON,
    RELATION,
    SUBSCRIPTION,
    USAGE,
)
from crm_spark.core.errors import ConfigError
from crm_spark.settings import load_settings
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest
from crm_spark.stages.resolve import stage as resolve

MEMBERS = """
system: gym
files: {path: 'members*.csv', format: csv, may_lack: [trainer]}
feeds:
  person:
    columns: {person_id: no, given_name: first, family_name: last, email: mail, updated_at: {from: changed, formats: [iso]}}
    attributes:
      goal: {from: goal, map: {fit: fitness, lose: weight}, role: feature}
      height: {from: height, type: number, scale: 0.01}
      trainer: {from: trainer, type: flag}
      induction: {from: induction, type: date, formats: [dd.MM.yyyy]}
      illness: {from: illness, type: text, sensitivity: special}
"""
SOURCES = {
    "members": MEMBERS,
    "app": "system: gym\nfiles: {path: app.csv, format: csv}\nrank: 1\nfeeds: {person: {columns: {person_id: no, "
    "updated_at: {from: changed, formats: [iso]}}, attributes: {trainer: {from: trainer, type: flag}}}}\n",
    "contracts": """
system: gym
files: {path: contracts.csv, format: csv}
feeds:
  subscription:
    columns:
      subscription_id: id
      person_id: member
      plan: plan
      status: {from: state, map: {run: active, over: ended}}
      started_at: {from: start, formats: [yyyy-MM-dd]}
      ended_at: {from: end, formats: [yyyy-MM-dd]}
      price: fee
      billing_period: {from: every, map: {m: month, y: year}}
""",
    "visits": """
system: gym
files: {path: visits.csv, format: csv}
feeds:
  usage: {columns: {usage_id: {hash_of: all}, person_id: member, happened_at: {from: at, formats: [iso]}, kind: {value: visit}}}
""",
    "courses": """
system: gym
files: {path: courses.csv, format: csv}
feeds:
  appointment:
    columns:
      appointment_id: id
      person_id: member
      kind: {value: enrolment}
      status: {from: came, map: {yes: attended, no: missed, '': booked}, otherwise: booked}
      starts_at: {from: at, formats: [iso]}
      location_id: studio
      price: price
""",
    "studios": "system: gym\nfiles: {path: studios.csv, format: csv}\n"
    "feeds: {location: {columns: {location_id: id, name: name, city: city}}}\n",
    "leads": """
system: gym
files: {path: leads.csv, format: csv}
feeds:
  person: {columns: {person_id: mail, email: mail}}
  deal:
    columns: {deal_id: id, person_id: mail, status: {value: open}, stage: stage, opened_at: {from: at, formats: [iso]}, value: worth}
""",
    "families": "system: gym\nfiles: {path: families.csv, format: csv}\nfeeds: {relation: {columns: "
    "{relation_id: {hash_of: all}, person_id: member, kind: {value: household}, other_id: family}}}\n",
}  # fmt: skip
FILES = {
    "members_1.csv": "no,first,last,mail,changed,goal,height,trainer,induction,illness\n"
    "1,Anna,Alm,anna@ex.org,2025-01-01T00:00:00,fit,168,yes,03.01.2025,\n"
    "2,Bert,Bohm,bert@ex.org,2025-01-01T00:00:00,chess,tall,no,,asthma\n"
    "3,Cleo,Cole,cleo@ex.org,2025-01-01T00:00:00,,,,,\n",
    "app.csv": "no,changed,trainer\n1,2025-01-05T00:00:00,no\n3,2024-12-01T00:00:00,maybe\n",
    "contracts.csv": "id,member,plan,state,start,end,fee,every\n"
    "7,1,Gold,run,2024-01-01,,30,m\n8,2,Silver,over,2023-01-01,2024-12-31,200,y\n9,3,Gold,over,2024-05-01,2024-04-01,30,m\n",
    "visits.csv": "member,at\n1,2025-01-04T18:00:00\n1,2025-01-09T18:00:00\n2,2026-01-01T00:00:00\n",
    "courses.csv": "id,member,came,at,studio,price\n1,1,yes,2025-01-04T18:00:00,s1,12.50\n2,1,,2025-03-04T18:00:00,s2,12.50\n",
    "studios.csv": "id,name,city\ns1,North,Graz\n",
    "leads.csv": "id,mail,stage,at,worth\n1,dora@ex.org,trial,2025-01-04T18:00:00,360\n2,anna@ex.org,trial,2023-12-01T18:00:00,\n",
    "families.csv": "member,family\n1,F1\n2,F1\n",
}  # fmt: skip


def rows(ctx, contract, *columns, where="true"):
    return sorted(
        (tuple(map(_plain, row)) for row in ctx.tables.read(contract).where(where).select(*columns).collect()), key=str
    )


def _plain(value):
    if isinstance(value, list) and value and not isinstance(value[0], str):
        return [(v["name"], next((x for x in v[1:] if x is not None), None)) for v in value]
    return float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, dt.datetime) else value


@pytest.fixture(scope="module")
def gym(spark, tmp_path_factory):
    policy = "resolve.golden.fields.email=most_frequent"
    return cleaned_company(spark, tmp_path_factory.mktemp("gym"), SOURCES, FILES, policy)


def test_gym(gym):
    ctx = gym
    assert rows(ctx, SUBSCRIPTION, "subscription_id", "status", "ended_at", "amount", "billing_period") == [
        ("7", "active", None, 30.0, "month"),
        ("8", "ended", "2024-12-31 00:00:00", 200.0, "year"),
    ]
    assert rows(ctx, USAGE, "person_id", "kind", "happened_at") == [
        ("1", "visit", "2025-01-04 18:00:00"),
        ("1", "visit", "2025-01-09 18:00:00"),
    ]
    assert rows(ctx, APPOINTMENT, "appointment_id", "status", "amount", "notes") == [
        ("1", "attended", 12.5, None),
        ("2", "booked", 12.5, ["unknown_location:location_id"]),
    ]
    assert rows(ctx, LOCATION, "location_id", "city") == [("s1", "Graz")]
    assert rows(ctx, DEAL, "deal_id", "stage", "amount", "currency") == [
        ("1", "trial", 360.0, "EUR"),
        ("2", "trial", None, None),
    ]
    assert rows(ctx, RELATION, "person_id", "kind", "other_id") == [("1", "household", "F1"), ("2", "household", "F1")]
    quarantined = {
        (r["entity"], *r["reasons"]) for r in ctx.tables.read(QUARANTINE).where("status = 'quarantined'").collect()
    }
    assert quarantined == {("subscription", "ended_before_start"), ("usage", "future_date")}
    # An appointment in the future does not make the source fresh.
    assert rows(ctx, RECONCILIATION, "last_event_at", where="entity = 'appointment'") == [("2025-01-04 18:00:00",)]


def test_attributes_are_typed_and_merged(gym):
    ctx = gym
    assert rows(ctx, PERSON, "person_id", "attributes", where="source <> 'leads'") == [
        ("1", [("goal", "fitness"), ("height", 1.68), ("induction", dt.date(2025, 1, 3)), ("trainer", False)]),
        ("2", [("illness", "asthma"), ("trainer", False)]),
        ("3", None),
    ]
    found = rows(ctx, FINDING, "code", "column", "severity", where="entity = 'person' AND column LIKE 'attribute%'")
    assert found == [
        ("bad_boolean", "attribute_trainer", "nulled"),
        ("bad_number", "attribute_height", "nulled"),
        ("unknown_value", "attribute_goal", "nulled"),
    ]
    versions = rows(ctx, HISTORY["person"], "source", "attributes", where="person_id = '1'")
    assert versions == [
        ("app", [("trainer", False)]),
        (
            "members",
            [("goal", "fitness"), ("height", 1.68), ("induction", dt.date(2025, 1, 3)), ("trainer", True)],
        ),
    ]
    resolve.run(ctx)
    golden = rows(ctx, CUSTOMER, "given_name", "is_prospect", "attributes", where="email LIKE '%ex.org'")
    assert golden == [
        (
            "Anna",
            False,
            [("goal", "fitness"), ("height", 1.68), ("induction", dt.date(2025, 1, 3)), ("trainer", False)],
        ),
        ("Bert", False, [("illness", "asthma"), ("trainer", False)]),
        ("Cleo", False, None),
        (None, True, None),
    ]
    anna = ctx.tables.read(CUSTOMER).where("given_name = 'Anna'").select("provenance", "other_values").collect()[0]
    assert {(entry.field, entry.person_id, entry.policy) for entry in anna.provenance} >= {
        ("email", "1", "most_frequent"),
        ("trainer", "1", "most_recent"),
    }
    settings = load_settings(
        ROOT / "conf" / "local.yaml",
        [f"ingest.sources_dir={ctx.settings.ingest.sources_dir}", "resolve.golden.fields.goals=verified"],
    )
    with pytest.raises(ConfigError, match="unknown field; did you mean 'goal'"):
        resolve.run(replace(ctx, settings=settings))


def test_later_delivery_keeps_the_attributes_that_it_does_not_know(company, tmp_path):
    ctx = company(
        {"members": MEMBERS, "app": SOURCES["app"]}, {"app.csv": "no,changed,trainer\n1,2025-01-05T00:00:00,yes\n"}
    )
    assert rows(ctx, PERSON, "attributes") == [([("trainer", True)],)]
    for day, goal in ((6, "fit"), (4, "lose")):  # newer than the app's record, then older
        (tmp_path / "data" / f"members_{day}.csv").write_text(
            "no,first,last,mail,changed,goal,height,induction,illness\n"
            f"1,Anna,Alm,anna@ex.org,2025-01-0{day}T00:00:00,{goal},,,\n"
        )
        ingest.run(ctx)
        clean.run(ctx)
        assert rows(ctx, PERSON, "given_name", "attributes") == [("Anna", [("goal", "fitness"), ("trainer", True)])]


def test_records_without_attributes_keep_their_digest(company, tmp_path):
    """A column added to a contract must not make every record of an older lake look changed."""
    without = MEMBERS.split("    attributes:")[0]
    ctx = company({"members": without}, {"members_1.csv": FILES["members_1.csv"]})
    digests = dict(rows(ctx, PERSON, "person_id", "record_hash"))
    ctx = company({"members": MEMBERS}, {"members_2.csv": FILES["members_1.csv"].replace("Bert", "Bertram")})
    now = dict(rows(ctx, PERSON, "person_id", "record_hash"))
    assert digests["3"] == now["3"]
    assert digests["1"] != now["1"]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ("{tier: {from: a, role: feature, sensitivity: special}}", "a special attribute must not be a feature"),
        ("{tier: {from: a, role: feature, type: text}}", "text is not a feature"),
        ("{Tier: {from: a}}", "Tier"),
        ("{trainer: {from: a, type: number}}", "Declare the attribute alike"),
    ],
)
def test_invalid_declarations(company, attributes, message):
    feeds = f"{{person: {{columns: {{person_id: no}}, attributes: {attributes}}}}}"
    source = f"system: gym\nfiles: {{path: x.csv, format: csv}}\nfeeds: {feeds}\n"
    with pytest.raises(ConfigError, match=message):
        company({"app": SOURCES["app"], "x": source}, {})
