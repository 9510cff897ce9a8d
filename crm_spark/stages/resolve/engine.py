"""What linkage asks of the place where records are: one process with DuckDB, or a Spark cluster."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crm_spark.stages.resolve.blocking import BlockingRule, Counted
from crm_spark.stages.resolve.mixture import Rates
from crm_spark.stages.resolve.model import Model
from crm_spark.stages.resolve.sessions import Session

TRAIN_UP_TO = 200_000
"""Records up to which the model is trained on all of them; beyond, on a sample."""
COUNT_UP_TO = 200_000
"""Records up to which the pairs of blocks are counted exactly; beyond, in a sample of the blocks."""
PAIRS_AT_ONCE = 2_000_000
"""Pairs that are made and scored at once."""
STRONG = 0.8
"""Match probability of a pair whose other matches are compared with each other, too."""
MAX_NEIGHBOURS = 40
"""Records with more strong matches lead to no further pairs."""

Floats = NDArray[np.float64]
Pairs = TypeVar("Pairs")


@dataclass(frozen=True)
class Weights:
    """Weights of scored pairs, in groups of equal ones.

    Attributes:
        bits: weight of all columns, (G,).
        own: weight of the columns that a household does not share, (G,).
        counts: pairs of each group, (G,).
    """

    bits: Floats
    own: Floats
    counts: Floats

    @property
    def num_pairs(self) -> int:
        """Pairs of all groups."""
        return int(self.counts.sum())

    @staticmethod
    def concat(parts: Sequence["Weights"]) -> "Weights":
        """Groups of all parts."""
        bits, own, counts = (np.concatenate([getattr(p, name) for p in parts]) for name in ("bits", "own", "counts"))
        return Weights(bits, own, counts)


def num_parts(rules: Sequence[BlockingRule]) -> int:
    """Parts in which the pairs of the rules are scored."""
    return max(1, -(-sum(rule.num_pairs for rule in rules) // PAIRS_AT_ONCE))


class Engine(Protocol[Pairs]):
    """Records that can be blocked, scored and clustered. `Pairs` are scored pairs: l and r, two records, bits and own."""

    def agreeing_pairs(self, column_sets: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], int]:
        """Number of pairs of records that agree on each set of columns."""

    def training_records(self, sessions: Sequence[Session]) -> tuple[pa.Table, pa.Table]:
        """Random records, and records among which those pairs are that agree on the columns of the sessions."""

    def count_pairs(self, rules: Sequence[tuple[int, ...]]) -> list[Counted]:
        """Count the pairs of blocking rules."""

    def block(self, rules: Sequence[BlockingRule]) -> None:
        """Make the blocks of the rules, once; without rules all records are one block."""

    def score_sample(self, parts: int, model: Model) -> Weights:
        """Score about one of `parts` of the pairs."""

    def score(self, parts: int, model: Model, *, least_bits: float) -> tuple[Pairs, Weights]:
        """Score all pairs; those with less than `least_bits` are only counted."""

    def score_common(
        self, pairs: Pairs, rates: Rates, model: Model, *, least_bits: float
    ) -> tuple[Pairs, Weights] | None:
        """Score pairs that were not compared, of records with a strong match in common; all pairs, None if there are none."""

    def explain(self, pairs: Pairs, model: Model) -> Pairs:
        """Weights by column of some pairs: l, r, weights."""
