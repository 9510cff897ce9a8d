"""Companies with hardly any data go through the whole pipeline: each stage works or says once what it lacks."""

import json
import re

import pytest
from support.refreshed import FAST
from support.thin_company import lay_out

from crm_spark.cli.contactability import contact_warning
from crm_spark.contracts.actions import NEXT_BEST_ACTION
from crm_spark.contracts.features import SEGMENT_PROFILE
from crm_spark.stages import STAGES

pytestmark = pytest.mark.slow
COMPANIES = {
    # One product, one order per customer.
    "one_product": {
        "num_persons": 80,
        "consent": "yes",
        "days_ago": [(i, i * 5 % 400) for i in range(80)],
        "has_amounts": True,
    },
    # Orders without amounts and no texts; half of the customers order again in each period.
    "no_amounts": {
        "num_persons": 260,
        "consent": "",
        "days_ago": [
            order
            for i in range(260)
            for order in [(i, 190 + i * 3 % 200), *[(i, 100 + i % 80)] * (i % 2), *[(i, i % 90)] * (i % 3 == 0)]
        ],
        "has_amounts": False,
    },
    # One customer, who refused marketing contact.
    "one_customer": {"num_persons": 1, "consent": "no", "days_ago": [(0, 5), (0, 200), (0, 300)], "has_amounts": True},
}


@pytest.fixture(scope="module", params=COMPANIES)
def refreshed(request, spark, tmp_path_factory):
    """Name, pipeline, results by stage, report page without scripts and styles, findings."""
    from crm_spark.pipeline import Pipeline
    from crm_spark.settings import load_settings

    root = tmp_path_factory.mktemp(request.param)
    settings = load_settings(lay_out(root, **COMPANIES[request.param]), FAST)
    pipeline = Pipeline(settings, lake=str(root / "lake"))
    results = pipeline.run()
    page = (root / "lake" / "files" / "report.html").read_text()
    visible = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", page, flags=re.S)
    sentences = json.loads((root / "lake" / "files" / "findings.json").read_text())
    return request.param, pipeline, results, visible, sentences


def test_every_stage_works_or_says_in_one_sentence_what_it_lacks(refreshed):
    _, _, results, _, _ = refreshed
    assert list(results) == list(STAGES)
    for stage, result in results.items():
        assert result.status in ("done", "skipped"), stage
        if result.status == "skipped":
            assert re.fullmatch(r"needs [^\n]+; [^;\n]+", result.note), result.note


def test_no_missing_number_is_shown(refreshed):
    _, _, results, page, sentences = refreshed
    notes = "\n".join(result.note for result in results.values())
    for text in (notes, page, "\n".join(sentences)):
        assert not re.search(r"\bnan\b|\binfinity\b|\binf\b", text, re.I) and not re.search(r"\bNone\b", text)


def test_what_a_stage_lacks_is_shown_once(refreshed):
    _, _, results, page, _ = refreshed
    shown_in_panels = [results[stage].note for stage in ("segment", "predict") if results[stage].status == "skipped"]
    for note in shown_in_panels:
        assert page.count(note) == 1, note


def test_segments_and_predictions_say_only_what_is_known(refreshed):
    name, pipeline, results, page, sentences = refreshed
    names = {row["name"] for row in pipeline.tables.read(SEGMENT_PROFILE).collect()}
    if name == "one_product":
        assert names and not [
            n for n in names if re.search("loyal|regular|occasional|rare|steady|champion|orders", n, re.I)
        ]
        assert results["recommend"].note == "needs at least 2 products that customers bought; there is 1"
    if name == "no_amounts":
        assert names and not [n for n in names if re.search("champion|big|small|good|revenue", n, re.I)]
        assert not [sentence for sentence in sentences if "evenue" in sentence]
        assert results["predict"].note.startswith("churn AUC")
        assert "Expected revenue and revenue at risk are unknown." in page
    if name == "one_customer":
        assert names == set()
        assert "There is 1 customer, with one record." in sentences


def test_reasons_for_no_action_and_the_export_warning(refreshed):
    name, pipeline, _, _, _ = refreshed
    reasons = {row["reason"] for row in pipeline.tables.read(NEXT_BEST_ACTION).where("action = 'none'").collect()}
    warning = contact_warning(pipeline.tables, NEXT_BEST_ACTION, require_consent="not_refused")
    if name == "one_customer":
        assert reasons == {"not_known"}  # value, satisfaction and suitable products are unknown
        assert warning == "actions.next_best: the only customer cannot be contacted: 1 refused marketing contact."
    else:
        assert reasons <= {"not_known", "no_rule_applies"} and warning == ""
