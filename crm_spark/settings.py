"""The whole configuration: general settings, the company, and one section per stage."""

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
    """Company profile."""

    name: str = "The company"
    """Name of the company in the report."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """ISO 4217 code of the reporting currency."""
    exchange_rates: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Units of the reporting currency per unit of another currency, for sources in other currencies."""
    horizon_days: Annotated[int, Field(ge=7, le=730)] = 91
    """Days that churn, expected revenue and recent features cover."""


class Settings(Config):
    """Root of the configuration."""

    lake: str | None = None
    """Directory or URI of the lake, unless `--lake` is given."""
    catalog: str | None = None
    """Catalog schema (`catalog.schema`) in which tables are registered; null: tables are found by path only."""
    seed: Annotated[int, Field(ge=1)] = 20240229
    """Seed of all random draws."""
    as_of: date | None = None
    """Logical date, unless `--as-of` is given; null: the day of the newest event in silver."""
    lease_seconds: Annotated[float, Field(gt=0)] = TIME_TO_LIVE_SECONDS
    """Seconds after which the lease of a silent run expires."""
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
    """Load a configuration file, the files it extends, and `--set` assignments over them."""
    content = merged(read_layered(path), parse_overrides(overrides))
    return validated(Settings, content, origin=str(path))
