"""CPU scoring compared with transformers.pipeline: CPU time per text on one thread, interleaved over several rounds.

R is 128 over the mean number of real tokens: padding alone makes so much of every ratio.
"""

import argparse
import csv
import gzip
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.figures import Figure
from crm_spark.models.registry import CARD, ONNX, TOKENIZER, ModelVersion, seal
from crm_spark.settings import load_settings
from crm_spark.stages.score.backends import Choice, choose
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.scorer import SCHEMA, Scorer, make_scorer
from crm_spark.stages.train.onnx_export import export_graphs
from crm_spark.stages.train.readers import Rows
from crm_spark.text.batches import padded
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.hardware import BF16, INT8, cpu_flags
from crm_spark.text.labels import LABELS
from crm_spark.text.model import FIRST, pretrained, save_model
from crm_spark.text.tokenizer import load_tokenizer, token_ids

MAX_LENGTH, NUM_TEXTS, NUM_SPARK_TEXTS, NUM_ROUNDS = 128, 384, 1_536, 5
Work = Callable[[list[str]], object]


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Run five rounds of the pipeline, of optimised plain loops, and of the scorer."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    texts = texts_of(arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        model_version = model_version_of(Path(folder))
        lossless, small = ScoreConfig(), ScoreConfig(is_int8_allowed=True)
        chosen = [choose(model_version, cfg, num_texts=10**9) for cfg in (lossless, small)]
        print(f"scorer: {chosen[0]}; with int8: {chosen[1]}")
        hands = by_hand(model_version)
        works: dict[str, Work] = {
            "pipeline": pipeline(),
            **hands,
            "scorer": Scorer(model_version.folder, lossless, chosen[0]).probabilities,
            "scorer, int8": Scorer(model_version.folder, small, chosen[1]).probabilities,
        }
        seconds = interleaved(works, texts)
        fastest = min(hands, key=lambda name: median(seconds[name]))
        many = texts * (NUM_SPARK_TEXTS // len(texts))
        through_spark = spark_over_hand(model_version, many, works[fastest], chosen[0])
        tokenizer = load_tokenizer(model_version.folder, MAX_LENGTH)
        ratio = MAX_LENGTH / float(np.mean([len(ids) for ids in token_ids(tokenizer, texts)]))
    min_ratio = 3.4 if BF16 & cpu_flags() else 1.2
    min_int8 = 4.5 if INT8 & cpu_flags() else 1.8
    over = {name: [base / own for base, own in zip(seconds["pipeline"], seconds[name])] for name in seconds}
    hand = median(own / mine for own, mine in zip(seconds[fastest], seconds["scorer"]))
    return [
        Figure("R: 128 over the mean number of tokens", ratio, "ratio"),
        Figure("pipeline: texts per second and core", len(texts) / median(seconds["pipeline"]), "texts/s"),
        Figure("scorer: texts per second and core", len(texts) / median(seconds["scorer"]), "texts/s"),
        Figure("scorer relative to pipeline, in R", median(over["scorer"]) / ratio, "R", f">= {min_ratio}", "pipeline"),
        Figure("scorer with int8 relative to pipeline, in R", median(over["scorer, int8"]) / ratio, "R", f">= {min_int8}", "pipeline"),
        *(Figure(f"{name}: texts per second and core", len(texts) / median(seconds[name]), "texts/s") for name in hands),
        Figure("scorer over the better of them by hand", hand, "ratio", ">= 0.9", fastest),
        Figure("the same with Spark and Arrow, wall clock", through_spark, "ratio", ">= 0.9", fastest),
    ]  # fmt: skip


def texts_of(folder: str | None) -> list[str]:
    """Return clothing reviews if available, else generated texts of similar length."""
    path = Path(folder or os.environ.get("CRM_SPARK_EXAMPLES", "")) / "clothing_reviews" / "clothing_reviews.csv.gz"
    draw = np.random.default_rng(7)
    if path.is_file():
        with gzip.open(path, "rt", encoding="utf-8") as source:
            rows = [f"{row['Title']}\n{row['Review Text']}" for row in csv.DictReader(source) if row["Review Text"]]
        return [rows[i] for i in draw.choice(len(rows), NUM_TEXTS, replace=False)]
    words = [
        "the",
        "shirt",
        "came",
        "on",
        "time",
        "and",
        "fits",
        "but",
        "its",
        "colour",
        "is",
        "not",
        "what",
        "I",
        "saw",
    ]
    return [" ".join(draw.choice(words, int(n))) for n in draw.normal(75, 32, NUM_TEXTS).clip(4, 140)]


def model_version_of(folder: Path) -> ModelVersion:
    """Store the embedded encoder with an untrained head, which has the same cost."""
    torch.manual_seed(1)
    model, draft = pretrained(encoder_dir("embedded"), pooling=FIRST).eval(), folder / "draft"
    draft.mkdir()
    save_model(model, draft)
    (draft / TOKENIZER).write_bytes((encoder_dir("embedded") / TOKENIZER).read_bytes())
    card = {"temperature": 1.0, "max_length": MAX_LENGTH, "pooling": FIRST, "labels": LABELS}
    (draft / CARD).write_text(json.dumps(card))
    ids = np.full((1, 4), 2000, np.int32)
    sample = Rows(ids, np.array([4], np.int32), np.zeros(1, np.int32), np.ones(1, np.float32))
    export_graphs(model, sample, draft, int8=("onnx", "openvino"))
    return seal(draft, folder / "models")


def pipeline() -> Work:
    """Run `transformers.pipeline` with batches of 32, padded to the maximum length."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers import pipeline as make

    folder = str(encoder_dir("embedded"))
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(LABELS))
    call = make("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder), device="cpu")
    how = {"batch_size": 32, "padding": "max_length", "max_length": MAX_LENGTH, "truncation": True}
    return lambda texts: call(texts, **how)


def by_hand(model_version: ModelVersion) -> dict[str, Work]:
    """Run ONNX Runtime and OpenVINO on length-sorted batches of 16."""
    import onnxruntime
    import openvino

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    graph = str(model_version.folder / ONNX)
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    request = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": 1}).create_infer_request()
    tokenizer = load_tokenizer(model_version.folder, MAX_LENGTH)

    def sorted_by(run: Callable[[dict[str, np.ndarray]], object]) -> Work:
        def work(texts: list[str]) -> object:
            rows = sorted(token_ids(tokenizer, texts), key=len)
            outputs = []
            for first in range(0, len(rows), 16):
                ids, lengths = padded(rows[first : first + 16])
                mask = (np.arange(ids.shape[1]) < lengths[:, None]).astype(np.int64)
                outputs.append(run({"tokens": ids.astype(np.int64), "mask": mask}))
            return outputs

        return work

    return {
        "ONNX Runtime by hand": sorted_by(lambda feed: session.run(None, feed)[0]),
        "OpenVINO by hand": sorted_by(lambda feed: request.infer(feed)[0].copy()),
    }


def spark_over_hand(model_version: ModelVersion, texts: list[str], hand: Work, choice: Choice) -> float:
    """Return the throughput of the scoring job on one core relative to the plain loop; median of three rounds."""
    from crm_spark.core.session import build_session

    settings = load_settings(Path("conf/local.yaml"), ["session.master=local[1]"])
    spark = build_session(settings.session, app_name="scoring benchmark")
    rows = [(str(i), text) for i, text in enumerate(texts)]
    frame = spark.createDataFrame(rows, "text_hash string, text string").repartition(1).cache()
    read = frame.mapInPandas(make_scorer(str(model_version.folder), settings.score, choice), SCHEMA)
    ratios = []
    for _ in range(4):
        started = time.perf_counter()
        read.write.format("noop").mode("overwrite").save()
        through = time.perf_counter() - started
        started = time.perf_counter()
        hand(texts)
        ratios.append((time.perf_counter() - started) / through)
    spark.stop()
    return median(ratios[1:])  # the first round loads the model


def interleaved(works: dict[str, Work], texts: list[str]) -> dict[str, list[float]]:
    """Return the CPU seconds of each round, interleaved, after a warm-up round."""
    seconds_of: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(NUM_ROUNDS + 1):
        for name, work in works.items():
            before = _cpu_seconds()
            work(texts)
            seconds_of[name].append(_cpu_seconds() - before)
    return {name: seconds[1:] for name, seconds in seconds_of.items()}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
