"""Named attributes of a record as one array: `attributes` of silver and gold."""

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DateType, DoubleType

from crm_spark.contracts.types import ATTRIBUTE_VALUE, ATTRIBUTES


def member_of(kind: DataType) -> str:
    """Member of the array's elements that holds values of a type: text, number, date or flag."""
    if isinstance(kind, BooleanType):
        return "flag"
    if isinstance(kind, DateType):
        return "date"
    return "number" if isinstance(kind, DoubleType) else "text"


def packed(columns: Mapping[str, tuple[Column, DataType]]) -> Column:
    """Array of the attributes with a value, sorted by name; null for none.

    Args:
        columns: name of each attribute -> its column and type.
    """
    elements = []
    for name, (column, kind) in sorted(columns.items()):
        own = member_of(kind)
        fields = [
            (column if field.name == own else F.lit(None)).cast(field.dataType).alias(field.name)
            for field in ATTRIBUTE_VALUE.fields[1:]
        ]
        element = F.array(F.struct(F.lit(name).alias("name"), *fields)).cast(ATTRIBUTES)
        elements.append(F.when(column.isNotNull(), element).otherwise(F.array().cast(ATTRIBUTES)))
    if not elements:
        return F.lit(None).cast(ATTRIBUTES)
    array = F.concat(*elements)
    return F.when(F.size(array) > 0, array)


def value_of(attributes: Column, name: str, kind: DataType) -> Column:
    """Value of one attribute; null if the record has none of the name."""
    found = F.filter(attributes, lambda attribute: attribute["name"] == name)
    return F.try_element_at(found, F.lit(1))[member_of(kind)].cast(kind)
