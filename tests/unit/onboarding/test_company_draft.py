"""Drafted company configuration and its open questions."""

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
from crm_spark.sources.config import Source
from crm_spark.sources.files import Files

CONF = Path(__file__).resolve().parents[3] / "conf"
VOCABULARY, TEMPLATE = known_vocabulary(CONF / "domains"), CONF / "examples" / "new" / "company.yaml"
FILES = Files(path="**/orders_*.csv", format="csv")


def column(name, **fractions):
    return ColumnProfile(name, 100, 0, 9, 12, fractions)


def seen_file(day, *columns):
    return SeenFile(f"orders_{day}.csv", 100, datetime(2025, 1, day), FILES, columns)


def drafted(*columns, words=("paid",), files=None, currencies=None, name="orders"):
    profiles = list(columns)
    proposal = proposal_of(profiles, VOCABULARY, words_of=lambda _: list(words), num_divided=lambda *_: 0)
    group = Group(name, FILES, files or (seen_file(1, *(c.name for c in columns)),))
    return Drafted(group, profiles, proposal, Hints(Counter(), Counter(currencies or {})))


ORDER = (
    column("order_id"),
    column("customer_id"),
    column("date", **{"dd/MM/yyyy": 1.0, "MM/dd/yyyy": 1.0}),
    column("status"),
)


def draft_for(*sources, given=None, guesses=None, doubts=()):
    systems = Systems({s.group.name: "shop" for s in sources}, {s.group.name: ["x"] for s in sources},
                      {s.group.name: list(doubts) for s in sources})  # fmt: skip
    folder = Folder(list(sources), systems, [], 0)
    places = {"extends": "../local.yaml", "lake": "/d/lake", "data_dir": "/d/in"}
    return company_draft(folder, given or {}, guesses or {}, template=TEMPLATE.read_text(), **places)


GIVEN = {"time_zone": "Europe/Rome", "country": "IT", "currency": "EUR"}


def asked_keys(draft):
    return [(question.file, question.key) for question in draft.questions]


def test_given_settings_are_not_asked():
    draft = draft_for(
        drafted(column("order_id"), column("customer_id"), column("date", iso=1.0), column("status")), given=GIVEN
    )
    assert asked_keys(draft) == [("company.yaml", "company.name")]
    company = yaml.safe_load(draft.texts["company.yaml"])
    assert (company["company"]["currency"], company["lake"], company["ingest"]["data_dir"]) == (
        "EUR",
        "/d/lake",
        "/d/in",
    )
    source = Source.model_validate({"name": "orders", **yaml.safe_load(draft.texts["sources/orders.yaml"])})
    assert (source.system, source.time_zone, source.country) == ("shop", "Europe/Rome", "IT")
    assert set(draft.texts) == {"company.yaml", "sources/orders.yaml", "quality/orders.yaml"}


def test_inferred_settings_are_marked_asked_once_and_written_only_where_needed():
    guesses = {"time_zone": Guess("Europe/Rome", "default of IT"), "currency": Guess("CHF", "9 of 10 records")}
    draft = draft_for(drafted(*ORDER), guesses=guesses)
    assert "currency: CHF  # inferred: 9 of 10 records" in draft.texts["company.yaml"]
    text = draft.texts["sources/orders.yaml"]
    assert "# time_zone: inferred: default of IT\n" in text and "\ncurrency:" not in text, "orders have no amounts"
    questions = [question.text for question in draft.questions if question.key == "company.currency"]
    assert questions == [
        "inferred for all sources: time_zone Europe/Rome (default of IT). To correct a value, "
        "run again with --time-zone and --force."
    ]


def test_unknown_settings_are_asked_only_if_a_column_needs_them():
    draft = draft_for(drafted(*ORDER))
    assert draft.questions[1].text == (
        "could not infer time_zone: run again with --time-zone and --force, or keep the default (UTC)."
    )
    assert asked_keys(draft_for(drafted(column("review_id"), column("text"), column("stars"), name="reviews"))) == [
        ("company.yaml", "company.name")
    ]


def test_question_has_file_line_and_key():
    draft = draft_for(drafted(*ORDER, words=["paid", "odd"]), given=GIVEN)
    questions, recommended = zip(*draft.asked(Path("mine")), strict=True)
    lines = draft.texts["sources/orders.yaml"].splitlines()
    assert len(questions) == 3
    assert questions[0].startswith("mine/company.yaml:5 company.name: ")
    assert "map 'odd' to completed, open, shipped, delivered, cancelled, returned, unavailable." in questions[1]
    assert "is the format dd/MM/yyyy or MM/dd/yyyy?" in questions[2]
    assert recommended[1:] == ("the draft as it is", '["dd/MM/yyyy"]')
    at = int(questions[1].split(":")[1].split()[0])
    assert lines[at - 1].strip() == "map:" and lines[at].strip() == "paid: completed"


def test_missing_exchange_rates_are_asked():
    draft = draft_for(drafted(*ORDER, currencies={"EUR": 90, "USD": 9}), given=GIVEN)
    assert ("company.yaml", "company.exchange_rates") in asked_keys(draft)
    assert "add exchange rates to EUR for: USD." in draft.questions[1].text


def test_added_columns_are_optional_and_renamed_columns_are_asked():
    names = [c.name for c in ORDER]
    added = drafted(*ORDER, files=(seen_file(1, *names[:1], *names[2:]), seen_file(2, *names)))
    source = yaml.safe_load(draft_for(added, given=GIVEN).texts["sources/orders.yaml"])
    assert source["files"]["may_lack"] == ["customer_id"]
    renamed = drafted(*ORDER, files=(seen_file(1, "order_id", "client", "date", "status"), seen_file(2, *names)))
    draft = draft_for(renamed, given=GIVEN)
    assert "may_lack" not in yaml.safe_load(draft.texts["sources/orders.yaml"])["files"]
    assert "older files have other columns instead of customer_id" in draft.questions[-1].text


def test_lines_without_orders_and_possible_shared_systems_are_asked():
    lines = drafted(column("order_id"), column("sku"), column("quantity"), column("price"), name="lines")
    assert ("sources/lines.yaml", "feeds") in asked_keys(draft_for(lines, given=GIVEN))
    assert ("sources/lines.yaml", "feeds") not in asked_keys(draft_for(lines, drafted(*ORDER), given=GIVEN))
    assert ("sources/lines.yaml", "system") in asked_keys(draft_for(lines, given=GIVEN, doubts=["id: 100 %"]))


def test_line_of_finds_dotted_keys():
    text = "# a: 1\na: 1\nb:\n  a: 2\n  c:\n    a: 3\n"
    assert [line_of(text, key) for key in ("a", "b.a", "b.c.a", "b.z", "z")] == [2, 4, 6, 3, 1]
