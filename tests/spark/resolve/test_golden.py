"""Golden record: survivorship policies, addresses of one record, provenance, and the values that did not survive."""

import datetime as dt
import itertools

import pytest
from support.lake import frame

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.silver import PERSON
from crm_spark.core.config import validated
from crm_spark.core.errors import ConfigError
from crm_spark.sources.mappings import Attribute
from crm_spark.stages.resolve.golden import golden_record
from crm_spark.stages.resolve.golden_config import GoldenConfig
from crm_spark.stages.resolve.golden_fields import golden_fields

ATTRIBUTES = {
    "tier": Attribute.model_validate({"from": "tier"}),
    "height": Attribute.model_validate({"from": "height", "type": "number"}),
    "mail_ok": Attribute.model_validate({"from": "ok", "type": "flag"}),
}
BERLIN = {"street": "Amalienstr 1", "postcode": "10115", "city": "Berlin"}
BERLIN_TEXT = "Amalienstr 1, 10115 Berlin"
VIENNA = {"street": "Ring 2", "postcode": "1010", "city": "Wien", "country": "AT"}


def at(day):
    return dt.datetime(2025, 1, day)


def attribute(name, text=None, number=None, flag=None):
    return (name, text, number, None, flag)


def fields(**policies):
    return golden_fields(validated(GoldenConfig, {"fields": policies}, origin="conf"), ATTRIBUTES)


def golden(spark, customers, fields, *, keeps_order=False):
    """Golden records by customer; `customers`: customer -> records (system, person_id, day or None, columns).

    keeps_order: joins keep the order of the records, because Spark knows that the tables are small enough to broadcast.
    """
    everyone = [(c, *record) for c, records in customers.items() for record in records]
    people = [
        {"system": system, "person_id": person, "updated_at": at(day) if day else None, **columns}
        for _, system, person, day, columns in everyone
    ]
    members = [(system, person, customer) for customer, system, person, *_ in everyone]
    persons = frame(spark, PERSON, people)
    if keeps_order:
        persons.cache().count()
    made = golden_record(
        spark.createDataFrame(members, "system string, person_id string, customer_id string").coalesce(1),
        persons,
        spark.createDataFrame([], "system string, person_id string, first_seen_at timestamp, is_customer boolean"),
        fields=fields,
    )
    return {row["customer_id"]: row for row in CUSTOMER.conformed(made).collect()}


def emails(*records):
    """Records with e-mail addresses: (system, person_id, day, e-mail)."""
    return [(system, person, day, {"email": email}) for system, person, day, email in records]


def origin(row, field):
    """System, person_id and policy of a field."""
    return next(
        (tuple(p[k] for k in ("system", "person_id", "policy")) for p in row.provenance if p.field == field), None
    )


def others(row):
    return [tuple(value) for value in row.other_values or []]


def test_most_recent_is_the_default(spark):
    made = golden(
        spark,
        {
            "newest": emails(("crm", "1", 1, "old@x.de"), ("shop", "2", 9, "new@x.de"), ("web", "3", 10, None)),
            # Of the same age: the system that is last in alphabetical order. Without a date: oldest.
            "tie": emails(("shop", "4", 5, "shop@x.de"), ("crm", "5", 5, "crm@x.de"), ("web", "6", None, "web@x.de")),
            "single": [("crm", "7", 1, {"given_name": "Ada", "birth_on": dt.date(1990, 5, 1)})],
            "empty": [("crm", "8", 1, {})],
        },
        fields(),
    )
    assert {c: row.email for c, row in made.items()} == {
        "newest": "new@x.de",
        "tie": "shop@x.de",
        "single": None,
        "empty": None,
    }
    assert [tuple(p) for p in made["newest"].provenance] == [("email", "shop", "2", at(9), "most_recent")]
    assert others(made["newest"]) == [("email", "old@x.de", "crm")]
    assert others(made["tie"]) == [("email", "crm@x.de", "crm"), ("email", "web@x.de", "web")]
    single = made["single"]
    assert (single.given_name, single.birth_on, single.other_values) == ("Ada", dt.date(1990, 5, 1), None)
    assert [(p.field, p.person_id) for p in single.provenance] == [("given_name", "7"), ("birth_on", "7")]
    assert (made["empty"].provenance, made["empty"].attributes, made["empty"].num_values_left_out) == (None, None, 0)


def test_most_trusted(spark):
    made = golden(
        spark,
        {
            "listed": emails(("web", "1", 9, "web@x.de"), ("shop", "2", 5, "shop@x.de"), ("crm", "3", 1, "crm@x.de")),
            "newest_of_system": emails(
                ("crm", "4", 1, "old@x.de"), ("crm", "5", 2, "new@x.de"), ("shop", "6", 9, "s@x.de")
            ),
            "unknown_there": emails(("crm", "7", 9, None), ("shop", "8", 1, "shop@x.de"), ("web", "9", 5, "web@x.de")),
            "not_listed": emails(("web", "10", 1, "web@x.de"), ("app", "11", 5, "app@x.de")),
        },
        fields(email={"policy": "most_trusted", "systems": ["crm", "shop"]}),
    )
    assert {c: (row.email, origin(row, "email")) for c, row in made.items()} == {
        "listed": ("crm@x.de", ("crm", "3", "most_trusted")),
        "newest_of_system": ("new@x.de", ("crm", "5", "most_trusted")),
        "unknown_there": ("shop@x.de", ("shop", "8", "most_trusted")),
        "not_listed": ("app@x.de", ("app", "11", "most_recent")),
    }


def test_most_complete_and_most_frequent(spark):
    made = golden(
        spark,
        {
            "c": [
                ("crm", "1", 1, {"given_name": "Johann Peter", "phone": "+491", **BERLIN, "country": "DE"}),
                ("shop", "2", 2, {"given_name": "J", "phone": "+491", "street": "Ring 2", "postcode": "1010"}),
                ("web", "3", 3, {"given_name": "Hans", "phone": "+493"}),
            ],
            # Two values twice: the newest of them.
            "tie": [
                ("crm", str(10 + day), day, {"phone": phone})
                for day, phone in enumerate(("+1", "+2", "+2", "+1", "+3"), 1)
            ],
        },
        fields(given_name="most_complete", address="most_complete", phone="most_frequent"),
    )
    row = made["c"]
    assert (row.given_name, row.phone, row.city, row.street) == ("Johann Peter", "+491", "Berlin", "Amalienstr 1")
    # The provenance of a value of several records is the newest of them.
    assert origin(row, "phone") == ("shop", "2", "most_frequent")
    assert origin(row, "address") == ("crm", "1", "most_complete")
    assert others(row) == [
        ("given_name", "Hans", "web"),
        ("given_name", "J", "shop"),
        ("phone", "+493", "web"),
        ("address", "Ring 2, 1010", "shop"),
    ]
    assert (made["tie"].phone, origin(made["tie"], "phone")) == ("+1", ("crm", "14", "most_frequent"))


def test_verified(spark):
    def mail(system, person, day, email, *flags):
        return (
            system,
            person,
            day,
            {"email": email, "attributes": [attribute("mail_ok", flag=flag) for flag in flags] or None},
        )

    made = golden(
        spark,
        {
            "flag": [
                mail("crm", "1", 1, "ok@x.de", True),
                mail("shop", "2", 5, "b@x.de", False),
                mail("web", "3", 4, "b@x.de"),
            ],
            "systems": [mail("crm", "4", 1, "a@x.de"), mail("shop", "5", 2, "a@x.de"), mail("web", "6", 9, "new@x.de")],
            # Two records of one system confirm nothing.
            "one_system": [
                mail("crm", "7", 1, "a@x.de"),
                mail("crm", "8", 2, "a@x.de"),
                mail("web", "9", 9, "new@x.de"),
            ],
        },
        fields(email={"policy": "verified", "verified_by": "mail_ok"}),
    )
    assert {c: (row.email, origin(row, "email")) for c, row in made.items()} == {
        "flag": ("ok@x.de", ("crm", "1", "verified")),
        "systems": ("a@x.de", ("shop", "5", "verified")),
        "one_system": ("new@x.de", ("web", "9", "most_recent")),
    }


def test_address_parts_come_from_one_record(spark):
    made = golden(
        spark,
        {
            "moved": [("crm", "1", 1, {**BERLIN, "country": "DE"}), ("shop", "2", 5, VIENNA)],
            # A part of an address does not displace a postal address.
            "part": [("crm", "3", 1, BERLIN), ("shop", "4", 5, {"postcode": "1010"})],
            "country_filled": [("crm", "5", 5, BERLIN), ("shop", "6", 1, {"postcode": "10115", "country": "DE"})],
            "country_of_other_address": [("crm", "7", 5, BERLIN), ("shop", "8", 1, VIENNA)],
            "countries_differ": [
                ("crm", "9", 5, BERLIN),
                ("shop", "10", 1, {"city": "Berlin", "country": "DE"}),
                ("web", "11", 2, {"country": "AT"}),
            ],
            "country_only": [("crm", "12", 1, {"country": "DE"}), ("shop", "13", 2, {"country": "AT"})],
        },
        fields(),
    )
    assert {c: (row.street, row.postcode, row.city, row.country) for c, row in made.items()} == {
        "moved": ("Ring 2", "1010", "Wien", "AT"),
        "part": ("Amalienstr 1", "10115", "Berlin", None),
        "country_filled": ("Amalienstr 1", "10115", "Berlin", "DE"),
        "country_of_other_address": ("Amalienstr 1", "10115", "Berlin", None),
        "countries_differ": ("Amalienstr 1", "10115", "Berlin", None),
        "country_only": (None, None, None, "AT"),
    }
    assert others(made["moved"]) == [("address", f"{BERLIN_TEXT}, DE", "crm")]
    assert others(made["part"]) == [("address", "1010", "shop")]
    # Parts of the surviving address are no other values.
    assert others(made["country_filled"]) == []
    assert origin(made["country_filled"], "address") == ("crm", "5", "most_recent")
    assert origin(made["country_filled"], "country") == ("shop", "6", "filled")
    assert origin(made["country_of_other_address"], "country") is None


RECORDS = [
    ("crm", "1", 3, {"given_name": "Ann", "email": "a@x.de", "phone": "+1", **BERLIN}),
    ("crm", "2", 3, {"given_name": "Anna", "email": "b@x.de", "phone": "+2", **VIENNA}),
    ("shop", "1", 3, {"given_name": "Anne", "email": "b@x.de", "phone": "+3", "city": "Wien"}),
    ("web", "4", None, {"given_name": "Anja", "email": "a@x.de", "phone": "+4", "country": "DE"}),
]
"""Records of the same age, so that only system and person_id decide."""


def test_golden_record_does_not_depend_on_the_order_of_rows(spark):
    policies = fields(
        given_name="most_complete",
        email="most_frequent",
        phone={"policy": "most_trusted", "systems": ["crm"]},
        address="verified",
    )
    copies = {}
    for i, records in enumerate(itertools.permutations(RECORDS)):
        # Person ids keep their order within each copy.
        copies[f"c{i}"] = [(system, f"{person}-{i:02}", day, columns) for system, person, day, columns in records]
    made = golden(spark, copies, policies, keeps_order=True)
    seen = set()
    for row in made.values():
        origins = tuple((p.field, p.system, p.person_id.split("-")[0], p.policy) for p in row.provenance)
        seen.add((row.given_name, row.email, row.phone, row.street, row.country, origins, tuple(others(row))))
    assert len(copies) == 24 and len(seen) == 1
    ((given_name, email, phone, street, country, *_),) = seen
    assert (given_name, email, phone, street, country) == ("Anne", "b@x.de", "+2", "Ring 2", "AT")


def test_merge_keeps_all_values(spark):
    customers = {
        "all": [
            (
                system,
                person,
                day,
                {**columns, "attributes": [attribute("height", number=1.5 + day / 10), attribute("tier", tier)]},
            )
            for (system, person, _, columns), day, tier in zip(
                RECORDS, (1, 2, 3, 4), ("gold", "gold", "silver", "gold")
            )
        ],
        "many": [("crm", f"{day:02}", day, {"phone": f"+{day}"}) for day in range(1, 14)],
    }
    made = golden(spark, customers, fields())
    row = made["all"]
    assert [(a.name, a.text, a.number) for a in row.attributes] == [("height", None, 1.9), ("tier", "gold", None)]
    # With the golden record, every value of the four records.
    assert (row.given_name, row.email, row.phone, row.city) == ("Anja", "a@x.de", "+4", "Wien")
    assert sorted(others(row)) == [
        ("address", "Amalienstr 1, 10115 Berlin", "crm"),
        ("address", "DE", "web"),
        ("email", "b@x.de", "shop"),
        ("given_name", "Ann", "crm"),
        ("given_name", "Anna", "crm"),
        ("given_name", "Anne", "shop"),
        ("height", "1.6", "crm"),
        ("height", "1.7", "crm"),
        ("height", "1.8", "shop"),
        ("phone", "+1", "crm"),
        ("phone", "+2", "crm"),
        ("phone", "+3", "shop"),
        ("tier", "silver", "shop"),
    ]
    # 13 numbers: one survives, the ten newest others are listed, two are left out.
    many = made["many"]
    assert (many.phone, many.num_values_left_out) == ("+13", 2)
    assert [value.value for value in many.other_values] == [f"+{i}" for i in range(12, 2, -1)]


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        (
            {"emial": "verified"},
            "resolve.golden.fields.emial: unknown field; did you mean 'email'.*declare the attribute",
        ),
        ({"city": "most_recent"}, "survive together. Set the policy of `address`"),
        ({"joined_at": "most_recent"}, "fixed rule.*Remove the policy"),
        ({"email": {"policy": "verified", "verified_by": "tier"}}, "tier is not an attribute .*declared: mail_ok"),
        ({"email": "most_trusted"}, "list the trusted systems in `systems`"),
        ({"email": {"policy": "most_complete", "systems": ["crm"]}}, "has no effect with policy most_complete"),
        ({"email": {"policy": "verified", "systems": ["crm"]}}, "has no effect"),
        ({"email": {"policy": "most_trusted", "systems": ["crm", "crm"]}}, "name each system once"),
        ({"email": {"verified_by": "mail_ok"}}, "set policy: verified"),
        ({"email": "latest"}, "most_recent"),
    ],
)
def test_invalid_policies_are_refused(policies, message):
    with pytest.raises(ConfigError, match=message):
        fields(**policies)


def test_unknown_system_is_refused():
    cfg = validated(GoldenConfig, {"default": {"policy": "most_trusted", "systems": ["crm", "shpo"]}}, origin="conf")
    assert golden_fields(cfg, {}, {"crm", "shpo"})
    with pytest.raises(ConfigError, match="no source has the system shpo; expected some of crm, shop"):
        golden_fields(cfg, {}, {"crm", "shop"})


def test_attribute_with_the_name_of_a_column_has_a_field_of_its_own():
    made = golden_fields(GoldenConfig(), {"phone": ATTRIBUTES["tier"], "tier": ATTRIBUTES["tier"]})
    assert [(f.name, f.attribute) for f in made if f.attribute] == [("attribute_phone", "phone"), ("tier", "tier")]
