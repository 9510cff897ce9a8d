"""An industry that the project does not know, described by YAML alone, goes through every stage."""

import datetime as dt
import random
import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.refreshed import FAST

from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT_PROFILE
from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.ops import METRIC, QUARANTINE
from crm_spark.contracts.scores import CHURN

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
GYM = ROOT / "tests" / "support" / "gym"
NUM_MEMBERS = 600
FIRST, LAST = dt.date(2024, 6, 1), dt.date(2024, 12, 31)
GONE_AFTER = dict.fromkeys((1, 2, 3), dt.date(2024, 10, 20)) | dict.fromkeys((4, 6), dt.date(2024, 11, 20))
"""Members by number modulo 10 -> end of the contract, and the last day on which they may come."""


def lay_out(root: Path) -> Path:
    """Writes the data of the club and its configuration; returns the settings file."""
    shutil.copytree(GYM, root / "conf")
    settings = {"extends": str(ROOT / "conf" / "local.yaml"), **yaml.safe_load((GYM / "company.yaml").read_text())}
    settings["ingest"]["data_dir"] = str(root / "data")
    (root / "conf" / "company.yaml").write_text(yaml.safe_dump(settings))
    draw = random.Random(5)
    files = {
        "members": ["no,first,last,mail,since,goal,illness"],
        "contracts": ["id,member,plan,start,end,fee"],
        "visits": ["member,at"],
        "courses": ["id,member,came,at"],
    }
    for i in range(NUM_MEMBERS):
        files["members"].append(
            f"{i},Ada,Stern{i},m{i}@example.org,2024-06-01,{'fw'[i % 2]},{'asthma' if i % 7 == 0 else ''}"
        )
        last = GONE_AFTER.get(i % 10, LAST)
        files["contracts"].append(f"c{i},{i},Gold,2024-06-01,{last if last < LAST else ''},29.90")
        day = FIRST + dt.timedelta(days=i % 5)
        while day <= last:
            files["visits"].append(f"{i},{day}T18:{i % 60:02}:00")
            day += dt.timedelta(days=draw.randint(2, 14))
        files["courses"].append(f"k{i},{i},{'no' if i % 10 == 5 else 'yes'},2024-12-0{1 + i % 9}T10:00:00")
    (root / "data").mkdir()
    for name, lines in files.items():
        (root / "data" / f"{name}.csv").write_text("\n".join([*lines, ""]))
    return root / "conf" / "company.yaml"


@pytest.fixture(scope="module")
def refreshed(spark, tmp_path_factory):
    from crm_spark.pipeline import Pipeline
    from crm_spark.settings import load_settings

    root = tmp_path_factory.mktemp("gym")
    pipeline = Pipeline(
        load_settings(lay_out(root), [o for o in FAST if not o.startswith("segment.")]), lake=str(root / "lake")
    )
    results = pipeline.run()
    page = (root / "lake" / "files" / "report.html").read_text()
    return pipeline.tables, results, re.sub(r"<script>.*?</script>|<style>.*?</style>", "", page, flags=re.S)


def test_every_stage_works_or_lacks_texts_or_products(refreshed):
    tables, results, _ = refreshed
    skipped = {name for name, result in results.items() if result.status == "skipped"}
    assert skipped == {"recommend", "shard", "train", "score"}
    assert tables.read(QUARANTINE).isEmpty()
    assert tables.read(CUSTOMER).where("NOT is_prospect").count() == NUM_MEMBERS


def test_visits_are_the_purchases(refreshed):
    tables, _, _ = refreshed
    newest = tables.read(FEATURE_CUSTOMER).where(f"as_of = '{LAST}'")
    assert newest.where("num_orders > 5").count() == NUM_MEMBERS
    assert newest.where("recency_days > 60").count() == 3 * NUM_MEMBERS // 10
    names = {
        row["name"] for row in tables.read(SEGMENT_PROFILE).where(f"as_of = '{LAST}' AND segment_id > 0").collect()
    }
    assert names & {"Regulars", "Occasional visitors", "Stayed away"}


def test_members_without_a_contract_are_at_risk(refreshed):
    tables, _, page = refreshed
    quality = {row["metric"]: row["value"] for row in tables.read(METRIC).where("model = 'xgboost'").collect()}
    assert quality["churn_auc"] > 0.8
    scores = tables.read(CHURN).where(f"as_of = '{LAST}'").collect()
    reasons = {reason for row in scores for reason in row["reasons"]}
    assert "contracts" in reasons
    assert not any("illness" in reason for reason in reasons)
    assert "asthma" not in page


def test_actions_use_declared_features(refreshed):
    tables, _, page = refreshed
    counts = tables.read(NEXT_BEST_ACTION).groupBy("action").count().collect()
    actions = {row["action"]: row["count"] for row in counts}
    assert actions["course_voucher"] == NUM_MEMBERS // 10
    assert "Voucher for a course" in page
