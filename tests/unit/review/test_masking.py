"""Masked values: equal parts are recognisable, a slip is shown, and values of different people stay hidden."""

import pytest

from crm_spark.review.masking import masked, masked_pair
from crm_spark.review.pairs import Person


def text(parts):
    return "".join(part.text for part in parts)


def marked(parts, mark):
    return [part.text for part in parts if part.mark == mark]


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("family_name", "Berg", "B•••"),
        ("given_name", "Anna Maria", "A••• M••••"),
        ("family_name", "O", "•"),
        ("phone", "+493012345123", "+49•••••••123"),
        ("phone", "110", "•••"),
        ("birth_on", "1980-04-12", "1980-••-••"),
        ("email", "anna.berg@gmx.de", "a•••.••••@g••.de"),
        ("postcode", "10115", "10•••"),
        ("street", "Lange Strasse 12", "L•••• S•••••• 1•"),
        ("country", "DE", "DE"),
        ("customer_card", "AB-1234", "A•-1•••"),
    ],
)
def test_a_value_alone(column, value, shown):
    assert masked(column, value) == shown


@pytest.mark.parametrize(
    ("column", "left", "right", "shown", "differing", "comparison"),
    [
        ("family_name", "Meier", "Meyer", ("M•i••", "M•y••"), (["i"], ["y"]), "similar"),
        ("birth_on", "1980-04-12", "1980-04-13", ("1980-••-•2", "1980-••-•3"), (["2"], ["3"]), "similar"),
        ("birth_on", "1980-04-12", "1980-04-21", ("1980-••-12", "1980-••-21"), (["12"], ["21"]), "similar"),
        ("phone", "+493012345123", "+493012345723", ("+49•••••••123", "+49•••••••723"), (["1"], ["7"]), "similar"),
        ("family_name", "Berg", "BERG", ("B•••", "B•••"), ([], []), "same"),
        ("given_name", "Anna", "Petra", ("A•••", "P••••"), ([], []), "differs"),
        ("city", "Bad Bonn", "Bonn", ("Bad B•••", "B•••"), (["Bad "], []), "similar"),
    ],
)
def test_two_values(column, left, right, shown, differing, comparison):
    found = masked_pair(column, left, right)
    assert (text(found.left), text(found.right)) == shown
    assert (marked(found.left, "differs"), marked(found.right, "differs")) == differing
    assert found.comparison == comparison


def test_different_values_show_a_common_part_without_its_letters():
    found = masked_pair("street", "Am Markt 3", "Neuer Markt 77")
    assert (text(found.left), text(found.right)) == ("A• M•••• 3", "N•••• M•••• 7•")
    assert marked(found.left, "same") == [" M•••• "] and found.comparison == "differs"


def test_no_more_than_four_differing_characters_are_shown():
    found = masked_pair("email", "annaberg@berlin-mail.de", "annaxyzuvberg@berlin-mail.de")
    assert text(found.right) == "a••••••••••••@b•••••-••••.de"


def test_a_missing_value():
    found = masked_pair("city", None, "Bonn")
    assert found.left == () and text(found.right) == "B•••" and found.comparison == "missing"


@pytest.mark.parametrize(
    ("person_id", "shown"),
    [("0042", "0042"), ("A-17", "A-17"), ("berg@gmx.de", "b•••@g••.d•"), ("annaberg", "a•••••••")],
)
def test_an_id_that_may_be_a_name_is_masked(person_id, shown):
    assert Person("crm", person_id, {}).shown_id == shown
