"""Generate customer texts from a grammar (grammar.yaml): meaning, construction and word lists."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from crm_spark.world.draws import Draws, FloatArray
from crm_spark.world.people import Index

MEANINGS = ("recommends", "does_not_recommend", "no_clear_opinion")
LANGUAGES = ("en", "de", "fr", "es")
_LANGUAGE_FROM = (0.0, 0.9, 0.95, 0.975)


@dataclass(frozen=True)
class Text:
    """A text with its ground truth."""

    meaning: str
    language: str
    construction: str
    title: str
    body: str


@cache
def grammar() -> dict[str, Any]:
    """Load grammar.yaml."""
    content: dict[str, Any] = yaml.safe_load((files("crm_spark.world") / "grammar.yaml").read_text(encoding="utf-8"))
    return content


class _Dice:
    """A sequence of small choices derived from one 64-bit draw."""

    def __init__(self, bits: int):
        self.bits = bits

    def of(self, options: list[str]) -> str:
        self.bits, choice = divmod(self.bits, len(options))
        if self.bits < 1 << 16:  # extend the remaining bits deterministically
            self.bits = (self.bits * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return options[choice]


def compose(
    meaning: str, language: str, bits: int, *, is_long: bool, words: Mapping[str, list[str]] | None = None
) -> Text:
    """Compose one text deterministically.

    Args:
        meaning: one of MEANINGS.
        language: one of LANGUAGES.
        bits: 64 random bits.
        is_long: add further clauses.
        words: lists of words by slot, instead of those of the grammar.
    """
    dice, pieces = _Dice(bits), grammar()
    constructions = pieces["constructions"][language][meaning]
    construction = dice.of(sorted(constructions))
    slots = {**pieces["slots"][language], **(words or {})}

    def filled(template: str) -> str:
        text = template
        for name in ("entity", "pos", "neg", "good", "bad", "aspect", "who", "when"):
            while "{" + name + "}" in text:
                text = text.replace("{" + name + "}", dice.of(slots[name]), 1)
        return text

    core = filled(dice.of(constructions[construction]))
    around = [filled(dice.of(pieces["around"][language])) for _ in range(3 if is_long else 1)]
    before, after = around[0], around[1:]
    body = " ".join(part for part in (before, core, *after) if part)
    return Text(meaning, language, construction, dice.of(slots["entity"]).capitalize(), body)


def meanings(draw: Draws, stream: str, mood: FloatArray, number: Index, day: Index) -> Index:
    """Meaning of each text as an index in MEANINGS; correlates with the customer's mood."""
    leaning = mood + 0.45 * draw.normal(f"{stream} leaning", number, day)
    return np.select([leaning > 0.25, leaning < -0.1], [0, 1], 2).astype(np.int64)


def write(draw: Draws, stream: str, meaning: Index, number: Index, day: Index, *, is_long: bool) -> list[Text]:
    """Compose one text per meaning."""
    which = np.searchsorted(_LANGUAGE_FROM, draw.uniform(f"{stream} language", number), side="right") - 1
    bits = draw.bits(f"{stream} words", number, day)
    return [
        compose(MEANINGS[m], LANGUAGES[w], int(b), is_long=is_long)
        for m, w, b in zip(meaning, which, np.atleast_1d(bits))
    ]
