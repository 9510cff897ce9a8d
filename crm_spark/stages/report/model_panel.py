"""How the text model in use learned and what it mixes up."""

from typing import Any

from crm_spark.stages.report import charts
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.panel import Chart, Panel, Table
from crm_spark.stages.report.words import LABELS, count, plain
from crm_spark.text import labels

_NAMES = [LABELS[label] for label in labels.LABELS]


def reading(facts: Facts, primary: dict[str, str]) -> Panel:
    """Loss curve, confusion and the slices that are read worst, from the model's card."""
    card = facts.model_card
    title = "How the texts are read"
    if not card:
        return Panel("reading", title, "No text model is in use yet.")
    if "curve" not in card["training"]:
        return Panel("reading", title, "The text model in use was trained before its learning was written down.")
    test, training = card["test"]["bert"], card["training"]
    lead = (
        f"Learned from {count(sum(card['examples']['train'].values()))} labelled texts, judged on {count(test['num_rows'])} of "
        f"other customers{_when(card)}: {test['cross_entropy_bits']:.3f} bits a text are left of "
        f"{card['test']['class_prior']['cross_entropy_bits']:.3f} without reading. How sure it is of a verdict is off by "
        f"{100 * test['calibration_error']:.1f} points in the mean.{_doubts(card)}"
    )
    tables = [("Where it reads best and worst", _slices(card))] if card["test_slices"] else []
    return Panel("reading", title, lead, [_curve(training), _confusion(test["confusion"])], tables=tables)


def _when(card: dict[str, Any]) -> str:
    """What was written later than all it learned from says how it will read what is yet to come."""
    test_from = card["made_from"].get("test_from")
    return f", written from {test_from} on" if test_from else ""


def _doubts(card: dict[str, Any]) -> str:
    checked, doubtful = (card["made_from"].get(f"labels_{name}", 0) for name in ("checked", "doubtful"))
    if not checked:
        return ""
    return f" Of {count(checked)} ratings {count(doubtful)} say something else than their words; features.label_issue lists them."


def _curve(training: dict[str, Any]) -> Chart:
    steps, bits = [point[0] for point in training["curve"]], [point[1] for point in training["curve"]]
    per_epoch = training["steps"] / len(training["validation_bits"])
    ends = [round(per_epoch * (i + 1)) for i in range(len(training["validation_bits"]))]
    series = {"texts it learns from": (steps, bits), "texts it does not": (ends, training["validation_bits"])}
    table = Table(
        ["Epoch", "Bits a text, not learned from", ""],
        [
            [str(i + 1), f"{value:.3f}", "kept" if i + 1 == training["best_epoch"] else ""]
            for i, value in enumerate(training["validation_bits"])
        ],
    )
    return Chart(
        "What it did not foresee while it learned",
        charts.lines(series, x="step", y="bits a text"),
        "Lines: cross-entropy in bits over the steps of the training, on the texts it learns from and on others.",
        table,
    )


def _confusion(confusion: list[list[int]]) -> Chart:
    shares = [[n / max(sum(row), 1) for n in row] for row in confusion]
    said = [[f"{count(n)}<br>{share:.0%}" for n, share in zip(row, line)] for row, line in zip(confusion, shares)]
    return Chart(
        "What customers meant (rows) and what was read (columns)",
        charts.matrix(_NAMES, _NAMES, shares, said, unit="texts"),
        "Matrix: for each verdict that customers gave, the share of their texts read as each verdict.",
        Table(["Meant", *_NAMES], [[name, *(count(n) for n in row)] for name, row in zip(_NAMES, confusion)]),
    )


def _slices(card: dict[str, Any]) -> Table:
    rows = sorted(card["test_slices"].items(), key=lambda item: item[1]["cross_entropy_bits"])
    return Table(
        ["Texts", "Number", "Bits a text", "Macro-F1", "Accuracy"],
        [
            [
                _slice(name),
                count(figures["num_rows"]),
                f"{figures['cross_entropy_bits']:.3f}",
                f"{figures['macro_f1']:.3f}",
                f"{figures['accuracy']:.3f}",
            ]
            for name, figures in rows
        ],
    )


def _slice(name: str) -> str:
    dimension, value = name.split("=", 1)
    return {"source": plain(value), "language": f"language {value}"}.get(dimension, value)
