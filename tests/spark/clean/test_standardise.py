"""Standardisation of people and texts in Spark; the rules themselves are covered by unit tests."""

from pathlib import Path

import pytest

from crm_spark.core.errors import ConfigError
from crm_spark.stages.clean.config import CleanConfig
from crm_spark.stages.clean.standardise import load_standards, person, texts

ROOT = Path(__file__).resolve().parents[3]
CONFIG = CleanConfig(
    **{key: str(ROOT / f"conf/domains/{key}.yaml") for key in ("names", "addresses", "mail_providers")}
)
STANDARDS = load_standards(CONFIG)


def test_persons_are_standardised(spark):
    columns = ("id", "given_name", "family_name", "email", "phone", "street", "postcode", "city", "country")
    frame = spark.createDataFrame(
        [
            ("1", "FRAU DR. ANNA", "VAN DEN BERG", " Anna.Berg+shop@GMAIL.com ", "030 1234567", "Hauptstraße 12 A", "1067", "BERLIN", None),
            ("2", "anna", "o’brien", "anna@example", "+44 20 7946 0018", "10 Downing Street", "sw1a 2aa", "london", "England"),
            ("3", None, None, None, "call me", None, None, None, "Atlantis"),
        ],
        ", ".join(f"{name} string" for name in columns),
    )  # fmt: skip
    made = {row["id"]: row.asDict() for row in person(frame, STANDARDS, default_country="DE").collect()}
    assert made["1"] == {
        "id": "1",
        "title": "Dr",
        "given_name": "Anna",
        "family_name": "van den Berg",
        "email": "anna.berg+shop@gmail.com",
        "email_match": "annaberg@gmail.com",
        "phone": "+49301234567",
        "street": "hauptstr 12a",
        "house_number": "12a",
        "postcode": "01067",
        "city": "Berlin",
        "country": "DE",
        "_unreadable": "",
    }
    assert made["2"] == {
        "id": "2",
        "title": None,
        "given_name": "Anna",
        "family_name": "O'Brien",
        "email": None,
        "email_match": None,
        "phone": "+442079460018",
        "street": "10 downing st",
        "house_number": "10",
        "postcode": "SW1A2AA",
        "city": "London",
        "country": "GB",
        "_unreadable": "email",
    }
    assert {name for name, value in made["3"].items() if value is not None} == {"id", "country", "_unreadable"}
    assert (made["3"]["country"], made["3"]["_unreadable"]) == ("Atlantis", "phone")


def test_missing_columns_are_not_added(spark):
    frame = spark.createDataFrame([("1", "anna")], "id string, given_name string")
    made = person(frame, STANDARDS, default_country=None)
    assert made.columns == ["id", "given_name", "title", "country", "_unreadable"]


def test_plain_text_is_added_to_the_original(spark):
    written = "<p>Die Gr\u00c3\u00b6\u00c3\u0178e passt &amp; die Farbe gef\u00e4llt mir.</p>"
    frame = spark.createDataFrame(
        [("1", "Sch\u00f6n", written), ("2", None, None), ("3", None, " ")], "id string, title string, text string"
    )
    first, *others = sorted(texts(frame, STANDARDS).collect())
    assert (first["title"], first["text"]) == ("Schön", written)
    assert (first["plain_title"], first["plain_text"]) == ("Schön", "Die Größe passt & die Farbe gefällt mir.")
    assert first["language"] == "de"
    assert [(row["plain_text"], row["language"]) for row in others] == [(None, None), (None, None)]


def test_language_of_the_source_takes_precedence(spark):
    frame = spark.createDataFrame(
        [("EN", "Das ist ein deutscher Satz."), (None, "Das ist ein deutscher Satz.")], "language string, text string"
    )
    assert sorted(row["language"] for row in texts(frame, STANDARDS).collect()) == ["de", "en"]


def test_unsupported_language_is_rejected():
    with pytest.raises(ConfigError, match=r"clean\.languages: unknown language qq"):
        load_standards(CleanConfig(languages=["en", "qq"]))


def test_version_changes_with_the_word_lists(tmp_path):
    path = tmp_path / "names.yaml"
    path.write_text("particles: [van]\n")
    one = load_standards(CleanConfig(names=str(path))).version
    path.write_text("particles: [van, von]\n")
    assert load_standards(CleanConfig(names=str(path))).version != one
    assert load_standards(CleanConfig(languages=["en"])).version != load_standards(CleanConfig()).version
