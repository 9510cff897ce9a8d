"""Blocking plan: which keys bring records together for comparison, chosen by what they cost.

Every column of evidence makes keys of several coarsenesses. Single keys that are selective and pairs of keys of two columns are
rules. Pairs are counted per rule before anything is compared; the cheapest rules within a budget are used. A block larger than a cap
is not compared by that rule: rules of two columns split it by a further field.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from benchmarks.identity_recipe.evidence import CATEGORY, CODE, DATE, EMAIL, NAME, PLACE, TEXT, Evidence

PAIRS_PER_RECORD = 60
"""Budget of all rules together."""
MAX_BLOCK = 120
"""Largest block that is compared."""
_MAX_SINGLE = 8.0
"""Most pairs per record of a rule of one key that is used by itself."""
BLOCK_KEYS = "block_keys"
"""Column with the keys of a record."""


@dataclass(frozen=True)
class Key:
    """A blocking key of a column.

    Attributes:
        name: how it is printed, such as `family_name prefix`.
        column: of the evidence.
        value: the key; null makes none.
    """

    name: str
    column: str
    value: Column


@dataclass(frozen=True)
class Rule:
    """Keys on which all records of a block agree, and what comparing them costs.

    Attributes:
        keys: names of the keys.
        num_pairs: pairs of records in blocks up to the cap.
        num_left_out: records in blocks above the cap.
    """

    keys: tuple[str, ...]
    num_pairs: int
    num_left_out: int


def _skeleton(value: Column) -> Column:
    """First letter and consonants, each once in a row: `meier`, `meyer` and `mayer` become `mr`."""
    plain = F.regexp_replace(value, "[^\\p{L}]", "")
    rest = F.regexp_replace(F.substring(plain, 2, 100), "[aeiouyhw]", "")
    return F.concat(F.substring(plain, 1, 1), F.regexp_replace(rest, "(.)\\1+", "$1"))


def keys_of(evidence: Sequence[Evidence]) -> list[Key]:
    """Blocking keys of all columns, and of the names in any order."""
    keys: list[Key] = []
    for each in evidence:
        column = F.col(each.column)
        keys.append(Key(each.column, each.column, column))
        if each.kind == NAME:
            keys.append(Key(f"{each.column} prefix", each.column, _from_length(F.substring(column, 1, 4), column, 5)))
            keys.append(Key(f"{each.column} sound", each.column, _from_length(_skeleton(column), column, 4)))
        if each.kind == DATE:
            keys.append(
                Key(f"{each.column} year", each.column, F.when(F.length(column) >= 4, F.substring(column, 1, 4)))
            )
            keys.append(
                Key(f"{each.column} day", each.column, F.when(F.length(column) == 8, F.substring(column, 5, 4)))
            )
            sorted_digits = F.array_join(F.array_sort(F.split(column, "")), "")
            keys.append(Key(f"{each.column} digits", each.column, F.when(F.length(column) == 8, sorted_digits)))
        if each.kind == EMAIL:
            keys.append(Key(f"{each.column} local part", each.column, F.split(column, "@")[0]))
        if each.kind == CODE:
            keys.append(Key(f"{each.column} end", each.column, _from_length(F.substring(column, -7, 7), column, 9)))
        if each.kind in (PLACE, TEXT, CATEGORY):
            keys.append(Key(f"{each.column} prefix", each.column, _from_length(F.substring(column, 1, 6), column, 7)))
    names = [each.column for each in evidence if each.kind == NAME]
    if len(names) > 1:
        tokens = F.array_sort(F.split(F.concat_ws(" ", *names), " "))
        both = F.when(F.concat(*names).isNotNull(), F.array_join(tokens, " "))
        keys.append(Key("names in any order", "+".join(names), both))
    return keys


def _from_length(key: Column, value: Column, length: int) -> Column:
    """The key of values with at least `length` characters: of shorter ones it is the value itself."""
    return F.when(F.length(value) >= length, key)


@dataclass(frozen=True)
class Plan:
    """Chosen rules, and the records with their keys.

    Attributes:
        records: the records with `block_keys`, hashes of the keys of their blocks with at least two records.
        rules: chosen rules, cheapest first.
        candidates: number of rules that were counted.
    """

    records: DataFrame
    rules: tuple[Rule, ...]
    candidates: int

    @property
    def num_pairs(self) -> int:
        """Pairs of all rules; a pair that several rules find counts several times."""
        return sum(rule.num_pairs for rule in self.rules)


def plan(
    records: DataFrame,
    evidence: Sequence[Evidence],
    *,
    num_records: int,
    pairs_per_record: float = PAIRS_PER_RECORD,
    max_block: int = MAX_BLOCK,
) -> Plan:
    """Count the pairs of all rules and choose the cheapest within the budget.

    Args:
        records: record_key and the columns of evidence.
        evidence: the columns to use.
        num_records: number of records.
        pairs_per_record: budget.
        max_block: largest block that is compared.
    """
    keys = {key.name: key for key in keys_of(evidence)}
    candidates = [(name,) for name in keys] + [
        (a, b) for a, b in combinations(keys, 2) if not _share_column(keys[a], keys[b])
    ]
    counted = _count(records, candidates, keys, max_block=max_block, one_in=max(1, num_records // _EXACT_UP_TO))
    chosen = choose(counted, num_records=num_records, pairs_per_record=pairs_per_record)
    return Plan(_with_keys(records, chosen, keys, max_block=max_block), chosen, len(candidates))


_EXACT_UP_TO = 100_000
"""Records up to which pairs are counted exactly; beyond, in a sample of the blocks."""


def _share_column(a: Key, b: Key) -> bool:
    return bool(set(a.column.split("+")) & set(b.column.split("+")))


def _hash(index: int, rule: Sequence[str], keys: dict[str, Key]) -> Column:
    """Hash of a rule's keys; null if one of them is."""
    values = [keys[name].value for name in rule]
    is_known = values[0].isNotNull()
    for value in values[1:]:
        is_known = is_known & value.isNotNull()
    return F.when(is_known, F.xxhash64(F.lit(index), *values))


def _count(
    records: DataFrame, rules: Sequence[tuple[str, ...]], keys: dict[str, Key], *, max_block: int, one_in: int
) -> list[Rule]:
    """Count pairs per rule, in one of `one_in` blocks."""
    hashes = [F.struct(F.lit(i).alias("rule"), _hash(i, r, keys).alias("key")) for i, r in enumerate(rules)]
    kept = F.filter(F.array(*hashes), lambda h: h["key"].isNotNull() & (F.pmod(h["key"], F.lit(one_in)) == 0))
    blocks = records.select(F.explode(kept).alias("h")).groupBy("h.rule", "h.key").agg(F.count(F.lit(1)).alias("n"))
    pairs = F.when(F.col("n") <= max_block, F.col("n") * (F.col("n") - 1) / 2).otherwise(0)
    left_out = F.when(F.col("n") > max_block, F.col("n")).otherwise(0)
    totals = blocks.groupBy("rule").agg(F.sum(pairs).alias("pairs"), F.sum(left_out).alias("left_out")).collect()
    return [Rule(rules[r["rule"]], int(r["pairs"]) * one_in, int(r["left_out"]) * one_in) for r in totals]


def choose(rules: Sequence[Rule], *, num_records: int, pairs_per_record: float) -> tuple[Rule, ...]:
    """Return the cheapest rules within the budget.

    A rule of two keys adds nothing where one of them is a rule by itself and leaves no block out.
    """
    budget, chosen, complete = pairs_per_record * num_records, [], set()
    for rule in sorted(rules, key=lambda r: (len(r.keys), r.num_pairs, r.keys)):
        if len(rule.keys) == 1 and 0 < rule.num_pairs <= _MAX_SINGLE * num_records:
            chosen.append(rule)
            if not rule.num_left_out:
                complete.add(rule.keys[0])
    used = sum(rule.num_pairs for rule in chosen)
    for rule in sorted((r for r in rules if len(r.keys) > 1), key=lambda r: (r.num_pairs, r.keys)):
        if rule.num_pairs and not complete & set(rule.keys) and used + rule.num_pairs <= budget:
            chosen.append(rule)
            used += rule.num_pairs
    return tuple(chosen)


def _with_keys(records: DataFrame, rules: Sequence[Rule], keys: dict[str, Key], *, max_block: int) -> DataFrame:
    """Grain unchanged. Adds `block_keys`: hashes of the blocks with 2 to `max_block` records."""
    if not rules:
        return records.withColumn(BLOCK_KEYS, F.array().cast("array<bigint>"))
    hashes = F.array(*(_hash(i, rule.keys, keys) for i, rule in enumerate(rules)))
    exploded = records.select("record_key", F.explode(F.array_compact(hashes)).alias("key"))
    blocks = exploded.groupBy("key").agg(F.count(F.lit(1)).alias("n")).where(f"n BETWEEN 2 AND {max_block}")
    kept = (
        exploded.join(blocks.select("key"), "key")
        .groupBy("record_key")
        .agg(F.array_sort(F.collect_list("key")).alias(BLOCK_KEYS))
    )
    joined = records.join(kept, "record_key", "left")
    return joined.withColumn(BLOCK_KEYS, F.coalesce(BLOCK_KEYS, F.array().cast("array<bigint>")))
