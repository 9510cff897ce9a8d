"""Each addition that the README counts is made in a copy of the project, in that many files, and works in a refresh."""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from deltalake import DeltaTable
from support.refreshed import FAST, ROOT

pytestmark = pytest.mark.slow
CODE = ("crm_spark", "conf", "jobs", "deploy")
STAGE_MODULE = '''"""Counts the customers who joined in each year."""

from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.core.context import JobContext, StageResult
from crm_spark.core.stage import Stage


def run(ctx: JobContext) -> StageResult:
    years = ctx.tables.read(CUSTOMER).where(F.col("joined_at") >= ctx.settings.cohort.since).count()
    return StageResult(years, note="cohorts counted")


STAGE = Stage("cohort", run, reads=(CUSTOMER,))
'''
STAGE_CONFIG = '''"""Settings of the cohort stage."""

from crm_spark.core.config import Config


class CohortConfig(Config):
    """Settings of the cohort stage."""

    since: str = "2000-01-01"
    """First day of the first cohort."""
'''
JOB = '''"""The cohort stage."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("cohort"))
'''
PREDICTION = '''"""Return: the probability that a customer returns something, here the fraction of the last snapshot."""

from pyspark.sql import functions as F

from crm_spark.contracts.scores import RETURN
from crm_spark.models.metrics import Measure
from crm_spark.stages.predict.prediction import Prediction


def _labels():
    return [F.col("num_returns").alias("later_returns")]


def _fit(examples, cfg, seed):
    return examples.agg(F.avg((F.col("later_returns") > 0).cast("double"))).first()[0]


def _score(model, customers):
    return customers.withColumn("return_probability", F.lit(model))


def _rows(scored, cfg):
    return scored.select("customer_id", "as_of", "return_probability")


def _measures(evaluation):
    return [Measure("return_probability", "prior", 0.5, "fraction", evaluation.scored.count())]


PREDICTION = Prediction("return", RETURN, "prior", _labels, _fit, _score, _rows, _measures)
'''
VISIT = """VISIT = _entity(
    "visit",
    "visit_id",
    "A visit to a branch.",
    required("visit_id", STRING, "Visit id in the source system."),
    PERSON_ID,
    required("visited_at", TIMESTAMP, "Time of the visit (UTC)."),
)

ENTITIES:"""
VISITS_SOURCE = """system: branch
files: {path: "*/visits*.csv", format: csv}
feeds:
  visit:
    columns: {visit_id: number, person_id: contact, visited_at: {from: day, formats: [iso]}}
"""
PANEL = '''def visits(facts: Facts, primary: dict[str, str]) -> Panel:
    """The panel that the test adds."""
    return Panel("visits", "Branch visits", f"Visits of {facts.num_customers} customers.")


PanelBuilder ='''
RETURN = """RETURN = TableContract(
    name="scores.return",
    grain=("customer_id", "as_of"),
    doc="Probability of a return.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("return_probability", DOUBLE, "Probability, in [0, 1]."),
        required("model", STRING, "Model name and version."),
    ),
    partition_by=("as_of",),
)
RECOMMENDATION = TableContract("""
ACTION = """actions:
  - name: say_hello
    title: Say hello
    reason: has_ordered
    when:
      - {fact: num_orders, at_least: 1}
"""


class Copy:
    """A copy of the project that remembers which files each addition touched."""

    def __init__(self, root: Path):
        self.root = root
        self.touched = defaultdict(set)
        for name in CODE:
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))

    def edit(self, addition: str, path: str, before: str, after: str) -> None:
        file = self.root / path
        content = file.read_text()
        assert content.count(before) == 1, f"{path}: {before!r}"
        file.write_text(content.replace(before, after))
        self.touched[addition].add(path)

    def create(self, addition: str, path: str, content: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        assert not file.exists()
        file.write_text(content)
        self.touched[addition].add(path)

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "crm_spark.cli.app", *map(str, arguments)]
        result = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stderr


def add_everything(copy: Copy) -> None:
    features = "crm_spark/stages/featurise/features.py"
    distinct = '.agg(F.count_distinct("product").cast("int").alias("num_products"))'
    also_lines = f'{distinct[:-1]}, F.count(F.lit(1)).cast("int").alias("num_lines"))'
    copy.edit("feature", features, distinct, also_lines)
    last = 'required("num_campaign_responses", INT, "Number of campaign responses up to as_of."),'
    lines = f'{last}\n    required("num_lines", INT, "Number of order lines up to as_of."),'
    copy.edit("feature", "crm_spark/contracts/features.py", last, lines)

    panels = "crm_spark/stages/report/panels.py"
    copy.edit("report panel", panels, "PanelBuilder =", PANEL)
    copy.edit("report panel", panels, "    monitoring,\n)", "    monitoring,\n    visits,\n)")

    copy.edit("action", "conf/strategy/default.yaml", "actions:\n", ACTION)

    silver = "crm_spark/contracts/silver.py"
    copy.edit("entity", silver, "ENTITIES:", VISIT)
    copy.edit(
        "entity", silver, "CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE)\n", "CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE, VISIT)\n"
    )
    copy.create("entity", "conf/sources/visits.yaml", VISITS_SOURCE)

    copy.create("stage", "crm_spark/stages/cohort/__init__.py", "")
    copy.create("stage", "crm_spark/stages/cohort/config.py", STAGE_CONFIG)
    copy.create("stage", "crm_spark/stages/cohort/stage.py", STAGE_MODULE)
    copy.create("stage", "jobs/cohort.py", JOB)
    settings = "crm_spark/settings.py"
    decide = "from crm_spark.stages.decide.config import DecideConfig\n"
    copy.edit("stage", settings, decide, f"from crm_spark.stages.cohort.config import CohortConfig\n{decide}")
    report = "    report: ReportConfig = ReportConfig()\n"
    copy.edit("stage", settings, report, f"{report}    cohort: CohortConfig = CohortConfig()\n")
    segment = '    "segment": "'
    copy.edit("stage", "crm_spark/stages/__init__.py", segment, f'    "cohort": "Count customers by year.",\n{segment}')

    copy.create("tabular model", "crm_spark/stages/predict/returns.py", PREDICTION)
    predict = "crm_spark/stages/predict/stage.py"
    both = "(churn.PREDICTION, value.PREDICTION)"
    copy.edit("tabular model", predict, both, "(churn.PREDICTION, value.PREDICTION, returns.PREDICTION)")
    copy.edit("tabular model", predict, "predict import churn, value", "predict import churn, returns, value")
    scores = "crm_spark/contracts/scores.py"
    copy.edit("tabular model", scores, "RECOMMENDATION = TableContract(", RETURN)
    copy.edit("tabular model", scores, "    LIFETIME_VALUE,\n", "    LIFETIME_VALUE,\n    RETURN,\n")


def counted_in_the_readme() -> dict[str, int]:
    rows = re.findall(r"^\| ([a-z ]+) \| (\d+) \|", (ROOT / "README.md").read_text(), re.M)
    return {name: int(number) for name, number in rows}


def test_additions_touch_the_counted_files_and_work(tmp_path):
    copy, company, lake = Copy(tmp_path / "project"), tmp_path / "company", tmp_path / "lake"
    add_everything(copy)
    counted = counted_in_the_readme()
    assert {name: len(paths) for name, paths in copy.touched.items()} == {name: counted[name] for name in copy.touched}
    assert set(copy.touched) == {"feature", "report panel", "action", "entity", "stage", "tabular model"}

    copy.run("generate", "--out", company, "--customers", "1000", "--days", "0", "--set", "history_days=420")
    delivery = next((company / "drops").glob("*/"))
    (delivery / "visits.csv").write_text("number,contact,day\n1,C1,2024-01-02\n2,C2,2024-01-03\n")
    settings = [f"--set={each}" for each in (*FAST, f"ingest.data_dir={company / 'drops'}")]
    log = copy.run("refresh", "--conf", "conf/demo.yaml", "--lake", lake, *settings)

    def rows(table):
        return DeltaTable(str(lake / table)).to_pyarrow_table().to_pylist()

    assert any(row["num_lines"] > 0 for row in rows("features/customer"))
    assert "Branch visits" in (lake / "files" / "report.html").read_text()
    assert "say_hello" in {row["action"] for row in rows("actions/next_best")}
    assert sorted(row["visit_id"] for row in rows("silver/visit")) == ["1", "2"]
    assert re.search(r"cohort .*cohorts counted", log)
    assert {"cohort"} <= {row["stage"] for row in rows("ops/run")}
    assert {row["model"].partition(":")[0] for row in rows("scores/return")} == {"prior"}
