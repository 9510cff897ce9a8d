"""Every YAML that ships loads, and the README says what is true."""

import re
import subprocess
from pathlib import Path

import pytest

from crm_spark.contracts.sales import ORDER_STATUSES
from crm_spark.contracts.services import APPOINTMENT_STATUSES, DEAL_STATUSES, SUBSCRIPTION_STATUSES
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.config import read_layered, read_yaml, validated
from crm_spark.features.declarations import declared_features
from crm_spark.features.sensitive import sensitive_word, sensitive_words
from crm_spark.onboarding.entity_evidence import FULL_NAME, LINE_TOTAL
from crm_spark.onboarding.file_grouping import known_file_words
from crm_spark.onboarding.locale_hints import known_countries
from crm_spark.onboarding.mapping_proposal import known_vocabulary, plain
from crm_spark.quality.rules import QualityRules, load_rules
from crm_spark.settings import load_settings
from crm_spark.sources.config import Source, load_source
from crm_spark.stages.clean.addresses import load_addresses
from crm_spark.stages.clean.contacts import load_mail_providers
from crm_spark.stages.clean.instants import load_date_words
from crm_spark.stages.clean.names import load_names
from crm_spark.stages.clean.numbers import load_currencies
from crm_spark.stages.decide.stage import load_strategy, require_known_features
from crm_spark.stages.resolve.stage import nicknames
from crm_spark.stages.score.aspects import load_aspects
from crm_spark.stages.score.stop_words import load_stop_words
from crm_spark.world.industry_files import industries
from crm_spark.world.industry_spec import IndustrySpec
from crm_spark.world.spec import WorldSpec

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
STATES = set(ORDER_STATUSES)
OTHER_STATES = {"subscription": SUBSCRIPTION_STATUSES, "appointment": APPOINTMENT_STATUSES, "deal": DEAL_STATUSES}
EVERY = sorted(CONF.rglob("*.yaml"))


@pytest.mark.parametrize("path", EVERY, ids=lambda p: p.relative_to(CONF).as_posix())
def test_configuration_loads(path):
    kind = path.parent.name
    if kind in industries() and path.stem == "world":
        validated(IndustrySpec, read_layered(path), origin=str(path))
    elif kind == "sources":
        assert load_source(path).name == path.stem
    elif kind == "quality":
        validated(QualityRules, read_yaml(path), origin=str(path))
    elif kind == "strategy":
        assert load_strategy(str(path)).actions
    elif path.stem == "nicknames":
        assert nicknames(str(path))["bill"] == "william" and "chris" not in nicknames(str(path))
    elif path.stem == "names":
        assert load_names(str(path)).split("Dr. Ada von Ach") == ("Dr. Ada", "von Ach")
    elif path.stem == "date_words":
        words = load_date_words(str(path))
        assert len(words.months) == 12 and "märz" in words.months[2] and words.zones["CEST"] == "+02:00"
        assert not {*words.months[0]} & {*words.months[5]}
    elif path.stem == "currencies":
        assert load_currencies(str(path)).words.decimals["JPY"] == 0
    elif path.stem == "mail_providers":
        assert load_mail_providers(str(path)).same_as["googlemail.com"] == "gmail.com"
    elif path.stem == "addresses":
        assert load_addresses(str(path)).country("Deutschland", None) == "DE"
    elif path.stem == "stop_words":
        assert load_stop_words(str(path)).of("en", ["the", "not"]) == {"the"}
    elif path.stem == "aspects":
        assert {"delivery", "price", "quality", "service"} <= set(load_aspects(str(path)).names)
    elif path.stem == "status_words":
        states = known_vocabulary(path.parent).states
        assert states["storniert"] == "cancelled" and set(states.values()) == STATES
    elif path.stem == "state_words":
        for entity, words in known_vocabulary(path.parent).other_states.items():
            assert set(words.values()) == set(OTHER_STATES[entity])
    elif path.stem == "features":
        sensitive = [
            str(CONF / "domains" / "sensitive_attributes.yaml"),
            str(path.with_name("sensitive_attributes.yaml")),
        ]
        assert set(declared_features([str(path)], str(CONF / "sources"), sensitive).of_events)
    elif path.stem == "sensitive_attributes":
        words = sensitive_words([str(path)])
        assert words and all(sensitive_word(word, words) for word in words)
        assert sensitive_word("amount_recent", words) is None
    elif path.parent.parent.name == "domains" and path.stem == "strategy":
        names = declared_features([str(path.with_name("features.yaml"))], str(CONF / "sources")).names
        require_known_features(load_strategy(str(path)), names, origin=str(path))
    elif path.parent.parent.name == "domains":
        settings = load_settings(path, [])
        assert settings.featurise.features == [str(path.with_name("features.yaml"))]
    elif path.stem == "consent_words":
        consents = known_vocabulary(path.parent).consents
        assert consents["abgemeldet"] == "false" and set(consents.values()) == {"true", "false"}
    elif path.stem == "column_prefixes":
        prefixes = known_vocabulary(path.parent).prefixes
        assert set(prefixes) <= set(ENTITIES) and all(
            word == plain(word) for words in prefixes.values() for word in words
        )
    elif path.stem == "countries":
        for facts in known_countries(path.parent).facts.values():
            source = {"name": "x", "system": "x", "files": {"path": "x", "format": "csv"}, **facts}
            validated(Source, source, origin=str(path))
    elif path.stem == "file_words":
        words = known_file_words(path)
        assert "januar" in words.months and "export" in words.parts
    elif path.stem == "column_names":
        for entity, columns in known_vocabulary(path.parent).names.items():
            assert set(columns) - {FULL_NAME, LINE_TOTAL} <= set(ENTITIES[entity].column_names)
            assert all(spelling == plain(spelling) for spellings in columns.values() for spelling in spellings)
    elif path.stem == "world":
        validated(WorldSpec, read_layered(path), origin=str(path))
    else:
        assert load_settings(path, []).company.horizon_days == 91


def test_paths_in_the_settings_exist():
    settings = load_settings(CONF / "local.yaml", [])
    assert load_rules(settings.clean.rules_dir).rules
    assert Path(settings.ingest.sources_dir).is_dir() and Path(settings.decide.strategy).is_file()


def test_commands_of_the_readme_exist():
    readme = (ROOT / "README.md").read_text()
    made = set(re.findall(r"`make ([a-z-]+)", readme)) | set(re.findall(r"^ *make ([a-z-]+)", readme, re.M))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert {"demo", "test"} <= made <= targets
    for job in re.findall(r"jobs/(\w+)\.py", readme):
        assert (ROOT / "jobs" / f"{job}.py").exists()
    for path in re.findall(r"`(conf/[\w./-]+|crm_spark/[\w./-]+|tests/[\w./-]+)`", readme):
        assert (ROOT / path.split("<")[0].rstrip("*")).exists(), path


def test_no_file_names_a_package_index_or_a_machine():
    pattern = r"https?://[^ ]*(/simple|/maven2|/packages/[0-9a-f]{2}/)|--index-url|[ \"(=](/home|/root|/Users)/[a-z]"
    matches = subprocess.run(
        ["git", "grep", "-nIE", pattern, "--", ".", ":!tests/architecture"], cwd=ROOT, capture_output=True, text=True
    )
    assert matches.stdout == ""
