"""Implicit ALS (Hu, Koren and Volinsky 2008): item factors are fitted, customers get theirs from their purchases.

A customer's factors are the exact solution for fixed item factors, so that customers who came after the fit get
recommendations, too, and each new purchase counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.ml.recommendation import ALS
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.core.parallelism import num_tasks
from crm_spark.stages.recommend.config import RecommendConfig

_FILE = "items.parquet"
_OFFERS = "customer_id string, product string, score double, rank int"


@dataclass(frozen=True)
class ItemFactors:
    """Fitted factors, as large as the range of products.

    Attributes:
        products: in order.
        factors: shape (products, rank).
    """

    products: list[str]
    factors: np.ndarray

    def save(self, folder: Path) -> None:
        """Write the factors to a new folder."""
        folder.mkdir()
        frame = pd.DataFrame({"product": self.products, "factors": list(self.factors.astype("float64"))})
        frame.to_parquet(folder / _FILE, index=False)

    @staticmethod
    def load(folder: Path) -> "ItemFactors":
        """Read factors that `save` wrote."""
        frame = pd.read_parquet(folder / _FILE)
        return ItemFactors(frame["product"].tolist(), np.vstack(frame["factors"].to_list()))


def fit_item_factors(history: DataFrame, cfg: RecommendConfig, *, seed: int) -> ItemFactors:
    """Fit on customer_id, product, times."""
    customers, products = _with_index(history, "customer_id"), _with_index(history, "product").cache()
    ratings = (
        history.join(customers, "customer_id")
        .join(products, "product")
        .select("customer_id_index", "product_index", _rating().cast("float").alias("rating"))
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
    rows = model.itemFactors.join(products, F.col("id") == F.col("product_index")).orderBy("product").collect()
    products.unpersist()
    return ItemFactors([row["product"] for row in rows], np.array([row["features"] for row in rows], dtype="float64"))


def als_ranking(history: DataFrame, items: ItemFactors, cfg: RecommendConfig) -> DataFrame:
    """Grain: customer_id x rank. The products with the highest scores among those that the customer has not bought.

    Args:
        history: customer_id, product, times; products without factors count only as bought.
        items: fitted factors.
        cfg: settings of the fit.
    """
    bought = history.groupBy("customer_id").agg(
        F.collect_list(F.struct("product", _rating().alias("rating"))).alias("bought")
    )
    bought = bought.select("customer_id", "bought.product", "bought.rating")
    return bought.mapInPandas(_ranker(history, items, cfg), _OFFERS)


def _rating() -> Column:
    return F.log1p("times")


def _with_index(frame: DataFrame, column: str) -> DataFrame:
    """Return the distinct values of a column with their position in sort order, as ALS needs integer ids."""
    # StringIndexer gives the same order but keeps all values, here every customer id, in the memory of the driver.
    values = frame.select(column).distinct().orderBy(column)
    indexed = values.rdd.map(lambda row: row[0]).zipWithIndex()
    return indexed.toDF([column, f"{column}_index"]).withColumn(f"{column}_index", F.col(f"{column}_index").cast("int"))


def _ranker(
    history: DataFrame, items: ItemFactors, cfg: RecommendConfig
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    shared = history.sparkSession.sparkContext.broadcast(items)
    alpha, regularisation, num_offers = cfg.alpha, cfg.regularisation, cfg.num_recommendations

    def rank(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        items = shared.value
        names = np.array(items.products, dtype=object)
        position = {name: i for i, name in enumerate(items.products)}
        gram = items.factors.T @ items.factors
        for batch in batches:
            made = []
            for customer, products, ratings in zip(batch["customer_id"], batch["product"], batch["rating"]):
                known = [(position[name], rating) for name, rating in zip(products, ratings) if name in position]
                if known:
                    index, rating = (np.array(values) for values in zip(*sorted(known)))
                    user = user_factors(items.factors, gram, index, alpha * rating, regularisation)
                    best, scores = _best(items.factors @ user, index, num_offers)
                    made += [
                        (customer, name, score, i) for i, (name, score) in enumerate(zip(names[best], scores), start=1)
                    ]
            yield pd.DataFrame(made, columns=["customer_id", "product", "score", "rank"])

    return rank


def user_factors(
    items: np.ndarray, gram: np.ndarray, index: np.ndarray, weight: np.ndarray, regularisation: float
) -> np.ndarray:
    """Return the factors of a customer: the minimum of the loss of implicit ALS for fixed item factors.

    Args:
        items: item factors, shape (products, rank).
        gram: items' @ items.
        index: positions of the products bought.
        weight: confidence in each beyond that in a product not bought, which is 1.
        regularisation: per product bought, as in Spark.
    """
    mine = items[index]
    left = gram + (mine.T * weight) @ mine + regularisation * len(index) * np.eye(items.shape[1])
    return np.linalg.solve(left, mine.T @ (1.0 + weight))


def _best(scores: np.ndarray, bought: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and scores of the best products that were not bought; ties in the order of the products."""
    scores = np.round(scores, 9)  # the last digits depend on the order of sums
    scores[bought] = -np.inf
    number = min(number, len(scores) - len(bought))
    if number == 0:
        return np.empty(0, dtype=int), np.empty(0)
    threshold = np.partition(scores, -number)[-number]
    candidates = np.flatnonzero(scores >= threshold)
    best = candidates[np.argsort(-scores[candidates], kind="stable")][:number]
    return best, scores[best]
