"""Recommend stage: write scores.recommendation with the recommender that is better on the last horizon."""

from datetime import date, timedelta

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.sales import SALE_STATUSES
from crm_spark.contracts.scores import RECOMMENDATION
from crm_spark.contracts.silver import ORDER, ORDER_LINE
from crm_spark.core.context import JobContext, StageResult, lacking, skipped
from crm_spark.core.days import day_of
from crm_spark.core.stage import Stage
from crm_spark.customers.links import with_customer_id
from crm_spark.models.metrics import Measure, figure, record
from crm_spark.stages.recommend.config import RecommendConfig
from crm_spark.stages.recommend.fitting import fit_or_keep
from crm_spark.stages.recommend.models import als_offers, hit_rate, popular_offers, purchase_days

INPUTS = (ORDER, ORDER_LINE, CUSTOMER_LINK)
_MIN_PRODUCTS = 2
"""Customers get products that they have not bought: with a single product there is nothing to recommend."""


def run(ctx: JobContext) -> StageResult:
    """Write recommendations for every customer with purchases."""
    cfg: RecommendConfig = ctx.settings.recommend
    lines = purchases(ctx).where(F.col("happened_on") <= F.lit(ctx.as_of)).persist(StorageLevel.MEMORY_AND_DISK)
    cut = ctx.as_of - timedelta(days=ctx.settings.company.horizon_days)
    before = purchase_days(lines.where(F.col("happened_on") <= F.lit(cut))).cache()
    after = lines.where(F.col("happened_on") > F.lit(cut)).select("customer_id", "product").distinct()
    new_purchases = after.join(before, ["customer_id", "product"], "left_anti").join(
        before.select("customer_id").distinct(), "customer_id"
    )
    known = before.select("customer_id").distinct()
    num_known = known.count()
    if num_known < cfg.min_customers:
        return skipped(lacking(f"at least {cfg.min_customers} customers who bought a product up to {cut}", num_known))
    num_products = lines.select("product").distinct().limit(_MIN_PRODUCTS).count()
    if num_products < _MIN_PRODUCTS:
        return skipped(lacking(f"at least {_MIN_PRODUCTS} products that customers bought", num_products))
    history = purchase_days(lines).cache()
    popular, _ = hit_rate(popular_offers(before, known, cfg), new_purchases)
    als = fit_or_keep(ctx, before, history, new_purchases)
    winner = "als" if als.hit_rate is not None and popular is not None and als.hit_rate > popular else "popularity"
    customers = history.select("customer_id").distinct()
    offers = als_offers(history, als.serving, cfg) if winner == "als" else popular_offers(history, customers, cfg)
    result = ctx.tables.replace(
        RECOMMENDATION,
        _to_contract(offers, ctx, f"als:{als.version}" if winner == "als" else winner),
        batch_id=ctx.batch_id(),
        digest=ctx.fingerprint,
        where={"as_of": str(ctx.as_of)},
        is_unique=True,
    )
    name = f"hit_rate_at_{cfg.num_recommendations}"
    measures = [
        Measure(name, "als", als.hit_rate, "fraction", als.num_customers),
        Measure(name, "popularity", popular, "fraction", als.num_customers, is_baseline=True),
    ]
    record(ctx, "recommend", measures)
    note = f"{_evaluation(als.hit_rate, popular, cut)}; selected: {winner}{als.note}"
    return StageResult(result.num_rows, note=note)


def _evaluation(als: float | None, popular: float | None, cut: date) -> str:
    if als is None or popular is None:
        return f"hit rates unknown: no customer bought a new product after {cut}"
    return f"hit rate {figure(als)} (ALS), {figure(popular)} (popularity)"


def purchases(ctx: JobContext) -> DataFrame:
    """Grain: sold order line of a customer. customer_id, product (system|product_id), happened_on."""
    zone = ctx.settings.company.time_zone
    orders = with_customer_id(ctx.tables.read(ORDER).where(F.col("status").isin(*SALE_STATUSES)), ctx.tables)
    orders = orders.select("system", "order_id", "customer_id", day_of("ordered_at", zone).alias("happened_on"))
    sold = ctx.tables.read(ORDER_LINE).where(~F.col("is_return") & F.col("product_id").isNotNull())
    product = F.concat_ws("|", "system", "product_id").alias("product")
    return sold.join(orders, ["system", "order_id"]).select("customer_id", product, "happened_on")


def _to_contract(offers: DataFrame, ctx: JobContext, model: str) -> DataFrame:
    return offers.select(
        "customer_id",
        F.lit(ctx.as_of).alias("as_of"),
        F.col("rank").cast("int"),
        F.split_part("product", F.lit("|"), F.lit(1)).alias("system"),
        F.regexp_replace("product", r"^[^|]*\|", "").alias("product_id"),
        F.col("score").cast("double"),
        F.lit(model).alias("model"),
    )


STAGE = Stage("recommend", run, reads=INPUTS, fits_model=True)
