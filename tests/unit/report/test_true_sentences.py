"""Every sentence of the report: data for which it must appear, and data for which it would be false and must not.

A template is a string in the code of the report, with `{}` for what is inserted. A new one without a pair of data sets here
fails `test_every_sentence_has_a_pair`.
"""

import json
import math
import re
from dataclasses import fields, replace

import pytest
from support.report_facts import COMPLETE, DAY, PRIMARY, SEGMENT, SOURCES, delivery, flow, metric, model_card
from support.sentences import pattern, templates

from crm_spark.stages.report.customers_panel import actions, customers, customers_at_risk
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import findings
from crm_spark.stages.report.panels import PANELS, data_received, feedback, key_figures
from crm_spark.stages.report.predictions_panel import monitoring, prediction_quality
from crm_spark.stages.report.quality_panel import data_quality
from crm_spark.stages.report.render import render
from crm_spark.stages.report.text_model_panel import text_model

EMPTY = Facts(company="New", currency="EUR", horizon_days=91, as_of=DAY)
CARD = model_card()


def metrics(*rows):
    return replace(EMPTY, num_customers=10, num_records=10, metrics=list(rows))


def revenue(now, before=None):
    before_rows = [] if before is None else [metric("revenue_before", before, unit="EUR")]
    return metrics(metric("revenue_recent", now, unit="EUR"), *before_rows)


def hit_rates(als, popularity, num_rows=8):
    return metrics(
        metric("hit_rate_at_10", als, model="als", num_rows=num_rows),
        metric("hit_rate_at_10", popularity, model="popularity", num_rows=num_rows, is_baseline=1),
    )


def received(*counts, reasons=(), **changes):
    """Order lines received: accepted, quarantined, duplicates; reasons for quarantine with their numbers."""
    accepted, quarantined, duplicates = counts
    rows = [
        {**COMPLETE.reasons[0], "source": "orders", "entity": "order_line", "reason": reason, "n": n}
        for reason, n in reasons
    ]
    received_flow = [flow("orders", "order_line", sum(counts), accepted, quarantined, duplicates)]
    changes = {"deliveries": [delivery("orders", 1, sum(counts))], **changes}
    return replace(EMPTY, flow=received_flow, reasons=rows, **changes)


def run(stage, status, note):
    return {"stage": stage, "status": status, "num_rows": 0, "seconds": 1.0, "note": note}


def skipped(stage, note):
    return replace(EMPTY, runs=[run(stage, "skipped", note)])


def action(name, reason, n, *, num_holdout=0, at_stake=None):
    return {"action": name, "reason": reason, "n": n, "num_holdout": num_holdout, "at_stake": at_stake}


def decided(*rows, **changes):
    return replace(EMPTY, actions=list(rows), **changes)


def at_risk(*rows, reasons=()):
    names = ("value_band", "risk", "n", "expected_revenue", "at_stake")
    return replace(
        EMPTY, risk=[dict(zip(names, row)) for row in rows], churn_reasons=[{"reason": r, "n": n} for r, n in reasons]
    )


def segments(*revenue_fractions, median_monetary=10.0):
    rows = [
        {
            **SEGMENT,
            "segment_id": i,
            "name": f"Segment {i}",
            "revenue_fraction": share,
            "median_monetary": median_monetary,
        }
        for i, share in enumerate(revenue_fractions)
    ]
    return replace(EMPTY, segments=rows, segment_map=[{"name": "Segment 0", "x": 1.0, "y": 2.0}])


def texts(**numbers):
    return replace(EMPTY, texts=[{"source": "reviews", "label": label, "n": n} for label, n in numbers.items()])


def checked(num_checked, num_doubtful):
    made_from = {"labels_checked": num_checked, "labels_doubtful": num_doubtful}
    return replace(EMPTY, model_card={**CARD, "made_from": made_from})


NEEDS = "needs at least 50 customers with completed orders; there are 12"
WITHOUT_CONSENT = action("none", "no_consent", 5)
DATA = {
    "empty": EMPTY,
    "complete": replace(
        COMPLETE,
        model_card=CARD,
        segment_map=[{"name": "Champions", "x": 1.5, "y": 2.0}],
        segments=[*COMPLETE.segments[:1], {**COMPLETE.segments[1], "median_monetary": 3.0}],
        texts_by_month=[{"month": "2025-01", "label": "recommends", "n": 3}],
        metrics=[
            *COMPLETE.metrics,
            metric("satisfaction", 0.5, unit="score"),
            metric("information_gap", 0.5, model="text_model", unit="bits"),
            metric("information_gap", 1.25, model="class_prior", unit="bits", is_baseline=1),
            metric("information_gap", 0.5, model="text_model", unit="bits", slice="source=reviews"),
            metric("information_gap", 1.25, model="class_prior", unit="bits", slice="source=reviews", is_baseline=1),
            metric("value_mean_absolute_error", 3.0, model="xgboost", unit="EUR"),
            metric("value_mean_absolute_error", 4.0, model="last_value", unit="EUR", is_baseline=1),
            metric("value_top_tenth_share", 0.5, model="xgboost"),
            metric("value_top_tenth_share", 0.4, model="last_value", is_baseline=1),
            metric("hit_rate_at_10", 0.3, model="als"),
            metric("hit_rate_at_10", 0.2, model="popularity", is_baseline=1),
            *(metric(name, 0.7, model="bert") for name in ("macro_f1", "accuracy", "cross_entropy")),
            *(
                metric(name, 0.6, model="class_prior", is_baseline=1)
                for name in ("macro_f1", "accuracy", "cross_entropy")
            ),
            metric("campaign_response", 0.1, model="contacted"),
            metric("campaign_response", 0.05, model="holdout", is_baseline=1),
        ],
    ),
    # records
    "all_accepted": received(5, 0, 0),
    "one_accepted": received(1, 0, 0),
    "one_quarantined": received(0, 1, 0, reasons=[("bad_date", 1)]),
    "one_duplicate": received(1, 1, 1, reasons=[("bad_date", 1)]),
    "none_accepted": received(0, 2, 2, reasons=[("bad_date", 2)]),
    "equal_reasons": received(6, 4, 0, reasons=[("bad_date", 2), ("bad_number", 2)]),
    "two_reasons": received(6, 4, 0, reasons=[("bad_date", 3), ("bad_number", 1)]),
    "one_reason": received(6, 4, 0, reasons=[("bad_date", 4)]),
    "duplicates_only": received(6, 0, 4),
    "lost_record": replace(
        received(6, 1, 0, reasons=[("bad_date", 1)], deliveries=[delivery("orders", 1, 9)]),
        flow=[flow("orders", "order_line", 9, 6, 1, 0)],
    ),
    "fewer_rows": received(5, 0, 0, deliveries=[delivery("orders", 1, 8)]),
    "fewer_rows_and_duplicates": received(1, 0, 4, deliveries=[delivery("orders", 1, 8)]),
    "one_rejected_file": received(5, 0, 0, rejected_files=[{**COMPLETE.rejected_files[0], "n": 1}]),
    "two_rejected_files": received(5, 0, 0, rejected_files=COMPLETE.rejected_files),
    "unmapped_only": replace(EMPTY, deliveries=[delivery("prices", 1, 1)]),
    # customers and revenue
    "one_customer": replace(EMPTY, num_customers=1, num_records=1),
    "one_record_each": replace(EMPTY, num_customers=7, num_records=7),
    "one_prospect": replace(EMPTY, num_customers=7, num_records=7, num_prospects=1),
    "two_records_of_one": replace(EMPTY, num_customers=1, num_records=2),
    "customers_only": replace(EMPTY, num_customers=7),
    "nobody_active": metrics(metric("active_customers", 0.0)),
    "revenue_rose": revenue(1200.0, 1000.0),
    "revenue_fell": revenue(800.0, 1000.0),
    "revenue_equal": revenue(1000.0, 1000.0),
    "revenue_about_equal": revenue(1001.0, 1000.0),
    "revenue_only_now": revenue(1000.0, 0.0),
    "no_revenue_at_all": revenue(0.0, 0.0),
    "no_revenue_now": revenue(0.0, 1000.0),
    "no_comparison": revenue(1000.0),
    "repeat_of_some": metrics(metric("retention", 0.5, num_rows=4)),
    "repeat_of_one": metrics(metric("retention", 1.0, num_rows=1)),
    "no_repeat_of_one": metrics(metric("retention", 0.0, num_rows=1)),
    "gap_only": metrics(metric("information_gap", 0.5, model="text_model", unit="bits")),
    "auc_only": metrics(metric("churn_auc", 0.9, model="xgboost")),
    # segments
    "best_segment": segments(0.7, 0.3),
    "equal_segments": segments(0.5, 0.5),
    "one_segment": segments(1.0),
    "revenue_unknown": segments(None, None, median_monetary=None),
    "few_buyers": skipped("segment", NEEDS),
    # churn
    "at_risk": at_risk(("high", "high", 2, 100.0, 80.0), reasons=[("recency_days", 2)]),
    "one_at_risk": at_risk(("medium", "high", 1, 10.0, 8.0), reasons=[("recency_days", 1), ("num_orders", 1)]),
    "low_value_at_risk": at_risk(("low", "high", 2, 100.0, 80.0)),
    "nobody_at_risk": at_risk(("high", "low", 2, 100.0, 10.0)),
    "value_unknown": at_risk((None, "high", 2, None, None), reasons=[("recency_days", 2)]),
    "nothing_at_stake": at_risk(("high", "high", 2, 0.0, 0.0)),
    "short_history": skipped("predict", "needs customers known by 2024-08-02; there are none"),
    # actions
    "planned": decided(action("mail", "late", 10, num_holdout=3, at_stake=5.0)),
    "one_in_control_group": decided(action("mail", "late", 10, num_holdout=1, at_stake=5.0)),
    "no_control_group": decided(action("mail", "late", 2)),
    "one_planned": decided(action("mail", "late", 1)),
    "nobody_allowed": decided(WITHOUT_CONSENT),
    "one_consent_unknown": decided(action("none", "consent_unknown", 1)),
    "not_known": decided(action("none", "not_known", 3)),
    "none_needed": decided(action("none", "no_rule_applies", 3)),
    "one_needs_none": decided(action("none", "no_rule_applies", 1)),
    "one_product": decided(
        WITHOUT_CONSENT, runs=[run("recommend", "skipped", "needs at least 2 products; there is 1")]
    ),
    "no_persons": skipped("decide", "no source contains persons"),
    # texts
    "one_text": texts(recommends=1),
    "one_negative_text": texts(does_not_recommend=1),
    "one_neutral_text": texts(no_clear_opinion=1),
    "two_texts": texts(recommends=2),
    "model_without_texts": replace(EMPTY, model_card=CARD),
    "model_without_curve": replace(EMPTY, model_card={"training": {}}),
    "one_month": replace(EMPTY, sentiment_by_month=COMPLETE.sentiment_by_month[:1], min_customers_per_cell=1),
    "few_writers": texts(recommends=2),
    "candidate": replace(EMPTY, runs=[run("train", "done", "registered as candidate")]),
    "few_texts": skipped("shard", "needs at least 60 labelled texts; there are 2"),
    "labels_agree": checked(40, 0),
    "one_doubtful_label": checked(40, 1),
    "one_label_agrees": checked(1, 0),
    "not_checked": checked(0, 0),
    # predictions and drift
    "better_recommender": hit_rates(0.3, 0.2),
    "equal_recommenders": hit_rates(0.2, 0.2),
    "one_new_purchase": hit_rates(1.0, 0.0, num_rows=1),
    "worse_model": metrics(
        metric("churn_auc", 0.6, model="xgboost"), metric("churn_auc", 0.7, model="recency", is_baseline=1)
    ),
    "campaign_only": metrics(metric("campaign_response", 0.1, model="contacted")),
    "stable": replace(EMPTY, drift=COMPLETE.drift[1:]),
    "drifted": replace(EMPTY, drift=COMPLETE.drift),
    "few_customers": replace(
        EMPTY, runs=[run("monitor", "done", "feature drift needs at least 500 customers on 2025-01-31; there are 3")]
    ),
}
ALWAYS = {
    "Customers at risk",
    "Data up to {}. All amounts in {}.",
    "Next best actions",
    "This report contains no customer names, customer numbers or contact data.",
    "Topics in customer feedback",
}
"""Headings of sections, and sentences that hold for every page."""
PAIRS = {
    ", after none in {}": ("revenue_only_now", "no_revenue_at_all", "revenue_rose", "no_comparison"),
    ", and its control group": ("planned", "no_control_group"),
    "0 = perfect prediction of customer opinions{}": ("gap_only", "empty"),
    ": {} of the revenue at risk": ("at_risk", "nothing_at_stake", "value_unknown"),
    "; about as much as in {}": ("revenue_equal", "revenue_rose", "revenue_only_now", "no_comparison"),
    "; {} without reading the texts": ("complete", "gap_only"),
    "A next best action is planned for {}.": ("planned", "nobody_allowed", "none_needed", "not_known"),
    "A random control group does not receive the action; comparing both groups later shows the effect of the action.": (
        "planned",
        "no_control_group",
        "nobody_allowed",
    ),
    "AUC (higher is better)": ("worse_model", "empty"),
    "Accepted records replaced by a newer version": ("complete", "empty"),
    "Bar chart: average sentiment of each topic, from -1 to +1.": ("complete", "empty"),
    "Bar chart: information gap in bits per text by {}, for the text model and the class prior.": ("complete", "empty"),
    "Bar chart: number of customers by the main reason for their churn risk.": ("at_risk", "empty"),
    "Bar chart: number of customers who receive each action": ("planned", "empty"),
    "Bar chart: number of quarantined records for each reason.": ("one_quarantined", "empty"),
    "Bar chart: {} of each segment.": ("best_segment", "empty"),
    "Churn risk is the probability that a customer {}.": ("at_risk", "short_history"),
    "Class prior (bits per text)": ("complete", "empty"),
    "Column chart: number of customers by churn risk, in steps of 5%.": ("at_risk", "empty"),
    "Compared with simple baselines, the model is better {}.": (
        "better_recommender",
        "campaign_only",
        "auc_only",
        "one_new_purchase",
    ),
    "Confusion matrix: customer rating (rows) and predicted label (columns)": ("model_without_texts", "empty"),
    "Confusion matrix: for each customer rating, the number and share of texts by predicted label.": (
        "model_without_texts",
        "empty",
    ),
    "Cross-entropy (bits per text)": ("model_without_texts", "empty"),
    "Customer map: customers with similar buying behaviour are close together": ("best_segment", "empty"),
    "Customer opinion by month (number of texts, at most the last {} months with texts)": ("complete", "empty"),
    "Customer opinion by source": ("one_text", "empty"),
    "Customer texts are not classified yet, because no text model is in production.": (
        "empty",
        "model_without_texts",
        "two_texts",
    ),
    "Customer value: high is the 10% of customers with the highest expected revenue, medium the next 40%, low the rest.": (
        "at_risk",
        "value_unknown",
        "short_history",
    ),
    "Customers and revenue at risk in the next {} days, by customer value and churn risk": ("at_risk", "value_unknown"),
    "Customers by next best action": ("planned", "empty"),
    "Customers in the sample": ("best_segment", "empty"),
    "Days since last {} (median)": ("best_segment", "empty"),
    "Duplicates and older versions": ("all_accepted", "empty"),
    "Each customer is assigned the first action of the strategy whose conditions apply; customers who may not be contacted get none. {}": (
        "planned",
        "nobody_allowed",
        "no_persons",
    ),
    "Each model was evaluated on data that was not used to train it.": (
        "better_recommender",
        "campaign_only",
        "auc_only",
    ),
    "Example (file, record)": ("one_quarantined", "empty"),
    "Expected revenue is the forecast for the same {} days. Revenue at risk is expected revenue multiplied by churn risk.": (
        "at_risk",
        "value_unknown",
    ),
    "Feature drift has not been measured yet.": ("empty", "few_customers", "stable"),
    "Feature drift since the previous snapshot": ("stable", "few_customers"),
    "Findings in accepted records": ("complete", "empty"),
    "Flow diagram: number of accepted, duplicate and quarantined records of each source.": ("all_accepted", "empty"),
    "Given one customer who left and one who stayed, the prediction identifies the one who left in {} of cases. A prediction by the time since the last {} alone reaches {}.": (  # noqa: E501
        "worse_model",
        "auc_only",
    ),
    "Information gap by {}": ("complete", "empty"),
    "It is not predicted yet which customers will {}": ("empty", "nobody_at_risk", "value_unknown"),
    "Label check: no contradiction between text and rating was found in {}.": (
        "labels_agree",
        "one_doubtful_label",
        "not_checked",
    ),
    "Label check: {} of {} {} text (listed in features.label_issue).": (
        "model_without_texts",
        "labels_agree",
        "not_checked",
    ),
    "Latest run of each stage": ("few_buyers", "empty"),
    "Line chart: average sentiment of the texts of each month, with its range of uncertainty.": ("complete", "empty"),
    "Line chart: cross-entropy in bits per text over the training steps, for the training and the validation split.": (
        "model_without_texts",
        "empty",
    ),
    "Main reason for churn risk (customers with medium or high risk)": ("at_risk", "empty"),
    "Models compared with baselines": ("better_recommender", "empty"),
    "Most frequent reason for quarantine: {}.": ("two_reasons", "equal_reasons", "one_reason", "all_accepted"),
    "Most recommended products (top three recommendations per customer)": ("complete", "empty"),
    "Newest event by source ({})": ("complete", "empty"),
    "No action is planned for any customer.": ("nobody_allowed", "one_planned", "empty", "no_persons"),
    "No actions have been planned yet": ("empty", "nobody_allowed", "none_needed"),
    "No customer feature drifted since the previous snapshot.": ("stable", "drifted", "few_customers", "empty"),
    "No predictions have been evaluated yet.": ("empty", "worse_model"),
    "No records are quarantined.": ("all_accepted", "one_quarantined", "empty"),
    "No records have arrived yet.": ("empty", "all_accepted", "one_quarantined"),
    "No records of a source with a mapping have arrived yet.": ("empty", "one_quarantined"),
    "No text model is in production yet": ("empty", "model_without_texts", "candidate"),
    "No text model is in production: the newest model is a candidate, because a baseline is better.": (
        "candidate",
        "few_texts",
        "model_without_texts",
        "empty",
    ),
    "No topic and no month has texts by at least {} yet.": ("one_text", "empty", "complete"),
    "Number of customers by churn risk (next {} days)": ("at_risk", "empty"),
    "Of the customers who bought a product new to them": ("better_recommender", "one_new_purchase"),
    "Of {}, {} recommend us, {} do not recommend us and {} express no clear opinion.": (
        "two_texts",
        "one_text",
        "empty",
    ),
    "{} per customer (median)": ("best_segment", "empty"),
    "Products are listed only if the change in sentiment is larger than random variation explains.": (
        "complete",
        "empty",
    ),
    "Products are not recommended": ("one_product", "complete", "nobody_allowed"),
    "Products with the largest change in sentiment (last {} days against the {} before)": ("complete", "empty"),
    "Quality by language, given by the source or detected": ("model_without_texts", "empty"),
    "Quality by source and length of text": ("model_without_texts", "empty"),
    "Quarantined records by day of arrival": ("complete", "empty"),
    "Quarantined records by reason": ("one_quarantined", "empty"),
    "Reason for quarantine": ("one_quarantined", "empty"),
    "Reason for quarantine: {}.": ("one_quarantined", "equal_reasons", "two_reasons", "all_accepted"),
    "Records by source and status": ("all_accepted", "empty"),
    "Records released from quarantine": ("complete", "empty"),
    "Repeat purchase rate": ("repeat_of_some", "empty"),
    "Repeat purchase rate: {} of the customers who {} in the previous {} days {} again.": (
        "repeat_of_some",
        "repeat_of_one",
        "no_comparison",
    ),
    "Response to campaigns: customers contacted in a campaign, and control groups": ("campaign_only", "worse_model"),
    "Results that are based on fewer than {} customers are not shown.": ("complete", "one_month"),
    "Revenue at risk": ("at_risk", "empty"),
    "Revenue in the last {} days was {}{}.": ("revenue_rose", "nobody_active", "customers_only"),
    "Revenue per customer (median)": ("best_segment", "empty"),
    "Satisfaction (average, -1 to +1)": ("best_segment", "empty"),
    "Scatter chart: a sample of customers, placed by buying behaviour and coloured by segment.": (
        "best_segment",
        "empty",
    ),
    "Segments group customers by how recently and how often they {}, up to {}. {}": (
        "revenue_unknown",
        "best_segment",
        "few_buyers",
    ),
    "Segments group customers by how recently and how often they {}, and by their revenue. {} and revenue cover all {} up to {}.": (
        "best_segment",
        "revenue_unknown",
        "few_buyers",
    ),
    "Sentiment by topic": ("complete", "empty"),
    "Sentiment of all texts by month": ("one_month", "empty"),
    "Sentiment ranges from -1 (customers do not recommend us) to +1 (customers recommend us).": ("one_month", "empty"),
    "Share of customers": ("best_segment", "empty"),
    "Share of revenue": ("best_segment", "empty"),
    "Source of the newer version": ("complete", "empty"),
    "Stacked bar chart: share of positive, negative and neutral texts in each source.": ("one_text", "empty"),
    "Stacked column chart: number of positive, negative and neutral texts per month.": ("complete", "empty"),
    "Table with shaded cells: customers and revenue at risk for each customer value and churn risk.": (
        "at_risk",
        "empty",
    ),
    "Text model (bits per text)": ("complete", "empty"),
    "The information gap is {}. It measures how far our predictions differ from the opinions that customers actually give. A perfect prediction has a gap of 0; a prediction without reading the texts has {}.": (  # noqa: E501
        "complete",
        "gap_only",
    ),
    "The model card of the text model in production contains no loss curve.": (
        "model_without_curve",
        "labels_agree",
        "empty",
    ),
    "The model was trained on {} and tested on {} of other customers{}. Test cross-entropy: {} bits per text (class prior: {}). Calibration error: {} percentage points.{}": (  # noqa: E501
        "model_without_texts",
        "empty",
    ),
    "The most frequent reason for churn risk is {}.": ("at_risk", "one_at_risk", "low_value_at_risk"),
    "The number after a word is its average effect on the score of a text, measured on a sample of texts.": (
        "complete",
        "empty",
    ),
    "The only customer text {}.": ("one_text", "two_texts", "empty"),
    "The only customer who {} in the previous {} days {} again.": ("repeat_of_one", "repeat_of_some", "empty"),
    "The segment with the highest revenue is {}: {} of customers and {} of all revenue to date.": (
        "best_segment",
        "equal_segments",
        "one_segment",
        "revenue_unknown",
    ),
    "The sentiment of a topic is based only on the sentences that mention it.": ("complete", "one_month"),
    "Their revenue is 0 or unknown.": ("revenue_unknown", "best_segment"),
    "There are no classified customer texts yet.": ("empty", "two_texts"),
    "There are no segments yet": ("empty", "one_segment"),
    "There are {} customers, each with one record.": (
        "one_record_each",
        "one_customer",
        "two_records_of_one",
        "customers_only",
        "complete",
    ),
    "There is 1 customer, with one record.": ("one_customer", "one_record_each", "two_records_of_one"),
    "There is no control group.": ("no_control_group", "planned", "one_in_control_group", "nobody_allowed"),
    "There is not enough data yet for findings.": ("empty", "complete"),
    "To date, {} arrived in {}. Each record was accepted, recognised as a duplicate or older version, or quarantined for correction.": (
        "all_accepted",
        "unmapped_only",
    ),
    "Training and validation loss": ("model_without_texts", "empty"),
    "Validation loss (bits per text)": ("model_without_texts", "empty"),
    "Words in negative texts": ("complete", "empty"),
    "Words in positive texts": ("complete", "empty"),
    "Words that drive the score, by segment": ("complete", "empty"),
    "a duplicate or older version": ("all_accepted", "empty"),
    "about as much as": ("revenue_equal", "revenue_rose", "no_comparison"),
    "accuracy (higher is better)": ("complete", "empty"),
    "all others were accepted": ("equal_reasons", "none_accepted", "one_duplicate", "lost_record", "all_accepted"),
    "average to date, from -1 (low) to +1 (high)": ("complete", "empty"),
    "bits per text": ("model_without_texts", "empty"),
    "checked customer rating": ("model_without_texts", "empty"),
    "control group (no action)": ("planned", "no_control_group"),
    "cross-entropy per customer (lower is better)": ("complete", "empty"),
    "cross-entropy per text (lower is better)": ("complete", "empty"),
    "customers of the previous {} days": ("repeat_of_some", "repeat_of_one"),
    "differences in buying behaviour →": ("best_segment", "few_buyers"),
    "does not recommend us": ("one_text", "empty"),
    "duplicates or older versions": ("none_accepted", "one_duplicate", "one_reason"),
    "expected revenue likely to be lost in the next {} days": ("at_risk", "value_unknown"),
    "expresses no clear opinion": ("one_neutral_text", "one_text", "one_negative_text"),
    "hit rate among customers with a new purchase (higher is better)": ("better_recommender", "empty"),
    "in no comparison": ("equal_recommenders", "better_recommender", "campaign_only"),
    "macro-F1 (higher is better)": ("complete", "empty"),
    "mean absolute error per customer (lower is better)": ("complete", "empty"),
    "most frequent reason": ("two_reasons", "one_reason", "equal_reasons", "one_at_risk"),
    "no record was accepted": ("one_quarantined", "one_accepted", "one_duplicate"),
    "of {} {} again in the last {} days": ("repeat_of_some", "empty"),
    "{} in the last {} days; {} of all customers": ("nobody_active", "customers_only"),
    "other differences in buying behaviour →": ("best_segment", "empty"),
    "receive the action": ("planned", "nobody_allowed"),
    "registered as candidate": ("candidate", "empty"),
    "seem to contradict their": ("model_without_texts", "one_doubtful_label", "labels_agree"),
    "seems to contradict its": ("one_doubtful_label", "complete", "labels_agree"),
    "share of customers": ("best_segment", "empty"),
    "share of revenue": ("best_segment", "revenue_unknown"),
    "share of revenue in the top predicted 10% (higher is better)": ("complete", "empty"),
    "the only customer of the previous {} days": ("repeat_of_one", "repeat_of_some"),
    "the other one was accepted": ("one_duplicate", "none_accepted", "two_reasons"),
    "the previous {} days": ("revenue_rose", "no_comparison"),
    "the same as": ("revenue_equal", "revenue_about_equal", "revenue_rose", "no_comparison"),
    "{} Expected revenue and revenue at risk are unknown.": ("value_unknown", "at_risk", "nothing_at_stake"),
    "{} The three counts add up to the rows read.": ("all_accepted", "lost_record", "empty"),
    "{} The three counts do not add up to the rows read from {}.": ("lost_record", "one_duplicate", "complete"),
    "{} There is no control group, so the effect cannot be measured.": (
        "no_control_group",
        "planned",
        "one_in_control_group",
    ),
    "{} from {} {} classified automatically: the customer recommends us, does not recommend us, or gives no clear opinion.": (
        "one_text",
        "model_without_texts",
    ),
    "{} of high or medium value {} a high risk of {}{}.{}": (
        "at_risk",
        "low_value_at_risk",
        "nobody_at_risk",
        "value_unknown",
    ),
    "{} of {} drifted since the previous snapshot: the population stability index (PSI) is above the threshold.": (
        "drifted",
        "stable",
        "few_customers",
    ),
    "{} {} known only from campaigns or leads and not counted.": ("one_prospect", "one_record_each", "empty"),
    "{} person records belong to {}: {} were additional records of the same person.": (
        "two_records_of_one",
        "one_record_each",
        "one_customer",
        "customers_only",
    ),
    "{} with a matching action may not be contacted (no marketing consent).": (
        "nobody_allowed",
        "one_consent_unknown",
        "not_known",
        "none_needed",
    ),
    "{} with a matching action {} not contacted, because consent is required and unknown.": (
        "one_consent_unknown",
        "nobody_allowed",
        "not_known",
    ),
    "{} {} no action for now: whether one applies depends on data that is missing.": (
        "not_known",
        "none_needed",
        "nobody_allowed",
    ),
    "{} {} no action: the conditions of none apply.": ("none_needed", "not_known", "nobody_allowed"),
    "{} {} of them {} a control group that does not receive it, so that the effect can be measured.": (
        "planned",
        "no_control_group",
    ),
    "{} {} quarantined for correction ({}{})": ("one_quarantined", "all_accepted", "duplicates_only"),
    "{} {} rejected; the reasons are below, under Data quality.": (
        "one_rejected_file",
        "all_accepted",
        "one_quarantined",
    ),
    "{}, {} bought one of the {} best sellers that they did not have. Personal recommendations would have reached {}, so best sellers are recommended.": (  # noqa: E501
        "equal_recommenders",
        "better_recommender",
        "one_new_purchase",
    ),
    "{}, {} bought one of their {} personal recommendations. Recommending best sellers would have reached {}.": (
        "better_recommender",
        "equal_recommenders",
        "one_new_purchase",
    ),
    "{} {} no mapping: {} {} stored but not used.": ("unmapped_only", "all_accepted"),
    "To date, {} arrived in {}. By the mapping, {} read from them. Each row was accepted, recognised as a duplicate or older version, "
    "or quarantined for correction.": ("fewer_rows", "all_accepted"),
    ", and {} {} read from {}": ("fewer_rows", "all_accepted", "lost_record"),
    "{}Quarantined records are stored; they can be processed again once the source or the rule has been corrected.": (
        "one_quarantined",
        "all_accepted",
    ),
}
"""Template -> a data set for which it appears, and those for which it must not."""


def panels_of(facts):
    return [*(build(facts, PRIMARY) for build in PANELS), actions(facts, PRIMARY, {})]


def shown(facts):
    """Everything that the page shows for the facts: sentences, titles, tables, labels of charts."""
    found = [*findings(facts, PRIMARY), *(text for figure in key_figures(facts) for text in figure)]
    for panel in panels_of(facts):
        found += [panel.title, panel.lead, *panel.notes]
        tables = [(chart.title, chart.table) for chart in panel.charts] + panel.tables
        for title, table in tables:
            found += [title, *table.header, *(cell for row in table.rows for cell in row)]
        for chart in panel.charts:
            found += [chart.alt, json.dumps(chart.figure, ensure_ascii=False)]
    return found


@pytest.fixture(scope="module")
def pages():
    """What the page shows for each data set; the frame of the page for the two extreme ones."""
    made = {name: "\n".join(shown(facts)) for name, facts in DATA.items()}
    for name in ("empty", "complete"):
        page = render(DATA[name], SOURCES, {})
        made[name] += "\n" + "\n".join(re.findall(r"<p[^>]*>([^<]*)</p>", page))
    return made


def test_every_sentence_has_a_pair():
    listed = set(PAIRS) | ALWAYS
    missing, obsolete = templates() - listed, listed - templates()
    assert missing == set(), "add a data set with and one without each new sentence to PAIRS"
    assert obsolete == set()


@pytest.mark.parametrize("template", PAIRS)
def test_sentence_appears_only_where_it_is_true(pages, template):
    appears, *absent = PAIRS[template]
    assert pattern(template).search(pages[appears]), appears
    for name in absent:
        assert pages[name] and not pattern(template).search(pages[name]), name


UNKNOWN_WORDS = re.compile(r"\b(nan|none|null|inf|infinity)\b", re.I)
ORDINARY = re.compile(r"get none|after none in|conditions of none|there are none", re.I)


@pytest.mark.parametrize("name", DATA)
def test_no_data_set_shows_a_missing_number(name):
    facts = DATA[name]
    for text in shown(facts):
        text = re.sub(r'": null', "", text)
        assert not UNKNOWN_WORDS.search(ORDINARY.sub("", text)), text


@pytest.mark.parametrize("name", DATA)
def test_nouns_agree_with_their_numbers(name):
    wrong = re.compile(
        r"(?<![\d.,])1 (records|sources|customers|files|texts|products|deliveries|features|comparisons|ratings)\b"
        r"|(?<![\d.,])1 (of them form|were|are|have|need)\b|(?<![\d.,])(0|[2-9]|\d\d+) (record|source|customer|file|text) (was|is)\b"
    )
    for text in shown(DATA[name]):
        assert not wrong.search(text), text


FINDINGS = {
    "fewer_rows": ["8 records arrived from 1 source, and 5 rows were read from them and accepted."],
    "fewer_rows_and_duplicates": [
        "8 records arrived from 1 source, and 5 rows were read from them. 4 were duplicates or older versions; the other one was "
        "accepted."
    ],
    "all_accepted": ["5 records arrived from 1 source and were all accepted."],
    "one_accepted": ["1 record arrived from 1 source and was accepted."],
    "one_quarantined": [
        "1 record arrived from 1 source. 1 was quarantined for correction (100.0%, reason: invalid date); no record was "
        "accepted."
    ],
    "one_duplicate": [
        "3 records arrived from 1 source. 1 was quarantined for correction (33.3%, reason: invalid date) and 1 was a duplicate "
        "or older version; the other one was accepted."
    ],
    "none_accepted": [
        "4 records arrived from 1 source. 2 were quarantined for correction (50.0%, reason: invalid date) and 2 were "
        "duplicates or older versions; no record was accepted."
    ],
    "equal_reasons": [
        "10 records arrived from 1 source. 4 were quarantined for correction (40.0%); all others were accepted."
    ],
    "two_reasons": [
        "10 records arrived from 1 source. 4 were quarantined for correction (40.0%, most frequent reason: invalid date); all "
        "others were accepted."
    ],
    "duplicates_only": [
        "10 records arrived from 1 source. 4 were duplicates or older versions; all others were accepted."
    ],
    "lost_record": [
        "9 records arrived from 1 source. 1 was quarantined for correction (11.1%, reason: invalid date); 6 were accepted."
    ],
    "one_customer": ["There is 1 customer, with one record."],
    "one_record_each": ["There are 7 customers, each with one record."],
    "one_prospect": [
        "There are 7 customers, each with one record. 1 prospect is known only from campaigns or leads and not counted.",
    ],
    "two_records_of_one": ["2 person records belong to 1 customer: 50% were additional records of the same person."],
    "customers_only": ["7 customers are known."],
    "revenue_rose": ["Revenue in the last 91 days was €1,200, 20% more than in the previous 91 days."],
    "revenue_fell": ["Revenue in the last 91 days was €800, 20% less than in the previous 91 days."],
    "revenue_equal": ["Revenue in the last 91 days was €1,000, the same as in the previous 91 days."],
    "revenue_about_equal": ["Revenue in the last 91 days was €1,001, about as much as in the previous 91 days."],
    "revenue_only_now": ["Revenue in the last 91 days was €1,000, after none in the previous 91 days."],
    "no_revenue_at_all": ["Revenue in the last 91 days was €0.00, as in the previous 91 days."],
    "no_revenue_now": ["Revenue in the last 91 days was €0.00, 100% less than in the previous 91 days."],
    "no_comparison": ["Revenue in the last 91 days was €1,000."],
    "repeat_of_one": ["The only customer who ordered in the previous 91 days ordered again."],
    "no_repeat_of_one": ["The only customer who ordered in the previous 91 days did not order again."],
    "best_segment": [
        "The segment with the highest revenue is Segment 0: 25% of customers and 70% of all revenue to date."
    ],
    "one_at_risk": [
        "1 customer of high or medium value has a high risk of not ordering in the next 91 days: €8.00 of the revenue at risk."
    ],
    "nothing_at_stake": ["2 customers of high or medium value have a high risk of not ordering in the next 91 days."],
    "one_in_control_group": [
        "A next best action is planned for 10 customers. 1 of them forms a control group that does not receive it, so that the "
        "effect can be measured."
    ],
    "no_control_group": [
        "A next best action is planned for 2 customers. There is no control group, so the effect cannot be measured."
    ],
    "one_negative_text": ["The only customer text does not recommend us."],
    "one_neutral_text": ["The only customer text expresses no clear opinion."],
    "two_texts": ["Of 2 customer texts, 100% recommend us, 0% do not recommend us and 0% express no clear opinion."],
}


@pytest.mark.parametrize("name", FINDINGS)
def test_findings_say_what_the_facts_show(name):
    known = {"There are 10 customers, each with one record."} - set(FINDINGS[name])  # of every data set with metrics
    assert [sentence for sentence in findings(DATA[name], PRIMARY) if sentence not in known] == FINDINGS[name]


LEADS = {
    ("few_buyers", customers): (
        "There are no segments yet: this needs at least 50 customers with completed orders; there are 12."
    ),
    ("short_history", customers_at_risk): (
        "It is not predicted yet which customers will order again: this needs customers known by 2024-08-02; there are none."
    ),
    ("few_texts", text_model): (
        "No text model is in production yet: this needs at least 60 labelled texts; there are 2."
    ),
    ("few_customers", monitoring): "Feature drift needs at least 500 customers on 2025-01-31; there are 3.",
    ("one_text", feedback): (
        "1 customer text from 1 source was classified automatically: the customer recommends us, does not recommend us, or "
        "gives no clear opinion."
    ),
    ("equal_reasons", data_quality): (
        "Quarantined records are stored; they can be processed again once the source or the rule has been corrected."
    ),
    ("one_accepted", data_received): (
        "To date, 1 record arrived in 1 file. Each record was accepted, recognised as a duplicate or older version, or "
        "quarantined for correction. The three counts add up to the rows read."
    ),
    ("drifted", monitoring): (
        "1 of 2 customer features drifted since the previous snapshot: the population stability index (PSI) is above the "
        "threshold."
    ),
}


@pytest.mark.parametrize(("name", "build"), LEADS, ids=lambda value: getattr(value, "__name__", value))
def test_leads_say_what_the_facts_show(name, build):
    assert build(DATA[name], PRIMARY).lead == LEADS[name, build]


NOTES = {
    "nobody_allowed": "5 customers with a matching action may not be contacted (no marketing consent).",
    "one_consent_unknown": (
        "1 customer with a matching action is not contacted, because consent is required and unknown."
    ),
    "not_known": "3 customers have no action for now: whether one applies depends on data that is missing.",
    "none_needed": "3 customers need no action: the conditions of none apply.",
    "one_needs_none": "1 customer needs no action: the conditions of none apply.",
}


@pytest.mark.parametrize("name", NOTES)
def test_no_action_has_one_reason(name):
    assert actions(DATA[name], PRIMARY, {}).notes == [NOTES[name]]


def test_what_is_missing_is_said_once():
    reasons = {
        "few_buyers": "at least 50 customers",
        "short_history": "customers known by",
        "few_texts": "at least 60 labelled texts",
        "few_customers": "at least 500 customers",
        "one_product": "at least 2 products",
        "no_persons": "no source contains persons",
    }
    for name, reason in reasons.items():
        assert "\n".join(shown(DATA[name])).count(reason) == 1, name
    rows = monitoring(DATA["few_buyers"], PRIMARY).tables[0][1].rows
    assert rows == [["Segment", "skipped", "0", "1.0", "see Customer segments"]]


@pytest.mark.parametrize("number", [None, math.nan, math.inf])
def test_unknown_figures_are_no_zeros(number):
    facts = replace(
        DATA["complete"],
        segments=[
            {**SEGMENT, "revenue_fraction": number, "median_monetary": number, "mean_satisfaction": number}
            for _ in "ab"
        ],
        risk=[{**row, "expected_revenue": number, "at_stake": number} for row in COMPLETE.risk],
        actions=[{**row, "at_stake": number} for row in COMPLETE.actions],
        metrics=[{**row, "value": number} for row in COMPLETE.metrics],
    )
    assert "Revenue at risk" not in [label for label, _, _ in key_figures(facts)]
    assert customers(facts, PRIMARY).tables[0][1].rows[0][3] == "–"
    assert customers_at_risk(facts, PRIMARY).lead.endswith("Expected revenue and revenue at risk are unknown.")
    assert actions(facts, PRIMARY, {}).charts[0].table.rows[0][4] == "–"
    assert prediction_quality(facts, PRIMARY).lead == "No predictions have been evaluated yet."
    page = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", render(facts, SOURCES, {}), flags=re.S)
    assert not re.search(r"\b(nan|inf|infinity)\b", page, re.I) and not re.search(r"\bNone\b", page)


def test_page_of_each_data_set_has_valid_chart_data():
    def no_constant(name):
        raise AssertionError(name)

    for name in ("empty", "complete", "revenue_unknown", "value_unknown"):
        charts = re.search(r'id="figures">(.*?)</script>', render(DATA[name], SOURCES, {}), re.S)
        json.loads(charts.group(1), parse_constant=no_constant)


def test_every_kind_of_fact_is_in_a_data_set():
    plain = {"company", "currency", "horizon_days", "as_of"}
    assert [f.name for f in fields(Facts) if f.name not in plain and not getattr(DATA["complete"], f.name)] == []
