"""The Spark types the contracts use, under short names."""

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
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
"""An amount in the currency named beside it; four decimals because unit prices are finer than minor units."""
STRINGS = ArrayType(StringType())
