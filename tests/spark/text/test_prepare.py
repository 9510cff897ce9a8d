"""Redaction of model input texts."""

import pytest
from support.lake import lake_context, put

from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.text.prepare import all_texts, input_text, without_names


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
        ("Grüße, MARK", "mark", None, "Grüße, [name]"),  # non-ASCII names are matched by the pattern
        ("signed ÖZGÜR and özgür", "Özgür", None, "signed [name] and [name]"),
        ("O'Neil came", "Pat", "O'Neil", "[name] came"),
    ],
)
def test_names_of_the_writer_are_redacted_as_whole_words(spark, text, given, family, expected):
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
def test_addresses_and_numbers_are_redacted_but_sizes_kept(spark, text, expected):
    frame = spark.createDataFrame([(None, text)], "title string, text string")
    assert frame.select(input_text(frame.title, frame.text)).first()[0] == expected


def test_all_texts_are_returned_and_empty_ones_left_out(spark, tmp_path):
    tables = lake_context(spark, tmp_path / "lake").tables
    rated = {"system": "shop", "label": "recommends"}
    put(
        tables,
        FEEDBACK,
        [
            {**rated, "feedback_id": "1", "person_id": "p1", "plain_title": "Nice", "plain_text": "Anna likes it"},
            {**rated, "feedback_id": "2", "person_id": "p2", "plain_title": "Title alone"},
            {**rated, "feedback_id": "3", "plain_text": "by nobody"},
            {**rated, "feedback_id": "4", "plain_title": " ", "plain_text": ""},
            {**rated, "feedback_id": "5"},
        ],
    )
    put(
        tables,
        INTERACTION,
        [
            {"system": "desk", "interaction_id": "1", "topic": "Delivery", "plain_text": "late"},
            {"system": "desk", "interaction_id": "2", "topic": "nothing but a topic"},
            {"system": "desk", "interaction_id": "3", "plain_text": " "},
        ],
    )
    put(tables, CUSTOMER_LINK, [{"system": "shop", "person_id": "p1", "customer_id": "c1"}])
    put(tables, CUSTOMER, [{"customer_id": "c1", "given_name": "Anna"}])
    texts = all_texts(tables, "UTC").select("entity", "record_id", "customer_id", "text", "label").collect()
    assert sorted(map(tuple, texts), key=lambda row: row[:2]) == [
        ("feedback", "1", "c1", "Nice\n[name] likes it", "recommends"),
        ("feedback", "2", None, "Title alone", "recommends"),
        ("feedback", "3", None, "by nobody", "recommends"),
        ("interaction", "1", None, "Delivery\nlate", None),
    ]
