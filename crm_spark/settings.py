"""The whole configuration: general settings, the company, and one section per stage."""

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config, TimeZone, merged, parse_overrides, read_layered, validated
from crm_spark.core.failures import AlertsConfig
from crm_spark.core.lease import TIME_TO_LIVE_SECONDS
from crm_spark.core.log import LogFormat
from crm_spark.core.session import SessionConfig
from crm_spark.customers.business import BusinessWords, ChurnKind
from crm_spark.maintenance.config import MaintainConfig
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
from crm_spark.telemetry.config import TelemetryConfig


class CompanyConfig(Config):
    """Company profile."""

    name: str = "The company"
    """Name of the company in the report."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "EUR"
    """ISO 4217 code of the reporting currency."""
    exchange_rates: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Units of the reporting currency per unit of another currency, for sources in other currencies."""
    time_zone: TimeZone = "UTC"
    """IANA time zone of the company's days: order days, months, recency, the logical date and the report's times. Also of
    sources that set none."""
    horizon_days: Annotated[int, Field(ge=7, le=730)] = 91
    """Days that churn, expected revenue and recent features cover."""
    purchases: Annotated[
        list[Literal["order", "appointment", "usage", "payment", "subscription"]], Field(min_length=1)
    ] = ["order"]
    """What counts as a purchase in features, segments and predictions: orders; attended appointments, visits or trips; uses or
    transactions; payments; starts of subscriptions."""
    revenue: Annotated[list[Literal["order", "appointment", "usage", "payment"]], Field(min_length=1)] | None = None
    """Whose amounts are revenue; null: those of the purchases. A bank, whose transactions are not its revenue, sets [payment]
    and delivers its fees as payments; refunds reduce it."""
    churn: ChurnKind = "inactivity"
    """What the company loses a customer by, within the horizon. inactivity: no purchase. contract_end: no contract
    (subscription) runs at its end. missed_renewal: the same where the end of the term counts unless it was moved by a renewal.
    missed_appointment: an appointment was missed and none was attended. With contracts, only customers with a running one
    have predictions, else those with a purchase."""
    words: BusinessWords = BusinessWords()
    """What the company calls its purchases and contracts."""


class Settings(Config):
    """Root of the configuration."""

    lake: str | None = None
    """Directory or URI of the lake, unless `--lake` is given; null: `--lake` is required."""
    catalog: str | None = None
    """Catalog schema (`catalog.schema`) in which tables are registered; null: tables are found by path only."""
    seed: Annotated[int, Field(ge=1)] = 20240229
    """Seed of all random draws."""
    as_of: date | None = None
    """Logical date, unless `--as-of` is given; null: the day of the newest event in silver."""
    lease_seconds: Annotated[float, Field(gt=0)] = TIME_TO_LIVE_SECONDS
    """Seconds after which the lease of a silent run expires."""
    log_format: LogFormat = "text"
    """text: lines for people. json: one JSON object per line, with at (UTC), level, message and, for the line of a stage,
    stage, status, num_rows and seconds."""
    alerts: AlertsConfig = AlertsConfig()
    """Alerts about failed runs."""
    telemetry: TelemetryConfig = TelemetryConfig()
    """Metrics and lineage of runs for other systems."""
    company: CompanyConfig = CompanyConfig()
    """Company profile: name, currency, prediction horizon."""
    session: SessionConfig = SessionConfig()
    """Spark session of jobs started outside spark-submit."""
    ingest: IngestConfig
    """Ingest stage: write new files and database rows to bronze."""
    clean: CleanConfig = CleanConfig()
    """Clean stage: write valid rows to silver and quarantine the others."""
    replay: ReplayConfig = ReplayConfig()
    """Replay: release quarantined rows that pass the current mappings and rules."""
    resolve: ResolveConfig = ResolveConfig()
    """Resolve stage: link the records of each person to one customer."""
    featurise: FeaturiseConfig = FeaturiseConfig()
    """Featurise stage: compute the features of every customer."""
    segment: SegmentConfig = SegmentConfig()
    """Segment stage: cluster the customers with orders into named segments."""
    predict: PredictConfig = PredictConfig()
    """Predict stage: predict churn and revenue of the customers with orders."""
    recommend: RecommendConfig = RecommendConfig()
    """Recommend stage: recommend products to the customers."""
    shard: ShardConfig = ShardConfig()
    """Shard stage: split the labelled texts and write training shards."""
    train: TrainConfig = TrainConfig()
    """Train stage: fine-tune the text model."""
    score: ScoreConfig = ScoreConfig()
    """Score stage: predict the label of every new text."""
    decide: DecideConfig = DecideConfig()
    """Decide stage: choose the next best action of every customer."""
    monitor: MonitorConfig = MonitorConfig()
    """Monitor stage: compute customer metrics, drift and information gap."""
    report: ReportConfig = ReportConfig()
    """Report stage: write the figures of the lake as an HTML page."""
    maintain: MaintainConfig = MaintainConfig()
    """Maintenance: compact tables and remove what is no longer read."""


def load_settings(path: Path, overrides: list[str]) -> Settings:
    """Load a configuration file, the files it extends, and `--set` assignments over them."""
    content = merged(read_layered(path), parse_overrides(overrides))
    return validated(Settings, content, origin=str(path))
