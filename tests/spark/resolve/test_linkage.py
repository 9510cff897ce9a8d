"""Record linkage: household members stay separate, different spellings of one person are merged."""

import pytest

from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.resolve.evidence import PERSON_EVIDENCE, person_records
from crm_spark.stages.resolve.link import link, present_evidence
from crm_spark.stages.resolve.mailboxes import only_email, with_mailboxes

SCHEMA = (
    "system string, person_id string, given_name string, family_name string, email_match string, phone string, "
    "birth_on date, street string, postcode string, city string"
)
GIVEN = ("Anna", "Bruno", "Clara", "David", "Edith", "Felix", "Gerda", "Hugo", "Irene", "Jonas", "Klara", "Ludwig")
FAMILY = ("Berger", "Dorn", "Ehlers", "Fuchs", "Graf", "Huber", "Jung", "Kern", "Lang", "Moser", "Nagel", "Ott", "Pohl")


def background():
    """156 people, a fifth of them in a second system, as training data."""
    rows = []
    for i, (given, family) in enumerate((g, f) for g in GIVEN for f in FAMILY):
        home = (f"weg {i % 37} {i}", f"{10_000 + i * 7}")
        plain = (
            given,
            family,
            f"{given}.{family}@a.example".lower(),
            f"+4915{i:08d}",
            f"19{50 + i % 40}-03-{1 + i % 28:02d}",
        )
        rows.append(("crm", f"c{i}", *plain, *home))
        if i % 5 == 0:
            rows.append(("shop", f"s{i}", given, family, plain[2], None if i % 2 else plain[3], plain[4], *home))
        if i % 5 == 1:
            rows.append(("shop", f"s{i}", given, family, f"{i}@b.example", plain[3], plain[4], *home))
    return rows


HOUSEHOLD = [
    ("crm", "mother", "Paula", "Winter", "paula@a.example", "+493011", "1980-01-01", "allee 5", "20095"),
    ("crm", "father", "Oskar", "Winter", "oskar@a.example", "+493011", "1979-05-05", "allee 5", "20095"),
    ("shop", "mother", "Paula", "Winter", "paula@a.example", None, None, "allee 5", "20095"),
    ("shop", "initial", "O", "Winter", "oskar@a.example", "+493011", None, "allee 5", "20095"),
]
MAILBOXES = [
    ("desk", "d1", None, None, "paula@a.example", None, None, None, None),
    ("desk", "d2", None, None, "stranger@z.example", None, None, None, None),
    ("news", "d2", None, None, "stranger@z.example", None, None, None, None),
]
TORN = [
    ("crm", "one", "Rosa", "Sommer", "shared@a.example", "+493099", "1990-09-09", "gasse 1", "30001"),
    ("crm", "two", "Theo", "Vogel", "shared@a.example", "+493088", "1955-02-02", "platz 9", "90002"),
    ("desk", "torn", None, None, "shared@a.example", None, None, None, None),
]


@pytest.fixture(scope="module")
def cluster_of(spark):
    """record_key -> cluster."""
    from datetime import date

    made = [*background(), *HOUSEHOLD, *MAILBOXES, *TORN]
    rows = [(*row[:6], date.fromisoformat(row[6]) if row[6] else None, *row[7:], None) for row in made]
    records = person_records(spark.createDataFrame(rows, SCHEMA), PERSON_EVIDENCE, max_shared=50, nicknames={}).cache()
    bare = only_email(records, PERSON_EVIDENCE)
    telling = records.join(bare.select("record_key"), "record_key", "left_anti").cache()
    config, present = ResolveConfig(training_pairs=100_000), present_evidence(telling, PERSON_EVIDENCE)
    linked = link(spark, telling, present, config, num_records=telling.count(), seed=3)
    return {row["record_key"]: row["cluster"] for row in with_mailboxes(linked.clusters, telling, bare).collect()}


def test_household_members_are_not_merged(cluster_of):
    assert cluster_of["crm|mother"] != cluster_of["crm|father"]


def test_records_of_one_person_form_one_cluster(cluster_of):
    assert cluster_of["crm|mother"] == cluster_of["shop|mother"]
    assert cluster_of["crm|father"] == cluster_of["shop|initial"]
    again = [i for i in range(156) if i % 5 in (0, 1)]
    assert sum(cluster_of[f"crm|c{i}"] == cluster_of[f"shop|s{i}"] for i in again) / len(again) > 0.95


def test_email_only_record_joins_the_person_with_that_email(cluster_of):
    assert cluster_of["desk|d1"] == cluster_of["crm|mother"]


def test_equal_email_only_records_form_one_person(cluster_of):
    assert cluster_of["desk|d2"] == cluster_of["news|d2"] == "desk|d2"


def test_email_of_two_people_joins_neither(cluster_of):
    assert cluster_of["crm|one"] != cluster_of["crm|two"]
    assert cluster_of["desk|torn"] == "desk|torn"


def test_every_candidate_is_in_exactly_one_cluster(cluster_of):
    assert len(cluster_of) == len({*cluster_of}) == len(background()) + len(HOUSEHOLD) + len(MAILBOXES) + len(TORN)
