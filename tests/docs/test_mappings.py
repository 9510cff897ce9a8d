"""The examples of the pages about mappings are valid, and show every key."""

import re
from pathlib import Path

import pytest
import yaml

from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.config import validated
from crm_spark.features.declarations import DeclaredFeature, FeatureFile
from crm_spark.sources.config import Jdbc, Source
from crm_spark.sources.files import FileOptions, Files, TableLayout
from crm_spark.sources.mappings import Attribute, Case, Feed, Lookup, Mapping

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = {name: (DOCS / f"{name}.md").read_text() for name in ("mappings", "file-forms")}
BLOCKS = {
    name: [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", page, re.S)]
    for name, page in PAGES.items()
}
SOURCES = [block for block in BLOCKS["mappings"] if "feeds" in block]


@pytest.mark.parametrize("content", SOURCES, ids=lambda content: content["system"])
def test_example_is_a_valid_source(content):
    source = validated(Source, {"name": "example", **content}, origin="mappings.md")
    assert source.feeds


def test_declared_feature_is_valid():
    (content,) = [block for block in BLOCKS["mappings"] if "features" in block]
    (feature,) = validated(FeatureFile, content, origin="mappings.md").features.values()
    # `column` has no meaning for the measure of the example; the others are named in a comment.
    assert set(content["features"]["visits_recent"]) == set(DeclaredFeature.model_fields) - {"column"}
    assert feature.measure == "count"


def test_every_key_is_shown():
    shown = set()

    def collect(value):
        if isinstance(value, dict):
            shown.update(value)
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(each)

    collect(BLOCKS)
    named_in_text = {"header", "sheet"}
    for model in (Source, Files, FileOptions, TableLayout, Jdbc, Feed, Mapping, Attribute, Case, Lookup):
        keys = {field.alias or name for name, field in model.model_fields.items()}
        assert keys - named_in_text <= shown, model.__name__
    assert all(f"`{name}`" in PAGES["mappings"] or f"`{name}: " in PAGES["file-forms"] for name in named_in_text)


def test_every_entity_is_described():
    assert all(f"`{entity}`" in PAGES["mappings"] for entity in ENTITIES)
