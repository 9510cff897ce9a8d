"""Escaping of lone surrogates in JSON, independent of chunk boundaries."""

import json
import random

import pytest

from crm_spark.stages.ingest.surrogates import SurrogateEscaper

PARTS = [r"\ud83d", r"\uDE00", r"\\", r"\n", r"\u00e4", r"\"", "u", "d83d", "a"]


def escaped(*pieces):
    mender = SurrogateEscaper()
    text = "".join([*(mender.feed(piece) for piece in pieces), mender.feed("", is_last=True)])
    return text, mender.has_found


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r"cut \ud83d", r"cut \ud83d"),
        (r"\ude00 cut", r"\ude00 cut"),
        (r"\uD83D\uDE00", "\U0001f600"),
        (r"\ud83d\ud83d\ude00", "\\ud83d\U0001f600"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d", r"\\ud83d"),
        (r"caf\u00e9", "café"),
    ],
)
def test_lone_surrogate_becomes_a_literal_escape_and_the_rest_is_unchanged(written, value):
    text, has_found = escaped(f'"{written}"')
    assert json.loads(text) == value
    assert has_found == (text != f'"{written}"')


def test_result_does_not_depend_on_chunk_boundaries():
    draw = random.Random(3)
    for _ in range(2_000):
        whole = "".join(draw.choices(PARTS, k=draw.randrange(20)))
        cuts = sorted(draw.randrange(len(whole) + 1) for _ in range(4))
        pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)])]
        text, has_found = escaped(*pieces)
        assert (text, has_found) == escaped(whole)
        has_half = any("\ud800" <= char <= "\udfff" for char in json.loads(f'"{whole}"'))
        assert has_found == has_half
        json.loads(f'"{text}"').encode()
