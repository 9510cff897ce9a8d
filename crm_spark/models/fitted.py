"""Fitted Spark models on disk: a folder per version with a card and the digests of its files.

Below the files of the lake: `fitted/<name>/<version>/`, and `fitted/<name>/current` with the version in use.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from crm_spark.core.context import JobContext
from crm_spark.core.errors import ArtifactError
from crm_spark.core.hashing import sha256_of
from crm_spark.core.shipping import save_by_executors, uri_for_executors
from crm_spark.core.signing import require_signature, sign
from crm_spark.models.registry import CARD, INDEX, sha256_of_file

HOME = "fitted"


class Writable(Protocol):
    """A fitted model of Spark ML, or of a library with its interface."""

    def write(self) -> Any:
        """Return an MLWriter."""


def spark_part(ctx: JobContext, model: Writable) -> Callable[[Path], None]:
    """A part of a version that Spark ML writes."""
    return lambda folder: save_by_executors(ctx, lambda uri: model.write().overwrite().save(uri), folder)


T = TypeVar("T")


@dataclass(frozen=True)
class FittedModel:
    """A verified model on disk; its card says what it was fitted on."""

    folder: Path
    card: dict[str, Any]

    @property
    def version(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def uri(self, ctx: JobContext, part: str) -> str:
        """URI of a part, for the `load` of its class."""
        return uri_for_executors(ctx, self.folder / part)


def version_of(ctx: JobContext) -> str:
    """Version of a model that this run fits; equal inputs, settings and code give the same."""
    return ctx.fingerprint[:8]


def save_fitted(
    ctx: JobContext, name: str, *, parts: Mapping[str, Callable[[Path], None]], settings: str, card: dict[str, Any]
) -> None:
    """Write `version_of(ctx)` and use it from now on, unless the one in use knows later days. A dry run writes nothing.

    Args:
        ctx: context of the stage; its `files_root` is mounted by every node.
        name: name of the model, such as `churn`.
        parts: what writes the parts of the model to their subfolders.
        settings: digest of what the model depends on besides its training data.
        card: JSON-able description.
    """
    if ctx.is_dry_run:
        return
    home, name_of_version, is_current = _home(ctx.files_root, name), version_of(ctx), _is_newest(ctx, name)
    card = {**card, "settings": settings, "as_of": str(ctx.as_of)}
    draft = home / f".{name_of_version}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for part, write in parts.items():
        write(draft / part)
    (draft / CARD).write_text(json.dumps(card, indent=1, sort_keys=True), encoding="utf-8")
    content = json.dumps({"sha256": _digests(draft)}, indent=1, sort_keys=True).encode()
    (draft / INDEX).write_bytes(content)
    sign(content, draft / INDEX)
    shutil.rmtree(home / name_of_version, ignore_errors=True)
    draft.replace(home / name_of_version)
    if is_current:
        pointer = home / ".current.draft"
        pointer.write_text(name_of_version)
        pointer.replace(home / "current")


def usable_fitted(ctx: JobContext, name: str, settings: str) -> FittedModel | None:
    """The version in use, if the stage may use it: fitted with these settings, and not on data of a later day.

    A forced run uses none, and neither is a damaged one used: both are fitted again.

    Args:
        ctx: context of the stage.
        name: name of the model.
        settings: `settings_digest` of what the model depends on besides its training data.
    """
    if ctx.is_forced:
        return None
    try:
        model = current_fitted(ctx.files_root, name)
    except ArtifactError as error:
        ctx.log.warning("%s model: %s It is fitted again.", name, error)
        return None
    if model is None or model.card["settings"] != settings:
        return None
    if model.card["as_of"] > str(ctx.as_of):
        ctx.log.info(
            "%s model: the one in use knows data up to %s; this run fits its own, for %s. To replace it, run with --retrain",
            *(name, model.card["as_of"], ctx.as_of),
        )
        return None
    return model


def settings_digest(ctx: JobContext, settings: dict[str, Any], *, library: str) -> str:
    """Digest of what a model depends on besides its training data.

    Args:
        ctx: context of the stage, with seed and code.
        settings: JSON-able settings.
        library: version of the library that fits the model.
    """
    return sha256_of({**settings, "seed": ctx.seed, "code": ctx.code, "library": library})


def loaded(ctx: JobContext, name: str, load: Callable[[], T]) -> T | None:
    """Return what `load` returns; None, with a warning, if a library cannot read what an earlier version of it wrote."""
    try:
        return load()
    except Exception as error:  # whatever the library raises
        ctx.log.warning("%s model: cannot be loaded (%s). It is fitted again.", name, type(error).__name__)
        return None


def _is_newest(ctx: JobContext, name: str) -> bool:
    """Whether a model fitted as of the day of the run replaces the one in use: not if that knows later days."""
    pointer = _home(ctx.files_root, name) / "current"
    if ctx.is_forced or not pointer.exists():
        return True
    card = _card(pointer.parent / pointer.read_text())
    return card is None or card["as_of"] <= str(ctx.as_of)


def _card(folder: Path) -> dict[str, Any] | None:
    """Card of a version; None if it is missing or damaged."""
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) and {"as_of", "settings"} <= card.keys() else None


def fitted_in_use(files_root: Path) -> list[tuple[str, str, str]]:
    """Name, version and day of the fit of each model in use, without opening it."""
    pointers = sorted((Path(files_root) / HOME).glob("*/current"))
    used = [(pointer.parent.name, pointer.parent / pointer.read_text()) for pointer in pointers]
    return [(name, folder.name, card["as_of"]) for name, folder in used if (card := _card(folder)) is not None]


def current_fitted(files_root: Path, name: str) -> FittedModel | None:
    """Open the version in use; None before the first one.

    Raises:
        ArtifactError: a file is missing or altered.
    """
    pointer = _home(files_root, name) / "current"
    return open_fitted(pointer.parent / pointer.read_text()) if pointer.exists() else None


def open_fitted(folder: Path) -> FittedModel:
    """Verify the files of a version and return it.

    Raises:
        ArtifactError: a file is missing or altered, or the index is not signed with the key.
    """
    index = folder / INDEX
    if not index.exists():
        raise ArtifactError(f"{folder}: no {INDEX}; the model is incomplete. {_REMEDY}")
    require_signature(index)
    try:
        expected = json.loads(index.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError):
        raise ArtifactError(f"{folder}: {INDEX} is damaged, so the model is not used. {_REMEDY}") from None
    found = _digests(folder)
    if found != expected:
        altered = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        raise ArtifactError(f"{folder}: {altered[0]} is missing or altered, so the model is not used. {_REMEDY}")
    card = _card(folder)
    if card is None:
        raise ArtifactError(f"{folder}: {CARD} is damaged, so the model is not used. {_REMEDY}")
    return FittedModel(folder, card)


def _home(files_root: Path, name: str) -> Path:
    return Path(files_root) / HOME / name


_REMEDY = "Restore it, or fit a new one with --retrain."


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below the folder, by its relative path, without the index and checksums of Hadoop."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: sha256_of_file(path) for name, path in names.items() if not _is_derived(name)}


def _is_derived(name: str) -> bool:
    return name.startswith(INDEX) or name.endswith((".crc", "_SUCCESS"))
