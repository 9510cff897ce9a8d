"""Linkage with few, no or only matching pairs: every record is in one cluster, whatever Splink can learn."""

from datetime import date

import pytest

from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.resolve.evidence import PERSON_EVIDENCE, person_records
from crm_spark.stages.resolve.link import link, present_evidence
from crm_spark.stages.resolve.mailboxes import only_email, with_mailboxes

SCHEMA = (
    "system string, person_id string, given_name string, family_name string, email_match string, phone string, "
    "birth_on date, street string, postcode string, city string"
)
NAMES = ("Ada", "Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hal")
ANNA = ("Anna", "Lee", "a@a.example", "+491", date(1980, 1, 1), "Main Street 1", "10115")


def person(number, *values):
    return ("crm", f"p{number}", *values, *[None] * (8 - len(values)))


def strangers(size):
    """People who share no value."""
    return [
        person(
            i,
            NAMES[i],
            f"Name{i}{NAMES[i]}",
            f"{NAMES[i]}@{i}.example",
            f"+49{i}{i}{i}",
            date(1950 + 5 * i, 1 + i, 3 * i + 1),
        )
        for i in range(size)
    ]


CASES: dict[str, tuple[list, int | None]] = {
    "one_record": ([person(0, *ANNA)], 1),
    "two_strangers": (strangers(2), 2),
    "eight_strangers": (strangers(8), 8),
    "two_records_of_one_person": ([person(i, *ANNA) for i in range(2)], 1),
    "only_records_of_one_person": ([person(i, *ANNA) for i in range(8)], 1),
    "one_phone": ([person(i, None, None, None, "+491") for i in range(3)], None),
    "phones_only": ([person(i, None, None, None, f"+49{i}") for i in range(4)], 4),
    "one_name_and_birth_date": ([person(i, "Anna", "Lee", None, None, date(1980, 1, 1)) for i in range(5)], 1),
    "one_name_and_postcode": ([person(i, "Anna", "Lee", None, None, None, None, "10115") for i in range(3)], None),
    "pairs_only": (
        [person(i, *[v if not isinstance(v, str) else f"{NAMES[i // 2]}{v}" for v in ANNA]) for i in range(8)],
        None,
    ),
    "names_and_emails": ([person(i, NAMES[i], f"X{NAMES[i]}", f"{i}@a.example") for i in range(8)], 8),
}
"""Records and number of customers; None: the data do not tell whether the records are of one customer."""
QUICK = ("eight_strangers", "only_records_of_one_person", "names_and_emails")
RUNS = [
    pytest.param(case, backend, marks=() if case in QUICK and backend == "duckdb" else pytest.mark.slow)
    for case in CASES
    for backend in ("duckdb", "spark")
]


@pytest.mark.parametrize(("case", "backend"), RUNS)
def test_every_record_is_in_one_cluster(spark, case, backend):
    people, num_customers = CASES[case]
    frame = spark.createDataFrame(people, SCHEMA)
    records = person_records(frame, PERSON_EVIDENCE, max_shared=50, nicknames={}).cache()
    bare = only_email(records, PERSON_EVIDENCE)
    linkable = records.join(bare.select("record_key"), "record_key", "left_anti").cache()
    present = present_evidence(linkable, PERSON_EVIDENCE)
    if not present:
        assert len(people) == 1  # the stage links a single record without Splink
        return
    config = ResolveConfig(backend=backend)
    linked = link(spark, linkable, present, config, num_records=len(people), seed=3)
    rows = with_mailboxes(linked.clusters, linkable, bare).collect()
    assert len(rows) == len({row["record_key"] for row in rows}) == len(people)
    if num_customers is not None:
        assert len({row["cluster"] for row in rows}) == num_customers
