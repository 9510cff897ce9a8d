"""Panel about the text model in production: training, confusion matrix, quality by slice."""

from typing import Any

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.missing import explained, note_of, reason_for_skipping
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import LABELS, count, counted, decimal, language_name, percent, title_of
from crm_spark.text import labels

_LANGUAGE = "language="
_MEASURES = ["Texts", "Cross-entropy (bits per text)", "Macro-F1", "Accuracy"]
_NAMES = [LABELS[label] for label in labels.LABELS]


def text_model(facts: Facts, primary: dict[str, str]) -> Panel:
    """Loss curve, confusion matrix and quality by slice, from the model card."""
    card = facts.model_card
    title = "Text model"
    if not card:
        return Panel("text-model", title, _why_no_model(facts))
    if "curve" not in card["training"]:
        return Panel("text-model", title, "The model card of the text model in production contains no loss curve.")
    test, training = card["test"]["bert"], card["training"]
    lead = (
        f"The model was trained on {counted(sum(card['examples']['train'].values()), 'labelled text')} and tested on "
        f"{counted(test['num_rows'], 'text')} of other customers{_test_period(card)}. Test cross-entropy: "
        f"{decimal(test['cross_entropy_bits'])} bits per text (class prior: "
        f"{decimal(card['test']['class_prior']['cross_entropy_bits'])}). Calibration error: "
        f"{decimal(100 * test['calibration_error'], 1)} percentage points.{_label_check(card)}"
    )
    tables = [("Quality by source and length of text", _slices(card))] if _slices(card).rows else []
    if (languages := _languages(card)).rows:
        tables.append(("Quality by language, given by the source or detected", languages))
    return Panel("text-model", title, lead, [_loss_curve(training), _confusion(test["confusion"])], tables=tables)


def _why_no_model(facts: Facts) -> str:
    reason = reason_for_skipping(facts, "shard", "train")
    if not reason and "registered as candidate" in note_of(facts, "train"):
        return "No text model is in production: the newest model is a candidate, because a baseline is better."
    return explained("No text model is in production yet", reason)


def _test_period(card: dict[str, Any]) -> str:
    # A test set written after the training set shows the quality to expect for new texts.
    test_from = card["made_from"].get("test_from")
    return f", written since {test_from}" if test_from else ""


def _label_check(card: dict[str, Any]) -> str:
    num_checked, num_doubtful = (card["made_from"].get(f"labels_{name}", 0) for name in ("checked", "doubtful"))
    if not num_checked:
        return ""
    checked = counted(num_checked, "checked customer rating")
    if not num_doubtful:
        return f" Label check: no contradiction between text and rating was found in {checked}."
    seem = "seems to contradict its" if num_doubtful == 1 else "seem to contradict their"
    return f" Label check: {count(num_doubtful)} of {checked} {seem} text (listed in features.label_issue)."


def _loss_curve(training: dict[str, Any]) -> Chart:
    steps, bits = [point[0] for point in training["curve"]], [point[1] for point in training["curve"]]
    steps_per_epoch = training["steps"] / len(training["validation_bits"])
    epoch_ends = [round(steps_per_epoch * (i + 1)) for i in range(len(training["validation_bits"]))]
    series = {"training": (steps, bits), "validation": (epoch_ends, training["validation_bits"])}
    table = Table(
        ["Epoch", "Validation loss (bits per text)", "Selected"],
        [
            [str(i + 1), decimal(value), "yes" if i + 1 == training["best_epoch"] else ""]
            for i, value in enumerate(training["validation_bits"])
        ],
    )
    return Chart(
        "Training and validation loss",
        charts.lines(series, x="step", y="bits per text"),
        "Line chart: cross-entropy in bits per text over the training steps, for the training and the validation split.",
        table,
    )


def _confusion(confusion: list[list[int]]) -> Chart:
    shares = [[n / max(sum(row), 1) for n in row] for row in confusion]
    # Without texts of a rating there are no shares of them.
    cells = [
        [f"{count(n)}<br>{percent(share)}" if sum(row) else "0" for n, share in zip(row, line)]
        for row, line in zip(confusion, shares)
    ]
    return Chart(
        "Confusion matrix: customer rating (rows) and predicted label (columns)",
        charts.matrix(_NAMES, _NAMES, shares, cells, unit="texts"),
        "Confusion matrix: for each customer rating, the number and share of texts by predicted label.",
        Table(["Customer rating", *_NAMES], [[name, *(count(n) for n in row)] for name, row in zip(_NAMES, confusion)]),
    )


def _slices(card: dict[str, Any]) -> Table:
    slices = {name: figures for name, figures in card["test_slices"].items() if not name.startswith(_LANGUAGE)}
    rows = sorted(slices.items(), key=lambda item: item[1]["cross_entropy_bits"])
    return Table(["Slice", *_MEASURES], [[_slice_name(name), *_measures(figures)] for name, figures in rows])


def _languages(card: dict[str, Any]) -> Table:
    """Quality by language, the language with most texts first."""
    slices = {name: figures for name, figures in card["test_slices"].items() if name.startswith(_LANGUAGE)}
    rows = sorted(slices.items(), key=lambda item: -item[1]["num_rows"])
    return Table(
        ["Language", *_MEASURES],
        [[language_name(name[len(_LANGUAGE) :]), *_measures(figures)] for name, figures in rows],
    )


def _measures(figures: dict[str, Any]) -> list[str]:
    names = ("cross_entropy_bits", "macro_f1", "accuracy")
    return [count(figures["num_rows"]), *(decimal(figures[name]) for name in names)]


def _slice_name(name: str) -> str:
    dimension, value = name.split("=", 1)
    return title_of(value) if dimension == "source" else value
