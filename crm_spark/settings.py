"""The whole configuration: one section per stage, each declared in the stage's own room."""

from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config, merged, parse_overrides, read_layered, validated
from crm_spark.core.lease import TIME_TO_LIVE_SECONDS
from crm_spark.core.session import SessionConfig
from crm_spark.stages.clean.config import CleanConfig, ReplayConfig
from crm_spark.stages.decide.config import DecideConfig
from crm_spark.stages.featurise.config import FeaturiseConfig
from crm_spark.stages.ingest.config import IngestConfig
from crm_spark.stages.monitor.config import MonitorConfig
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.recommend.config import RecommendConfig
from crm_spark.stages.report.config import ReportConfig
from crm_spark.stages.resolve.config import ResolveConfig
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.segment.config import SegmentConfig
from crm_spark.stages.shard.config import ShardConfig
from crm_spark.stages.train.config import TrainConfig


class CompanyConfig(Config):
    """Whose data this is."""

    name: str = "The company"
    """As the report calls it."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """ISO 4217 code every amount is reported in."""
    exchange_rates: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Reporting currency per unit of another currency, for sources that sell in others."""
    horizon_days: Annotated[int, Field(ge=7, le=730)] = 91
    """The time churn, lifetime value and `recent` features look over."""


class Settings(Config):
    """The root of `conf/*.yaml`."""

    lake: str | None = None
    """Root of the lake where `--lake` is not given."""
    catalog: str | None = None
    """Schema (`catalog.schema`) to register every table in as well; null: paths only."""
    seed: Annotated[int, Field(ge=1)] = 20240229
    """Every random draw is a hash of this and a key."""
    as_of: date | None = None
    """Logical date where `--as-of` is not given; null: the day of the newest event in silver."""
    lease_seconds: Annotated[float, Field(gt=0)] = TIME_TO_LIVE_SECONDS
    """How long a run of which nothing is heard keeps the lake to itself."""
    company: CompanyConfig = CompanyConfig()
    session: SessionConfig = SessionConfig()
    ingest: IngestConfig
    clean: CleanConfig = CleanConfig()
    replay: ReplayConfig = ReplayConfig()
    resolve: ResolveConfig = ResolveConfig()
    featurise: FeaturiseConfig = FeaturiseConfig()
    segment: SegmentConfig = SegmentConfig()
    predict: PredictConfig = PredictConfig()
    recommend: RecommendConfig = RecommendConfig()
    shard: ShardConfig = ShardConfig()
    train: TrainConfig = TrainConfig()
    score: ScoreConfig = ScoreConfig()
    decide: DecideConfig = DecideConfig()
    monitor: MonitorConfig = MonitorConfig()
    report: ReportConfig = ReportConfig()


def load_settings(path: Path, overrides: list[str]) -> Settings:
    """The settings in `path`, over the files it extends, under `--set` assignments."""
    content = merged(read_layered(path), parse_overrides(overrides))
    return validated(Settings, content, origin=str(path))
