"""Pairs of records to review: the uncertain ones of the last run, or random ones."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER_LINK, IDENTITY_REVIEW
from crm_spark.contracts.silver import PERSON
from crm_spark.core.hashing import sha256_of
from crm_spark.core.tables import TableStore
from crm_spark.review.masking import Compared, masked, masked_pair
from crm_spark.stages.resolve.decision_files import APART, LINKED, PAIR, Decision, record_key
from crm_spark.stages.resolve.review import label

FIELDS = {
    "given_name": "given name",
    "family_name": "family name",
    "birth_on": "birth date",
    "email": "e-mail",
    "phone": "phone",
    "street": "street",
    "postcode": "postcode",
    "city": "city",
    "country": "country",
}
"""Columns of silver.person that are shown, with the name that the evidence has for them."""
_KEYS = ["system", "person_id"]
_CODE = re.compile(r"(?=.*\d)[\w-]{1,40}", re.ASCII)


@dataclass(frozen=True)
class Person:
    """A record.

    Attributes:
        system: namespace of the id.
        person_id: the system's id.
        values: text by column of `FIELDS`, and by name of attribute.
    """

    system: str
    person_id: str
    values: Mapping[str, str]

    @property
    def shown_id(self) -> str:
        """The id; masked if it may be more than a number or a code, such as an e-mail address."""
        return self.person_id if _CODE.fullmatch(self.person_id) else masked("person_id", self.person_id)


@dataclass(frozen=True)
class Field:
    """A line of the comparison.

    Attributes:
        name: of the column.
        compared: the masked values.
        comparison: in words.
        bits: match weight; None if it is not known or not shown.
    """

    name: str
    compared: Compared
    comparison: str
    bits: float | None


@dataclass(frozen=True)
class Pair:
    """Two records to compare.

    Attributes:
        left: record whose key sorts first.
        right: the other record.
        match_probability: of the pair; None if it is not known or not shown.
        is_one_customer: whether they are linked; None if it is not shown.
        evidence: column -> comparison in words and bits.
        sample: LINKED or APART if the pair was drawn at random. What the linkage found is not shown then.
    """

    left: Person
    right: Person
    match_probability: float | None = None
    is_one_customer: bool | None = None
    evidence: Mapping[str, tuple[str, float]] | None = None
    sample: str | None = None

    @property
    def fields(self) -> list[Field]:
        """Lines of the comparison: columns that at least one record has."""
        evidence = self.evidence or {}
        attributes = sorted((self.left.values.keys() | self.right.values.keys()) - FIELDS.keys())
        names = {**FIELDS, **{name: label(name) for name in attributes if label(name) in evidence}}
        lines = []
        for column, name in names.items():
            left, right = self.left.values.get(column), self.right.values.get(column)
            if left is None and right is None:
                continue
            compared = masked_pair(column, left, right)
            words, bits = evidence.get(name, (compared.comparison, None))
            lines.append(Field(name, compared, words, bits))
        return lines

    def decision(
        self, is_same: bool | None, *, decided_by: str | None, decided_at: datetime, note: str | None
    ) -> Decision:
        """The decision about this pair."""
        return Decision(
            *(self.left.system, self.left.person_id, self.right.system, self.right.person_id),
            is_same=is_same,
            decided_by=decided_by,
            decided_at=decided_at,
            note=note,
            sample=self.sample,
        )


def uncertain_pairs(store: TableStore, decisions: Sequence[Decision], *, num: int) -> list[Pair]:
    """The most uncertain pairs of the last run without those decided since; fewer if there are not as many."""
    decided = {decision.pair for decision in decisions if decision.is_same is not None}
    doubt = F.abs(F.col("match_probability") - 0.5)
    rows = store.read(IDENTITY_REVIEW).orderBy(doubt, *PAIR).limit(num + len(decided)).collect()
    chosen = [row for row in rows if _keys_of(row) not in decided][:num]
    people = _people(store, chosen)
    return [
        Pair(
            *both,
            match_probability=row["match_probability"],
            is_one_customer=row["is_one_customer"],
            evidence={e["column"]: (e["comparison"], e["bits"]) for e in row["evidence"] or ()},
        )
        for row in chosen
        if (both := _both(people, row))
    ]


def random_pairs(store: TableStore, decisions: Sequence[Decision], *, num: int, seed: int) -> list[Pair]:
    """Random pairs in random order: half of them linked, half compared and not linked. Those with a label are left out.

    A customer has at most one linked pair, two of its records at random. The order is that of a hash: further pairs continue the
    same sample.
    """
    labelled = {decision.pair for decision in decisions if decision.sample and decision.is_same is not None}
    linked = _linked(store, seed).withColumn("sample", F.lit(LINKED))
    review = store.read(IDENTITY_REVIEW).where("NOT is_one_customer")
    apart = review.select(*PAIR, _draw(seed, *PAIR).alias("draw"), F.lit(APART).alias("sample"))
    chosen: list[Any] = []
    for frame, size in ((apart, num // 2), (linked, num)):
        rows = frame.orderBy("draw", *PAIR).limit(size + len(labelled)).collect()
        chosen += [row for row in rows if _keys_of(row) not in labelled][
            : size if frame is apart else num - len(chosen)
        ]
    people = _people(store, chosen)
    # The draws of the many links are smaller than those of the few pairs apart: their order would tell them apart.
    in_order = sorted(chosen, key=lambda row: sha256_of([seed, *_keys_of(row)]))
    return [Pair(*both, sample=row["sample"]) for row in in_order if (both := _both(people, row))]


def num_links(store: TableStore) -> int:
    """Number of links: records minus customers."""
    row = store.read(CUSTOMER_LINK).agg(F.count(F.lit(1)), F.count_distinct("customer_id")).first()
    assert row is not None
    return int(row[0] - row[1])


def num_apart(store: TableStore, *, max_pairs: int) -> int | None:
    """Number of compared pairs that are not linked; None if only a part of them is in `gold.identity_review`."""
    review = store.read(IDENTITY_REVIEW)
    return review.where("NOT is_one_customer").count() if review.count() < max_pairs else None


def _linked(store: TableStore, seed: int) -> DataFrame:
    """Two random records of each customer that has two. Grain: customer_id."""
    links = store.read(CUSTOMER_LINK).join(store.read(PERSON).select(*_KEYS), _KEYS, "left_semi")
    by_draw = Window.partitionBy("customer_id").orderBy(_draw(seed, *_KEYS), *_KEYS)
    two = links.withColumn("_rank", F.row_number().over(by_draw)).where("_rank <= 2")
    key = F.struct(F.concat_ws("|", *_KEYS).alias("key"), *_KEYS)
    ends = two.groupBy("customer_id").agg(F.min(key).alias("l"), F.max(key).alias("r")).where("l.key < r.key")
    return ends.select(
        F.col("l.system"),
        F.col("l.person_id"),
        F.col("r.system").alias("other_system"),
        F.col("r.person_id").alias("other_person_id"),
        _draw(seed, "customer_id").alias("draw"),
    )


def _draw(seed: int, *columns: str) -> Any:
    return F.xxhash64(F.lit(seed), *columns)


def _keys_of(row: Any) -> tuple[str, str]:
    return record_key(row["system"], row["person_id"]), record_key(row["other_system"], row["other_person_id"])


def _both(people: Mapping[str, Person], row: Any) -> tuple[Person, Person] | None:
    """The records of a pair; None if one of them was removed since the last run."""
    left, right = (people.get(key) for key in _keys_of(row))
    return (left, right) if left and right else None


def _people(store: TableStore, pairs: Iterable[Any]) -> dict[str, Person]:
    keys = {(row["system"], row["person_id"]) for row in pairs}
    keys |= {(row["other_system"], row["other_person_id"]) for row in pairs}
    if not keys:
        return {}
    asked = store.spark.createDataFrame(sorted(keys), "system string, person_id string")
    rows = store.read(PERSON).join(asked, _KEYS, "left_semi").select(*_KEYS, *FIELDS, "attributes").collect()
    return {record_key(row["system"], row["person_id"]): _person(row) for row in rows}


def _person(row: Any) -> Person:
    values = {name: _text(row[name]) for name in FIELDS if row[name] is not None}
    for attribute in row["attributes"] or ():
        given = next((attribute[k] for k in ("text", "number", "date", "flag") if attribute[k] is not None), None)
        if given is not None:
            values[attribute["name"]] = _text(given)
    return Person(row["system"], row["person_id"], values)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value.isoformat() if isinstance(value, date) else str(value)
