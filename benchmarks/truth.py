"""What the stages find of what only the generator knows: who is who, who will leave, which rows are spoilt, what texts mean."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
from deltalake import DeltaTable
from sklearn.metrics import f1_score, roc_auc_score

from benchmarks.figures import OUT, Figure
from benchmarks.process_monitor import watch

SIZE = 20_000


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Generates, refreshes, and compares with the truth, which no stage reads."""
    size = (arguments.customers or [SIZE])[0]
    company, lake = OUT / f"truth-{size}", OUT / f"truth-lake-{size}"
    shutil.rmtree(lake, ignore_errors=True)
    shutil.rmtree(company, ignore_errors=True)
    watch([sys.executable, "jobs/generate.py", "--out", str(company), "--customers", str(size)])
    command = [sys.executable, "jobs/refresh.py", "--conf", "conf/company.yaml", "--lake", str(lake)]
    taken = watch([*command, "--set", f"ingest.data_dir={company / 'drops'}"])
    figures = [
        Figure("refresh", taken.seconds, "seconds"),
        Figure("refresh, peak memory", taken.peak_mb, "MB"),
    ]
    return figures + of_lake(lake, company)


def of_lake(lake: Path, company: Path) -> list[Figure]:
    """The figures of a lake whose company's truth is at hand."""

    def table(name: str, *columns: str) -> pd.DataFrame:
        return DeltaTable(str(lake / name)).to_pyarrow_dataset().to_table(columns=list(columns) or None).to_pandas()

    def truth(name: str) -> pd.DataFrame:
        return ds.dataset(company / "truth" / name).to_table().to_pandas()

    links = table("gold/customer_link", "system", "person_id", "customer_id")
    owners = links.merge(truth("person")[["system", "person_id", "customer"]], on=["system", "person_id"])
    return [
        *identity(owners),
        *churn(table("scores/churn", "customer_id", "probability", "as_of"), owners, truth("customer")),
        *dirt(table("ops/quarantine"), truth("dirty_row"), table("ops/delivery")),
        *texts(table("features/text"), table("scores/text"), truth("text")),
    ]


def identity(owners: pd.DataFrame) -> list[Figure]:
    """Pairwise precision and recall over all pairs of records."""

    def pairs(*by: str) -> float:
        sizes = owners.groupby(list(by)).size()
        return float((sizes * (sizes - 1) / 2).sum())

    shared = pairs("customer", "customer_id")
    return [
        Figure("resolve: records", len(owners), "records"),
        Figure("resolve: pairwise precision", shared / pairs("customer_id"), "fraction", ">= 0.98"),
        Figure("resolve: pairwise recall", shared / pairs("customer"), "fraction", ">= 0.9"),
    ]


def churn(scores: pd.DataFrame, owners: pd.DataFrame, truth: pd.DataFrame) -> list[Figure]:
    """AUC of the score for the horizon after the data end, and of the best score there can be: the true probability."""
    by_customer = owners.groupby("customer_id").customer.agg(["nunique", "first"])
    own = by_customer[by_customer["nunique"] == 1]["first"].rename("customer").reset_index()
    newest = scores[scores.as_of == scores.as_of.max()]
    known = newest.merge(own, on="customer_id").merge(truth, on="customer")
    lapsed = known.orders_in_horizon == 0
    true_risk = known.p_no_order_in_horizon
    return [
        Figure("churn: customers judged", len(known), "customers"),
        Figure("churn: AUC out of time", roc_auc_score(lapsed, known.probability), "fraction"),
        Figure("churn: AUC of the true probability", roc_auc_score(lapsed, true_risk), "fraction", peer="the ceiling"),
        Figure(
            "churn: rank correlation with the true probability",
            known.probability.corr(true_risk, "spearman"),
            "fraction",
        ),
        Figure(
            "churn: rank correlation with the hazard of leaving",
            known.probability.corr(known.hazard, "spearman"),
            "fraction",
        ),
    ]


def dirt(quarantine: pd.DataFrame, planted: pd.DataFrame, deliveries: pd.DataFrame) -> list[Figure]:
    """Planted rows found by their very reason, and rows set aside in which nothing was planted."""
    keys = ["source", "file", "position"]
    found = quarantine.explode("reasons").rename(columns={"reasons": "reason"})
    hits = planted.merge(found[[*keys, "reason"]].drop_duplicates(), on=[*keys, "reason"], how="left", indicator=True)
    hits["is_found"] = hits["_merge"] == "both"
    figures = [Figure("dirty rows: planted", len(planted), "rows")]
    for reason, rows in hits.groupby("reason"):
        figures.append(
            Figure(f"dirty rows: {reason}, {len(rows):,} planted", rows.is_found.mean(), "recall", ">= 0.99")
        )
    figures.append(Figure("dirty rows: recall over all", hits.is_found.mean(), "recall", ">= 0.99"))
    aside = found[found.status == "quarantined"][keys].drop_duplicates()
    innocent = aside.merge(planted[keys].drop_duplicates(), on=keys, how="left", indicator=True)
    num_innocent = int((innocent["_merge"] == "left_only").sum())
    return [
        *figures,
        Figure("dirty rows: false quarantine", num_innocent / deliveries.num_rows.sum(), "fraction", "<= 0.001"),
    ]


def texts(text_of: pd.DataFrame, scores: pd.DataFrame, truth: pd.DataFrame) -> list[Figure]:
    """Macro-F1 against what each text means, labelled or not; labels that customers gave carry noise, the truth does not."""
    read = text_of.merge(scores[["text_hash", "label"]].rename(columns={"label": "said"}), on="text_hash")
    read = read.merge(truth, left_on=["source", "record_id"], right_on=["source", "record_id"])
    made: list[Any] = [
        Figure(f"texts: macro-F1 against the meaning, {source}", _macro_f1(rows), "fraction")
        for source, rows in read.groupby("source")
    ]
    return [*made, Figure("texts: macro-F1 against the meaning, all", _macro_f1(read), "fraction")]


def _macro_f1(rows: pd.DataFrame) -> float:
    return float(f1_score(rows.meaning, rows.said, average="macro"))
