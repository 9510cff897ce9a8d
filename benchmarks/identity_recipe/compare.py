"""How two records are compared: Splink comparisons derived from the kind of each column of evidence."""

from collections.abc import Sequence
from typing import Any

import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import SettingsCreator, block_on

from benchmarks.identity_recipe.blocking import BLOCK_KEYS
from benchmarks.identity_recipe.evidence import CATEGORY, CODE, DATE, EMAIL, NAME, PLACE, TEXT, Evidence

_WITH_FREQUENCIES = {"tf_adjustment_weight": 1.0}


def comparison(each: Evidence, *, names: Sequence[str]) -> Any:
    """Comparison of one column.

    Args:
        each: the column.
        names: the columns of the parts of a name; a part that stands in the place of another agrees, too.
    """
    column, levels = each.column, [cll.NullLevel(each.column), _exact(each)]
    if each.kind == NAME:
        levels += [cll.JaroWinklerLevel(column, 0.92), cll.JaroWinklerLevel(column, 0.85)]
        levels += (
            [cll.CustomLevel(_in_another_place(column, names), "in the place of another name")]
            if len(names) > 1
            else []
        )
        levels += [cll.CustomLevel(_initial(column), "initial")]
    if each.kind == DATE:
        levels += [cll.DamerauLevenshteinLevel(column, 1), cll.DamerauLevenshteinLevel(column, 2)]
        levels += [cll.CustomLevel(f"substr({column}_l, 1, 4) = substr({column}_r, 1, 4)", "same year")]
    if each.kind == EMAIL:
        local = "split_part({}, '@', 1)"
        levels += [
            cll.CustomLevel(f"{local.format(f'{column}_l')} = {local.format(f'{column}_r')}", "same local part"),
            cll.JaroWinklerLevel(column, 0.95),
        ]
    if each.kind == CODE:
        levels += [cll.DamerauLevenshteinLevel(column, 1)]
    if each.kind in (PLACE, TEXT):
        levels += [cll.JaroWinklerLevel(column, 0.92), cll.JaroWinklerLevel(column, 0.8)]
    if each.kind == CATEGORY:
        levels += [cll.JaroWinklerLevel(column, 0.92)]
    return cl.CustomComparison([*levels, cll.ElseLevel()], output_column_name=column)


def _exact(each: Evidence) -> Any:
    return cll.ExactMatchLevel(each.column, term_frequency_adjustments=each.kind != DATE)


def _in_another_place(column: str, names: Sequence[str]) -> str:
    return (
        "("
        + " OR ".join(f"{column}_l = {other}_r OR {other}_l = {column}_r" for other in names if other != column)
        + ")"
    )


def _initial(column: str) -> str:
    lengths = f"(length({column}_l) = 1 OR length({column}_r) = 1)"
    return f"({lengths} AND substr({column}_l, 1, 1) = substr({column}_r, 1, 1))"


def settings_of(evidence: Sequence[Evidence], *, prior: float) -> SettingsCreator:
    """Splink settings of the untrained model.

    Args:
        evidence: the columns to compare.
        prior: probability that two random records match, in (0, 1).
    """
    names = [each.column for each in evidence if each.kind == NAME]
    return SettingsCreator(
        probability_two_random_records_match=prior,
        link_type="dedupe_only",
        unique_id_column_name="record_key",
        comparisons=[comparison(each, names=names) for each in evidence],
        blocking_rules_to_generate_predictions=[block_on(BLOCK_KEYS, arrays_to_explode=[BLOCK_KEYS])],
        retain_matching_columns=False,
    )
