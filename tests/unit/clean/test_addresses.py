"""Address standardisation for several countries."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_spark.core.errors import ConfigError
from crm_spark.stages.clean.addresses import load_addresses

ROOT = Path(__file__).resolve().parents[3]
ADDRESSES = load_addresses(str(ROOT / "conf/domains/addresses.yaml"))


@pytest.mark.parametrize(
    ("country", "raw", "street", "number"),
    [
        ("DE", "Hauptstraße 12", "hauptstr 12", "12"),
        ("DE", "HAUPTSTRASSE 12 A", "hauptstr 12a", "12a"),
        ("DE", "Hauptstr. 12-14", "hauptstr 12-14", "12-14"),
        ("DE", "Lange Straße 3", "lange str 3", "3"),
        ("DE", "Straße des 17. Juni 135", "str des 17 juni 135", "135"),
        ("DE", "Hauptstr. 12 Hinterhaus", "hauptstr 12 hinterhaus", "12"),
        ("DE", "Postfach", "postfach", None),
        ("GB", "221B Baker Street", "221b baker st", "221b"),
        ("GB", "12 Rose Lane", "12 rose ln", "12"),
        ("US", "12 Rose Lane", "12 rose ln", "12"),
        ("GB", "10 Downing St.", "10 downing st", "10"),
        ("GB", "Rose Cottage", "rose cottage", None),
        ("US", "1600 Pennsylvania Avenue North West, Apartment 4", "1600 pennsylvania ave n w apt 4", "1600"),
        ("FR", "12 rue de la Paix", "12 r de la paix", "12"),
        ("NL", "Kerkstraat 5", "kerkstr 5", "5"),
        ("ES", "Calle Mayor 7", "c mayor 7", "7"),
        ("JP", "Main Street 5", "main st 5", "5"),
        (None, "Main Street 5", "main st 5", "5"),
        ("DE", "   ", None, None),
        ("DE", None, None, None),
    ],
)
def test_streets_are_standardised(country, raw, street, number):
    assert ADDRESSES.street(raw, country) == (street, number)


@pytest.mark.parametrize(
    ("country", "raw", "postcode"),
    [
        ("DE", "01067", "01067"),
        ("DE", "1067", "01067"),
        ("DE", "1 0 6 7", "01067"),
        ("US", "2134", "02134"),
        ("US", "02134-1001", "021341001"),
        ("AT", "1010", "1010"),
        ("GB", "sw1a 1aa", "SW1A1AA"),
        ("GB", "1067", "1067"),
        ("DE", "106", "106"),
        ("DE", None, None),
        ("DE", " - ", None),
    ],
)
def test_postcodes_are_standardised(country, raw, postcode):
    assert ADDRESSES.postcode(raw, country) == postcode


@pytest.mark.parametrize(
    ("spelled", "default", "code"),
    [
        ("Germany", None, "DE"),
        ("deutschland", None, "DE"),
        ("U.S.A.", None, "US"),
        ("uk", None, "GB"),
        ("de", "GB", "DE"),
        ("EIRE", None, "IE"),
        ("Atlantis", "DE", "Atlantis"),
        (" ", "DE", "DE"),
        (None, None, None),
    ],
)
def test_countries_are_standardised(spelled, default, code):
    assert ADDRESSES.country(spelled, default) == code


@given(st.sampled_from(["DE", "GB", "US", "FR", None]), st.text(max_size=40))
def test_street_standardisation_is_idempotent(country, raw):
    street, number = ADDRESSES.street(raw, country)
    assert ADDRESSES.street(street, country) == (street, number)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Germany: {names: [germany]}", "unknown country 'Germany'"),
        ("DE: {names: [x]}\nAT: {names: [x]}", "'x' is assigned to both DE and AT"),
        ("DE: {number: middle}", "DE.*number"),
    ],
)
def test_invalid_country_pack_is_rejected(tmp_path, content, message):
    path = tmp_path / "addresses.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_addresses(str(path))
