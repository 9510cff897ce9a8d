"""Train: shards -> bundle. Launches the ranks, registers the bundle, records how good it is."""

import json
import shutil
from pathlib import Path
from typing import Any

from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.quality.measures import Measure, record
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.processes import launch
from crm_spark.text.bundle import REGISTRY, bundles_dir, register, seal
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import MANIFEST, read_manifest

MODEL = "bert"


def inputs(ctx: JobContext) -> dict[str, Any]:
    """The shard set in use."""
    pointer = Path(ctx.files_root) / "shards" / "current"
    return {"shards": pointer.read_text() if pointer.exists() else None}


def must_run(ctx: JobContext) -> bool:
    """Bundles that were deleted are trained again."""
    return _shards(ctx) is not None and not (bundles_dir(ctx.files_root) / REGISTRY).exists()


def _shards(ctx: JobContext) -> Path | None:
    name = inputs(ctx)["shards"]
    folder = Path(ctx.files_root) / "shards" / name if name else None
    return folder if folder is not None and (folder / MANIFEST).exists() else None


def run(ctx: JobContext) -> StageResult:
    """Trains, judges on the test side, and promotes what is better than the plain guess."""
    cfg: TrainConfig = ctx.settings.train
    shards = _shards(ctx)
    if shards is None:
        return skipped("there are no labelled texts to learn from")
    read_manifest(shards)
    if ctx.is_dry_run:
        return StageResult(note="dry run")
    out = Path(ctx.files_root) / "training" / ctx.fingerprint[:16]
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "bundle", ignore_errors=True)
    spec = {
        "config": cfg.model_dump(),
        "shards": str(shards.resolve()),
        "out": str(out.resolve()),
        "seed": ctx.seed,
        "labels": LABELS,
    }
    (out / "spec.json").write_text(json.dumps(spec))
    launch(out / "spec.json", num_ranks=cfg.num_ranks, max_seconds=cfg.max_seconds, log=out / "train.log")
    result = json.loads((out / "result.json").read_text())
    bundles = bundles_dir(ctx.files_root)
    bundle = seal(out / "bundle", bundles)
    test = result["test"]
    is_promoted = is_better(test[MODEL], test["majority"])
    register(bundles, bundle.version, is_promoted=is_promoted)
    record(ctx, "train", _measures(test))
    shutil.rmtree(out / "checkpoints", ignore_errors=True)
    verdict = "in use" if is_promoted else "kept as candidate: no better than always the same answer"
    counting = max(figures["macro_f1"] for name, figures in test.items() if name.startswith("tfidf"))
    note = (
        f"macro-F1 {test[MODEL]['macro_f1']:.3f} (counting words {counting:.3f}, "
        f"majority {test['majority']['macro_f1']:.3f}); bundle {bundle.version} {verdict}; {result['seconds']:.0f} s of training"
    )
    return StageResult(result["training"]["examples_seen"], note=note)


def is_better(model: dict[str, Any], baseline: dict[str, Any]) -> bool:
    """Tells the verdicts apart better, and is less surprised by what customers say."""
    return bool(
        model["macro_f1"] > baseline["macro_f1"] and model["cross_entropy_bits"] < baseline["cross_entropy_bits"]
    )


def _measures(test: dict[str, Any]) -> list[Measure]:
    made = []
    for model, figures in test.items():
        base = {"model": model, "num_rows": figures["num_rows"], "is_baseline": model != MODEL}
        made.append(Measure("accuracy", value=figures["accuracy"], unit="fraction", **base))
        made.append(Measure("macro_f1", value=figures["macro_f1"], unit="fraction", **base))
        made.append(Measure("cross_entropy", value=figures["cross_entropy_bits"], unit="bits", **base))
        made.append(Measure("calibration_error", value=figures["calibration_error"], unit="fraction", **base))
        for label, recall in zip(LABELS, figures["recall"]):
            made.append(Measure("recall", value=recall, unit="fraction", slice=f"label={label}", **base))
    return made
