"""A deployable model: weights, encoder configuration, tokenizer, card. Its content hash is its version."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_spark.core.errors import ArtifactError
from crm_spark.core.signing import is_signed, require_signature, sign
from crm_spark.text.labels import LABELS

INDEX, REGISTRY = "model.json", "registry.json"
WEIGHTS, ENCODER_CONFIG, TOKENIZER, CARD = "model.safetensors", "config.json", "tokenizer.json", "card.json"
FILES = (WEIGHTS, ENCODER_CONFIG, TOKENIZER, CARD)
ONNX, ONNX_INT8 = "model.onnx", "model.int8.onnx"
OPENVINO_INT8, OPENVINO_INT8_WEIGHTS = "model.int8.xml", "model.int8.bin"
DERIVED = (ONNX, ONNX_INT8, OPENVINO_INT8, OPENVINO_INT8_WEIGHTS)
"""The weights in other forms, for engines; where one is missing its engine is not used."""


@dataclass(frozen=True)
class ModelVersion:
    """A model on disk whose files are the ones its index names."""

    folder: Path
    version: str
    card: dict[str, Any]
    derived: tuple[str, ...] = ()
    """The names in DERIVED that are there."""

    @property
    def decision(self) -> list[float]:
        """Weight of each label: the verdict has the largest weighted probability."""
        weights: list[float] = self.card.get("decision", [1.0] * len(LABELS))
        return weights


def sha256_of_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def seal(draft: Path, models: Path) -> ModelVersion:
    """Indexes the files of `draft` and moves it to `models/<version>`; an equal one that is there already stays."""
    digests = {name: sha256_of_file(draft / name) for name in FILES}
    version = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]
    derived = {name: sha256_of_file(draft / name) for name in DERIVED if (draft / name).exists()}
    index = {"version": version, "sha256": digests, "derived": derived}
    content = json.dumps(index, indent=1, sort_keys=True).encode()
    (draft / INDEX).write_bytes(content)
    sign(content, draft / INDEX)
    target = models / version
    if target.exists() and is_signed(target / INDEX):
        shutil.rmtree(draft)
    else:
        models.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(draft, target)
    return open_model(target)


def open_model(folder: Path) -> ModelVersion:
    """The model, once all its files were found unaltered.

    Raises:
        ArtifactError: a file is missing or altered, or the index is not signed though there is a key.
    """
    index_path = folder / INDEX
    if not index_path.exists():
        raise ArtifactError(f"{folder}: no {INDEX}; this is no model.")
    require_signature(index_path)
    index = json.loads(index_path.read_text(encoding="utf-8"))
    derived = index.get("derived", {})
    for name in (*FILES, *derived):
        path = folder / name
        if not path.exists() or sha256_of_file(path) != {**derived, **index["sha256"]}.get(name):
            raise ArtifactError(
                f"{folder}: {name} is missing or altered; nothing is scored with it. Restore or train again."
            )
    version = hashlib.sha256(json.dumps(index["sha256"], sort_keys=True).encode()).hexdigest()[:16]
    if version != index["version"]:
        raise ArtifactError(f"{folder}: {INDEX} does not fit its version.")
    return ModelVersion(folder, version, json.loads((folder / CARD).read_text(encoding="utf-8")), tuple(derived))


def models_dir(files_root: Path) -> Path:
    """Where the models of a lake lie."""
    return Path(files_root) / "models"


def current_version(files_root: Path) -> str | None:
    """The model in use; None before the first promotion."""
    current: str | None = read_registry(models_dir(files_root))["production"]
    return current


def serving_order(files_root: Path) -> tuple[str, ...]:
    """The models whose readings count, the one in use first, then those it archived, the latest first."""
    registry = read_registry(models_dir(files_root))
    current = [registry["production"]] if registry["production"] else []
    return (*current, *reversed(registry["archived"]))


def read_registry(models: Path) -> dict[str, Any]:
    """`production`, `candidate` and `archived` versions."""
    path = models / REGISTRY
    if not path.exists():
        return {"production": None, "candidate": None, "archived": []}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def register(models: Path, version: str, *, is_promoted: bool) -> dict[str, Any]:
    """Makes a version the candidate, or the current one in place of the one before."""
    registry = read_registry(models)
    registry["archived"] = [v for v in registry["archived"] if v != version]
    if is_promoted:
        former = registry["production"]
        if former and former != version:
            registry["archived"] = [*[v for v in registry["archived"] if v != former], former]
        registry["production"], registry["candidate"] = version, None
    else:
        registry["candidate"] = version
    draft = models / f".{REGISTRY}.draft"
    draft.write_text(json.dumps(registry, indent=1, sort_keys=True))
    draft.replace(models / REGISTRY)
    return registry


def stage_of(models: Path, version: str) -> str:
    """`production`, `candidate`, `archived`, or nothing for a model that was neither."""
    registry = read_registry(models)
    if version in (registry["production"], registry["candidate"]):
        return "production" if version == registry["production"] else "candidate"
    return "archived" if version in registry["archived"] else ""
