"""What nobody gave is guessed from what was counted, and only where most of it agrees."""

from collections import Counter
from pathlib import Path

from crm_spark.onboarding.locale_hints import Hints, guesses, known_countries

COUNTRIES = known_countries(Path(__file__).resolve().parents[3] / "conf" / "domains")


def guessed(given=None, **counts):
    found = guesses(
        [Hints(Counter(counts.get("countries", {})), Counter(counts.get("currencies", {})))], given or {}, COUNTRIES
    )
    return {key: (guess.value, guess.why) for key, guess in found.items()}


def test_a_country_tells_its_zone_and_its_money():
    assert guessed(countries={"DE": 8, "AT": 2}) == {
        "country": ("DE", "8 of 10 records say so"),
        "time_zone": ("Europe/Berlin", "that of DE"),
        "currency": ("EUR", "that of DE"),
    }


def test_what_amounts_say_counts_more_and_what_is_given_is_not_guessed():
    found = guessed({"country": "CH"}, countries={"DE": 9}, currencies={"USD": 7, "EUR": 3})
    assert found == {"currency": ("USD", "7 of 10 records say so"), "time_zone": ("Europe/Zurich", "that of CH")}


def test_where_people_live_in_many_countries_or_zones_nothing_is_supposed():
    assert guessed(countries={"DE": 5, "FR": 5}) == {}
    assert "time_zone" not in guessed(countries={"US": 5})


def test_countries_are_known_by_their_names():
    assert [COUNTRIES.spellings.get(word) for word in ("de", "deutschland", "great britain", "narnia")] == [
        "DE",
        "DE",
        "GB",
        None,
    ]
