"""Train stage: launch the ranks, register the model, record its metrics."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.core.stage import Stage
from crm_spark.models.metrics import Measure, record
from crm_spark.models.registry import REGISTRY, current_version, models_dir, register, seal
from crm_spark.stages.train.config import MODEL, TrainConfig
from crm_spark.stages.train.hyperparameter_search import best_config
from crm_spark.stages.train.mlflow_log import log_training
from crm_spark.stages.train.processes import OutOfTime, is_rank, launch, num_local_ranks
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import current_shards, read_manifest

BASELINES = {
    "class_prior": "class prior",
    "tfidf_lr": "TF-IDF + logistic regression",
    "production": "model in production",
}


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Return the current shard set."""
    folder = current_shards(ctx.files_root)
    return {"shards": folder.name if folder else None}


def must_run(ctx: JobContext) -> bool:
    """Return whether there is a shard set but no model registry."""
    return current_shards(ctx.files_root) is not None and not (models_dir(ctx.files_root) / REGISTRY).exists()


def run(ctx: JobContext) -> StageResult:
    """Train, evaluate on the test split, and promote the model if no baseline has a lower cross-entropy."""
    cfg: TrainConfig = ctx.settings.train
    shards = current_shards(ctx.files_root)
    if shards is None:
        return skipped("needs a shard set; there is none")
    read_manifest(shards)
    if ctx.is_dry_run:
        return StageResult(note="dry run")
    out = Path(ctx.files_root) / "training" / ctx.fingerprint[:16]
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "model", ignore_errors=True)
    registry_dir = models_dir(ctx.files_root)
    current = current_version(ctx.files_root)
    cfg = _with_fixed_precision(cfg, out)
    spec = {
        "config": cfg.model_dump(),
        "shards": str(shards.resolve()),
        "out": str(out.resolve()),
        "seed": ctx.seed,
        "labels": LABELS,
        "production": str((registry_dir / current).resolve()) if current else None,
        "teacher": str((registry_dir / cfg.teacher).resolve()) if cfg.teacher else None,
    }
    if cfg.search_trials:
        spec["config"] = best_config(cfg, out, _trial_runner(ctx, spec), seed=ctx.seed).model_dump()
    _launch(ctx, spec, cfg, seconds=cfg.max_seconds)
    result = json.loads((out / "result.json").read_text())
    model_version = seal(out / "model", registry_dir)
    test = result["test"]
    if model_version.version == current:
        # A run killed after registration and started again must not be compared with itself.
        test.pop("production", None)
    better = better_baselines(test, cfg.baselines)
    record(ctx, "train", _measures(result))
    register(registry_dir, model_version.version, is_promoted=not better)
    if cfg.mlflow:
        log_training(cfg.mlflow, result, model_version.folder, version=model_version.version, is_promoted=not better)
    for folder in (out / "checkpoints", *out.glob("trial-*")):
        shutil.rmtree(folder, ignore_errors=True)
    names = " and ".join(BASELINES[name] for name in better)
    status = f"registered as candidate (lower test cross-entropy: {names})" if better else "promoted to production"
    tfidf_f1 = max(figures["macro_f1"] for name, figures in test.items() if name.startswith("tfidf"))
    note = (
        f"macro-F1 {test[MODEL]['macro_f1']:.3f} (TF-IDF {tfidf_f1:.3f}, class prior {test['class_prior']['macro_f1']:.3f}), "
        f"{test[MODEL]['cross_entropy_bits']:.3f} bits per text (TF-IDF {test['tfidf_lr']['cross_entropy_bits']:.3f}); "
        f"model {model_version.version} {status}; {result['seconds']:.0f} s of training"
    )
    return StageResult(result["training"]["examples_seen"], note=note)


def _with_fixed_precision(cfg: TrainConfig, out: Path) -> TrainConfig:
    """Return the settings with `auto` precision resolved once, so that all ranks and restarts use the same."""
    from crm_spark.text.model import uses_bf16

    spec = out / "spec.json"
    precision = json.loads(spec.read_text())["config"]["precision"] if spec.exists() else cfg.precision
    return cfg.model_copy(update={"precision": "bf16" if uses_bf16(precision) else "fp32"})


def _launch(ctx: JobContext, spec: dict[str, Any], cfg: TrainConfig, *, seconds: int) -> None:
    """Train with the configured launcher."""
    out = Path(spec["out"])
    (out / "spec.json").write_text(json.dumps(spec))
    if is_rank():
        from crm_spark.stages.train.ranks import train_together

        return train_together(spec)
    if cfg.launcher == "spark":
        from crm_spark.stages.train.spark_tasks import train_in_tasks

        return train_in_tasks(ctx, spec, num_ranks=cfg.num_ranks, max_seconds=seconds)
    return launch(
        out / "spec.json",
        num_ranks=num_local_ranks(cfg.num_ranks),
        max_seconds=seconds,
        log=out / "train.log",
        max_restarts=cfg.max_restarts,
    )


def _trial_runner(ctx: JobContext, spec: dict[str, Any]) -> Callable[[TrainConfig, Path, int], None]:
    """Return a function that trains with other settings and keeps only the validation loss."""

    def run_trial(trial: TrainConfig, folder: Path, seconds: int) -> None:
        trial_spec = {**spec, "config": trial.model_dump(), "out": str(folder.resolve()), "is_trial": True}
        # A trial that runs out of time has no result.
        with suppress(OutOfTime):
            _launch(ctx, trial_spec, trial, seconds=min(seconds, trial.max_seconds))
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)

    return run_trial


def better_baselines(test: dict[str, Any], baselines: tuple[str, ...]) -> list[str]:
    """Return the baselines with a lower test cross-entropy than the model."""
    bits = test[MODEL]["cross_entropy_bits"]
    return [name for name in baselines if name in test and test[name]["cross_entropy_bits"] < bits]


def _measures(result: dict[str, Any]) -> list[Measure]:
    measures = []
    for slice_name, figures in result["test_slices"].items():
        base = {"model": MODEL, "num_rows": figures["num_rows"], "slice": slice_name}
        measures.append(Measure("macro_f1", value=figures["macro_f1"], unit="fraction", **base))
        measures.append(Measure("cross_entropy", value=figures["cross_entropy_bits"], unit="bits", **base))
    for model, figures in result["test"].items():
        base = {"model": model, "num_rows": figures["num_rows"], "is_baseline": model != MODEL}
        measures.append(Measure("accuracy", value=figures["accuracy"], unit="fraction", **base))
        measures.append(Measure("macro_f1", value=figures["macro_f1"], unit="fraction", **base))
        measures.append(Measure("cross_entropy", value=figures["cross_entropy_bits"], unit="bits", **base))
        measures.append(Measure("calibration_error", value=figures["calibration_error"], unit="fraction", **base))
        for label, recall in zip(LABELS, figures["recall"]):
            measures.append(Measure("recall", value=recall, unit="fraction", slice=f"label={label}", **base))
    return measures


STAGE = Stage(
    "train", run, inputs=inputs, must_run=must_run, fits_model=True, reruns_on_new_date=False, reads_company=False
)
