"""Recommenders and the recommend stage."""

from datetime import date, datetime

import numpy as np
import pytest
from pyspark.ml.recommendation import ALS
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.ops import METRIC
from crm_spark.contracts.scores import RECOMMENDATION
from crm_spark.contracts.silver import ORDER, ORDER_LINE
from crm_spark.stages.recommend import stage
from crm_spark.stages.recommend.config import RecommendConfig
from crm_spark.stages.recommend.factors import ItemFactors, fit_item_factors, user_factors
from crm_spark.stages.recommend.models import als_offers, hit_rate, popular_offers, purchase_days

SMALL = RecommendConfig(num_recommendations=2, rank=4, num_iterations=3)
PURCHASES = [("c1", "a"), ("c1", "b"), ("c2", "a"), ("c2", "c"), ("c3", "a"), ("c3", "b"), ("c3", "c"), ("c4", "d")]
NUM_PRODUCTS = 100


def pairs(spark, rows):
    return spark.createDataFrame(rows, "customer_id string, product string")


def history(spark, rows):
    return spark.createDataFrame([(*row, 1) for row in rows], "customer_id string, product string, times long")


def by_customer(offers):
    products = {}
    for row in sorted(offers.collect(), key=lambda r: (r["customer_id"], r["rank"])):
        products.setdefault(row["customer_id"], []).append(row["product"])
    return products


def test_best_sellers_are_recommended_to_non_buyers(spark):
    known = history(spark, PURCHASES)
    offers = popular_offers(known, known.select("customer_id").distinct(), SMALL)
    # buyers: a 3, b 2, c 2, d 1; b goes before c by name
    assert by_customer(offers) == {"c1": ["c", "d"], "c2": ["b", "d"], "c3": ["d"], "c4": ["a", "b"]}


def test_hit_rate_is_a_fraction_of_customers_with_new_purchases(spark):
    offers = pairs(spark, [("c1", "x"), ("c1", "y"), ("c2", "x"), ("c3", "z"), ("c9", "x")])
    later = pairs(spark, [("c1", "x"), ("c1", "y"), ("c2", "z"), ("c3", "z"), ("c4", "x")])
    # c1 and c3 of c1, c2, c3, c4; c1 counts once, c9 bought nothing later
    assert hit_rate(offers, later) == (0.5, 4)
    rate, num_buyers = hit_rate(offers, later.limit(0))
    assert rate is None and num_buyers == 0


def test_two_purchases_on_a_day_count_once(spark):
    rows = [("c1", "a", date(2025, 1, 1)), ("c1", "a", date(2025, 1, 1)), ("c1", "a", date(2025, 1, 5))]
    lines = spark.createDataFrame(rows, "customer_id string, product string, happened_on date")
    assert [tuple(row) for row in purchase_days(lines).collect()] == [("c1", "a", 2)]


def tastes():
    """Customers with two tastes, one with nearly all products, one with a single product."""
    rows = {("heavy", f"p{i:02d}") for i in range(90)} | {("light", "p03")}
    for i in range(40):
        half = 50 * (i % 2)
        rows |= {(f"c{i:02d}", f"p{half + (i * 7 + j * j) % 50:02d}") for j in range(12)}
    return sorted(rows)


@pytest.fixture(scope="module")
def tasted(spark):
    """ALS recommendations of these customers."""
    known = history(spark, tastes())
    return by_customer(als_offers(known, fit_item_factors(known, SMALL, seed=11), SMALL))


def test_recommendations_match_the_taste_and_exclude_bought_products(tasted):
    had = set(tastes())
    assert not [(who, what) for who, offers in tasted.items() for what in offers if (who, what) in had]
    fitting = [
        (what < "p50") == (int(who[1:]) % 2 == 0) for who, offers in tasted.items() if who[0] == "c" for what in offers
    ]
    assert len(fitting) == 80 and sum(fitting) / 80 > 0.9  # 40 customers, 2 offers each
    assert len(tasted["light"]) == 2


def test_customer_with_few_products_left_gets_the_rest(tasted):
    assert len(tasted.get("heavy", [])) == 2  # ten products are left


def test_recommendations_are_independent_of_the_row_order(spark, tasted):
    shuffled = history(spark, tastes()[::-1]).repartition(5)
    assert by_customer(als_offers(shuffled, fit_item_factors(shuffled, SMALL, seed=11), SMALL)) == tasted


def test_factors_of_a_customer_are_those_that_spark_would_give(spark):
    ids = sorted({product for _, product in tastes()})
    number = {who: i for i, who in enumerate(sorted({who for who, _ in tastes()}))}
    rows = [(number[who], ids.index(what), 0.5 + i % 3) for i, (who, what) in enumerate(tastes())]
    settings = {"rank": 4, "maxIter": 3, "regParam": 0.05, "alpha": 20.0, "implicitPrefs": True, "seed": 5}
    frame = spark.createDataFrame(rows, "user int, item int, rating double")
    model = ALS(userCol="user", itemCol="item", ratingCol="rating", **settings).fit(frame)
    items = np.array([row["features"] for row in model.itemFactors.orderBy("id").collect()], dtype="float64")
    for row in model.userFactors.collect():
        bought = [(item, rating) for user, item, rating in rows if user == row["id"]]
        index, rating = (np.array(values) for values in zip(*bought))
        ours = user_factors(items, items.T @ items, index, 20.0 * rating, 0.05)
        assert ours == pytest.approx(row["features"], abs=2e-3)


def test_customers_and_purchases_after_the_fit_count(spark):
    """Factors fitted on the first half of the customers recommend to a newcomer by taste, and never what was bought."""
    fitted = fit_item_factors(history(spark, tastes()), SMALL, seed=11)
    newcomer = [("new", "p01"), ("new", "p08"), ("new", "p15"), ("new", "unknown product")]
    offers = by_customer(als_offers(history(spark, tastes() + newcomer), fitted, SMALL))["new"]
    assert len(offers) == 2 and all(product < "p50" for product in offers)
    assert not {"p01", "p08", "p15"} & set(offers)


def test_saved_factors_are_the_same(spark, tmp_path):
    fitted = ItemFactors(["a", "b"], np.array([[0.1, 0.2], [0.3, -0.4]]))
    fitted.save(tmp_path / "factors")
    again = ItemFactors.load(tmp_path / "factors")
    assert again.products == ["a", "b"] and (again.factors == fitted.factors).all()


AUTUMN, JANUARY, TOMORROW = datetime(2024, 10, 1), datetime(2025, 1, 15), datetime(2025, 2, 1)


def orders():
    """Twelve customers bought `a` in autumn, six of them `b` in January; all other rows must be ignored."""
    made = [(f"o{i}", f"p{i:02d}", AUTUMN, "completed", "a", False) for i in range(12)]
    made += [(f"n{i}", f"p{i:02d}", JANUARY, "completed", "b|2", False) for i in range(6)]
    made += [
        ("x1", "p06", JANUARY, "cancelled", "b|2", False),
        ("x2", "p07", JANUARY, "completed", "b|2", True),
        ("x3", None, JANUARY, "completed", "b|2", False),
        ("x4", "p08", JANUARY, "completed", None, False),
        ("x5", "p09", TOMORROW, "completed", "b|2", False),
    ]
    return made


@pytest.fixture(scope="module")
def recommended(spark, tmp_path_factory):
    overrides = ("recommend.min_customers=10", "recommend.rank=2", "recommend.num_iterations=1")
    ctx = lake_context(spark, tmp_path_factory.mktemp("lake"), *overrides)
    columns = ("order_id", "person_id", "ordered_at", "status")
    put(ctx.tables, ORDER, [{"system": "shop", **dict(zip(columns, row))} for row in orders()])
    lines = [
        {"system": "shop", "line_id": row[0], "order_id": row[0], "product_id": row[4], "is_return": row[5]}
        for row in orders()
    ]
    put(ctx.tables, ORDER_LINE, lines)
    links = [{"system": "shop", "person_id": f"p{i:02d}", "customer_id": f"c{i:02d}"} for i in range(12)]
    put(ctx.tables, CUSTOMER_LINK, links)
    result = stage.run(ctx)
    return ctx.tables.read(RECOMMENDATION).collect(), ctx.tables.read(METRIC).collect(), result


def test_recommendations_exclude_products_bought_up_to_as_of(recommended):
    offers, _, result = recommended
    first_offers = {row["customer_id"]: (row["rank"], row["system"], row["product_id"]) for row in offers}
    # Cancelled, returned, without product or after as_of: not a purchase; six of twelve customers can get `b|2`.
    assert first_offers == {f"c{i:02d}": (1, "shop", "b|2") for i in range(6, 12)}
    assert result.num_rows == len(offers) == 6
    assert {row["as_of"] for row in offers} == {AS_OF}


def test_recommenders_are_evaluated_on_the_last_horizon(recommended):
    _, measured, _ = recommended
    # Before the horizon everyone had bought `a`, the only product: no recommendations, six customers with new purchases.
    assert {r["model"]: (r["value"], r["num_rows"]) for r in measured} == {"als": (0.0, 6), "popularity": (0.0, 6)}


def test_company_without_products_is_skipped(spark, tmp_path):
    result = stage.run(lake_context(spark, tmp_path))
    assert result.status == "skipped"
    assert result.note == "needs at least 50 customers who bought a product up to 2024-11-01; there are none"


def small_shop(spark, folder, rows):
    """A shop whose customers p00, p01 ... bought these products at these times."""
    ctx = lake_context(spark, folder, "recommend.min_customers=10", "recommend.rank=2", "recommend.num_iterations=1")
    base = {"system": "shop", "status": "completed"}
    orders = [{**base, "order_id": f"o{i}", "person_id": who, "ordered_at": at} for i, (who, at, _) in enumerate(rows)]
    put(ctx.tables, ORDER, orders)
    lines = [
        {"system": "shop", "line_id": f"o{i}", "order_id": f"o{i}", "product_id": product, "is_return": False}
        for i, (_, _, product) in enumerate(rows)
    ]
    put(ctx.tables, ORDER_LINE, lines)
    people = sorted({who for who, _, _ in rows})
    put(ctx.tables, CUSTOMER_LINK, [{"system": "shop", "person_id": p, "customer_id": f"c{p}"} for p in people])
    return stage.run(ctx)


def test_shop_with_one_product_is_skipped(spark, tmp_path):
    result = small_shop(spark, tmp_path, [(f"p{i:02d}", AUTUMN, "a") for i in range(12)])
    assert (result.status, result.note) == ("skipped", "needs at least 2 products that customers bought; there is 1")


def test_hit_rate_without_new_purchases_is_unknown(spark, tmp_path):
    result = small_shop(spark, tmp_path, [(f"p{i:02d}", AUTUMN, "ab"[i % 2]) for i in range(12)])
    assert result.status == "done" and result.num_rows == 12  # each customer gets the other product
    assert result.note == "hit rates unknown: no customer bought a new product after 2024-11-01; selected: popularity"
