"""Memory of a scoring worker."""

import json
import os
import subprocess
import sys

import pytest
from support.refreshed import ROOT
from support.tiny_bert import tiny_model_version

from crm_spark.models.registry import FILES, INDEX, ONNX, open_model, sha256_of_file
from crm_spark.stages.train.onnx_export import _export
from crm_spark.text.model import load_model


@pytest.fixture(scope="module")
def model_version(encoder, tmp_path_factory):
    made = tiny_model_version(tmp_path_factory.mktemp("model"), encoder)
    _export(load_model(made), made.folder / ONNX)
    index = json.loads((made.folder / INDEX).read_text())
    index["derived"] = {ONNX: sha256_of_file(made.folder / ONNX)}
    (made.folder / INDEX).write_text(json.dumps(index))
    assert set(FILES) <= set(os.listdir(made.folder))
    return open_model(made.folder)


@pytest.mark.parametrize(
    "engine", ["openvino", *(pytest.param(name, marks=pytest.mark.slow) for name in ("onnx", "torch"))]
)
def test_scoring_memory_is_constant_over_batches_and_long_texts(model_version, engine):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    done = subprocess.run(
        [sys.executable, "tests/support/scored_batches.py", str(model_version.folder), engine],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    statistics = json.loads(done.stdout.splitlines()[-1])
    print(engine, statistics)
    assert (statistics["loads"], statistics["rows"], statistics["big_rows"]) == (1, 22_000, 100)
    assert statistics["texts"] >= 90, "the texts of the big batch are there"
    assert statistics["grown_over_100_batches"] <= 30
    assert statistics["grown_over_a_big_batch"] <= 300
