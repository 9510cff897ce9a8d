"""What spreadsheets, exports and web pages add to cells."""

from decimal import Decimal


def test_one_person_has_one_id_in_every_file(notes):
    expected = {
        "17850": ("17850", None), "17850.0": ("17850", "repaired_cell"), "1.2345678E7": ("12345678", "repaired_cell"),
        "4.0E8": ("400000000", "repaired_cell"), "1e+16": ("10000000000000000", "rounded_number"),
        '="00123"': ("00123", "repaired_cell"), "'00123": ("00123", "repaired_cell"), "'A12'": ("A12", "repaired_cell"),
        "A\u00a012": ("A 12", "repaired_cell"), "\ufeff17850": ("17850", "repaired_cell"), "17850\r": ("17850", "repaired_cell"),
        "17\u200b850": ("17850", "repaired_cell"), "17850\t": ("17850", "repaired_cell"), " 17850 ": ("17850", None),
        "1.23457E+12": ("1234570000000", "rounded_number"), "1.20E+02": ("120", "repaired_cell"), "2E10": ("2E10", None),
        "1.5E0": ("1.5E0", None), "V1.0": ("V1.0", None), "1.05": ("1.05", None), "00123": ("00123", None), "\u200b": (None, None),
    }  # fmt: skip
    assert notes("person", "person_id", "c", list(expected)) == expected


def test_words_keep_what_belongs_to_them(notes):
    expected = {
        "'t Hooft": ("'t Hooft", None), "O'Brien": ("O'Brien", None), "Anna\u00a0Maria": ("Anna Maria", "repaired_cell"),
        "Anna\r\nMaria": ("Anna Maria", "repaired_cell"), "12.0": ("12.0", None), "Ann\u00ada": ("Anna", "repaired_cell"),
        "علی\u200cرضا": ("علی\u200cرضا", None),
    }  # fmt: skip
    assert notes("person", "given_name", "c", list(expected)) == expected


def test_numbers_and_dates_of_spreadsheets_are_read(notes):
    assert notes("product", "list_price", "c", ['="12.50"', "'12.50", "12.50\u00a0", "\u200e12.50"]) == dict.fromkeys(
        ['="12.50"', "'12.50", "12.50\u00a0", "\u200e12.50"], (Decimal("12.5"), "repaired_cell")
    )


def test_rounded_phone_number_is_not_written_out(notes):
    assert notes("person", "phone", "c", ["4.91712E+11", "1712345678.0", "4.91712345678E11"]) == {
        "4.91712E+11": ("4.91712E+11", "rounded_number"), "1712345678.0": ("1712345678", "repaired_cell"),
        "4.91712345678E11": ("491712345678", "repaired_cell"),
    }  # fmt: skip


def test_words_that_are_names_and_null_markers(convert):
    names = [
        ("Jennifer", "Null"), ("JENNIFER", "NULL"), ("Jennifer", "NULL"), ("jennifer", "null"), ("Jennifer", "null"), ("Null", "Null"),
        (None, "Null"), ("Na", "Li"), ("None", "Berg"), ("nan", "Berg"), ("Ng", "O"), ("Test", "True"), ("n/a", "Na"), ("Anna", "N/A"),
    ]  # fmt: skip
    rows = convert("person", {"given_name": "g", "family_name": "f"}, [{"g": g, "f": f} for g, f in names])
    assert [(row["given_name"][0], row["family_name"][0]) for row in rows] == [
        ("Jennifer", "Null"), ("JENNIFER", "NULL"), ("Jennifer", None), ("jennifer", "null"), ("Jennifer", None), (None, None),
        (None, None), ("Na", "Li"), ("None", "Berg"), (None, "Berg"), ("Ng", "O"), ("Test", "True"), (None, None), ("Anna", None),
    ]  # fmt: skip
    noted = [(row["given_name"][2], row["family_name"][2]) for row in rows]
    assert noted[0] == (None, "possible_placeholder")
    assert noted[7] == ("possible_placeholder", None)
    assert noted[10] == (None, None)


def test_town_called_none_is_kept_beside_an_address(convert):
    rows = [("None", "Via Roma 1"), ("None", None), ("none", "Via Roma 1"), ("Na", "Sjøgata 2")]
    found = convert("person", {"city": "c", "street": "s"}, [{"c": c, "s": s} for c, s in rows])
    assert [row["city"][0] for row in found] == ["None", None, None, "Na"]


def test_full_name_is_split_by_country(convert):
    columns = {"given_name": "{from: n, part: given}", "family_name": "{from: n, part: family}", "country": "k"}
    rows = [
        ("Ana Ruiz Molina", "Spain"),
        ("Ana Ruiz Molina", None),
        ("Anna Fox-van der Meer", "NL"),
        ("Jennifer Null", None),
    ]
    found = convert("person", columns, [{"n": n, "k": k} for n, k in rows], "country: DE")
    assert [(row["given_name"][0], row["family_name"][0]) for row in found] == [
        ("Ana Ruiz", "Molina"), ("Ana Ruiz", "Molina"), ("Anna", "Fox-van der Meer"), ("Jennifer", "Null"),
    ]  # fmt: skip
