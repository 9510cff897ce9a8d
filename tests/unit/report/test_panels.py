"""Panels and page: figures, empty panels, escaping."""

import json
import re
from dataclasses import fields, replace
from html import unescape
from html.parser import HTMLParser

import pytest
from support.report_facts import COMPLETE, DAY, PRIMARY, REVIEWS_ONLY, SEGMENT, SOURCES, model_card, source

from crm_spark.stages.report.customers_panel import actions, customers, customers_at_risk
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import findings, primary_entities
from crm_spark.stages.report.panels import data_received, feedback, key_figures
from crm_spark.stages.report.predictions_panel import prediction_quality
from crm_spark.stages.report.quality_panel import data_quality
from crm_spark.stages.report.render import render, write_page
from crm_spark.stages.report.text_model_panel import text_model


class Page(HTMLParser):
    """Visible text of each section, table rows as lists, and tags of a page."""

    def __init__(self, page):
        super().__init__()
        self.sections, self.rows, self.tags, self.section, self.is_hidden = {}, [], [], "", False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in ("section", "nav"):
            self.section = dict(attrs).get("id", tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        self.is_hidden = tag in ("script", "style")

    def handle_data(self, data):
        if self.is_hidden or not data.strip():
            return
        self.sections[self.section] = f"{self.sections.get(self.section, '')} {' '.join(data.split())}".strip()
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()

    def handle_endtag(self, tag):
        self.is_hidden = False
        if tag == "table":
            self.rows.append([])


def figures_of(page):
    return re.search(r'<script type="application/json" id="figures">(.*?)</script>', page, re.DOTALL).group(1)


@pytest.fixture(scope="module")
def page():
    return render(COMPLETE, SOURCES, {"win_back": "Win them back"})


def test_primary_entity_of_a_source_has_one_row_per_record():
    assert primary_entities(SOURCES) == PRIMARY
    assert primary_entities((source("heads", "order*"),)) == {"heads": "order"}


def test_empty_panels_state_the_reason():
    sections = Page(render(REVIEWS_ONLY, SOURCES, {})).sections
    assert "There are no segments yet." in sections["customers"]
    assert "It is not predicted yet which customers will order again." in sections["churn"]
    assert "No actions have been planned yet." in sections["actions"]
    assert "No predictions have been evaluated yet." in sections["prediction-quality"]
    assert "Feature drift has not been measured yet." in sections["monitoring"]
    assert "1,200 customer texts from 1 source were classified automatically" in sections["feedback"]
    assert "1,234 records arrived in 1 file." in sections["data-received"]


def test_page_without_any_facts_renders():
    empty = Facts(company="New", currency="EUR", horizon_days=91, as_of=DAY)
    sections = Page(render(empty, SOURCES, {})).sections
    assert "Customer texts are not classified yet, because no text model is in production." in sections["feedback"]
    assert "There are no classified customer texts yet." in sections["topics"]
    assert "No records have arrived yet." in sections["quality"]
    assert "There is not enough data yet for findings." in sections["findings"]
    assert key_figures(empty) == [] and findings(empty, PRIMARY) == []


def test_every_panel_is_on_the_page_and_in_the_menu(page):
    sections = Page(page).sections
    anchors = (
        *("data-received", "quality", "customers", "feedback", "topics", "text-model"),
        *("churn", "actions", "prediction-quality", "monitoring"),
    )
    assert all(anchor in sections and f'href="#{anchor}"' in page for anchor in anchors)
    assert set(json.loads(figures_of(page))) == {
        "data-received-0", "quality-0", "customers-0", "customers-1", "feedback-0", "topics-0", "topics-1",
        "churn-0", "churn-1", "churn-2", "actions-0",
    }  # fmt: skip


def test_page_shows_the_figures_of_the_facts(page):
    rows = Page(page).rows
    assert ["Orders", "2,000", "2,000", "1,900", "30", "70"] in rows
    assert ["Reviews", "1,234", "1,234", "1,200", "4", "30"] in rows
    assert ["Champions", "1,500", "25%", "62%", "12", "–", "€432", "–"] in rows
    assert ["Reviews", "1,200", "900", "240", "60"] in rows
    assert ["high", "high", "120", "€9,000", "€7,500"] in rows
    assert ["15–20%", "44"] in rows  # bucket 3 of twenty
    assert ["Win them back", "leaving", "150", "15", "€2,500"] in rows
    assert ["Monetary", "0.300", "0.100", "drifted"] in rows and ["Num orders", "0.050", "0.100", "stable"] in rows
    assert ["Predict", "done", "553", "12.3", "wrote 553 rows"] in rows


def test_charts_show_the_figures_of_their_tables(page):
    figures = json.loads(figures_of(page))
    assert figures["data-received-0"]["data"][0]["link"]["value"] == [1200.0, 4.0, 30.0, 1900.0, 30.0, 70.0]
    assert [trace["x"] for trace in figures["actions-0"]["data"]] == [[135.0], [15.0]]  # 150 less 15
    assert figures["churn-0"]["data"][0]["z"] == [[0.0, 0.0, 7500.0], [100.0, 0.0, 0.0], [0.0, 0.0, 700.0]]
    assert [trace["x"] for trace in figures["customers-0"]["data"]] == [[25.0, 75.0], [62.5, 37.5]]
    assert figures["feedback-0"]["data"][0]["x"] == [75.0]  # 900 of 1,200


def test_records_are_counted_once_per_source_whatever_the_number_of_entities():
    panel = data_received(COMPLETE, PRIMARY)
    unmapped = "Prices has no mapping: 77 records are stored but not used."
    # 1,234 + 2,000; 1 + 3, without prices
    assert panel.lead.startswith(f"{unmapped} To date, 3,234 records arrived in 4 files.")
    assert panel.notes == [
        "2 files were rejected; the reasons are below, under Data quality.",
    ]


def test_key_figures_have_unit_period_and_comparison():
    assert key_figures(COMPLETE) == [
        ("Customers", "6,000", "from 8,000 person records; 240 prospects besides"),
        ("Active customers", "1,500", "ordered in the last 91 days; 25% of all customers"),
        ("Revenue", "€1,200", "last 91 days; +20% on the previous 91 days"),
        ("Repeat purchase rate", "62%", "of customers of the previous 91 days ordered again in the last 91 days"),
        ("Revenue at risk", "€8,300", "expected revenue likely to be lost in the next 91 days"),  # 7,500 + 700 + 100
    ]


def test_findings_state_the_figures_of_the_facts():
    sentences = findings(COMPLETE, PRIMARY)
    assert sentences[0] == (
        "3,234 records arrived from 2 sources. 100 were quarantined for correction (3.1%, most frequent reason: "
        "rating outside the scale) and 34 were duplicates or older versions; all others were accepted."
    )
    assert sentences[1] == (
        "8,000 person records belong to 6,000 customers: 25% were additional records of the same person. "
        "240 prospects are known only from campaigns or leads and not counted."
    )
    assert sentences[2] == (
        "Revenue in the last 91 days was €1,200, 20% more than in the previous 91 days. Repeat purchase rate: 62% of the "
        "customers who ordered in the previous 91 days ordered again."
    )
    assert sentences[4] == (
        "120 customers of high or medium value have a high risk of not ordering in the next 91 days: €7,500 of the revenue at "
        "risk. The most frequent reason for churn risk is a long time since the last order."
    )
    assert sentences[-1] == (
        "A next best action is planned for 150 customers. 15 of them form a control group that does not receive it, so "
        "that the effect can be measured."
    )


def test_topics_show_sentiment_number_of_texts_and_words_by_segment(page):
    rows = Page(page).rows
    assert ["Delivery", "1,234", "-0.35", "0.02"] in rows and ["Fit and size", "7", "+0.50", "–"] in rows
    assert ["2025-01", "5", "-0.12", "–"] in rows
    assert ["Lamp", "+0.50", "-0.25", "-0.75", "12", "9"] in rows and [
        "p2",
        "+0.00",
        "+0.50",
        "+0.50",
        "1,300",
        "8",
    ] in rows
    assert ["Champions", "great (+0.81), love (+0.40)", "–"] in rows and ["Lost", "–", "late (+1.20)"] in rows
    figures = json.loads(figures_of(page))
    assert figures["topics-0"]["data"][0]["text"] == ["-0.35", "+0.50"]
    (line,) = figures["topics-1"]["data"]
    assert (line["x"], line["y"], line["error_y"]["array"]) == (["2024-12", "2025-01"], [0.25, -0.125], [0.1, 0.0])


def test_actions_follow_customers_at_risk(page):
    anchors = re.findall(r'<section id="([\w-]+)"', page)
    assert anchors[anchors.index("churn") + 1] == "actions" and anchors[anchors.index("feedback") + 1] == "topics"


def test_model_is_better_only_if_it_beats_the_baseline():
    rows = prediction_quality(COMPLETE, PRIMARY).tables[0][1].rows
    assert [(row[2], row[3], row[4]) for row in rows] == [
        ("0.900", "0.750 (days since last order)", "better"),
        ("0.700 bits", "0.600 bits (class prior)", "not better"),  # lower cross-entropy is better
    ]
    assert "the model is better in 1 of 2 comparisons." in prediction_quality(COMPLETE, PRIMARY).lead


def test_customers_without_an_action_are_counted_by_reason():
    panel = actions(COMPLETE, PRIMARY, {})
    assert panel.notes == [
        "42 customers with a matching action may not be contacted (no marketing consent).",
        "5,808 customers need no action: the conditions of none apply.",
    ]
    assert panel.tables[0][1].rows == [["Lamp", "64"], ["p2", "8"]]  # a product without a name by its code


def hostile(value, mark):
    """The facts with `mark` appended to every text from a company's data or configuration."""
    if isinstance(value, list):
        return [hostile(item, mark) for item in value]
    if isinstance(value, dict):
        unmarked = ("entity", "status", "reason", "label", "value_band", "risk", "metric", "slice", "unit")
        return {
            key: f"{item}{mark}"
            if isinstance(item, str) and key not in unmarked and item != "none"
            else hostile(item, mark)
            for key, item in value.items()
        }
    return value


FIXED = ("flow", "deliveries", "texts")
"""Names of sources and labels are validated by the configuration."""
MARKS = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"'><b>&amp;", "</script><h1>", "<!--<script>"]


@pytest.mark.parametrize("mark", MARKS)
def test_html_in_texts_is_escaped(page, mark):
    rows = {f.name: hostile(getattr(COMPLETE, f.name), mark) for f in fields(Facts) if f.name not in FIXED}
    marked = replace(COMPLETE, **{**rows, "company": f"Shop{mark}"})
    html = render(marked, SOURCES, {f"win_back{mark}": f"Win them back{mark}"})
    assert Page(html).tags == Page(page).tags
    shown = unescape(re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL))
    for text in ("Shop", "Lamp", "Champions", "Win them back", "wrote 553 rows", "r.csv"):
        assert f"{text}{mark}" in shown


@pytest.mark.parametrize("mark", MARKS)
def test_texts_cannot_close_or_hide_the_chart_script(mark):
    facts = replace(COMPLETE, segments=[{**SEGMENT, "name": f"Champions{mark}"}], segment_map=[])
    figures = figures_of(render(facts, SOURCES, {}))
    # After `<!--<script` a browser treats the next script end tag as text.
    assert "</" not in figures and "<!--" not in figures
    assert json.loads(figures)["customers-0"]["data"][0]["y"] == [f"Champions{mark}"]


def test_amounts_are_in_the_reporting_currency():
    facts = replace(COMPLETE, currency="CHF")
    assert customers(facts, PRIMARY).tables[0][1].rows[0][6] == "CHF 432"
    assert customers_at_risk(facts, PRIMARY).charts[0].table.rows[0][3] == "CHF 9,000"


def test_label_without_texts_counts_as_zero():
    facts = replace(COMPLETE, texts=COMPLETE.texts[:1])
    assert feedback(facts, PRIMARY).charts[0].table.rows == [["Reviews", "900", "900", "0", "0"]]


def test_page_is_replaced_atomically(tmp_path):
    path = tmp_path / "report" / "page.html"
    for content in ("first", "second"):
        write_page(content, path)
        assert path.read_text() == content
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_quality_lists_quarantined_accepted_released_and_superseded_records():
    panel = data_quality(COMPLETE, {})
    assert {title: table.rows for title, table in panel.tables} == {
        "Quarantined records by day of arrival": [[str(DAY), "Orders", "invalid date", "o.csv, 7", "15"]],
        "Findings in accepted records": [
            ["Orders", "Order line: product id", "value kept", "product not found", "o.csv, 9", "1,234"]
        ],
        "Records released from quarantine": [
            [str(DAY), "ada", "Orders", "code not in the mapping", "01234567 → fedcba98", "30"]
        ],
        "Accepted records replaced by a newer version": [["Orders", "Order line", "CRM orders", "5"]],
        "Rejected files": [["Orders", "incomplete file", "2/orders.csv.gz", "2"]],
        "Newest event by source (UTC)": [["Orders", "Order line", "2025-01-30 08:15"]],
    }
    assert panel.notes == ["Orders, order: far fewer records than usual (2 deliveries)."]


def test_text_model_panel_shows_loss_curve_confusion_and_slices():
    panel = text_model(replace(REVIEWS_ONLY, model_card=model_card()), PRIMARY)
    assert "Test cross-entropy: 0.500 bits per text (class prior: 1.250)" in panel.lead
    assert "Calibration error: 1.2 percentage points." in panel.lead
    assert "10 texts of other customers, written since 2025-01-20. " in panel.lead
    assert "3 of 40 checked customer ratings seem to contradict their text" in panel.lead
    without_dates = text_model(replace(REVIEWS_ONLY, model_card={**model_card(), "made_from": {}}), PRIMARY)
    assert "10 texts of other customers. " in without_dates.lead and "ratings" not in without_dates.lead
    curve, confusion = panel.charts
    # Two epochs of ten steps.
    assert [(line["x"], line["y"]) for line in curve.figure["data"]] == [
        ([5, 10, 20], [1.1, 0.8, 0.6]),
        ([10, 20], [0.7, 0.65]),
    ]
    assert confusion.figure["data"][0]["text"][0] == ["3<br>75%", "1<br>25%", "0<br>0%"]
    (_, slices), (caption, languages) = panel.tables
    assert [row[:3] for row in slices.rows] == [["App reviews", "6", "0.250"]]
    assert caption == "Quality by language, given by the source or detected"
    assert languages.header == ["Language", "Texts", "Cross-entropy (bits per text)", "Macro-F1", "Accuracy"]
    assert [row[:3] for row in languages.rows] == [["German", "4", "0.900"]]


def test_text_model_panel_without_model_or_loss_curve_states_the_reason():
    assert "No text model" in text_model(REVIEWS_ONLY, PRIMARY).lead
    assert "contains no loss curve" in text_model(replace(REVIEWS_ONLY, model_card={"training": {}}), PRIMARY).lead
