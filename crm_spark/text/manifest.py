"""Manifest of a shard set: files, digests and inputs. Written last, it makes the shard set complete."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crm_spark.core.errors import ArtifactError
from crm_spark.core.signing import require_signature, sign

MANIFEST = "manifest.json"
TRAIN, VALIDATION, TEST = SPLITS = "train", "validation", "test"
"""Splits of a shard set."""
UNLABELLED = "unlabelled"
"""Additional split of texts without a label."""


@dataclass(frozen=True)
class ShardFile:
    """A Parquet file with one row group."""

    name: str
    split: str
    sha256: str
    num_rows: int
    num_examples: int
    """Number of examples; the other rows are padding with weight 0."""


@dataclass(frozen=True)
class ShardManifest:
    """Contents of a shard set.

    Attributes:
        files: all files.
        max_length: tokens per row, including padding.
        max_world_size: largest world size; the number of row groups of every split is a multiple of it.
        encoder: encoder whose tokenizer produced the token ids.
        classes: number of texts per label and split.
        dropped: number of dropped texts by reason.
        inputs: versions of the source tables and the configuration's digest.
        long_texts: truncation strategy for texts longer than `max_length`.
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
        """Return the files of a split, sorted by name."""
        return sorted((f for f in self.files if f.split == split), key=lambda f: f.name)

    def num_examples(self, split: str) -> int:
        """Return the number of examples of a split."""
        return sum(f.num_examples for f in self.of(split))


def current_shards(files_root: Path) -> Path | None:
    """Return the folder of the current shard set; None if there is none or it is incomplete."""
    pointer = Path(files_root) / "shards" / "current"
    folder = pointer.parent / pointer.read_text() if pointer.exists() else None
    return folder if folder is not None and (folder / MANIFEST).exists() else None


def write_manifest(manifest: ShardManifest, folder: Path) -> None:
    """Write the signature and then, atomically, the manifest."""
    content = json.dumps(asdict(manifest), indent=1, sort_keys=True).encode()
    sign(content, folder / MANIFEST)
    draft = folder / f".{MANIFEST}.draft"
    with draft.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(folder / MANIFEST)


def read_manifest(folder: Path, *, is_verifying: bool = True) -> ShardManifest:
    """Read the manifest and verify all files, unless `is_verifying` is false.

    Raises:
        ArtifactError: the manifest is missing or its signature invalid, or a file is missing, altered or outside the folder.
    """
    from crm_spark.models.registry import sha256_of_file

    path = folder / MANIFEST
    if not path.exists():
        raise ArtifactError(f"{folder}: no {MANIFEST}; the shard set is incomplete. Run the shard stage again.")
    require_signature(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["files"] = tuple(ShardFile(**entry) for entry in content["files"])
        manifest = ShardManifest(**content)
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{folder}: {MANIFEST} is damaged. Run the shard stage again.") from None
    if not is_verifying:
        return manifest
    root = folder.resolve()
    for file in manifest.files:
        if not (folder / file.name).resolve().is_relative_to(root):
            raise ArtifactError(
                f"{folder}: {MANIFEST} names {file.name}, which is outside the folder. The shard set is rejected."
                " Run the shard stage again."
            )
        if not (folder / file.name).exists() or sha256_of_file(folder / file.name) != file.sha256:
            raise ArtifactError(
                f"{folder}: {file.name} is missing or differs from its digest in the manifest. Run the shard stage again."
            )
    return manifest
