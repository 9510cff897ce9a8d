"""Records of one key are merged by column, whatever the order in which they arrive."""

from collections import Counter

import pytest
from support.lake import lake_context

from crm_spark.contracts.ops import FINDING, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import HISTORY, ORDER, ORDER_LINE, PERSON
from crm_spark.stages.clean import replay
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

SHOP = """
files: {path: "shop/*.csv", format: csv}
currency: EUR
country: DE
feeds:
  order:
    one_row_per_key: true
    columns:
      order_id: Name
      person_id: Email
      ordered_at: Created
      status: {cases: [{column: Cancelled, matches: ".", value: cancelled}], otherwise: completed}
      channel: {from: Channel, map: {web: shop, pos: store}}
  person:
    one_row_per_key: true
    columns: {person_id: Email, email: Email, given_name: {from: Buyer, part: given}, family_name: {from: Buyer, part: family},
              phone: Phone, street: Street, postcode: Zip, city: City, country: Country}
  order_line:
    columns: {line_id: {from: [Name, Item], join: "-"}, order_id: Name, product_id: Item, quantity: Qty, unit_price: Price,
              currency: Currency}
"""
HEADER = "Name,Email,Created,Cancelled,Channel,Buyer,Phone,Street,Zip,City,Country,Item,Qty,Price,Currency"
LINES = [
    line
    for n in range(1, 9)
    for line in (
        f"#{n},b{n}@ex.org,2024-07-01 10:00,2024-07-02,web,Ann Lee,020 7946 00{n:02},1 High St,sw1a 1aa,London,GB,A,1,20.00,USD",
        f"#{n},b{n}@ex.org,2024-07-01 10:00,,,,,,,,,B,1,10.00,",
        f"#{n},b{n}@ex.org,2024-07-01 10:00,,,,,,,,,C,1,5.00,",
    )
]


@pytest.fixture
def company(spark, tmp_path):
    """Writes sources and files, runs ingest and clean on them in batches, and returns the context."""

    def company(sources, batches, rules=None):
        (tmp_path / "sources").mkdir(exist_ok=True)
        for name, text in sources.items():
            (tmp_path / "sources" / f"{name}.yaml").write_text(text, encoding="utf-8")
        overrides = [f"ingest.sources_dir={tmp_path / 'sources'}", f"ingest.data_dir={tmp_path / 'data'}"]
        overrides.append("company.exchange_rates={USD: 0.5, JPY: 0.006}")
        if rules is not None:
            (tmp_path / "rules").mkdir(exist_ok=True)
            (tmp_path / "rules" / "rules.yaml").write_text(rules)
            overrides.append(f"clean.more_rules_dir={tmp_path / 'rules'}")
        lake = tmp_path / f"lake-{len(list(tmp_path.glob('lake-*')))}"
        for batch in batches:
            for name, text in batch.items():
                path = tmp_path / "data" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            ctx = lake_context(spark, lake, *overrides)
            ingest.run(ctx)
            clean.run(ctx)
        for path in (tmp_path / "data").rglob("*.csv"):
            path.unlink()
        return ctx

    return company


def test_lines_of_an_order_are_combined(company):
    ctx = company({"shop": SHOP}, [{"shop/1.csv": "\n".join([HEADER, *LINES]) + "\n"}])
    orders = ctx.tables.read(ORDER).collect()
    assert {(r["order_id"], r["status"], r["channel"]) for r in orders} == {
        (f"#{n}", "cancelled", "shop") for n in range(1, 9)
    }
    persons = ctx.tables.read(PERSON).collect()
    columns = ("given_name", "family_name", "street", "postcode", "city", "country")
    assert [tuple(r[c] for c in columns) for r in persons] == [
        ("Ann", "Lee", "1 high st", "SW1A1AA", "London", "GB")
    ] * 8
    assert {r["phone"] for r in persons} == {f"+442079460{n:03}" for n in range(1, 9)}
    assert {r["merged_from"] for r in persons} == {None}
    versions = ctx.tables.read(HISTORY["person"]).select("city", "is_current").collect()
    assert [tuple(version) for version in versions] == [("London", True)] * 8
    amounts = {(r["currency"], r["product_id"], float(r["amount"])) for r in ctx.tables.read(ORDER_LINE).collect()}
    assert amounts == {("USD", "A", 10.0), ("USD", "B", 5.0), ("USD", "C", 2.5)}
    counts = {
        r["entity"]: (r["num_in"], r["num_accepted"], r["num_quarantined"], r["num_duplicate"])
        for r in ctx.tables.read(RECONCILIATION).collect()
    }
    assert counts == {"order": (24, 8, 0, 16), "person": (24, 8, 0, 16), "order_line": (24, 24, 0, 0)}
    conflicts = {(r["entity"], r["column"]): r["num_rows"] for r in ctx.tables.read(FINDING).collect()}
    assert conflicts == {("order", "status"): 16}, "blank cells conflict with nothing; `otherwise` is a value"


def test_quarantined_record_is_released_with_all_its_lines(company, spark, tmp_path):
    lines = [LINES[0].replace(",web,", ",fax,"), LINES[1].replace(",,,,,,,,,B", ",web,,,,,,,,B"), *LINES[3:6]]
    ctx = company({"shop": SHOP}, [{"shop/1.csv": "\n".join([HEADER, *lines]) + "\n"}])
    assert [r["order_id"] for r in ctx.tables.read(ORDER).collect()] == ["#1", "#2"], "the second line stands alone"
    quarantined = ctx.tables.read(QUARANTINE).where("status = 'quarantined'").collect()
    assert [(r["entity"], r["reasons"]) for r in quarantined] == [("order", ["unknown_value"])]
    (tmp_path / "sources" / "shop.yaml").write_text(SHOP.replace("{web: shop,", "{fax: phone, web: shop,"))
    replay.run(ctx)
    assert ctx.tables.read(QUARANTINE).where("status = 'quarantined'").count() == 0
    (released,) = ctx.tables.read(ORDER).where("order_id = '#1'").collect()
    assert (released["person_id"], released["channel"] in ("phone", "shop")) == ("b1@ex.org", True)


CRM = """
system: one
rank: 1
country: DE
files: {path: "crm/*.csv", format: csv}
feeds:
  person: {columns: {person_id: id, given_name: given, city: city, phone: phone, updated_at: changed}}
"""
WEB = """
system: one
files: {path: "web/*.csv", format: csv}
feeds:
  person: {columns: {person_id: id, given_name: given, family_name: family, city: city, country: country, email: mail, updated_at: changed}}
"""
DELIVERIES = [
    {"crm/1.csv": "id,given,city,phone,changed\n1,Ada,Bonn,030 1234567,2024-01-01\n2,Bob,,,2024-01-01\n"},
    {
        "web/1.csv": "id,given,family,city,country,mail,changed\n1,,Lace,,AT,ada@ex.org,2024-03-01\n2,Rob,Roy,Graz,,,2023-01-01\n"
    },
    {"crm/2.csv": "id,given,city,phone,changed\n1,,,,2024-05-01\n2,,Ulm,,2024-01-02\n"},
]
MERGED = {
    "1": ("Ada", "Lace", "Bonn", "+49301234567", "AT", "ada@ex.org"),
    "2": ("Bob", "Roy", "Ulm", None, "DE", None),
}


def persons(ctx):
    columns = ("given_name", "family_name", "city", "phone", "country", "email")
    return {r["person_id"]: tuple(r[c] for c in columns) for r in ctx.tables.read(PERSON).collect()}


def test_sources_of_a_system_are_merged_in_any_order_and_batching(company):
    """A known value is never replaced by null; a source's default country yields to a known one."""
    everything = {name: text for delivery in DELIVERIES for name, text in delivery.items()}
    orders = [[everything], DELIVERIES, DELIVERIES[::-1]]
    found = []
    for batches in orders:
        ctx = company({"crm": CRM, "web": WEB}, batches)
        found.append(persons(ctx))
        origins = ctx.tables.read(PERSON).where("person_id = '1'").first()["merged_from"]
        assert {(o["column"], o["source"]) for o in origins} == {
            ("given_name", "crm"), ("family_name", "web"), ("city", "crm"), ("phone", "crm"), ("country", "web"), ("email", "web"),
        }  # fmt: skip
        assert ctx.tables.read(PERSON).where("person_id = '1'").first()["source"] == "crm"
        rows = ctx.tables.read(RECONCILIATION).collect()
        assert sum(r["num_in"] for r in rows) == sum(r["num_accepted"] + r["num_duplicate"] for r in rows) == 6
    assert found == [MERGED] * 3


def test_latest_value_wins_where_a_rule_says_so(company):
    rules = "survivorship: {person.city: latest}\n"
    ctx = company({"crm": CRM, "web": WEB}, DELIVERIES, rules)
    assert {key: row[2] for key, row in persons(ctx).items()} == {"1": None, "2": "Ulm"}


@pytest.mark.slow
def test_clean_run_again_after_a_crash_keeps_merged_values(company):
    ctx = company({"crm": CRM, "web": WEB}, DELIVERIES[:2])
    before = persons(ctx)
    assert before["1"][:3] == ("Ada", "Lace", "Bonn")
    # A crash before the reconciliation leaves silver written and the delivery pending.
    for _ in range(2):
        ctx.spark.sql(f"DELETE FROM delta.`{ctx.tables.path(RECONCILIATION)}` WHERE source = 'web'")
        clean.run(ctx)
        assert persons(ctx) == before


PLAIN = """
system: plain
files: {path: "plain/*.csv", format: csv}
feeds:
  person: {columns: {person_id: id, city: city, has_marketing_consent: ok}}
"""


@pytest.mark.slow
def test_without_update_time_the_newest_delivery_is_kept(company):
    """A full export each night, under the same name or a new one; a repeated record is not written again."""
    nights = [
        {
            "plain/2023.csv": "id,city,ok\n1,Ulm,no\n2,Rom,yes\n",
            "plain/2024.csv": "id,city,ok\n1,Bonn,yes\n2,Rom,yes\n",
        },
        {"plain/2024.csv": "id,city,ok\n1,Aalen,yes\n2,Rom,yes\n"},
        {"plain/2022.csv": "id,city,ok\n1,Bonn,yes\n2,Rom,yes\n3,Jena,yes\n3,Gera,yes\n"},
    ]
    ctx = company({"plain": PLAIN}, nights)
    rows = {r["person_id"]: r for r in ctx.tables.read(PERSON).collect()}
    assert {key: (r["city"], r["has_marketing_consent"]) for key, r in rows.items()} == {
        "1": ("Bonn", True), "2": ("Rom", True), "3": ("Gera", True),
    }  # fmt: skip
    reasons = Counter(r["reasons"][0] for r in ctx.tables.read(QUARANTINE).collect())
    assert reasons == {"exact_duplicate": 3, "repeated_key": 1, "superseded": 1}
    findings = [(r["code"], r["column"], r["num_rows"]) for r in ctx.tables.read(FINDING).collect()]
    assert findings == [("repeated_key", "person_id", 1)]
    versions = ctx.tables.read(HISTORY["person"]).collect()
    assert {(r["person_id"], r["city"], r["is_current"]) for r in versions} == {
        ("1", "Bonn", True), ("2", "Rom", True), ("3", "Gera", True),
    }  # fmt: skip


@pytest.mark.slow
def test_released_record_takes_its_place_among_the_deliveries(company, tmp_path):
    """A record without an update time waited in quarantine: the files of one run and the lines of one file stay in order."""
    mapping = """
system: plain
files: {path: "plain/*.csv", format: csv}
feeds:
  order: {columns: {order_id: id, person_id: who, ordered_at: {from: at, formats: [iso]}, status: {value: completed}}}
"""
    first = {
        "plain/2023.csv": "id,who,at\n1,u,2020/01/01\n2,u,2020-01-01\n3,u,2020/01/01\n3,r,2020-01-01\n",
        "plain/2024.csv": "id,who,at\n1,b,2020-01-01\n2,b,2020/01/01\n4,u,2020/01/01\n",
    }
    ctx = company({"plain": mapping}, [first, {"plain/2025.csv": "id,who,at\n4,g,2020-01-01\n"}])

    def buyers():
        return {r["order_id"]: r["person_id"] for r in ctx.tables.read(ORDER).collect()}

    assert buyers() == {"1": "b", "2": "u", "3": "r", "4": "g"}
    (tmp_path / "sources" / "plain.yaml").write_text(mapping.replace("[iso]", "[iso, yyyy/MM/dd]"))
    replay.run(ctx)
    assert ctx.tables.read(QUARANTINE).where("status = 'quarantined'").count() == 0
    assert buyers() == {"1": "b", "2": "b", "3": "r", "4": "g"}


def test_refusal_of_consent_wins_at_the_same_age_and_stays(company):
    news = PLAIN.replace("plain/", "news/").replace("city: city, ", "")
    nights = [
        {
            "plain/1.csv": "id,city,ok\n1,Ulm,yes\n2,Ulm,yes\n3,Ulm,no\n4,Ulm,yes\n",
            "news/1.csv": "id,ok\n1,no\n3,yes\n4,\n",
        },
        {"plain/2.csv": "id,city,ok\n1,Bonn,yes\n2,Bonn,no\n3,Bonn,yes\n4,Bonn,\n", "news/2.csv": "id,ok\n1,no\n"},
        {"plain/3.csv": "id,city,ok\n1,Bonn,yes\n2,Bonn,no\n3,Bonn,yes\n4,Bonn,\n5,Jena,yes\n"},
    ]
    ctx = company({"plain": PLAIN, "news": news}, nights)
    rows = {r["person_id"]: r for r in ctx.tables.read(PERSON).collect()}
    assert {key: (r["city"], r["has_marketing_consent"]) for key, r in rows.items()} == {
        "1": ("Bonn", False), "2": ("Bonn", False), "3": ("Bonn", True), "4": ("Bonn", True), "5": ("Jena", True),
    }  # fmt: skip
    origins = {key: [(o["column"], o["source"]) for o in r["merged_from"] or ()] for key, r in rows.items()}
    consent = "has_marketing_consent"
    assert origins == {"1": [(consent, "news")], "2": [], "3": [], "4": [(consent, "plain")], "5": []}, (
        "a repeated record is no origin"
    )


ORDERS = """
system: till
currency: EUR
files: {path: "till/*.csv", format: csv}
feeds:
  order: {one_row_per_key: true, columns: {order_id: order, person_id: who, ordered_at: at, status: {value: completed}}}
  order_line:
    columns: {line_id: {hash_of: all}, order_id: order, product_id: sku, quantity: n,
              unit_price: {from: cents, scale: minor_units}, currency: cur}
  person: {one_row_per_key: true, columns: {person_id: who, city: town, has_marketing_consent: ok, updated_at: at}}
"""


def test_lines_take_currency_before_scaling_and_persons_their_latest_line(company):
    lines = [
        "order,who,at,town,ok,sku,n,cents,cur", "A,1,2025-01-03,Ulm,yes,x,1,1200,JPY", "A,1,2025-01-03,,,y,1,500,",
        "B,2,2025-01-04,Rom,no,x,1,500,", "C,1,2025-11-20,Bonn,,x,1,250,EUR", "D,1,2025-02-01,Jena,no,x,1,250,EUR",
    ]  # fmt: skip
    ctx = company({"till": ORDERS}, [{"till/1.csv": "\n".join(lines) + "\n"}])
    prices = {
        (r["order_id"], r["product_id"], r["currency"], float(r["unit_price"]))
        for r in ctx.tables.read(ORDER_LINE).collect()
    }
    assert prices == {
        ("A", "x", "JPY", 1200.0), ("A", "y", "JPY", 500.0), ("B", "x", "EUR", 5.0), ("C", "x", "EUR", 2.5), ("D", "x", "EUR", 2.5),
    }  # fmt: skip
    people = {(r["person_id"], r["city"], r["has_marketing_consent"]) for r in ctx.tables.read(PERSON).collect()}
    assert people == {("1", "Bonn", False), ("2", "Rom", False)}
