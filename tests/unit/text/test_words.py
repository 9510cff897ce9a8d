"""Word spans in any script."""

import itertools

import pytest

from crm_spark.text.encoder import encoder_dir
from crm_spark.text.tokenizer import load_tokenizer
from crm_spark.text.words import Span, joined, normalised, word_spans


def words(text):
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's good, isn’t it?", ["It's", "good", ",", "isn’t", "it", "?"]),
        ("Größe 42 passt!!!", ["Größe", "42", "passt", "!!!"]),
        ("ask [name] at [email]", ["ask", "[name]", "at", "[email]"]),
        ("well-made (really)", ["well", "-", "made", "(", "really", ")"]),
        ("cafe\u0301 au lait", ["cafe\u0301", "au", "lait"]),
        ("हिन्दी अच्छा", ["हिन्दी", "अच्छा"]),
        ("质量很好", ["质", "量", "很", "好"]),
        ("👩‍👩‍👧 😡😡 ok", ["👩‍👩‍👧", "😡😡", "ok"]),
        ("المنتج ممتاز", ["المنتج", "ممتاز"]),
        (" \n\t ", []),
        ("", []),
    ],
)
def test_text_is_split_into_words(text, expected):
    assert words(text) == expected


def test_spans_are_ordered_and_cover_all_but_whitespace():
    text = "One, two;\tthree – vier\u200d 五 «six» a\x00b"
    spans = word_spans(text)
    assert all(before.end <= after.start for before, after in itertools.pairwise(spans))
    assert "".join(words(text)) == "".join(text.split())


@pytest.mark.parametrize(
    ("encoder", "expected"),
    [
        ("multilingual", ["这", "件", "衣服", "质量", "很好", "，", "OK", "!"]),
        ("embedded", ["这", "件", "衣", "服", "质", "量", "很", "好", "，", "OK", "!"]),
    ],
)
def test_characters_of_a_chinese_token_are_a_word(encoder, expected):
    text = "这件衣服质量很好，OK!"
    tokens = [Span(*offsets) for offsets in load_tokenizer(encoder_dir(encoder), None).encode(text).offsets]
    spans = joined(text, word_spans(text), tokens)
    assert [text[start:end] for start, end in spans] == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [("GREAT", "great"), ("Straße", "strasse"), ("42", ""), ("!", ""), ("[name]", ""), ("4k", "4k")],
)
def test_words_are_normalised(word, expected):
    assert normalised(word) == expected
