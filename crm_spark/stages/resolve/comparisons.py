"""How two records are compared: Splink comparisons derived from the kind of each column of evidence.

Pairs are scored by DuckDB, also on the workers of a Spark cluster: the conditions are in its SQL.
"""

from collections.abc import Sequence
from typing import Any

import splink.comparison_level_library as cll
import splink.comparison_library as cl
from splink import SettingsCreator

from crm_spark.stages.resolve.evidence import CATEGORY, CODE, DATE, EMAIL, NAME, PLACE, TEXT, Evidence

UNIQUE_ID = "record"
"""Column with the number of a record."""
FIRST_PRIOR = 1e-4
"""Probability that two random records match, while the model is trained. It is part of Splink's weights and taken out of them."""


def settings_of(evidence: Sequence[Evidence]) -> SettingsCreator:
    """Splink settings of the untrained model."""
    names = [each.column for each in evidence if each.kind == NAME]
    return SettingsCreator(
        probability_two_random_records_match=FIRST_PRIOR,
        link_type="dedupe_only",
        unique_id_column_name=UNIQUE_ID,
        comparisons=[comparison(each, names=names) for each in evidence],
        blocking_rules_to_generate_predictions=[],
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=True,
    )


def comparison(each: Evidence, *, names: Sequence[str]) -> Any:
    """Comparison of one column.

    Args:
        each: the column.
        names: the columns of the parts of a name; a part that stands in the place of another agrees, too.
    """
    column = each.column
    levels = [cll.NullLevel(column), cll.ExactMatchLevel(column, term_frequency_adjustments=True)]
    if each.kind == NAME:
        levels += [cll.JaroWinklerLevel(column, 0.92), cll.JaroWinklerLevel(column, 0.85)]
        if len(names) > 1:
            levels.append(cll.CustomLevel(_in_another_place(column, names), "in the place of another name"))
        levels += [cll.CustomLevel(_initial(column), "initial"), _common_word(column)]
    elif each.kind == DATE:
        levels += [cll.DamerauLevenshteinLevel(column, 1), cll.DamerauLevenshteinLevel(column, 2)]
        levels.append(cll.CustomLevel(f"substr({column}_l, 1, 4) = substr({column}_r, 1, 4)", "same year"))
    elif each.kind == EMAIL:
        local = "split_part({}, '@', 1)"
        same = f"{local.format(f'{column}_l')} = {local.format(f'{column}_r')}"
        # Different numbers are no slip: members of a household have anna.berg1@ and anna.berg2@.
        digits = "regexp_replace({}, '[^0-9]', '', 'g')"
        slip = f"damerau_levenshtein({column}_l, {column}_r) <= 2 AND {digits.format(f'{column}_l')} = {digits.format(f'{column}_r')}"
        levels += [cll.CustomLevel(same, "same local part"), cll.CustomLevel(slip, "one or two slips")]
    elif each.kind == CODE:
        levels.append(cll.DamerauLevenshteinLevel(column, 1))
    elif each.kind in (PLACE, TEXT):
        levels += [cll.JaroWinklerLevel(column, 0.92), cll.JaroWinklerLevel(column, 0.8), _common_word(column)]
    elif each.kind == CATEGORY:
        levels += [cll.JaroWinklerLevel(column, 0.92), _common_word(column)]
    return cl.CustomComparison([*levels, cll.ElseLevel()], output_column_name=column)


def _in_another_place(column: str, names: Sequence[str]) -> str:
    others = [other for other in names if other != column]
    return "(" + " OR ".join(f"{column}_l = {other}_r OR {other}_l = {column}_r" for other in others) + ")"


def _initial(column: str) -> str:
    lengths = f"(length({column}_l) = 1 OR length({column}_r) = 1)"
    return f"({lengths} AND substr({column}_l, 1, 1) = substr({column}_r, 1, 1))"


def _common_word(column: str) -> Any:
    words = "regexp_extract_all({}, '[^ ]{{3,}}')"
    both = f"list_has_any({words.format(f'{column}_l')}, {words.format(f'{column}_r')})"
    return cll.CustomLevel(both, "a word in common")
