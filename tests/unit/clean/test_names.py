"""Name standardisation."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_spark.core.errors import ConfigError
from crm_spark.stages.clean.names import load_names

ROOT = Path(__file__).resolve().parents[3]
NAMES = load_names(str(ROOT / "conf/domains/names.yaml"))


@pytest.mark.parametrize(
    ("given_cell", "family_cell", "title", "first", "last"),
    [
        ("ANNA", "BERG", None, "Anna", "Berg"),
        ("  anna   maria ", "berg", None, "Anna Maria", "Berg"),
        ("Dr. Anna", "Berg", "Dr", "Anna", "Berg"),
        ("Frau Prof. Dr. Anna", "Berg", "Prof Dr", "Anna", "Berg"),
        ("Anna", "Berg, PhD", "PhD", "Anna", "Berg"),
        ("Herr", "Berg", None, "Herr", "Berg"),
        ("jean-luc", "o'brien", None, "Jean-Luc", "O'Brien"),
        ("Jean‑Luc".replace("‑", "-"), "O’BRIEN", None, "Jean-Luc", "O'Brien"),
        ("ronald", "mcdonald", None, "Ronald", "McDonald"),
        ("Vincent", "VAN GOGH", None, "Vincent", "van Gogh"),
        ("Van", "Morrison", None, "Van", "Morrison"),
        ("Ludwig", "van", None, "Ludwig", "Van"),
        ("charles", "d'artagnan", None, "Charles", "D'Artagnan"),
        ("juan", "de la CRUZ", None, "Juan", "de la Cruz"),
        ("martin luther", "KING JR.", None, "Martin Luther", "King Jr."),
        ("henry", "ford ii", None, "Henry", "Ford II"),
        ("j.", "smith", None, "J.", "Smith"),
        ("zoe\u0308", "mu\u0308ller", None, "Zoë", "Müller"),
        ("an\u200bna", "\ufeffberg", None, "Anna", "Berg"),
        ("mary", "müller-LÜDENSCHEIDT", None, "Mary", "Müller-Lüdenscheidt"),
        ("john", "smith's", None, "John", "Smith's"),
        (None, "  ", None, None, None),
        ("李", "小龙", None, "李", "小龙"),
    ],
)
def test_names_are_standardised(given_cell, family_cell, title, first, last):
    assert NAMES.written(given_cell, family_cell) == (title, first, last)


@pytest.mark.parametrize(
    ("full", "first", "last"),
    [
        ("Anna Berg", "Anna", "Berg"),
        ("Berg, Anna", "Anna", "Berg"),
        ("van der Berg, Dr. Anna", "Dr. Anna", "van der Berg"),
        ("Anna Maria Berg", "Anna Maria", "Berg"),
        ("Frau Dr. Anna van der Berg", "Dr. Anna", "van der Berg"),
        ("Martin Luther King Jr.", "Martin Luther", "King Jr."),
        ("Anna Berg, PhD", "PhD Anna", "Berg"),
        ("Cher", "Cher", None),
        ("Herr Berg", None, "Berg"),
        ("Dr. Berg", "Dr.", "Berg"),
        ("Dr.", "Dr.", None),
        ("   ", None, None),
        (None, None, None),
    ],
)
def test_full_name_is_split(full, first, last):
    assert NAMES.split(full) == (first, last)


@pytest.mark.parametrize(
    ("full", "first", "last"),
    [
        ("Ana Ruiz Molina", "Ana", "Ruiz Molina"),
        ("Ana Ruiz", "Ana", "Ruiz"),
        ("Ana", "Ana", None),
        ("Dra. María José Ruiz Molina", "María José", "Ruiz Molina"),
        ("María del Carmen Ruiz Molina", "María del Carmen", "Ruiz Molina"),
        ("Ana de la Cruz Molina", "Ana", "de la Cruz Molina"),
        ("Ana Ruiz de la Cruz", "Ana", "Ruiz de la Cruz"),
        ("Ruiz Molina, Ana María", "Ana María", "Ruiz Molina"),
    ],
)
def test_two_family_names_by_country(full, first, last):
    given, family = NAMES.split(full, "ES")
    assert (given.removeprefix("Dra. "), family) == (first, last)


def test_double_name_may_end_with_a_particle():
    assert NAMES.split("Anna Fox-van der Meer") == ("Anna", "Fox-van der Meer")
    assert NAMES.written(None, "FOX-VAN DER MEER").family == "Fox-van der Meer"


@pytest.mark.parametrize(
    ("written", "city"),
    [
        ("MÜNCHEN", "München"),
        ("frankfurt am main", "Frankfurt am Main"),
        ("  new   york ", "New York"),
        ("stratford-upon-avon", "Stratford-Upon-Avon"),
        ("SANTIAGO DE COMPOSTELA", "Santiago de Compostela"),
        ("la paz", "La Paz"),
        (None, None),
    ],
)
def test_cities_are_capitalised(written, city):
    assert NAMES.place(written) == city


WORDS = st.text(st.characters(categories=["L", "M", "Zs", "Pd"], include_characters="'.,"), max_size=30)


@given(WORDS, WORDS)
def test_name_standardisation_is_idempotent(given_cell, family_cell):
    once = NAMES.written(given_cell, family_cell)
    assert NAMES.written(once.given, once.family, once.title) == once


@given(WORDS)
def test_name_standardisation_ignores_case_and_unicode_form(cell):
    decomposed = unicodedata.normalize("NFD", cell)
    assert NAMES.written(decomposed, None).given == NAMES.written(unicodedata.normalize("NFC", cell), None).given


def test_invalid_word_list_is_rejected(tmp_path):
    path = tmp_path / "names.yaml"
    path.write_text("particles: van\n")
    with pytest.raises(ConfigError, match=r"names\.yaml.*particles"):
        load_names(str(path))
