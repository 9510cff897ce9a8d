"""Counter-based random numbers: a draw is a hash of seed, stream and key, independent of all other draws.

The hash is a chain of splitmix64 steps (Steele, Lea, Flood 2014): one per part of the key, and a final one.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

UInt64Array = NDArray[np.uint64]
FloatArray = NDArray[np.float64]
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def mix(value: UInt64Array) -> UInt64Array:
    """One splitmix64 step (increment and finaliser); element-wise."""
    with np.errstate(over="ignore"):
        z = value + _GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


class Draws:
    """Random draws for one seed."""

    def __init__(self, seed: int):
        self.seed = seed

    def bits(self, stream: str, *key: object) -> UInt64Array:
        """64 random bits per key; parts of the key are numbers or arrays and are broadcast."""
        name = hashlib.sha256(f"{self.seed}:{stream}".encode()).digest()[:8]
        state: UInt64Array = np.asarray(np.frombuffer(name, dtype=np.uint64)[0])
        for part in key:
            state = mix(state ^ np.asarray(part, dtype=np.int64).astype(np.uint64))
        return mix(state)

    def uniform(self, stream: str, *key: object) -> FloatArray:
        """Uniform draw in [0, 1)."""
        return (self.bits(stream, *key) >> np.uint64(11)).astype(np.float64) / float(1 << 53)

    def normal(self, stream: str, *key: object) -> FloatArray:
        """Standard normal draw."""
        return np.asarray(ndtri(np.clip(self.uniform(stream, *key), 1e-12, 1 - 1e-12)))

    def index(self, stream: str, size: int, *key: object) -> NDArray[np.int64]:
        """Uniform integer in [0, size)."""
        return (self.uniform(stream, *key) * size).astype(np.int64)
