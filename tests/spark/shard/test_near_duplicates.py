"""Near-duplicates across splits and their detection rate."""

import random

import pytest

from crm_spark.stages.shard.near_duplicates import near_duplicates
from crm_spark.stages.shard.token_rows import token_rows

TEXT, SCHEMA = (
    "The sleeves are far too long for me, but the fabric is soft.",
    "text_hash string, text string, split string",
)


def duplicates_in(spark, rows, *, partitions=1):
    frame = spark.createDataFrame(rows, SCHEMA).repartition(partitions)
    assigned = token_rows(frame, "embedded", max_length=32, long_texts="head", seed=11)
    return {r["text_hash"]: (r["near_duplicate_hash"], r["similarity"]) for r in near_duplicates(assigned).collect()}


def test_near_duplicate_is_dropped_from_the_later_split(spark):
    rows = [
        ("t", TEXT, "test"),
        ("v", TEXT.lower(), "validation"),
        ("r", TEXT.replace(",", " -"), "train"),
        ("other", "Nothing but trouble with the parcel since Monday.", "train"),
        ("near-duplicate of a train text", "Nothing but trouble with the parcel since Monday!", "train"),
        ("short", "ok", "train"),
        ("short too", "ok", "test"),
        ("empty", "", "train"),
        ("signs", "!!! ???", "train"),
    ]
    expected = {"v": ("t", 1.0), "r": ("t", 1.0)}
    assert duplicates_in(spark, rows) == expected
    assert duplicates_in(spark, rows[::-1], partitions=3) == expected


def test_near_duplicates_in_scripts_without_spaces_and_in_long_texts(spark):
    chinese = "这件衣服的颜色和图片上的不一样，袖子太长，但是面料很柔软，我会再买一件。"
    long = " ".join(f"word{i}" for i in range(5_000))
    rows = [
        ("c", chinese, "test"),
        ("c2", chinese + "！", "train"),
        ("l", long, "validation"),
        ("l2", long + " end", "train"),
    ]
    assert duplicates_in(spark, rows) == {"c2": ("c", 1.0), "l2": ("l", 1.0)}


@pytest.mark.parametrize(("changed", "least", "most"), [(3, 0.95, 1.0), (20, 0.0, 0.6), (200, 0.0, 0.0)])
def test_near_duplicates_are_found_and_dissimilar_texts_are_not(spark, changed, least, most):
    """100 pairs of random letters; each changed letter affects five of about 496 shingles: similarity 0.94, 0.67, 0.04."""
    draw, rows = random.Random(5), []
    for i in range(100):
        letters = draw.choices("abcdefghijklmnopqrstuvwxyz", k=500)
        other = list(letters)
        for at in draw.sample(range(500), changed):
            other[at] = "0"
        rows += [(f"{i}a", "".join(letters), "test"), (f"{i}b", "".join(other), "train")]
    hits = duplicates_in(spark, rows)
    assert least * 100 <= len(hits) <= most * 100
    assert all(original == text.replace("b", "a") for text, (original, _) in hits.items())
