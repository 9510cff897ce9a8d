"""Baseline: TF-IDF and logistic regression."""

import itertools

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline


def tfidf_classifier(*, seed: int, use_bigrams: bool = True, is_balanced: bool = False) -> Pipeline:
    """Return a TF-IDF and logistic regression pipeline over the encoder's tokens; its input is built by `documents`.

    Args:
        seed: of the regression.
        use_bigrams: whether pairs of neighbouring tokens are terms, too.
        is_balanced: whether to use balanced class weights: better macro-F1, worse cross-entropy.
    """
    vectoriser = TfidfVectorizer(
        analyzer=_unigrams_and_bigrams if use_bigrams else _unigrams, min_df=2, sublinear_tf=True
    )
    weights = "balanced" if is_balanced else None
    return make_pipeline(vectoriser, LogisticRegression(C=3.0, max_iter=300, random_state=seed, class_weight=weights))


def documents(input_ids: NDArray[np.int32], num_tokens: NDArray[np.int32]) -> list[list[int]]:
    """Return the token ids of each row without the special tokens at both ends."""
    return [ids[1 : n - 1].tolist() for ids, n in zip(input_ids, num_tokens)]


def _unigrams(tokens: list[int]) -> list[str]:
    return [str(token) for token in tokens]


def _unigrams_and_bigrams(tokens: list[int]) -> list[str]:
    terms = _unigrams(tokens)
    return terms + [f"{a} {b}" for a, b in itertools.pairwise(terms)]
