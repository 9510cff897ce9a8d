"""Files of a lake that no run reads any more: old models, shard sets and trainings, and the leftovers of killed runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crm_spark.models.fitted import HOME as FITTED
from crm_spark.models.fitted import fitted_in_use
from crm_spark.models.registry import models_dir, read_registry
from crm_spark.text.manifest import MANIFEST, current_shards

_LEFTOVERS = ("unpacked", "fetched", "fetched-dry-run")
"""Folders that a stage empties at its end."""


@dataclass(frozen=True)
class Removal:
    """A file or folder to remove, and why."""

    path: Path
    reason: str

    @property
    def num_bytes(self) -> int:
        """Size on disk."""
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files if file.is_file())


def removals(files_root: Path, *, keep_versions: int, teacher: str | None) -> list[Removal]:
    """What can be removed while no stage runs.

    Args:
        files_root: directory of the lake's files.
        keep_versions: versions to keep of each model besides those in use.
        teacher: version of the text model from which the next ones are distilled.
    """
    return [
        *_old_shard_sets(files_root),
        *_old_trainings(files_root),
        *_old_text_models(files_root, keep_versions=keep_versions, teacher=teacher),
        *_old_fits(files_root, keep_versions=keep_versions),
        *(Removal(path, "leftover of a run that was killed") for path in _leftovers(files_root) if path.exists()),
    ]


def _old_shard_sets(files_root: Path) -> Iterator[Removal]:
    """Complete sets; the shard stage continues an incomplete one."""
    current = current_shards(files_root)
    for folder in _folders(files_root / "shards"):
        if current is not None and folder != current and (folder / MANIFEST).exists():
            yield Removal(folder, "not the current shard set")


def _old_trainings(files_root: Path) -> Iterator[Removal]:
    """All but the newest: a killed training resumes from its checkpoints."""
    for folder in _newest_first(_folders(files_root / "training"))[1:]:
        yield Removal(folder, "an earlier training")


def _old_text_models(files_root: Path, *, keep_versions: int, teacher: str | None) -> Iterator[Removal]:
    registry = read_registry(models_dir(files_root))
    # The latest archived versions come last in the registry.
    archived = registry["archived"][-keep_versions:] if keep_versions else []
    kept = {registry["production"], registry["candidate"], teacher, *archived}
    for folder in _folders(models_dir(files_root)):
        if folder.name not in kept:
            yield Removal(folder, "a text model that is neither in use nor among the latest")


def _old_fits(files_root: Path, *, keep_versions: int) -> Iterator[Removal]:
    used = {(name, version) for name, version, _ in fitted_in_use(files_root)}
    for home in _folders(files_root / FITTED):
        others = [folder for folder in _newest_first(_folders(home)) if (home.name, folder.name) not in used]
        for folder in others[keep_versions:]:
            yield Removal(folder, f"a {home.name} model that is neither in use nor among the latest")


def _leftovers(files_root: Path) -> Iterator[Path]:
    yield from (files_root / name for name in _LEFTOVERS)
    yield from sorted((files_root.parent / "_scratch").glob("*"))
    for pattern in (".*.draft", "models/.*", "shards/.*", "training/.*", f"{FITTED}/*/.*"):
        yield from sorted(files_root.glob(pattern))


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.is_dir() and not path.name.startswith("."))


def _newest_first(folders: list[Path]) -> list[Path]:
    return sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)
