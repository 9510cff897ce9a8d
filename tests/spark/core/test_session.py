"""Queries on few rows run without code generation, in few partitions."""

from pyspark.sql import functions as F

from crm_spark.core.session import fitted_to


def is_compiled(session):
    frame = session.range(5).select((F.col("id") + 1).alias("n"))
    return "*(1)" in frame._jdf.queryExecution().executedPlan().toString()


def num_partitions(session):
    return session.range(0, 100, 1, numPartitions=8).groupBy(F.col("id") % 10).count().rdd.getNumPartitions()


def test_few_rows_are_processed_interpreted_in_few_partitions(spark):
    session = spark.newSession()
    session.conf.set("spark.sql.shuffle.partitions", "4")
    session.conf.set("spark.sql.adaptive.enabled", "false")
    assert is_compiled(session) and num_partitions(session) == 4
    for num_rows, compiled, partitions in ((0, False, 1), (5_000, False, 2), (9_999, False, 2), (10_000, True, 4)):
        with fitted_to(session, num_rows, compile_from_rows=10_000):
            assert (is_compiled(session), num_partitions(session)) == (compiled, partitions), num_rows
    with fitted_to(session, 90_000, compile_from_rows=100_000):
        assert num_partitions(session) == 4, "never more than configured"
    assert is_compiled(session) and num_partitions(session) == 4


def test_own_setting_is_restored(spark):
    session = spark.newSession()
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    with fitted_to(session, 1, compile_from_rows=2):
        pass
    assert session.conf.get("spark.sql.codegen.wholeStage") == "false"
    assert session.conf.get("spark.sql.codegen.factoryMode") == "FALLBACK"
