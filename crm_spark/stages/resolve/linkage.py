"""Record linkage: train the model without labels, compare the pairs of the blocking plan, and cluster them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from pyspark.sql import DataFrame

from crm_spark.stages.resolve.blocking import ALL_PAIRS_UP_TO, BlockingRule, Key, candidate_rules, choose_rules
from crm_spark.stages.resolve.certain import rules_of
from crm_spark.stages.resolve.engine import Engine, Pairs, Weights, num_parts
from crm_spark.stages.resolve.evidence import NAME, Evidence
from crm_spark.stages.resolve.mixture import Rates, fit_rates
from crm_spark.stages.resolve.model import Model, trained, without_matches
from crm_spark.stages.resolve.sessions import Session, choose_sessions, column_sets, sessions_of

PAIRS = (
    "record_key_l string, record_key_r string, match_probability double, is_linked boolean, weights map<string, double>"
)
CLUSTERS = "record_key string, cluster string"
CONSTRAINTS = "record_key_l string, record_key_r string, support double"
EXPLAINED_PER_REVIEWED = 3
"""Pairs whose weights are kept, per pair that is reviewed: of two customers one pair is chosen."""
TOO_MANY_MATCH = "by deterministic rules: too many pairs match to train a model"
_MAX_MATCH_RATE = 0.1
"""Where more of all pairs match, random pairs do not show how records of different people look, and no model can be trained."""
_ROUNDS = 2
"""Times that records with a common match are compared."""
_SPARE_BITS = 12.0
"""How far below the weight at which one pair per record would match, pairs are kept."""


@dataclass(frozen=True)
class Records:
    """What is linked.

    Attributes:
        frame: record_key, the columns of evidence and the blocking keys.
        evidence: the columns to compare.
        keys: the blocking keys.
        num_records: number of records.
        constraints: in the columns of CONSTRAINTS, support (ALWAYS or NEVER) of pairs that identifiers or people decide.
    """

    frame: DataFrame
    evidence: tuple[Evidence, ...]
    keys: tuple[Key, ...]
    num_records: int
    constraints: DataFrame | None


@dataclass(frozen=True)
class Linked:
    """Result of a linkage.

    Attributes:
        pairs: record_key_l, record_key_r, match_probability and is_linked (in one cluster) of compared pairs, from a low
            probability on; weights, bits by column of those that may be reviewed, null for others.
        clusters: record_key, cluster (its first record) of every record.
        note: how the records were linked.
    """

    pairs: DataFrame
    clusters: DataFrame
    note: str


@dataclass(frozen=True)
class Scored(Generic[Pairs]):
    """Compared pairs.

    Attributes:
        pairs: those that can match.
        rates: of matches and relatives among all pairs of records.
        rules: chosen blocking rules; empty if all pairs were compared.
        num_compared: pairs that were scored.
        model: with which they were scored.
    """

    pairs: Pairs
    rates: Rates
    rules: tuple[BlockingRule, ...]
    num_compared: int
    model: Model

    @property
    def note(self) -> str:
        """How many pairs were compared, and by how many rules they were found."""
        found = f"by {len(self.rules)} blocking rules" if self.rules else "each record with every other"
        return f"{self.num_compared:,} pairs compared, {found}"


def compare(engine: Engine[Pairs], records: Records, *, training_pairs: int, seed: int) -> Scored[Pairs] | None:
    """Train a model and score the pairs; None if there are too few records, or too many pairs match to train a model.

    Args:
        engine: with the records.
        records: what is linked.
        training_pairs: random pairs from which u is learnt.
        seed: of the random pairs.
    """
    number, evidence = records.num_records, records.evidence
    if number < 2:
        return None
    rules, sets = rules_of(evidence), column_sets([e.column for e in evidence])
    # Counted together: each count reads all records.
    agreeing = engine.agreeing_pairs(list(dict.fromkeys([*rules, *sets])))
    if max((agreeing[rule] for rule in rules), default=0) > _MAX_MATCH_RATE * number * (number - 1) / 2:
        return None
    possible = sessions_of({columns: agreeing[columns] for columns in sets}, number)
    model = train(engine, evidence, possible, training_pairs=training_pairs, seed=seed)
    return score(engine, model, evidence, records.keys, num_records=number)


def train(
    engine: Engine[Pairs],
    evidence: Sequence[Evidence],
    possible: Sequence[Session],
    *,
    training_pairs: int,
    seed: int,
) -> Model:
    """Train the model of the records.

    Args:
        engine: with the records.
        evidence: the columns to compare; at least two values of each are known.
        possible: sessions from which to choose.
        training_pairs: random pairs from which u is learnt.
        seed: of the random pairs.
    """
    columns = [e.column for e in evidence]
    # Members of a household agree on all shared columns: a session blocked only on these would take them for matches.
    own = {e.column for e in evidence if not e.is_shared} or set(columns)
    telling = [session for session in possible if own & set(session.columns)]
    sessions = choose_sessions(telling, columns, [e.column for e in evidence if e.kind == NAME])
    sample, agreed = engine.training_records(sessions)
    return trained(sample, agreed, evidence, sessions, training_pairs=training_pairs, seed=seed)


def score(
    engine: Engine[Pairs], model: Model, evidence: Sequence[Evidence], keys: Sequence[Key], *, num_records: int
) -> Scored[Pairs]:
    """Choose blocking rules and score their pairs.

    Args:
        engine: with the records.
        model: result of `train`.
        evidence: columns of the model.
        keys: blocking keys of the records.
        num_records: number of records, at least 2.
    """
    total = num_records * (num_records - 1) / 2
    shared = [e.is_shared for e in evidence]
    fit = _Fit(total, with_relatives=any(shared) and not all(shared))
    rules: tuple[BlockingRule, ...] = ()
    if num_records > ALL_PAIRS_UP_TO:
        rules = choose_rules(engine.count_pairs(candidate_rules(keys)), num_records=num_records)
    engine.block(rules)
    parts = num_parts(rules)
    # The matches among the random pairs, from which u was learnt, are known only now.
    first = engine.score_sample(parts, model)
    freed = without_matches(model, match_rate=fit.rates(first, weight=parts).match)
    least_bits = math.log2(num_records) - _SPARE_BITS
    pairs, weights = engine.score(parts, freed, least_bits=least_bits)
    rates = fit.rates(weights)
    for _ in range(_ROUNDS if rules else 0):
        more = engine.score_common(pairs, rates, freed, least_bits=least_bits)
        if more is None:
            break
        pairs, weights = more[0], Weights.concat([weights, more[1]])
        rates = fit.rates(weights)
    return Scored(pairs, rates, rules, weights.num_pairs, freed)


@dataclass(frozen=True)
class _Fit:
    num_pairs: float
    with_relatives: bool

    def rates(self, weights: Weights, *, weight: float = 1.0) -> Rates:
        return fit_rates(
            weights.bits,
            weights.own,
            weights.counts * weight,
            num_pairs=self.num_pairs,
            with_relatives=self.with_relatives,
        )
