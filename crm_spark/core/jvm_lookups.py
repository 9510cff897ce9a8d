"""Adapter of py4j: looks up the JVM classes behind PySpark's functions once per session.

At each call PySpark resolves the class and the method by name, and py4j answers with a search of the class path and a copy of
more than a thousand `Method` objects: two thirds of the time of building an expression. There is no public setting for this;
the only private access is `SparkSession._jvm`.
"""

from typing import Any

from pyspark.sql import SparkSession

_CLASSES = ("org.apache.spark.sql.functions", "functions", "PythonUtils", "PythonSQLUtils")
"""Names by which PySpark reads the classes from the gateway."""


class _Members:
    """A class of the JVM whose methods are looked up at their first use."""

    def __init__(self, java_class: Any) -> None:
        self._java_class = java_class

    def __call__(self, *args: Any) -> Any:
        return self._java_class(*args)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._java_class, name)
        setattr(self, name, member)
        return member


def jvm_class(spark: SparkSession, name: str) -> Any:
    """A class of the JVM by its full name: a constructor with the static methods as attributes."""
    jvm: Any = spark._jvm
    if name not in vars(jvm):
        setattr(jvm, name, _Members(getattr(jvm, name)))
    return vars(jvm)[name]


def keep_lookups(spark: SparkSession) -> None:
    """Keep the classes and methods of PySpark's functions after their first lookup; calling it again changes nothing."""
    for name in _CLASSES:
        jvm_class(spark, name)
