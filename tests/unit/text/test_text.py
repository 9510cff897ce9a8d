"""Batches, manifests, models."""

import hashlib
import json

import numpy as np
import pytest

from crm_spark.core.errors import ArtifactError
from crm_spark.models.registry import FILES, ONNX, open_model, read_registry, register, seal
from crm_spark.text.batches import padded, token_batches
from crm_spark.text.manifest import ShardFile, ShardManifest, read_manifest, write_manifest

LENGTHS = [5, 120, 7, 7, 64, 3, 128, 9]


def test_batches_contain_every_text_once():
    batches = token_batches(LENGTHS, max_tokens=256)
    assert sorted(int(i) for batch in batches for i in batch) == list(range(8))


def test_batches_keep_the_token_budget():
    for batch in token_batches(LENGTHS, max_tokens=256):
        assert len(batch) * max(LENGTHS[i] for i in batch) <= 256


def test_text_over_the_budget_is_a_batch_of_its_own():
    assert [len(b) for b in token_batches([500, 2, 2], max_tokens=100)] == [1, 2]


def test_texts_are_padded_to_the_longest():
    tokens, lengths = padded([[7, 8], [9]])
    assert tokens.tolist() == [[7, 8], [9, 0]] and lengths.tolist() == [2, 1]


def draft_model(folder):
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(json.dumps({"file": name}))
    return folder


def test_model_version_is_a_content_hash(tmp_path):
    one = seal(draft_model(tmp_path / "a"), tmp_path / "models")
    two = seal(draft_model(tmp_path / "b"), tmp_path / "models")
    assert one.version == two.version and len(one.version) == 16


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", ["altered", "deleted"])
def test_model_with_altered_or_missing_file_is_rejected(tmp_path, name, fault):
    model = seal(draft_model(tmp_path / "draft"), tmp_path / "models")
    path = model.folder / name
    path.unlink() if fault == "deleted" else path.write_bytes(path.read_bytes()[:-1] + b"]")
    with pytest.raises(ArtifactError, match=name):
        open_model(model.folder)


def test_promotion_archives_the_previous_model(tmp_path):
    register(tmp_path, "one", is_promoted=True)
    register(tmp_path, "two", is_promoted=False)
    assert read_registry(tmp_path) == {"production": "one", "candidate": "two", "archived": []}
    register(tmp_path, "three", is_promoted=True)
    assert read_registry(tmp_path) == {"production": "three", "candidate": None, "archived": ["one"]}


def test_shards_with_a_flipped_bit_are_rejected(tmp_path):
    content = b"0123456789" * 100
    (tmp_path / "train").mkdir()
    path = tmp_path / "train" / "00000.parquet"
    path.write_bytes(content)
    file = ShardFile("train/00000.parquet", "train", hashlib.sha256(content).hexdigest(), 4, 3)
    write_manifest(ShardManifest((file,), 8, 1, "embedded", {}, {}, {}), tmp_path)
    assert read_manifest(tmp_path).num_examples("train") == 3
    flipped = np.frombuffer(content, np.uint8).copy()
    flipped[500] ^= 1
    path.write_bytes(flipped.tobytes())
    with pytest.raises(ArtifactError, match=r"00000\.parquet is missing or differs"):
        read_manifest(tmp_path)


def test_shards_without_a_manifest_are_rejected(tmp_path):
    with pytest.raises(ArtifactError, match="incomplete"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("fault", ["altered", "deleted"])
def test_model_with_altered_graph_is_rejected_but_graphs_are_not_part_of_the_version(tmp_path, fault):
    plain = seal(draft_model(tmp_path / "a"), tmp_path / "plain")
    draft = draft_model(tmp_path / "b")
    (draft / ONNX).write_bytes(b"graph")
    model = seal(draft, tmp_path / "models")
    assert (model.version, model.derived, plain.derived) == (plain.version, (ONNX,), ())
    graph = model.folder / ONNX
    graph.write_bytes(b"other") if fault == "altered" else graph.unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx is missing or altered"):
        open_model(model.folder)
