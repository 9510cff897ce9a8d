"""Text normalisation and language detection."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_spark.stages.clean.texts import language, plain


@pytest.mark.parametrize(
    ("raw", "readable"),
    [
        ("Nice dress", "Nice dress"),
        ("  two   blanks\t and a tab ", "two blanks and a tab"),
        ("one\r\n\r\n  two", "one\ntwo"),
        ("Fish &amp; chips &lt;3", "Fish & chips <3"),
        ("Fish &amp;amp; chips", "Fish & chips"),
        ("<p>Too <b>small</b></p><p>and late</p>", "Too small\nand late"),
        ("first<br/>second", "first\nsecond"),
        ("<style>p {color: red}</style>seen<script>x()</script>", "seen"),
        ("5 < 6 and 7 > 2", "5 < 6 and 7 > 2"),
        ("I <3 it", "I <3 it"),
        ("schÃ¶n", "schön"),
        ("donâ€™t", "don’t"),
        ("CafÃ© trÃ¨s bien", "Café très bien"),
        ("Zoe\u0308", "Zoë"),
        ("soft\u00adhyphen, zero\u200bwidth\ufeff", "softhyphen, zerowidth"),
        ("no\u00a0break", "no break"),
        ("bell\x07 and null\x00", "bell and null"),
        ("👩\u200d👩\u200d👧 great 👍🏽", "👩\u200d👩\u200d👧 great 👍🏽"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("“quoted” – dashes…", "“quoted” – dashes…"),
        ("שלום עולם", "שלום עולם"),
        ("不错的产品", "不错的产品"),
        ("&nbsp; ", None),
        ("<p></p>", None),
        ("", None),
        (None, None),
    ],
)
def test_texts_are_normalised(raw, readable):
    assert plain(raw) == readable


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="<&"), max_size=60))
def test_ascii_text_only_loses_extra_spaces(text):
    assert plain(text) == (" ".join(text.split()) or None)


@given(st.text(max_size=80))
def test_normalised_text_is_nfc_and_trimmed(text):
    readable = plain(text)
    if readable is not None:
        assert readable == unicodedata.normalize("NFC", readable)
        assert readable == readable.strip() and "\u200b" not in readable


def test_text_of_a_million_characters_is_normalised():
    assert len(plain("Größe &amp; Farbe passen. " * 40_000)) == 22 * 40_000 - 1


@pytest.mark.parametrize(
    ("text", "among", "code"),
    [
        ("The colour is off but the fit is nice.", (), "en"),
        ("Die Farbe gefällt mir gar nicht, schade.", (), "de"),
        ("Très bien, merci beaucoup pour tout", (), "fr"),
        ("El producto llegó roto y tarde", ("en", "es", "de"), "es"),
        ("ok", (), None),
        ("👍👍👍👍👍👍👍👍👍", (), None),
        ("12345 67890 12345", (), None),
        (None, (), None),
    ],
)
def test_languages_are_detected(text, among, code):
    assert language(text, among) == code
