"""Results compared with the ground truth of the generator: identities, churn, invalid rows, meaning of texts."""

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
    """Generate, refresh and compare with the ground truth, which no stage reads."""
    size = (arguments.customers or [SIZE])[0]
    company, lake = OUT / f"truth-{size}", OUT / f"truth-lake-{size}"
    shutil.rmtree(lake, ignore_errors=True)
    shutil.rmtree(company, ignore_errors=True)
    watch([sys.executable, "jobs/generate.py", "--out", str(company), "--customers", str(size)])
    command = [sys.executable, "jobs/refresh.py", "--conf", "conf/company.yaml", "--lake", str(lake)]
    watched = watch([*command, "--set", f"ingest.data_dir={company / 'drops'}"])
    figures = [
        Figure("refresh", watched.seconds, "seconds"),
        Figure("refresh, peak memory", watched.peak_mb, "MB"),
    ]
    return figures + of_lake(lake, company)


def of_lake(lake: Path, company: Path) -> list[Figure]:
    """Return the figures of a lake with known ground truth."""

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
    """Return pairwise precision and recall of identity resolution."""

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
    """Return the AUC of the churn score after the end of the data, and of the true probability as upper bound."""
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
    """Return the recall of planted errors by reason, and the valid rows that were quarantined."""
    keys = ["source", "file", "position"]
    reasons = quarantine.explode("reasons").rename(columns={"reasons": "reason"})
    hits = planted.merge(reasons[[*keys, "reason"]].drop_duplicates(), on=[*keys, "reason"], how="left", indicator=True)
    hits["is_found"] = hits["_merge"] == "both"
    figures = [Figure("planted errors: planted", len(planted), "rows")]
    for reason, rows in hits.groupby("reason"):
        figures.append(
            Figure(f"planted errors: {reason}, {len(rows):,} planted", rows.is_found.mean(), "recall", ">= 0.99")
        )
    figures.append(Figure("planted errors: recall over all", hits.is_found.mean(), "recall", ">= 0.99"))
    quarantined = reasons[reasons.status == "quarantined"][keys].drop_duplicates()
    innocent = quarantined.merge(planted[keys].drop_duplicates(), on=keys, how="left", indicator=True)
    num_innocent = int((innocent["_merge"] == "left_only").sum())
    return [
        *figures,
        Figure("planted errors: false quarantine", num_innocent / deliveries.num_rows.sum(), "fraction", "<= 0.001"),
    ]


def texts(text_of: pd.DataFrame, scores: pd.DataFrame, truth: pd.DataFrame) -> list[Figure]:
    """Return the macro-F1 against the true meaning of all texts; customer labels are noisy."""
    read = text_of.merge(scores[["text_hash", "label"]].rename(columns={"label": "said"}), on="text_hash")
    read = read.merge(truth, left_on=["source", "record_id"], right_on=["source", "record_id"])
    figures: list[Any] = [
        Figure(f"texts: macro-F1 against the true label, {source}", _macro_f1(rows), "fraction")
        for source, rows in read.groupby("source")
    ]
    return [*figures, Figure("texts: macro-F1 against the true label, all", _macro_f1(read), "fraction")]


def _macro_f1(rows: pd.DataFrame) -> float:
    return float(f1_score(rows.meaning, rows.said, average="macro"))
