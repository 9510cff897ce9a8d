"""What to offer next: implicit ALS over what was bought, and the most popular products as the baseline."""

from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.stages.recommend.config import RecommendConfig

SLACK = 40
"""Offers computed beyond the wanted number, because those already bought are taken out."""


def bought(lines: DataFrame) -> DataFrame:
    """Grain: customer_id x product. `times`: on how many days."""
    return lines.groupBy("customer_id", "product").agg(F.count_distinct("happened_on").alias("times"))


def _numbered(frame: DataFrame, column: str) -> DataFrame:
    """ALS wants whole numbers: the rank of each value in their order, so that reruns number them alike."""
    values = frame.select(column).distinct().orderBy(column)
    indexed = values.rdd.map(lambda row: row[0]).zipWithIndex()
    return indexed.toDF([column, f"{column}_index"]).withColumn(f"{column}_index", F.col(f"{column}_index").cast("int"))


def als_offers(history: DataFrame, cfg: RecommendConfig, *, seed: int) -> DataFrame:
    """Grain: customer_id x rank. product, score; none of the products in the customer's history."""
    customers, products = _numbered(history, "customer_id").cache(), _numbered(history, "product").cache()
    ratings = (
        history.join(customers, "customer_id")
        .join(products, "product")
        .select("customer_id_index", "product_index", F.log1p("times").cast("float").alias("rating"))
        .repartition(4, "customer_id_index")
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
        numUserBlocks=4,
        numItemBlocks=4,
        seed=seed,
    ).fit(ratings)
    offers = model.recommendForAllUsers(cfg.num_recommendations + SLACK)
    flat = offers.select("customer_id_index", F.explode("recommendations").alias("offer")).select(
        "customer_id_index", F.col("offer.product_index").alias("product_index"), F.col("offer.rating").alias("score")
    )
    named = flat.join(customers, "customer_id_index").join(F.broadcast(products), "product_index")
    ranked = _ranked(named.select("customer_id", "product", F.col("score").cast("double")), history, cfg)
    return _filled_up(ranked, history, customers.select("customer_id"), cfg)


def _filled_up(ranked: DataFrame, history: DataFrame, customers: DataFrame, cfg: RecommendConfig) -> DataFrame:
    """Who bought most of what the model offered gets best sellers behind it, with scores below zero."""
    counts = ranked.groupBy("customer_id").agg(F.count(F.lit(1)).alias("num_offers"))
    short = customers.join(counts, "customer_id", "left").withColumn("num_offers", F.coalesce("num_offers", F.lit(0)))
    short = short.where(F.col("num_offers") < cfg.num_recommendations)
    sellers = popular_offers(history, short.select("customer_id"), cfg)
    sellers = sellers.join(ranked.select("customer_id", "product"), ["customer_id", "product"], "left_anti")
    order = Window.partitionBy("customer_id").orderBy("rank")
    added = (
        sellers.join(short, "customer_id")
        .withColumn("rank", F.row_number().over(order) + F.col("num_offers"))
        .where(F.col("rank") <= cfg.num_recommendations)
        .withColumn("score", -F.col("rank").cast("double"))
    )
    return ranked.unionByName(added.select(*ranked.columns))


def popular_offers(history: DataFrame, customers: DataFrame, cfg: RecommendConfig) -> DataFrame:
    """Grain: customer_id x rank. The products most customers bought, without those the customer has."""
    buyers = history.groupBy("product").agg(F.count(F.lit(1)).cast("double").alias("score"))
    most = buyers.orderBy(F.desc("score"), "product").limit(cfg.num_popular)
    return _ranked(customers.crossJoin(F.broadcast(most)), history, cfg)


def _ranked(offers: DataFrame, history: DataFrame, cfg: RecommendConfig) -> DataFrame:
    fresh = offers.join(history.select("customer_id", "product"), ["customer_id", "product"], "left_anti")
    order = Window.partitionBy("customer_id").orderBy(F.desc("score"), "product")
    return fresh.withColumn("rank", F.row_number().over(order)).where(F.col("rank") <= cfg.num_recommendations)


def hit_rate(offers: DataFrame, later: DataFrame) -> tuple[float, int]:
    """Share of customers who bought at least one offered product later, of those who bought anything new later.

    Args:
        offers: customer_id, product.
        later: customer_id, product: bought afterwards for the first time.
    """
    buyers = later.select("customer_id").distinct()
    hit = (
        offers.select("customer_id", "product").join(later, ["customer_id", "product"]).select("customer_id").distinct()
    )
    num_buyers = buyers.count()
    return (hit.join(buyers, "customer_id").count() / num_buyers if num_buyers else float("nan")), num_buyers
