"""Clauses of a text and the aspects they mention."""

import pickle
from pathlib import Path

import pytest

from crm_spark.core.errors import ConfigError
from crm_spark.stages.score.aspects import Aspects, AspectWords, load_aspects

ROOT = Path(__file__).resolve().parents[3]
KNOWN = load_aspects(str(ROOT / "conf/domains/aspects.yaml"))


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Nice shirt. Late delivery!  Never again", ["Nice shirt.", "Late delivery!", "Never again"]),
        ("Nice shirt, but the delivery was late", ["Nice shirt", "but the delivery was late"]),
        ("Schönes Hemd, aber zu teuer; schade", ["Schönes Hemd", "aber zu teuer", "schade"]),
        ("Belle robe MAIS trop chère", ["Belle robe", "MAIS trop chère"]),
        ("It cost 3.50 and weighs 1.5kg", ["It cost 3.50 and weighs 1.5kg"]),
        ("Title\nText", ["Title", "Text"]),
        ("质量很好。快递很慢。", ["质量很好", "快递很慢"]),
        ("质量很好，快递很慢；客服不错", ["质量很好", "快递很慢", "客服不错"]),
        ("裙子好看但是太贵了", ["裙子好看", "但是太贵了"]),
        ("butter and buttons", ["butter and buttons"]),  # part of another word
        ("But why", ["But why"]),
        ("... !!! ;;", ["...", "!!!"]),
        ("", []),
    ],
)
def test_texts_are_split_into_clauses(text, clauses):
    assert KNOWN.clauses(text) == clauses


def aspects_of(text, language=None):
    return sorted({mention.aspect for mention in KNOWN.mentions(text, language)})


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("The DELIVERY was late", "en", ["delivery"]),
        ("Die Lieferung kam nie an, der Kundenservice antwortet nicht", "de", ["delivery", "service"]),
        ("Livraison rapide, prix correct", "fr", ["delivery", "price"]),
        ("It fits", "en", ["fit and size"]),
        ("an outfit of benefit", "en", []),  # parts of words
        ("Great value  for\tmoney", "en", ["price"]),
        ("the STRASSE is long", "en", []),
        ("zu GROSS", "de", ["fit and size"]),  # ß folded
        ("nur die Form passt", "fr", []),  # the known language is used
        ("nur die Form passt", None, ["fit and size"]),
        ("nur die Form passt", "it", ["fit and size"]),
        ("nothing of that", "en", []),
        ("快递太慢，尺码偏小", "zh", ["delivery", "fit and size"]),  # no spaces between words
        ("这家店的客服态度很差", None, ["service"]),
        ("性价比不高，要退货", "zh", ["price", "returns"]),
        ("颜色和图片一样", "zh", []),
    ],
)
def test_aspects_of_a_text_are_found(text, language, expected):
    assert aspects_of(text, language) == expected


def test_a_clause_yields_one_mention_per_aspect():
    mentions = KNOWN.mentions("The price and the cost of delivery. Delivery was late, but cheap.", "en")
    assert [(mention.aspect, mention.clause) for mention in mentions] == [
        ("delivery", "The price and the cost of delivery."),
        ("price", "The price and the cost of delivery."),
        ("delivery", "Delivery was late"),
        ("price", "but cheap."),
    ]


def test_every_delivered_term_matches_and_every_aspect_has_all_languages():
    words = KNOWN._words
    for name, languages in words.aspects.items():
        assert set(languages) >= {"en", "de", "fr", "zh"}
        for language, terms in languages.items():
            assert len(terms) == len({term.casefold() for term in terms}), (name, language)
            for term in terms:
                assert name in aspects_of(f"so {term.rstrip('*').upper()} is", language), term


def test_aspects_can_be_added_in_the_file(tmp_path):
    path = tmp_path / "aspects.yaml"
    path.write_text("aspects:\n  taste:\n    en: [tast*, flavour*]\n")
    aspects = load_aspects(str(path))
    assert [mention.aspect for mention in aspects.mentions("Tasty! But the price", "en")] == ["taste"]
    assert aspects.version != KNOWN.version and load_aspects(str(path)).version == aspects.version


def test_without_a_file_there_are_no_mentions():
    assert load_aspects(None).mentions("The delivery was late", "en") == []


def test_patterns_are_not_pickled_but_rebuilt():
    KNOWN.mentions("The delivery was late", "en")
    copy = pickle.loads(pickle.dumps(KNOWN))
    assert copy._patterns == {} and copy.mentions("late delivery", "en") == KNOWN.mentions("late delivery", "en")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("aspects: {price: {en: ['*']}}", "aspects.price.en.0"),
        ("aspects: {price: {english: [price]}}", "aspects.price.english"),
        ("aspect: {price: {en: [price]}}", "did you mean 'aspects'?"),
        ("aspects: {price: {en: [a*b]}}", "aspects.price.en.0"),
        ("aspects: {none: {en: [nothing]}}", "is reserved for texts without an aspect"),
    ],
)
def test_invalid_file_is_rejected(tmp_path, content, message):
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        load_aspects(str(tmp_path / "a.yaml"))


def test_terms_are_literal_text():
    aspects = Aspects(AspectWords(aspects={"x": {"en": ["c.t"]}}))
    assert aspects.mentions("the cat", "en") == [] and len(aspects.mentions("the c.t", "en")) == 1
