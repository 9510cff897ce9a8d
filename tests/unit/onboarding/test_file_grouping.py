"""Grouping of files into sources: names, columns and glob patterns."""

from datetime import datetime
from pathlib import Path

import pytest

from crm_spark.onboarding.file_grouping import SeenFile, grouped, known_file_words, name_words, pattern_of
from crm_spark.sources.files import FileOptions, Files

WORDS = known_file_words(Path(__file__).resolve().parents[3] / "conf" / "domains" / "file_words.yaml")


def seen_file(
    name, columns="a b c", *, format="csv", encoding="utf-8", is_ascii=True, num_bytes=100, day=1, delimiter=","
):
    how = Files(path="x", format=format, options=FileOptions(encoding=encoding, delimiter=delimiter))
    return SeenFile(name, num_bytes, datetime(2025, 1, day), how, tuple(columns.split()), is_ascii)


def sources(*files, taken=()):
    groups, left_over = grouped(files, WORDS, taken=taken)
    assert left_over == []
    return {group.name: (group.how.path, [file.name for file in group.files]) for group in groups}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("orders_2024-01", ("orders",)),
        ("OrderItems_v2_20240105T101112Z", ("order", "items")),
        ("Bestellübersicht-KW12", ("bestellubersicht",)),
        ("umsatz_januar_2025", ("umsatz",)),
        ("b2b_customers", ("customers",)),
        ("febrl4a", ("febrl",)),
        ("part-00000-3f2a8c1e-1111-2222-3333-abcdefabcdef", ()),
        ("Export_Q4", ()),
    ],
)
def test_name_words_exclude_dates_numbers_and_versions(name, words):
    assert name_words(name, WORDS) == words


def test_similar_files_form_a_source_whose_glob_matches_future_files():
    grouped_files = sources(
        seen_file("orders_2024-01.csv"),
        seen_file("orders_2024-02.csv"),
        seen_file("archive/old/orders_2023-12.csv"),
        seen_file("customers.csv", "id n"),
    )
    assert grouped_files == {
        "customers": ("**/customers*.csv", ["customers.csv"]),
        "orders": ("**/orders_*.csv", ["archive/old/orders_2023-12.csv", "orders_2024-01.csv", "orders_2024-02.csv"]),
    }
    assert sources(seen_file("orders.csv"), seen_file("shop/orders.csv")) == {
        "orders": ("**/orders*.csv", ["orders.csv", "shop/orders.csv"])
    }


def test_glob_matches_no_file_of_another_source():
    grouped_files = sources(
        seen_file("orders_2024-01.csv"), seen_file("orders_2024-02.csv"), seen_file("orders_items_2024-01.csv", "x y z")
    )
    assert grouped_files["orders"][0] == "**/orders_????-??.csv"
    assert grouped_files["orders_items"][0] == "**/orders_items_*.csv"


def test_files_without_name_words_are_identified_by_folder():
    grouped_files = sources(
        seen_file("orders/2024/01/part-0001.parquet", format="parquet"),
        seen_file("orders/2024/02/part-0001.parquet", format="parquet"),
        seen_file("customers/part-0001.parquet", "x y", format="parquet"),
    )
    assert {name: path for name, (path, _) in grouped_files.items()} == {
        "orders": "**/orders/**/part-*.parquet", "customers": "**/customers/**/part-*.parquet",
    }  # fmt: skip


def test_same_name_in_two_folders_is_two_sources_unless_the_folders_are_dates():
    grouped_files = sources(
        seen_file("shop/orders.csv"),
        seen_file("market/orders.csv"),
        seen_file("2024-01-01/kunden.csv", "k"),
        seen_file("2024-01-02/kunden.csv", "k"),
    )
    assert {name: path for name, (path, _) in grouped_files.items()} == {
        "shop_orders": "**/shop/**/orders*.csv",
        "market_orders": "**/market/**/orders*.csv",
        "kunden": "**/kunden*.csv",
    }


def test_sources_with_identical_columns_reference_each_other():
    groups, _ = grouped(
        [seen_file("north.csv", "a b"), seen_file("south.csv", "b a"), seen_file("stock.csv", "a c")], WORDS
    )
    assert {group.name: group.same_columns_as for group in groups} == {
        "north": ("south",),
        "south": ("north",),
        "stock": (),
    }


def test_additional_column_keeps_the_source_and_different_columns_split_it():
    more = sources(seen_file("orders_1.csv", "a b c", day=1), seen_file("orders_2.csv", "a b c d", day=2))
    assert list(more) == ["orders"]
    groups, _ = grouped([seen_file("orders_1.csv", "a b c", day=1), seen_file("orders_2.csv", "a b c d", day=2)], WORDS)
    assert groups[0].partial_columns() == {"d"}
    other = sources(seen_file("orders_1.csv", "a b c"), seen_file("orders_2.csv", "x y z"))
    assert {name: path for name, (path, _) in other.items()} == {"orders": "orders_2.csv", "orders_2": "orders_1.csv"}


def test_different_encodings_are_separate_sources_and_ascii_matches_both():
    one = [
        seen_file("a_1.csv", encoding="windows-1252", is_ascii=False),
        seen_file("a_2.csv", encoding="utf-8", is_ascii=True),
    ]
    groups, _ = grouped(one, WORDS)
    assert [group.how.options.encoding for group in groups] == ["windows-1252"]
    groups, _ = grouped([one[0], seen_file("a_3.csv", encoding="utf-8", is_ascii=False)], WORDS)
    assert sorted(group.how.options.encoding for group in groups) == ["utf-8", "windows-1252"]


def test_typical_file_is_the_newest_that_is_not_tiny():
    groups, _ = grouped(
        [
            seen_file("a_1.csv", num_bytes=5000, day=1),
            seen_file("a_2.csv", num_bytes=4000, day=2),
            seen_file("a_3.csv", num_bytes=90, day=3),
        ],
        WORDS,
    )
    assert groups[0].typical.name == "a_2.csv"


def test_source_names_are_unique():
    assert list(sources(seen_file("shop/orders.csv"), taken=["orders"])) == ["shop_orders"]
    assert list(sources(seen_file("orders.csv"), taken=["orders"])) == ["orders_2"]
    assert list(sources(seen_file("заказы.csv"))) == ["source"]
    assert list(sources(seen_file("9lives.csv"))) == ["lives"]


def test_unsupported_characters_become_question_marks_in_globs():
    assert sources(seen_file("a:b.csv"))["a_b"][0] == "**/a*b*.csv"


def test_pattern_of_returns_none_if_no_glob_fits():
    assert pattern_of(["a.csv", "c.csv"], ["b.csv"]) is None
    groups, _ = grouped(
        [
            seen_file("orders.csv"),
            seen_file("orders.csv.gz"),
            seen_file("orders_2.csv"),
            seen_file("ordersX.csv", "k l"),
        ],
        WORDS,
    )
    assert sorted(group.how.path for group in groups) == [
        "**/orders*.csv.gz", "**/orders.csv", "**/ordersX*.csv", "**/orders_*.csv",
    ]  # fmt: skip
