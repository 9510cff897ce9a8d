"""Inference of country, time zone and currency from counts."""

from collections import Counter
from pathlib import Path

from crm_spark.onboarding.locale_hints import Hints, guesses, known_countries

COUNTRIES = known_countries(Path(__file__).resolve().parents[3] / "conf" / "domains")


def guessed(given=None, **counts):
    inferred = guesses(
        [Hints(Counter(counts.get("countries", {})), Counter(counts.get("currencies", {})))], given or {}, COUNTRIES
    )
    return {key: (guess.value, guess.why) for key, guess in inferred.items()}


def test_time_zone_and_currency_follow_from_the_country():
    assert guessed(countries={"DE": 8, "AT": 2}) == {
        "country": ("DE", "8 of 10 records"),
        "time_zone": ("Europe/Berlin", "default of DE"),
        "currency": ("EUR", "default of DE"),
    }


def test_currency_counts_take_precedence_and_given_values_are_not_inferred():
    inferred = guessed({"country": "CH"}, countries={"DE": 9}, currencies={"USD": 7, "EUR": 3})
    assert inferred == {"currency": ("USD", "7 of 10 records"), "time_zone": ("Europe/Zurich", "default of CH")}


def test_ambiguous_country_or_time_zone_is_not_inferred():
    assert guessed(countries={"DE": 5, "FR": 5}) == {}
    assert "time_zone" not in guessed(countries={"US": 5})


def test_country_names_and_codes_are_recognised():
    assert [COUNTRIES.spellings.get(word) for word in ("de", "deutschland", "great britain", "narnia")] == [
        "DE",
        "DE",
        "GB",
        None,
    ]
