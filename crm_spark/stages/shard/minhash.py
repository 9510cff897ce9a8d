"""MinHashes of texts (Broder 1997) over shingles of five characters, and their bands (Leskovec, Rajaraman, Ullman: Mining of
Massive Datasets, 3.4): with 8 bands of 8 hashes a pair of similarity 0.9 shares one in 99 of 100 cases, of 0.8 in 77, of 0.5
in 3.
"""

import numpy as np
from numpy.typing import NDArray

NUM_BANDS, BAND_HASHES, SHINGLE_CHARACTERS = 8, 8, 5
NUM_HASHES = NUM_BANDS * BAND_HASHES
MAX_CHARACTERS = 4_000
"""Of a longer text its beginning tells it: the model reads no more of it either."""
_TEXTS_AT_ONCE = 100
"""As many as a core's cache holds the shingles of."""
_MIX, _BASE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x100000001B3)


class _Letters(dict[int, str]):
    """What is neither letter nor digit becomes a space: for `str.translate`, which takes a third of a pattern's time."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if chr(code).isalnum() else " "
        return self[code]


_LETTERS = _Letters()


def bands_and_signatures(
    texts: list[str], *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64]]:
    """Bands (M, 8) and signatures (M, 64) of the texts that have a shingle, and which of all have one: 1 or 0, (N,)."""
    letters = [" ".join(text[:MAX_CHARACTERS].translate(_LETTERS).lower().split()) for text in texts]
    is_long = np.array([len(text) >= SHINGLE_CHARACTERS for text in letters], np.int64)
    letters = [text for text in letters if len(text) >= SHINGLE_CHARACTERS]
    parts = [letters[first : first + _TEXTS_AT_ONCE] for first in range(0, len(letters), _TEXTS_AT_ONCE)]
    signed = np.concatenate([signatures(part, seed=seed) for part in parts] or [np.zeros((0, NUM_HASHES), np.uint32)])
    return bands(signed), signed.view(np.int32), is_long


def signatures(texts: list[str], *, seed: int) -> NDArray[np.uint32]:
    """The MinHashes of each text, (N, 64); every text has a shingle at least."""
    lengths = np.array([len(text) for text in texts])
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - SHINGLE_CHARACTERS + 1, np.uint64)
    for i in range(SHINGLE_CHARACTERS):
        hashes = hashes * _BASE + codes[i : len(hashes) + i]
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    # Shingles that reach into the next text are none.
    ends = np.cumsum(lengths)
    place = np.arange(len(hashes)) - np.repeat(ends - lengths, lengths)[: len(hashes)]
    hashes = hashes[place <= np.repeat(lengths, lengths)[: len(hashes)] - SHINGLE_CHARACTERS]
    counts = lengths - SHINGLE_CHARACTERS + 1
    starts = np.cumsum(counts) - counts
    # Well mixed, half of the bits tell shingles apart; each hash is an order of them: times an odd number, plus another.
    mixed = (hashes * _MIX >> np.uint64(32)).astype(np.uint32)
    draw = np.random.default_rng(seed)
    factors = draw.integers(0, 2**31, NUM_HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    terms = draw.integers(0, 2**32, NUM_HASHES, dtype=np.uint32)
    result = np.empty((NUM_HASHES, len(texts)), np.uint32)
    hashed = np.empty_like(mixed)
    for k in range(NUM_HASHES):
        np.multiply(mixed, factors[k], out=hashed)
        np.add(hashed, terms[k], out=hashed)
        np.minimum.reduceat(hashed, starts, out=result[k])
    return np.ascontiguousarray(result.T)


def bands(signed: NDArray[np.uint32]) -> NDArray[np.int64]:
    """A hash of each band of each signature, (N, 8); the same band at another place hashes otherwise."""
    parts = signed.reshape(len(signed), NUM_BANDS, BAND_HASHES).astype(np.uint64)
    found = np.broadcast_to(np.arange(NUM_BANDS, dtype=np.uint64), (len(signed), NUM_BANDS)).copy()
    for k in range(BAND_HASHES):
        found = (found ^ parts[:, :, k]) * _MIX
        found ^= found >> np.uint64(29)
    return found.view(np.int64)
