"""A company's first configuration, and what a person has to decide."""

from collections import Counter
from datetime import datetime
from pathlib import Path

import yaml

from crm_spark.onboarding.column_profile import ColumnProfile
from crm_spark.onboarding.company_draft import company_draft, line_of
from crm_spark.onboarding.file_grouping import Group, SeenFile
from crm_spark.onboarding.folder_profile import Drafted, Folder
from crm_spark.onboarding.id_systems import Systems
from crm_spark.onboarding.locale_hints import Guess, Hints
from crm_spark.onboarding.mapping_proposal import known_vocabulary, proposal_of
from crm_spark.sources.config import Files, Source

CONF = Path(__file__).resolve().parents[3] / "conf"
VOCABULARY, TEMPLATE = known_vocabulary(CONF / "domains"), CONF / "examples" / "new" / "company.yaml"
FILES = Files(path="**/orders_*.csv", format="csv")


def column(name, **fractions):
    return ColumnProfile(name, 100, 0, 9, 12, fractions)


def seen(day, *columns):
    return SeenFile(f"orders_{day}.csv", 100, datetime(2025, 1, day), FILES, columns)


def drafted(*columns, words=("paid",), files=None, currencies=None, name="orders"):
    profiles = list(columns)
    proposal = proposal_of(profiles, VOCABULARY, words_of=lambda _: list(words), num_divided=lambda *_: 0)
    group = Group(name, FILES, files or (seen(1, *(c.name for c in columns)),))
    return Drafted(group, profiles, proposal, Hints(Counter(), Counter(currencies or {})))


ORDER = (
    column("order_id"),
    column("customer_id"),
    column("date", **{"dd/MM/yyyy": 1.0, "MM/dd/yyyy": 1.0}),
    column("status"),
)


def made(*sources, given=None, guesses=None, doubts=()):
    systems = Systems({s.group.name: "shop" for s in sources}, {s.group.name: ["x"] for s in sources},
                      {s.group.name: list(doubts) for s in sources})  # fmt: skip
    folder = Folder(list(sources), systems, [], 0)
    places = {"extends": "../local.yaml", "lake": "/d/lake", "data_dir": "/d/in"}
    return company_draft(folder, given or {}, guesses or {}, template=TEMPLATE.read_text(), **places)


GIVEN = {"time_zone": "Europe/Rome", "country": "IT", "currency": "EUR"}


def asked(draft):
    return [(question.file, question.key) for question in draft.questions]


def test_what_was_given_is_not_asked_again():
    draft = made(
        drafted(column("order_id"), column("customer_id"), column("date", iso=1.0), column("status")), given=GIVEN
    )
    assert asked(draft) == [("company.yaml", "company.name")]
    company = yaml.safe_load(draft.texts["company.yaml"])
    assert (company["company"]["currency"], company["lake"], company["ingest"]["data_dir"]) == (
        "EUR",
        "/d/lake",
        "/d/in",
    )
    source = Source.model_validate({"name": "orders", **yaml.safe_load(draft.texts["sources/orders.yaml"])})
    assert (source.system, source.time_zone, source.country) == ("shop", "Europe/Rome", "IT")
    assert set(draft.texts) == {"company.yaml", "sources/orders.yaml", "quality/orders.yaml"}


def test_guesses_are_marked_and_asked_together_and_stand_only_where_they_matter():
    guesses = {"time_zone": Guess("Europe/Rome", "that of IT"), "currency": Guess("CHF", "9 of 10 records say so")}
    draft = made(drafted(*ORDER), guesses=guesses)
    assert "currency: CHF  # a guess: 9 of 10 records say so" in draft.texts["company.yaml"]
    text = draft.texts["sources/orders.yaml"]
    assert "# time_zone: a guess: that of IT\n" in text and "\ncurrency:" not in text, "orders alone have no amounts"
    said = [question.text for question in draft.questions if question.key == "company.currency"]
    assert said == [
        "a guess for all sources: time_zone Europe/Rome (that of IT). If one is wrong, run again with --time-zone and --force."
    ]


def test_what_nothing_tells_is_asked_where_a_column_needs_it():
    draft = made(drafted(*ORDER))
    assert draft.questions[1].text == (
        "nothing tells time_zone: run again with --time-zone and --force, or leave it at UTC."
    )
    assert asked(made(drafted(column("review_id"), column("text"), column("stars"), name="reviews"))) == [
        ("company.yaml", "company.name")
    ]


def test_a_question_is_asked_at_its_line():
    draft = made(drafted(*ORDER, words=["paid", "odd"]), given=GIVEN)
    said = draft.asked(Path("mine"))
    lines = draft.texts["sources/orders.yaml"].splitlines()
    assert len(said) == 3
    assert said[0].startswith("mine/company.yaml:5 company.name: ")
    assert "is 'odd' completed, cancelled or returned?" in said[1] and "is it dd/MM/yyyy or MM/dd/yyyy?" in said[2]
    at = int(said[1].split(":")[1].split()[0])
    assert lines[at - 1].strip() == "map:" and lines[at].strip() == "paid: completed"


def test_currencies_without_a_rate_are_asked_for():
    draft = made(drafted(*ORDER, currencies={"EUR": 90, "USD": 9}), given=GIVEN)
    assert ("company.yaml", "company.exchange_rates") in asked(draft)
    assert "what is one USD worth in EUR?" in draft.questions[1].text


def test_columns_that_were_added_may_lack_and_columns_that_were_renamed_are_asked():
    names = [c.name for c in ORDER]
    added = drafted(*ORDER, files=(seen(1, *names[:1], *names[2:]), seen(2, *names)))
    source = yaml.safe_load(made(added, given=GIVEN).texts["sources/orders.yaml"])
    assert source["files"]["may_lack"] == ["customer_id"]
    renamed = drafted(*ORDER, files=(seen(1, "order_id", "client", "date", "status"), seen(2, *names)))
    draft = made(renamed, given=GIVEN)
    assert "may_lack" not in yaml.safe_load(draft.texts["sources/orders.yaml"])["files"]
    assert "older files lack customer_id" in draft.questions[-1].text


def test_lines_whose_orders_are_nowhere_and_doubtful_systems_are_asked():
    lines = drafted(column("order_id"), column("sku"), column("quantity"), column("price"), name="lines")
    assert ("sources/lines.yaml", "feeds") in asked(made(lines, given=GIVEN))
    assert ("sources/lines.yaml", "feeds") not in asked(made(lines, drafted(*ORDER), given=GIVEN))
    assert ("sources/lines.yaml", "system") in asked(made(lines, given=GIVEN, doubts=["id: 100 %"]))


def test_a_line_is_found_by_its_key():
    text = "# a: 1\na: 1\nb:\n  a: 2\n  c:\n    a: 3\n"
    assert [line_of(text, key) for key in ("a", "b.a", "b.c.a", "b.z", "z")] == [2, 4, 6, 3, 1]
