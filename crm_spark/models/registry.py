"""Model registry: deployable models (weights, encoder configuration, tokenizer, card) versioned by content hash."""

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
"""Exported graphs for inference engines; without its graph an engine is not used."""

_FORMER_KEYS = {"most_wrong": "highest_losses"}
_FORMER_BASELINES = {"majority": "class_prior", "current": "production"}


@dataclass(frozen=True)
class ModelVersion:
    """A verified model on disk."""

    folder: Path
    version: str
    card: dict[str, Any]
    derived: tuple[str, ...] = ()
    """The names in DERIVED that exist."""

    @property
    def decision(self) -> list[float]:
        """Weight of each label; the predicted label has the largest weighted probability."""
        weights: list[float] = self.card.get("decision", [1.0] * len(LABELS))
        return weights


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def seal(draft: Path, models: Path) -> ModelVersion:
    """Index and sign the files of `draft` and move it to `models/<version>`; an existing equal version is kept."""
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
    """Open a model and verify its files.

    Raises:
        ArtifactError: a file is missing or altered, or the signature of the index is missing or invalid.
    """
    index_path = folder / INDEX
    if not index_path.exists():
        raise ArtifactError(f"{folder}: no {INDEX}; the folder is not a model.")
    require_signature(index_path)
    index = json.loads(index_path.read_text(encoding="utf-8"))
    derived = index.get("derived", {})
    for name in (*FILES, *derived):
        path = folder / name
        if not path.exists() or sha256_of_file(path) != {**derived, **index["sha256"]}.get(name):
            raise ArtifactError(
                f"{folder}: {name} is missing or altered, so the model is not used. Restore the file or train again."
            )
    version = hashlib.sha256(json.dumps(index["sha256"], sort_keys=True).encode()).hexdigest()[:16]
    if version != index["version"]:
        raise ArtifactError(
            f"{folder}: the digests in {INDEX} do not match its version. Restore the file or train again."
        )
    card = with_current_keys(json.loads((folder / CARD).read_text(encoding="utf-8")))
    return ModelVersion(folder, version, card, tuple(derived))


def with_current_keys(card: dict[str, Any]) -> dict[str, Any]:
    """A model card with today's keys: cards are part of a version's digest, so that those on disk keep theirs."""
    test = {_FORMER_BASELINES.get(name, name): figures for name, figures in card.get("test", {}).items()}
    renamed = {_FORMER_KEYS.get(key, key): value for key, value in card.items()}
    return {**renamed, "test": test} if test else renamed


def models_dir(files_root: Path) -> Path:
    """Return the folder of the model registry."""
    return Path(files_root) / "models"


def current_version(files_root: Path) -> str | None:
    """Return the version in production; None before the first promotion."""
    current: str | None = read_registry(models_dir(files_root))["production"]
    return current


def serving_order(files_root: Path) -> tuple[str, ...]:
    """Return the versions whose predictions are used: production first, then archived ones, latest first."""
    registry = read_registry(models_dir(files_root))
    current = [registry["production"]] if registry["production"] else []
    return (*current, *reversed(registry["archived"]))


def read_registry(models: Path) -> dict[str, Any]:
    """Return the `production`, `candidate` and `archived` versions."""
    path = models / REGISTRY
    if not path.exists():
        return {"production": None, "candidate": None, "archived": []}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def register(models: Path, version: str, *, is_promoted: bool) -> dict[str, Any]:
    """Register a version as candidate or, if promoted, as production; the former production version is archived."""
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
    """Return `production`, `candidate`, `archived`, or an empty string for an unregistered version."""
    registry = read_registry(models)
    if version in (registry["production"], registry["candidate"]):
        return "production" if version == registry["production"] else "candidate"
    return "archived" if version in registry["archived"] else ""
