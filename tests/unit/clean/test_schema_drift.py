"""Mapped JSON names with a dot must be fields of some record."""

import pytest
from pyspark.sql import Row

from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import Source
from crm_spark.stages.clean.schema_drift import require_known_paths


def source(name, files):
    columns = {"order_id": "id", "ordered_at": "at", "status": {"value": "completed"}, "person_id": name}
    return Source.model_validate(
        {"name": "shop", "system": "shop", "files": files, "feeds": {"order": {"columns": columns}}}
    )


def delivery(*columns, status="ingested", owner="shop"):
    return Row(source=owner, status=status, columns=list(columns) or None)


JSON = {"path": "*.json", "format": "json"}


def test_path_that_no_record_has_is_refused_with_file_and_key():
    with pytest.raises(
        ConfigError, match=r"conf/shop\.yaml: feeds\.order: .*`customer\.id`, or `customer` with an object"
    ):
        require_known_paths(source("customer.id", JSON), [delivery("id", "client"), delivery("id")], "conf/shop.yaml")


@pytest.mark.parametrize(
    ("name", "files", "deliveries"),
    [
        ("customer.id", JSON, [delivery("id"), delivery("id", "customer%2Eid")]),
        ("customer", JSON, [delivery("id")]),
        ("customer.id", JSON, [delivery("id", "customer"), delivery("id")]),
        ("customer.id", {**JSON, "may_lack": ["customer.id"]}, [delivery("id")]),
        ("customer.id", JSON, []),
        ("customer.id", JSON, [delivery(), delivery("id", status="rejected"), delivery("id", owner="other")]),
        ("customer.id", {"path": "*.csv", "format": "csv"}, [delivery("id")]),
    ],
    ids=[
        "a field in one file",
        "no path",
        "into an object",
        "declared",
        "nothing delivered",
        "nothing of it read",
        "no JSON",
    ],
)
def test_other_names_are_accepted(name, files, deliveries):
    require_known_paths(source(name, files), deliveries, "conf/shop.yaml")
