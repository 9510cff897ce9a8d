"""MinHash signatures and LSH bands."""

import numpy as np
import pytest

from crm_spark.stages.shard.minhash import NUM_HASHES, SHINGLE_CHARACTERS, bands_and_signatures, signatures


def jaccard(one, other):
    shingles = [
        {text[i : i + SHINGLE_CHARACTERS] for i in range(len(text) - SHINGLE_CHARACTERS + 1)} for text in (one, other)
    ]
    return len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])


@pytest.mark.parametrize("num_changed", [1, 4, 12])
def test_fraction_of_equal_minhashes_estimates_the_jaccard_similarity(num_changed):
    random, errors, expected = np.random.default_rng(num_changed), [], []
    words = ["".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), random.integers(2, 10))) for _ in range(3000)]
    for seed in range(200):
        one = list(random.choice(words, 60))
        other = list(one)
        for position in random.choice(60, num_changed, replace=False):
            other[position] = random.choice(words)
        similarity = jaccard(" ".join(one), " ".join(other))
        minhashes = signatures([" ".join(one), " ".join(other)], seed=seed)
        errors.append(np.mean(minhashes[0] == minhashes[1]) - similarity)
        expected.append(similarity * (1 - similarity) / NUM_HASHES)
    assert abs(np.mean(errors)) < 4 * np.sqrt(np.mean(expected) / len(errors))
    assert np.std(errors) < 1.2 * np.sqrt(np.mean(expected))  # as of 64 independent draws


def test_case_punctuation_and_spaces_are_ignored_but_letters_of_any_script_count():
    texts = [
        "Good  value_for--the money!",
        "good value for the money",
        "Gut, ÄRGERLICH",
        "gut ärgerlich",
        "很好的产品很好",
        "很好的产品很差",
    ]
    bands, signed, is_long = bands_and_signatures([*texts, "-- ?? ..", "abc!"], seed=3)
    assert is_long.tolist() == [1, 1, 1, 1, 1, 1, 0, 0]
    equal = [(one == other).all() for one, other in zip(signed[::2], signed[1::2])]
    assert equal == [True, True, False]
    assert (bands[0] == bands[1]).all() and not (bands[4] == bands[5]).all()


def test_signature_is_independent_of_the_other_texts_of_a_batch():
    texts = [f"text number {number} about something {number * 7919}" for number in range(250)]
    _, together, _ = bands_and_signatures(texts, seed=1)
    alone = np.concatenate([bands_and_signatures([text], seed=1)[1] for text in texts])
    assert (together == alone).all()
