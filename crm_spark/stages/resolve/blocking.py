"""Blocking plan: which keys bring records together for comparison, chosen by what they cost.

Every column of evidence makes keys of several coarsenesses. Rules are single keys and pairs of keys of two columns. Pairs are
counted per rule before anything is compared, and the cheapest rules within a budget are used. A block larger than the cap of its
rule is not compared by that rule; rules of two keys split it by a further column.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.resolve.evidence import CATEGORY, CODE, DATE, EMAIL, IDENTIFIER, NAME, PLACE, TEXT, Evidence

PAIRS_PER_RECORD = 60.0
"""Budget of all rules together."""
CAPS = (30, 120, 400)
"""Sizes of the largest block that a rule compares. Small blocks of all rules come first: the fewer records share a value, the
likelier they are of one person."""
ALL_PAIRS_UP_TO = 1_000
"""Records up to which every record is compared with every other."""
_MAX_PER_RULE = 8.0
"""Most pairs per record that a rule adds."""
_KEY = "key_{}"


@dataclass(frozen=True)
class Key:
    """A blocking key.

    Attributes:
        name: how it is printed, such as `family_name prefix`.
        columns: of the evidence.
        value: the key; null makes none.
    """

    name: str
    columns: frozenset[str]
    value: Column


@dataclass(frozen=True)
class Counted:
    """Cost of a rule.

    Attributes:
        keys: indexes of its keys.
        pairs: pairs of records in blocks of at most the size of each cap.
        left_out: records in blocks larger than each cap.
    """

    keys: tuple[int, ...]
    pairs: tuple[int, ...]
    left_out: tuple[int, ...]


@dataclass(frozen=True)
class BlockingRule:
    """A chosen rule: records that agree on all keys are compared.

    Attributes:
        keys: indexes of the keys.
        max_block: largest block that is compared.
        num_pairs: pairs of records in these blocks.
        num_left_out: records in larger blocks.
    """

    keys: tuple[int, ...]
    max_block: int
    num_pairs: int
    num_left_out: int


def keys_of(evidence: Sequence[Evidence]) -> list[Key]:
    """Blocking keys of all columns, and of the names in any order."""
    keys: list[Key] = []

    def add(column: str, kind: str, value: Column) -> None:
        keys.append(Key(f"{column} {kind}".strip(), frozenset({column}), value))

    for each in evidence:
        name, value = each.column, F.col(each.column)
        add(name, "", value)
        if each.kind == NAME:
            add(name, "prefix", _of_longer(F.substring(value, 1, 4), value, 5))
            add(name, "sound", _of_longer(_consonants(value), value, 4))
        elif each.kind == DATE:
            add(name, "year", _of_longer(F.substring(value, 1, 4), value, 4))
            add(name, "day", _of_longer(F.substring(value, 5, 4), value, 8))
            add(name, "digits", _of_longer(F.array_join(F.array_sort(F.split(value, "")), ""), value, 8))
        elif each.kind == EMAIL:
            add(name, "local part", F.split(value, "@")[0])
        elif each.kind in (CODE, IDENTIFIER):
            add(name, "end", _of_longer(F.substring(value, -7, 7), value, 9))
        elif each.kind in (PLACE, TEXT, CATEGORY):
            add(name, "prefix", _of_longer(F.substring(value, 1, 6), value, 7))
    names = [each.column for each in evidence if each.kind == NAME]
    if len(names) > 1:
        words = F.array_sort(F.split(F.concat_ws(" ", *names), " "))
        both = F.when(F.concat(*names).isNotNull(), F.array_join(words, " "))
        keys.append(Key("names in any order", frozenset(names), both))
    return keys


def _of_longer(key: Column, value: Column, length: int) -> Column:
    """The key of values with at least `length` characters; of shorter ones the value itself is the key."""
    return F.when(F.length(value) >= length, key)


def _consonants(value: Column) -> Column:
    """First letter and consonants, each once in a row: `meier`, `meyer` and `mayer` become `mr`."""
    plain = F.regexp_replace(value, "[^\\p{L}]", "")
    rest = F.regexp_replace(F.substring(plain, 2, 100), "[aeiouyhw]", "")
    return F.concat(F.substring(plain, 1, 1), F.regexp_replace(rest, "(.)\\1+", "$1"))


def with_keys(records: DataFrame, keys: Sequence[Key]) -> DataFrame:
    """Grain unchanged. Adds `key_0`, `key_1`, …: hashes of the keys, null where a record has none."""
    hashes = {key_column(i): F.when(key.value.isNotNull(), F.xxhash64(key.value)) for i, key in enumerate(keys)}
    return records.withColumns(hashes)


def key_column(index: int | str) -> str:
    """Column with the hash of a key."""
    return _KEY.format(index)


def candidate_rules(keys: Sequence[Key]) -> list[tuple[int, ...]]:
    """Single keys, and pairs of keys that have no column in common."""
    rules: list[tuple[int, ...]] = [(i,) for i in range(len(keys))]
    pairs = [(a, b) for a, b in combinations(range(len(keys)), 2) if not keys[a].columns & keys[b].columns]
    return [*rules, *pairs]


def choose_rules(
    counted: Sequence[Counted], *, num_records: int, pairs_per_record: float = PAIRS_PER_RECORD
) -> tuple[BlockingRule, ...]:
    """Return the cheapest rules within the budget.

    A rule of two keys adds nothing where one of them is a rule by itself and leaves no block out.
    """
    budget, used = pairs_per_record * num_records, 0
    largest: dict[tuple[int, ...], int] = {}  # keys of the chosen rules -> index of the cap
    by_keys = {each.keys: each for each in counted}
    complete: set[int] = set()
    for cap in range(len(CAPS)):
        for each in sorted(counted, key=lambda c: (len(c.keys), c.pairs[cap], c.keys)):
            before = largest.get(each.keys, -1)
            cost = each.pairs[cap] - (each.pairs[before] if before >= 0 else 0)
            is_covered = len(each.keys) > 1 and bool(complete & set(each.keys))
            is_next = before == cap - 1 or not each.pairs[cap - 1]
            if not cost or is_covered or not is_next or cost > _MAX_PER_RULE * num_records or used + cost > budget:
                continue
            largest[each.keys], used = cap, used + cost
            if len(each.keys) == 1 and not each.left_out[cap]:
                complete.add(each.keys[0])
    # A rule that was taken before one of its keys alone became complete is needless.
    chosen = [(keys, cap) for keys, cap in largest.items() if len(keys) == 1 or not complete & set(keys)]
    rules = [
        BlockingRule(keys, CAPS[cap], by_keys[keys].pairs[cap], by_keys[keys].left_out[cap]) for keys, cap in chosen
    ]
    return tuple(sorted(rules, key=lambda rule: (rule.num_pairs, rule.keys)))
