"""The manifest of a shard set: which files, with which digests, made from what. Written last; a reader trusts nothing else."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crm_spark.core.errors import ArtifactError
from crm_spark.core.signing import require_signature, sign

MANIFEST = "manifest.json"
TRAIN, VALIDATION, TEST = SPLITS = "train", "validation", "test"
"""The sides of a shard set."""
UNLABELLED = "unlabelled"
"""Beside them: texts that nobody rated."""


@dataclass(frozen=True)
class ShardFile:
    """One Parquet file of one row group."""

    name: str
    split: str
    sha256: str
    num_rows: int
    num_examples: int
    """Rows that are examples; the others are padding of weight 0."""


@dataclass(frozen=True)
class ShardManifest:
    """What a shard set holds.

    Attributes:
        files: every file.
        max_length: tokens in each row, padding included.
        max_world_size: number of ranks that divides the row groups of every split.
        encoder: the encoder whose tokenizer made the token ids.
        classes: examples per label for each split.
        dropped: rows left out, by reason.
        inputs: versions of the source tables and the configuration's digest.
        long_texts: what of a text longer than `max_length` is there.
    """

    files: tuple[ShardFile, ...]
    max_length: int
    max_world_size: int
    encoder: str
    classes: dict[str, dict[str, int]]
    dropped: dict[str, int]
    inputs: dict[str, Any]
    long_texts: str = "head"

    def of(self, split: str) -> list[ShardFile]:
        """The files of a split, by name."""
        return sorted((f for f in self.files if f.split == split), key=lambda f: f.name)

    def num_examples(self, split: str) -> int:
        """Examples in a split."""
        return sum(f.num_examples for f in self.of(split))


def write_manifest(manifest: ShardManifest, folder: Path) -> None:
    """Puts the manifest in place whole, its signature before it."""
    content = json.dumps(asdict(manifest), indent=1, sort_keys=True).encode()
    sign(content, folder / MANIFEST)
    draft = folder / f".{MANIFEST}.draft"
    with draft.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> ShardManifest:
    """The manifest, once every file it names was found unaltered.

    Raises:
        ArtifactError: there is none, it is not signed though there is a key, or a file is missing, altered or elsewhere.
    """
    from crm_spark.models.registry import sha256_of_file

    path = folder / MANIFEST
    if not path.exists():
        raise ArtifactError(f"{folder}: no {MANIFEST}; the shard set is not complete. Run the shard stage again.")
    require_signature(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["files"] = tuple(ShardFile(**entry) for entry in content["files"])
    manifest = ShardManifest(**content)
    root = folder.resolve()
    for file in manifest.files:
        if not (folder / file.name).resolve().is_relative_to(root):
            raise ArtifactError(
                f"{folder}: {MANIFEST} names {file.name}, which lies elsewhere; nothing of it is opened."
            )
        if not (folder / file.name).exists() or sha256_of_file(folder / file.name) != file.sha256:
            raise ArtifactError(
                f"{folder}: {file.name} is missing or not the file the manifest names. Run the shard stage again."
            )
    return manifest
