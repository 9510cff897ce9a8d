"""JVM classes and methods are looked up once; expressions are the same."""

from pyspark.sql import functions as F

from crm_spark.core.jvm_lookups import keep_lookups


def test_expressions_are_built_without_further_lookups(spark):
    keep_lookups(spark)
    jvm = spark._jvm
    classes = {name: getattr(jvm, name) for name in ("functions", "PythonUtils", "org.apache.spark.sql.functions")}

    def expression():
        upper = F.transform(F.split(F.coalesce("a", F.lit("")), ","), lambda part: F.upper(part))
        return F.when(F.col("a").rlike("x"), F.array_join(upper, "-")).otherwise(F.regexp_replace("a", "y", "z"))

    def lookups():
        return {name: set(vars(members)) for name, members in classes.items()}

    frame = spark.createDataFrame([("x,b",), ("yy",), (None,)], "a string")
    assert [row[0] for row in frame.select(expression()).collect()] == ["X-B", "zz", None]
    first = lookups()
    assert "col" in first["functions"] and "regexp_replace" in first["org.apache.spark.sql.functions"]
    keep_lookups(spark)
    assert {name: getattr(jvm, name) for name in classes} == classes
    assert [row[0] for row in frame.select(expression()).collect()] == ["X-B", "zz", None]
    assert lookups() == first
