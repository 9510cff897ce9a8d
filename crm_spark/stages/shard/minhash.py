"""MinHash signatures (Broder 1997) over 5-character shingles, and LSH bands.

With 8 bands of 8 hashes, two texts share a band with probability 99% at Jaccard similarity 0.9, 77% at 0.8 and 3% at 0.5
(Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, 3.4).
"""

import numpy as np
from numpy.typing import NDArray

NUM_BANDS, BAND_HASHES, SHINGLE_CHARACTERS = 8, 8, 5
NUM_HASHES = NUM_BANDS * BAND_HASHES
MAX_CHARACTERS = 4_000
"""Only the beginning of longer texts is used, as in the model."""
_BATCH_TEXTS = 100
"""Number of texts whose shingles fit the cache of a core."""
_MIX, _BASE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x100000001B3)


class _Letters(dict[int, str]):
    """Table for `str.translate` that maps non-alphanumeric characters to spaces; three times as fast as a regex."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if chr(code).isalnum() else " "
        return self[code]


_LETTERS = _Letters()


def bands_and_signatures(
    texts: list[str], *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Return bands (M, 8) and signatures (M, 64) of the texts with a shingle, and an indicator of these texts, (N,)."""
    normalised = [" ".join(text[:MAX_CHARACTERS].translate(_LETTERS).lower().split()) for text in texts]
    is_long = np.array([len(text) >= SHINGLE_CHARACTERS for text in normalised], np.int64)
    normalised = [text for text in normalised if len(text) >= SHINGLE_CHARACTERS]
    parts = [normalised[first : first + _BATCH_TEXTS] for first in range(0, len(normalised), _BATCH_TEXTS)]
    minhashes = np.concatenate(
        [signatures(part, seed=seed) for part in parts] or [np.zeros((0, NUM_HASHES), np.uint32)]
    )
    return bands(minhashes), minhashes.view(np.int32), is_long


def signatures(texts: list[str], *, seed: int) -> NDArray[np.uint32]:
    """Return the MinHashes of each text, (N, 64); every text must have at least one shingle."""
    lengths = np.array([len(text) for text in texts])
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - SHINGLE_CHARACTERS + 1, np.uint64)
    for i in range(SHINGLE_CHARACTERS):
        hashes = hashes * _BASE + codes[i : len(hashes) + i]
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    # Drop shingles that span two texts.
    ends = np.cumsum(lengths)
    offset = np.arange(len(hashes)) - np.repeat(ends - lengths, lengths)[: len(hashes)]
    hashes = hashes[offset <= np.repeat(lengths, lengths)[: len(hashes)] - SHINGLE_CHARACTERS]
    counts = lengths - SHINGLE_CHARACTERS + 1
    starts = np.cumsum(counts) - counts
    # 32 mixed bits identify a shingle; each hash function is an odd multiplier and an offset.
    mixed = (hashes * _MIX >> np.uint64(32)).astype(np.uint32)
    random = np.random.default_rng(seed)
    factors = random.integers(0, 2**31, NUM_HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    terms = random.integers(0, 2**32, NUM_HASHES, dtype=np.uint32)
    result = np.empty((NUM_HASHES, len(texts)), np.uint32)
    hashed = np.empty_like(mixed)
    for k in range(NUM_HASHES):
        np.multiply(mixed, factors[k], out=hashed)
        np.add(hashed, terms[k], out=hashed)
        np.minimum.reduceat(hashed, starts, out=result[k])
    return np.ascontiguousarray(result.T)


def bands(minhashes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return a hash of each band of each signature, (N, 8); the band index is part of the hash."""
    parts = minhashes.reshape(len(minhashes), NUM_BANDS, BAND_HASHES).astype(np.uint64)
    hashes = np.broadcast_to(np.arange(NUM_BANDS, dtype=np.uint64), (len(minhashes), NUM_BANDS)).copy()
    for k in range(BAND_HASHES):
        hashes = (hashes ^ parts[:, :, k]) * _MIX
        hashes ^= hashes >> np.uint64(29)
    return hashes.view(np.int64)
