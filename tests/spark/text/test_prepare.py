"""What a model never sees: addresses, numbers, and the names of who writes."""

import pytest

from crm_spark.text.prepare import read_text, without_names


@pytest.mark.parametrize(
    ("text", "given", "family", "expected"),
    [
        ("Anna here, ANNA'S order; Annabel too", "Anna", "Berg", "[name] here, [name]'S order; Annabel too"),
        ("Regards, Maria López-Ruiz", "Ana María", "López Ruiz", "Regards, Maria [name]-[name]"),
        ("Élodie écrit: élodie", "Élodie", None, "[name] écrit: [name]"),
        ("Li Wu is here", "Li", "Wu", "Li Wu is here"),
        ("nothing known", None, None, "nothing known"),
        ("a.c (x)", "A.C", "(x", "a.c (x)"),
        ("MARK is here, and a remark", "Mark", None, "[name] is here, and a remark"),
        ("Grüße, MARK", "mark", None, "Grüße, [name]"),  # not ASCII: asked of the pattern alone
        ("signed ÖZGÜR and özgür", "Özgür", None, "signed [name] and [name]"),
        ("O'Neil came", "Pat", "O'Neil", "[name] came"),
    ],
)
def test_the_writers_names_are_taken_out_as_whole_words(spark, text, given, family, expected):
    frame = spark.createDataFrame([(text, given, family)], "text string, given string, family string")
    assert frame.select(without_names(frame.text, frame.given, frame.family)).first()[0] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail me@home.example please", "mail [email] please"),
        ("my card 4111 1111 1111 1111.", "my card [card]."),
        ("IBAN DE89 3704 0044 0532 0130 00 ok", "IBAN [iban] ok"),
        ("call +49 30 901820 today", "call [phone] today"),
        ("me@home.example or +49 30 901820", "[email] or [phone]"),
        ("size 38, order 12345, 2 for 19.99", "size 38, order 12345, 2 for 19.99"),
    ],
)
def test_addresses_and_numbers_are_taken_out_and_sizes_stay(spark, text, expected):
    frame = spark.createDataFrame([(None, text)], "title string, text string")
    assert frame.select(read_text(frame.title, frame.text)).first()[0] == expected
