"""A generated company and its lake after a refresh, and what can be asked of any lake."""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FAST = [
    "shard.max_length=48",
    "train.max_examples=320",
    "train.batch_rows=8",
    # Hundreds of texts, seen once: TF-IDF would win.
    'train.baselines=["class_prior"]',
    "train.learning_rate=3.0e-4",
    "train.int8=[]",
    "score.explain_texts_per_segment=4",
    "segment.max_k=4",
    "predict.trees.num_trees=40",
    "recommend.rank=8",
    "recommend.num_iterations=4",
]
"""Settings under which every stage does its work, and none does much of it."""


@dataclass(frozen=True)
class Refreshed:
    """A company's folder (drops, truth), its lake and the pipeline that filled it."""

    company: Path
    lake: Path
    pipeline: object
    results: dict

    @property
    def tables(self):
        return self.pipeline.tables

    @property
    def report(self) -> Path:
        return self.lake / "files" / "report.html"

    def truth(self, table: str):
        import pyarrow.dataset as ds

        return ds.dataset(self.company / "truth" / table).to_table().to_pandas()


def settings_for(company: Path, overrides=()):
    from crm_spark.settings import load_settings

    data = f"ingest.data_dir={company / 'drops'}"
    return load_settings(ROOT / "conf" / "demo.yaml", [data, *FAST, *overrides])


def generate_company(spark, company: Path, **spec) -> None:
    from crm_spark.world.engine import generate
    from crm_spark.world.plan import plan
    from crm_spark.world.spec import WorldSpec

    world = WorldSpec(**{"customers": 1000, "history_days": 420, "days": 1, "block": 500, **spec})
    generate(spark, world, plan(world), str(company))


def refreshed_company(spark, root: Path) -> Refreshed:
    from crm_spark.pipeline import Pipeline

    company, lake = root / "company", root / "lake"
    generate_company(spark, company)
    pipeline = Pipeline(settings_for(company), lake=str(lake))
    return Refreshed(company, lake, pipeline, pipeline.run())


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file below a folder with size and time of change: equal means that nothing was written."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


RUN_COLUMNS = {"_run_id", "run_id", "_arrived_at", "arrived_at", "ended_at", "seconds"}
"""Columns that say when and by which run a row was written: two runs of equal content differ in them."""


def digests(tables, contracts, *, without=()) -> dict[str, str]:
    """Order-free digest of each table's content, by name, without what only tells one run from another, and some columns."""
    from crm_spark.core.hashing import frame_digest

    return {
        contract.name: frame_digest(tables.read(contract).drop(*RUN_COLUMNS, *without))
        for contract in contracts
        if tables.exists(contract)
    }
