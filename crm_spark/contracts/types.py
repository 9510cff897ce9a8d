"""Short names for the Spark types used in the contracts."""

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

STRING = StringType()
BOOLEAN = BooleanType()
INT = IntegerType()
LONG = LongType()
DOUBLE = DoubleType()
DATE = DateType()
TIMESTAMP = TimestampType()
MONEY = DecimalType(18, 4)
"""Amount in a currency; four decimals because unit prices can be finer than minor units."""
STRINGS = ArrayType(StringType())
ORIGINS = ArrayType(
    StructType(
        [
            StructField("column", STRING),
            StructField("source", STRING),
            StructField("row_id", STRING),
            StructField("updated_at", TIMESTAMP),
            StructField("record_hash", STRING),
        ]
    )
)
"""Columns that came from other records, with the record of each."""
ATTRIBUTE_VALUE = StructType(
    [
        StructField("name", STRING),
        StructField("text", STRING),
        StructField("number", DOUBLE),
        StructField("date", DATE),
        StructField("flag", BOOLEAN),
    ]
)
ATTRIBUTES = ArrayType(ATTRIBUTE_VALUE)
"""Named values of which each has one of four types; sorted by name, so that equal attributes are equal columns."""
PROVENANCE = ArrayType(
    StructType(
        [
            StructField("field", STRING),
            StructField("system", STRING),
            StructField("person_id", STRING),
            StructField("updated_at", TIMESTAMP),
            StructField("policy", STRING),
        ]
    )
)
"""Source record of each field of a golden record, and the policy that chose it."""
OTHER_VALUES = ArrayType(
    StructType([StructField("field", STRING), StructField("value", STRING), StructField("system", STRING)])
)
"""Values of the linked records that are not in the golden record, as text."""
EVIDENCE = ArrayType(
    StructType([StructField("column", STRING), StructField("comparison", STRING), StructField("bits", DOUBLE)])
)
"""How each compared column of two records agrees, and what that is worth; strongest first."""
NAMED_NUMBERS = ArrayType(StructType([StructField("name", STRING), StructField("value", DOUBLE)]))
"""Numbers by name, sorted by name."""
