"""Evidence of identity: the columns by which records are blocked and compared.

The kind of a column decides how it makes blocking keys and how two of its values are compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.sources.mappings import Attribute

Kind = Literal["name", "date", "email", "code", "identifier", "place", "category", "text"]
NAME: Final = "name"
DATE: Final = "date"
EMAIL: Final = "email"
CODE: Final = "code"
IDENTIFIER: Final = "identifier"
PLACE: Final = "place"
CATEGORY: Final = "category"
TEXT: Final = "text"


@dataclass(frozen=True)
class Evidence:
    """A column of evidence, in lower case; null is no evidence.

    Attributes:
        column: its name.
        kind: name: part of a person's name; date: digits YYYYMMDD, also of dates that cannot be; email; code: phone number or
            postcode; identifier: a number that one person has (customer card, tax number); place: street, city; category: a
            word of few; text: several words.
        is_shared: whether the members of a household usually have the same value.
    """

    column: str
    kind: Kind
    is_shared: bool = False

    @property
    def can_link_alone(self) -> bool:
        """Whether one value can tell a person, unless too many records have it."""
        return self.kind in (EMAIL, IDENTIFIER) or self.column == "phone"


PERSON_EVIDENCE = (
    Evidence("given_key", NAME),
    Evidence("family_name", NAME, is_shared=True),
    Evidence("birth_digits", DATE),
    Evidence("email_match", EMAIL),
    Evidence("phone", CODE, is_shared=True),
    Evidence("street", PLACE, is_shared=True),
    Evidence("postcode", CODE, is_shared=True),
    Evidence("city", PLACE, is_shared=True),
)
"""Evidence of every company; `given_key` is the given name with nicknames expanded."""
_KIND_OF_TYPE: Mapping[str, Kind] = {"date": DATE, "category": CATEGORY, "text": TEXT}
_PREFIX = "attribute_"
_ACCENTED = "àáâãäåāăąçćčďđèéêëēĕėęěìíîïīĭįñńňòóôõöøōőŕřśšşťţùúûüūůűųýÿžźż"
_PLAIN = "aaaaaaaaacccddeeeeeeeeeiiiiiiinnnoooooooorrsssttuuuuuuuuyyzzz"


def evidence_of(attributes: Mapping[str, Attribute]) -> tuple[Evidence, ...]:
    """Evidence of the company: that of every company, and the attributes of persons with the role evidence or identifier."""
    declared = []
    for name, attribute in sorted(attributes.items()):
        if attribute.role == "identifier":
            declared.append(Evidence(_PREFIX + name, IDENTIFIER))
        if attribute.role == "evidence":
            declared.append(Evidence(_PREFIX + name, _KIND_OF_TYPE.get(attribute.type, CODE)))
    return (*PERSON_EVIDENCE, *declared)


def person_records(
    people: DataFrame, evidence: Sequence[Evidence], *, max_shared: int, nicknames: Mapping[str, str]
) -> DataFrame:
    """Records with the columns of evidence, all of them strings. Grain: record_key.

    A record needs two values, or an e-mail address, phone number or identifier: others cannot be linked.

    Args:
        people: silver.person.
        evidence: result of `evidence_of`.
        max_shared: an e-mail address, phone number or identifier of more records is no evidence: it belongs to a reception or
            stands for a missing value.
        nicknames: full given name by nickname.
    """
    given = folded(F.col("given_name"))
    if nicknames:
        pairs = [F.lit(part) for item in nicknames.items() for part in item]
        given = F.coalesce(F.try_element_at(F.create_map(*pairs), given), given)
    columns: dict[str, Column] = {
        "given_key": given,
        "family_name": folded(F.col("family_name")),
        "birth_digits": F.date_format("birth_on", "yyyyMMdd"),
        "email_match": F.col("email_match"),
        "phone": F.col("phone"),
        "street": folded(F.col("street")),
        "postcode": F.lower("postcode"),
        "city": folded(F.col("city")),
    }
    for each in evidence:
        if each.column.startswith(_PREFIX):
            columns[each.column] = _attribute(each)
    key = F.concat_ws("|", "system", "person_id").alias("record_key")
    records = people.select(key, *(columns[each.column].alias(each.column) for each in evidence))
    for each in evidence:
        if each.can_link_alone:
            records = _unless_shared(records, each.column, max_shared)
    return records.where(_can_be_linked(evidence))


def _can_be_linked(evidence: Sequence[Evidence]) -> Column:
    telling = [F.col(e.column).isNotNull() for e in evidence if e.can_link_alone]
    known = sum((F.col(e.column).isNotNull().cast("int") for e in evidence), F.lit(0))
    return reduce(Column.__or__, telling, known >= 2)


def folded(value: Column) -> Column:
    """The value in lower case without accents and punctuation; null if nothing is left."""
    plain = F.translate(F.lower(value), _ACCENTED, _PLAIN)
    plain = F.regexp_replace(F.regexp_replace(plain, "ß", "ss"), "[^\\p{L}\\p{N}]+", " ")
    return F.nullif(F.trim(plain), F.lit(""))


def _attribute(each: Evidence) -> Column:
    name = each.column.removeprefix(_PREFIX)
    found = F.filter("attributes", lambda a: a["name"] == name)
    value = F.try_element_at(found, F.lit(1))
    return F.date_format(value["date"], "yyyyMMdd") if each.kind == DATE else folded(value["text"])


def _unless_shared(records: DataFrame, column: str, max_shared: int) -> DataFrame:
    """Null the values that more than `max_shared` records have."""
    # A join with the few such values and no window: all records of one value would be one partition.
    shared = records.where(F.col(column).isNotNull()).groupBy(column).count().where(F.col("count") > max_shared)
    joined = records.join(shared.select(column, F.lit(True).alias("_is_shared")), column, "left")
    return joined.withColumn(column, F.when(F.col("_is_shared").isNull(), F.col(column))).drop("_is_shared")
