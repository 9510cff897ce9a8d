"""Answers set keys of drafts; their file comes with every draft."""

import pytest
import yaml

from crm_spark.core.config import parsed_yaml
from crm_spark.core.errors import ConfigError
from crm_spark.onboarding.answers import Answer, answers_yaml, apply_answers, load_answers
from crm_spark.onboarding.company_draft import CompanyDraft, Question

COMPANY = (
    "# head\nextends: base.yaml\ncompany:\n  name: Our company\n  currency: EUR  # inferred\n  exchange_rates: {}\n"
)
ORDERS = """# Draft for orders
#   State: text
system: shop
files: {path: 'orders*.csv', format: csv}
feeds:
  order:
    columns:
      order_id: No
      ordered_at: {from: Day, formats: [M/d/yyyy]}
      status: {from: State, map: {sent: shipped}}
      channel: Channel
"""


def draft():
    questions = [
        Question("company.yaml", "company.name", "what is the name?", "Drops"),
        Question("sources/orders.yaml", "feeds.order.columns.status.map", "map 'odd'"),
    ]
    return CompanyDraft({"company.yaml": COMPANY, "sources/orders.yaml": ORDERS, "quality/orders.yaml": ""}, questions)


def applied(*answers):
    made = draft()
    apply_answers(made, [Answer(file=file, key=key, answer=value) for file, key, value in answers], origin="a.yaml")
    return made


def test_values_of_the_company_keep_the_other_lines():
    made = applied(
        ("company.yaml", "company.name", 'Tea "& more"'), ("company.yaml", "company.exchange_rates", {"USD": 0.9})
    )
    text = made.texts["company.yaml"]
    assert text.splitlines()[0] == "# head" and "currency: EUR  # inferred" in text
    content = yaml.safe_load(text)["company"]
    assert content == {"name": 'Tea "& more"', "currency": "EUR", "exchange_rates": {"USD": 0.9}}
    assert [question.key for question in made.questions] == ["feeds.order.columns.status.map"]


def test_values_of_a_source_are_set_or_added():
    path = "sources/orders.yaml"
    made = applied(
        (path, "feeds.order.columns.status.map", {"odd": "cancelled"}),
        (path, "feeds.order.columns.ordered_at.formats", ["d/M/yyyy"]),
        (path, "feeds.order.columns.channel.map", {"W": "web"}),
        (path, "files.may_lack", ["Channel"]),
        (path, "system", None),
    )
    text = made.texts[path]
    assert text.startswith("# Draft for orders\n#   State: text\nsystem: shop\n")
    content = parsed_yaml(text)
    assert content["files"]["may_lack"] == ["Channel"]
    assert content["feeds"]["order"]["columns"] == {
        "order_id": "No",
        "ordered_at": {"from": "Day", "formats": ["d/M/yyyy"]},
        "status": {"from": "State", "map": {"sent": "shipped", "odd": "cancelled"}},
        "channel": {"from": "Channel", "map": {"W": "web"}},
    }


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        (
            "sources/other.yaml",
            "system",
            "x",
            "no draft sources/other.yaml; expected one of company.yaml, sources/orders.yaml",
        ),
        ("company.yaml", "lake", "/x", "expected one of company.name"),
        ("sources/orders.yaml", "systm", "x", "systm"),
        ("sources/orders.yaml", "feeds.order.columns.status.map", "x", "map"),
        ("sources/orders.yaml", "files.may_lack.x", "y", "files.may_lack.x|may_lack"),
    ],
)
def test_wrong_answers(file, key, value, message):
    with pytest.raises(ConfigError, match=message):
        applied((file, key, value))


def test_file_of_recommended_answers_can_be_given_back(tmp_path):
    path = tmp_path / "answers.yaml"
    path.write_text(answers_yaml(draft().questions))
    assert "# map 'odd'" in path.read_text()
    answers = load_answers(path)
    assert [(a.key, a.answer) for a in answers] == [("company.name", "Drops"), ("feeds.order.columns.status.map", None)]
    made = draft()
    apply_answers(made, answers, origin=str(path))
    assert made.questions == [] and made.texts["sources/orders.yaml"] == ORDERS
