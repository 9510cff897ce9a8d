"""A deployable model: weights, encoder configuration, tokenizer, card. Its content hash is its version."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crm_spark.core.errors import BundleError
from crm_spark.core.signing import is_signed, require_signature, sign
from crm_spark.text.labels import LABELS

INDEX, REGISTRY = "bundle.json", "registry.json"
WEIGHTS, ENCODER_CONFIG, TOKENIZER, CARD = "model.safetensors", "config.json", "tokenizer.json", "card.json"
FILES = (WEIGHTS, ENCODER_CONFIG, TOKENIZER, CARD)
ONNX, ONNX_INT8 = "model.onnx", "model.int8.onnx"
OPENVINO_INT8, OPENVINO_INT8_WEIGHTS = "model.int8.xml", "model.int8.bin"
DERIVED = (ONNX, ONNX_INT8, OPENVINO_INT8, OPENVINO_INT8_WEIGHTS)
"""The weights in other forms, for engines; where one is missing its engine is not used."""


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose files are the ones its index names."""

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


def seal(draft: Path, bundles: Path) -> Bundle:
    """Indexes the files of `draft` and moves it to `bundles/<version>`; an equal one that is there already stays."""
    digests = {name: sha256_of_file(draft / name) for name in FILES}
    version = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]
    derived = {name: sha256_of_file(draft / name) for name in DERIVED if (draft / name).exists()}
    index = {"version": version, "sha256": digests, "derived": derived}
    content = json.dumps(index, indent=1, sort_keys=True).encode()
    (draft / INDEX).write_bytes(content)
    sign(content, draft / INDEX)
    target = bundles / version
    if target.exists() and is_signed(target / INDEX):
        shutil.rmtree(draft)
    else:
        bundles.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(draft, target)
    return open_bundle(target)


def open_bundle(folder: Path) -> Bundle:
    """The bundle, once all its files were found unaltered.

    Raises:
        BundleError: a file is missing or altered, or the index is not signed though there is a key.
    """
    index_path = folder / INDEX
    if not index_path.exists():
        raise BundleError(f"{folder}: no {INDEX}; this is no bundle.")
    require_signature(index_path)
    index = json.loads(index_path.read_text(encoding="utf-8"))
    derived = index.get("derived", {})
    for name in (*FILES, *derived):
        path = folder / name
        if not path.exists() or sha256_of_file(path) != {**derived, **index["sha256"]}.get(name):
            raise BundleError(
                f"{folder}: {name} is missing or altered; nothing is scored with it. Restore or train again."
            )
    version = hashlib.sha256(json.dumps(index["sha256"], sort_keys=True).encode()).hexdigest()[:16]
    if version != index["version"]:
        raise BundleError(f"{folder}: {INDEX} does not fit its version.")
    return Bundle(folder, version, json.loads((folder / CARD).read_text(encoding="utf-8")), tuple(derived))


def bundles_dir(files_root: Path) -> Path:
    """Where the bundles of a lake lie."""
    return Path(files_root) / "bundles"


def current_version(files_root: Path) -> str | None:
    """The bundle in use; None before the first promotion."""
    current: str | None = read_registry(bundles_dir(files_root))["current"]
    return current


def reading_order(files_root: Path) -> tuple[str, ...]:
    """The bundles whose readings count, the one in use first, then those it retired, the latest first."""
    registry = read_registry(bundles_dir(files_root))
    current = [registry["current"]] if registry["current"] else []
    return (*current, *reversed(registry["retired"]))


def read_registry(bundles: Path) -> dict[str, Any]:
    """`current`, `candidate` and `retired` versions."""
    path = bundles / REGISTRY
    if not path.exists():
        return {"current": None, "candidate": None, "retired": []}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def register(bundles: Path, version: str, *, is_promoted: bool) -> dict[str, Any]:
    """Makes a version the candidate, or the current one in place of the one before."""
    registry = read_registry(bundles)
    registry["retired"] = [v for v in registry["retired"] if v != version]
    if is_promoted:
        former = registry["current"]
        if former and former != version:
            registry["retired"] = [*[v for v in registry["retired"] if v != former], former]
        registry["current"], registry["candidate"] = version, None
    else:
        registry["candidate"] = version
    draft = bundles / f".{REGISTRY}.draft"
    draft.write_text(json.dumps(registry, indent=1, sort_keys=True))
    draft.replace(bundles / REGISTRY)
    return registry


def stage_of(bundles: Path, version: str) -> str:
    """`current`, `candidate`, `retired`, or nothing for a bundle that was neither."""
    registry = read_registry(bundles)
    if version in (registry["current"], registry["candidate"]):
        return "current" if version == registry["current"] else "candidate"
    return "retired" if version in registry["retired"] else ""
