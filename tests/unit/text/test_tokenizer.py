"""Truncation strategies of TextTokenizer: head, head_tail, windows."""

import itertools

import numpy as np
import pytest

from crm_spark.text.encoder import encoder_dir
from crm_spark.text.tokenizer import MAX_WINDOWS, TextTokenizer, mean_of_rows

CLS, SEP = 101, 102
SHORT, LONG = "it is fine", " ".join(str(number % 10) for number in range(100))
# Digits are tokens of their own in the vocabulary of uncased BERT.
DIGIT = [TextTokenizer(encoder_dir("embedded"), 8).rows([str(d)])[0][0][1] for d in range(10)]


def rows_of(texts, long_texts, max_length=12):
    rows, starts = TextTokenizer(encoder_dir("embedded"), max_length, long_texts).rows(texts)
    return [rows[start:end] for start, end in itertools.pairwise([*starts, len(rows)])]


@pytest.mark.parametrize("long_texts", ["head", "head_tail", "windows"])
def test_short_text_is_one_row_with_any_strategy(long_texts):
    ((row,), (empty,)) = rows_of([SHORT, ""], long_texts)
    assert row == [CLS, 2009, 2003, 2986, SEP] and empty == [CLS, SEP]


def test_head_keeps_the_beginning():
    ((row,),) = rows_of([LONG], "head")
    assert row == [CLS, *(DIGIT[i % 10] for i in range(10)), SEP]


def test_head_tail_keeps_a_quarter_from_the_beginning_and_the_rest_from_the_end():
    ((row,),) = rows_of([LONG], "head_tail")
    assert row == [CLS, *(DIGIT[i % 10] for i in (0, 1, *range(92, 100))), SEP]


def test_windows_cover_the_text_once_up_to_eight_rows():
    ((*rows,), (short,)) = rows_of([LONG, SHORT], "windows", max_length=22)
    assert [len(row) for row in rows] == [22] * 5 and short[1] == 2009
    assert [token for row in rows for token in row[1:-1]] == [DIGIT[i % 10] for i in range(100)]
    assert all((row[0], row[-1]) == (CLS, SEP) for row in rows)
    assert len(rows_of([LONG], "windows")[0]) == MAX_WINDOWS  # ten would be needed


def test_text_of_a_megabyte_is_truncated_to_head_and_tail():
    text = "1 " * 400_000 + "2 " * 100_000
    ((row,),) = rows_of([text], "head_tail")
    assert row == [CLS, DIGIT[1], DIGIT[1], *[DIGIT[2]] * 8, SEP]


def test_emoji_and_lone_surrogates_are_tokenised():
    ((row,),) = rows_of(["👩‍👩‍👧‍👦 😡 " * 10_000 + "\ud83d"], "head_tail")
    assert len(row) == 12 and (row[0], row[-1]) == (CLS, SEP)


def test_values_are_averaged_over_the_rows_of_a_text():
    values = np.array([[1.0, 0.0], [3.0, 2.0], [5.0, 6.0], [7.0, 8.0]])
    assert mean_of_rows(values, np.array([0, 1, 3])).tolist() == [[1, 0], [4, 4], [7, 8]]
    assert mean_of_rows(values, np.arange(4)) is values


def test_empty_input_yields_no_rows():
    rows, starts = TextTokenizer(encoder_dir("embedded"), 12).rows([])
    assert rows == [] and starts.tolist() == []
