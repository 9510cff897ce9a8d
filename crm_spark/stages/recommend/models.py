"""Recommenders: implicit ALS on purchases, and best sellers as baseline."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.stages.recommend.config import RecommendConfig
from crm_spark.stages.recommend.factors import ItemFactors, als_ranking


def purchase_days(lines: DataFrame) -> DataFrame:
    """Grain: customer_id x product. `times`: number of days with a purchase."""
    return lines.groupBy("customer_id", "product").agg(F.count_distinct("happened_on").alias("times"))


def als_offers(history: DataFrame, items: ItemFactors, cfg: RecommendConfig) -> DataFrame:
    """Grain: customer_id x rank. ALS recommendations (product, score), filled up with best sellers."""
    ranked = als_ranking(history, items, cfg).cache()
    return _fill_with_best_sellers(ranked, history, history.select("customer_id").distinct(), cfg)


def _fill_with_best_sellers(
    ranked: DataFrame, history: DataFrame, customers: DataFrame, cfg: RecommendConfig
) -> DataFrame:
    """Append best sellers, with negative scores, for customers with too few ALS recommendations."""
    counts = ranked.groupBy("customer_id").agg(F.count(F.lit(1)).alias("num_offers"))
    incomplete = customers.join(counts, "customer_id", "left").withColumn(
        "num_offers", F.coalesce("num_offers", F.lit(0))
    )
    incomplete = incomplete.where(F.col("num_offers") < cfg.num_recommendations)
    best_sellers = popular_offers(history, incomplete.select("customer_id"), cfg)
    best_sellers = best_sellers.join(ranked.select("customer_id", "product"), ["customer_id", "product"], "left_anti")
    order = Window.partitionBy("customer_id").orderBy("rank")
    added = (
        best_sellers.join(incomplete, "customer_id")
        .withColumn("rank", F.row_number().over(order) + F.col("num_offers"))
        .where(F.col("rank") <= cfg.num_recommendations)
        .withColumn("score", -F.col("rank").cast("double"))
    )
    return ranked.unionByName(added.select(*ranked.columns))


def popular_offers(history: DataFrame, customers: DataFrame, cfg: RecommendConfig) -> DataFrame:
    """Grain: customer_id x rank. Best sellers (by number of customers) without products already bought."""
    buyers = history.groupBy("product").agg(F.count(F.lit(1)).cast("double").alias("score"))
    best_sellers = buyers.orderBy(F.desc("score"), "product").limit(cfg.num_popular)
    return _ranked(customers.crossJoin(F.broadcast(best_sellers)), history, cfg)


def _ranked(offers: DataFrame, history: DataFrame, cfg: RecommendConfig) -> DataFrame:
    not_bought = offers.join(history.select("customer_id", "product"), ["customer_id", "product"], "left_anti")
    order = Window.partitionBy("customer_id").orderBy(F.desc("score"), "product")
    return not_bought.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= cfg.num_recommendations)


def hit_rate(offers: DataFrame, later: DataFrame) -> tuple[float | None, int]:
    """Return the hit rate and the number of customers with a first-time purchase.

    The hit rate is the fraction of these customers who bought at least one recommended product; None without them.

    Args:
        offers: customer_id, product.
        later: customer_id, product: first-time purchases after the recommendation.
    """
    buyers = later.select("customer_id").distinct()
    hit = (
        offers.select("customer_id", "product").join(later, ["customer_id", "product"]).select("customer_id").distinct()
    )
    num_buyers = buyers.count()
    return (hit.join(buyers, "customer_id").count() / num_buyers if num_buyers else None), num_buyers
