"""Recommenders: implicit ALS on purchases, and best sellers as baseline."""

from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.core.parallelism import num_tasks
from crm_spark.stages.recommend.config import RecommendConfig

SLACK = 40
"""Number of extra recommendations, since products already bought are removed."""


def purchase_days(lines: DataFrame) -> DataFrame:
    """Grain: customer_id x product. `times`: number of days with a purchase."""
    return lines.groupBy("customer_id", "product").agg(F.count_distinct("happened_on").alias("times"))


def _with_index(frame: DataFrame, column: str) -> DataFrame:
    """Return the distinct values of a column with their position in sort order, as ALS needs integer ids."""
    # StringIndexer gives the same order but keeps all values, here every customer id, in the memory of the driver.
    values = frame.select(column).distinct().orderBy(column)
    indexed = values.rdd.map(lambda row: row[0]).zipWithIndex()
    return indexed.toDF([column, f"{column}_index"]).withColumn(f"{column}_index", F.col(f"{column}_index").cast("int"))


def als_offers(history: DataFrame, cfg: RecommendConfig, *, seed: int) -> DataFrame:
    """Grain: customer_id x rank. ALS recommendations (product, score) without products already bought."""
    customers, products = _with_index(history, "customer_id").cache(), _with_index(history, "product").cache()
    ratings = (
        history.join(customers, "customer_id")
        .join(products, "product")
        .select("customer_id_index", "product_index", F.log1p("times").cast("float").alias("rating"))
        .repartition(num_tasks(history.sparkSession), "customer_id_index")
        .sortWithinPartitions("customer_id_index", "product_index")
    )
    model = ALS(
        userCol="customer_id_index",
        itemCol="product_index",
        ratingCol="rating",
        implicitPrefs=True,
        rank=cfg.rank,
        maxIter=cfg.num_iterations,
        regParam=cfg.regularisation,
        alpha=cfg.alpha,
        numUserBlocks=num_tasks(history.sparkSession),
        numItemBlocks=num_tasks(history.sparkSession),
        seed=seed,
    ).fit(ratings)
    offers = model.recommendForAllUsers(cfg.num_recommendations + SLACK)
    flat = offers.select("customer_id_index", F.explode("recommendations").alias("offer")).select(
        "customer_id_index", F.col("offer.product_index").alias("product_index"), F.col("offer.rating").alias("score")
    )
    named = flat.join(customers, "customer_id_index").join(F.broadcast(products), "product_index")
    ranked = _ranked(named.select("customer_id", "product", F.col("score").cast("double")), history, cfg)
    return _fill_with_best_sellers(ranked, history, customers.select("customer_id"), cfg)


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
