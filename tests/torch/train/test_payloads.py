"""Files with executable payloads are rejected."""

import hashlib
import json
import pickle
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet as pq
from support.tiny_bert import tiny_model_version

from crm_spark.core.errors import ArtifactError
from crm_spark.core.signing import KEY_FILE
from crm_spark.models.registry import INDEX, ONNX, OPENVINO_INT8, open_model, sha256_of_file
from crm_spark.stages.train import checkpoint
from crm_spark.stages.train.onnx_export import _export
from crm_spark.stages.train.petastorm_reader import row_groups
from crm_spark.text.manifest import MANIFEST, read_manifest
from crm_spark.text.model import load_model
from crm_spark.text.onnx_backend import OnnxBackend
from crm_spark.text.openvino_backend import OpenVinoBackend
from crm_spark.text.tokenizer import tokenizer_of

from petastorm.etl.dataset_metadata import get_schema_from_dataset_url  # isort: skip

UNISCHEMA = b"dataset-toolkit.unischema.v1"


class Payload:
    """An object whose unpickling opens a file of this name."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return open, (self.marker, "w")


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "it-ran"


@pytest.fixture
def key(tmp_path, monkeypatch):
    """Configure a signing key as in a deployment."""
    path = tmp_path / "key"
    path.write_bytes(bytes(range(65, 97)))
    monkeypatch.setenv(KEY_FILE, str(path))
    return path


def with_fitting_digests(folder):
    """Write the model index like an attacker with write access but without the key."""
    index = json.loads((folder / INDEX).read_text())
    index["sha256"] = {name: sha256_of_file(folder / name) for name in index["sha256"]}
    index["derived"] = {n: sha256_of_file(folder / n) for n in (ONNX, OPENVINO_INT8) if (folder / n).exists()}
    index["version"] = hashlib.sha256(json.dumps(index["sha256"], sort_keys=True).encode()).hexdigest()[:16]
    (folder / INDEX).write_text(json.dumps(index))


def in_model(name, content, then):
    def attempt(encoder, shards, root, marker):
        model_version = tiny_model_version(root, encoder)
        (model_version.folder / name).write_bytes(content(model_version.folder, marker))
        with_fitting_digests(model_version.folder)
        then(open_model(model_version.folder))

    return attempt


def pickled(_, marker):
    return pickle.dumps(Payload(marker))


def archived(folder, marker):
    torch.save({"head.weight": Payload(marker)}, folder / "archive")
    content = (folder / "archive").read_bytes()
    (folder / "archive").unlink()
    return content


def code_of_its_own(folder, marker):
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass Config: pass\n")
    config = json.loads((folder / "config.json").read_text())
    return json.dumps({**config, "model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}).encode()


def run(backend):
    backend.logits(np.full((1, 4), 2000, np.int32), np.array([4]))


def entity(_, marker):
    return f'<!DOCTYPE net [<!ENTITY x SYSTEM "file://{marker}">]><net name="&x;" version="11"></net>'.encode()


def in_checkpoint(content):
    def attempt(encoder, shards, root, marker):
        checkpoint.save({"weights": torch.ones(3)}, root, step=1)
        payload = content(root, marker)
        (root / f"step-00000099-{hashlib.sha256(payload).hexdigest()[:16]}.pt").write_bytes(payload)
        assert checkpoint.newest_valid(root).keys() == {"weights"}

    return attempt


def read_shards(folder):
    paths = [folder / file.name for file in read_manifest(folder).of("train")]
    return [rows for rows in row_groups(paths, reader_shard=0, num_reader_shards=1, seed=1)]


def in_common_metadata(key):
    def attempt(encoder, shards, root, marker):
        folder = shutil.copytree(shards, root / "shards")
        schema = pq.read_schema(next((folder / "train").glob("*.parquet")))
        schema = schema.with_metadata({**(schema.metadata or {}), key: pickle.dumps(Payload(marker))})
        for name in ("_common_metadata", "_metadata"):
            pq.write_metadata(schema, folder / "train" / name)
        read_shards(folder)  # only files of the manifest are read
        assert not marker.exists()
        with pytest.raises(pickle.UnpicklingError, match="is not allowed") as blocked:
            get_schema_from_dataset_url(f"file://{folder / 'train'}")
        raise blocked.value

    return attempt


def in_a_shard(encoder, shards, root, marker):
    """Pickled metadata and a pickle column in a file whose digest is in the manifest."""
    folder = shutil.copytree(shards, root / "shards")
    manifest = json.loads((folder / MANIFEST).read_text())
    entry = next(file for file in manifest["files"] if file["split"] == "train")
    table = pq.read_table(folder / entry["name"])
    column = pa.array([pickle.dumps(Payload(marker))] * len(table), pa.binary())
    table = table.set_column(table.schema.get_field_index("label"), "label", column)
    table = table.replace_schema_metadata({UNISCHEMA: pickle.dumps(Payload(marker))})
    pq.write_table(table, folder / entry["name"])
    entry["sha256"] = sha256_of_file(folder / entry["name"])
    (folder / MANIFEST).write_text(json.dumps(manifest))
    read_manifest(folder)
    labels = np.concatenate([rows.label for rows in read_shards(folder)])
    torch.from_numpy(labels.astype(np.int64))


def outside_the_set(encoder, shards, root, marker):
    folder = shutil.copytree(shards, root / "shards")
    manifest = json.loads((folder / MANIFEST).read_text())
    shutil.copyfile(folder / manifest["files"][0]["name"], root / "elsewhere.parquet")
    manifest["files"][0]["name"] = "../elsewhere.parquet"
    (folder / MANIFEST).write_text(json.dumps(manifest))
    read_manifest(folder)


def no_manifest_at_all(encoder, shards, root, marker):
    folder = shutil.copytree(shards, root / "shards")
    (folder / MANIFEST).write_bytes(pickle.dumps(Payload(marker)))
    read_manifest(folder)


PAYLOADS = {
    "checkpoint: a pickle": in_checkpoint(pickled),
    "checkpoint: an archive of PyTorch": in_checkpoint(archived),
    "weights: a pickle": in_model("model.safetensors", pickled, load_model),
    "weights: an archive of PyTorch": in_model("model.safetensors", archived, load_model),
    "configuration: code of its own": in_model("config.json", code_of_its_own, load_model),
    "tokenizer: a pickle": in_model("tokenizer.json", pickled, tokenizer_of),
    "graph: a pickle": in_model(
        ONNX, pickled, lambda model_version: run(OnnxBackend(model_version.folder / ONNX, threads=1, max_tokens=None))
    ),
    "graph: an entity of another file": in_model(
        OPENVINO_INT8,
        entity,
        lambda model_version: run(
            OpenVinoBackend(model_version.folder / OPENVINO_INT8, precision="int8", threads=1, max_tokens=None)
        ),
    ),
    "metadata: petastorm's schema": in_common_metadata(UNISCHEMA),
    "metadata and a column of a shard": in_a_shard,
    "manifest: a file elsewhere": outside_the_set,
    "manifest: a pickle": no_manifest_at_all,
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_payload_is_executed_and_each_is_rejected(encoder, shards, tmp_path, marker, name):
    with pytest.raises(Exception):  # noqa: B017  (any library may reject it)
        PAYLOADS[name](encoder, shards, tmp_path / "place", marker)
    assert not marker.exists()


@pytest.mark.parametrize("name", [name for name in PAYLOADS if not name.startswith("checkpoint")])
def test_unsigned_files_are_not_opened_with_a_key(encoder, shards, tmp_path, marker, key, name):
    with pytest.raises(ArtifactError, match="is not signed"):
        PAYLOADS[name](encoder, shards, tmp_path / "place", marker)
    assert not marker.exists()


@pytest.mark.parametrize("content", [pickled, archived])
def test_foreign_checkpoint_is_ignored_with_a_key(encoder, shards, tmp_path, marker, key, content):
    in_checkpoint(content)(encoder, shards, tmp_path, marker)
    assert not marker.exists()


def test_payloads_are_executed_by_plain_pickle(marker):
    """Negative control: plain unpickling executes the payloads."""
    pickle.loads(pickled(None, marker)).close()
    assert marker.exists()


def test_valid_graph_is_loaded(encoder, tmp_path):
    """Negative control: a valid graph is loaded."""
    model_version = tiny_model_version(tmp_path, encoder)
    _export(load_model(model_version), model_version.folder / ONNX)
    run(OnnxBackend(model_version.folder / ONNX, threads=1, max_tokens=None))
