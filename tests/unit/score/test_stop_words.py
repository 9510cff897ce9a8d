"""Stop words by language and the lists that are delivered."""

from pathlib import Path

import pytest

from crm_spark.core.config import read_yaml
from crm_spark.core.errors import ConfigError
from crm_spark.stages.score.stop_words import StopWordLists, StopWords, load_stop_words

CONF = Path(__file__).parents[3] / "conf"
DELIVERED = CONF / "domains" / "stop_words.yaml"
NEGATIONS = {
    "en": ["not", "no", "never", "nor", "neither", "nothing", "nobody", "without", "don't", "isn't", "can't", "won't"],
    "de": ["nicht", "kein", "keine", "keinen", "keiner", "nie", "niemals", "nichts", "niemand", "ohne", "weder"],
    "fr": ["pas", "non", "ne", "jamais", "rien", "aucun", "aucune", "personne", "sans", "ni", "n'est", "plus"],
    "es": ["no", "nunca", "jamás", "nada", "nadie", "ningún", "ninguna", "ni", "sin", "tampoco"],
    "it": ["non", "no", "mai", "niente", "nulla", "nessuno", "nessuna", "né", "senza"],
    "nl": ["niet", "geen", "nee", "nooit", "niets", "niemand", "zonder", "noch"],
    "pt": ["não", "nunca", "jamais", "nada", "ninguém", "nenhum", "nenhuma", "nem", "sem"],
    "pl": ["nie", "nigdy", "nic", "nikt", "żaden", "żadna", "bez", "ani"],
    "zh": ["不", "没", "没有", "无", "别", "未", "从不", "很", "太", "非常"],
}
STOP_WORDS = StopWords(StopWordLists(stop_words={"en": ["the", "it's", "die"], "de": ["die", "der", "und"]}))


def test_stop_words_are_those_of_the_language_of_the_text():
    assert STOP_WORDS.of("en", ["the", "battery", "und"]) == {"the"}
    assert STOP_WORDS.of("de", ["die", "the", "batterie"]) == {"die"}
    assert STOP_WORDS.of("sv", ["the", "die"]) == set()


def test_unknown_language_is_the_one_with_most_stop_words_in_the_text():
    assert STOP_WORDS.of(None, ["der", "akku", "und", "the"]) == {"der", "und"}
    assert STOP_WORDS.of(None, ["akku"]) == set()


def test_both_apostrophes_match():
    assert STOP_WORDS.of("en", ["it's", "it’s"]) == {"it's", "it’s"}


def test_without_a_file_no_word_is_a_stop_word():
    empty = load_stop_words(None)
    assert empty.of("en", ["the"]) == set() and empty.of(None, ["the"]) == set()
    assert empty.version != load_stop_words(str(DELIVERED)).version


@pytest.mark.parametrize("language", NEGATIONS)
def test_delivered_lists_contain_articles_but_no_negation(language):
    delivered = load_stop_words(str(DELIVERED))
    article = {
        "en": "the",
        "de": "der",
        "fr": "le",
        "es": "el",
        "it": "il",
        "nl": "het",
        "pt": "os",
        "pl": "ten",
        "zh": "的",
    }
    assert delivered.of(language, [*NEGATIONS[language], article[language]]) == {article[language]}


def test_delivered_lists_name_no_word_twice():
    for language, words in read_yaml(DELIVERED)["stop_words"].items():
        assert sorted(words) == sorted(set(words)), language


def test_invalid_word_is_rejected_with_file_and_key(tmp_path):
    path = tmp_path / "words.yaml"
    path.write_text("stop_words: {en: ['two words']}")
    with pytest.raises(ConfigError, match=r"words\.yaml.*stop_words\.en"):
        load_stop_words(str(path))
