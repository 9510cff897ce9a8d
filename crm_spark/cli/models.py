"""`crm-spark models`: list the text models of a lake, promote a version, or roll back."""

from pathlib import Path
from typing import Annotated

import typer

from crm_spark.cli.lake_folder import lake_folder
from crm_spark.cli.options import Lake
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.models.registry import open_model, read_registry, register, stage_of


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models", help="List the text models of a lake, promote a version to production, or roll back.")(
        _models
    )


def _models(
    lake: Lake,
    use: Annotated[str | None, typer.Option(metavar="VERSION", help="Promote this version to production.")] = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Return to the previous production version.")] = False,
) -> None:
    def work() -> int:
        with lake_folder(lake) as folder:
            return run(folder, use=use, is_rollback=rollback)

    raise typer.Exit(exit_code_of(work))


def run(lake: Path, *, use: str | None = None, is_rollback: bool = False) -> int:
    """Promote a version or roll back if requested, then list all versions.

    Raises:
        InputError: there is no lake, it has another layout, or the version to promote does not exist.
        ArtifactError: a file of the version is missing or altered.
    """
    from crm_spark.migrations import current_models_dir

    if use and is_rollback:
        raise ConfigError("--use and --rollback exclude each other: give one of them.")
    folder = current_models_dir(lake)
    if use or is_rollback:
        version = use or _previous(folder)
        if not (folder / version).is_dir():
            raise InputError(f"{folder}: no model {version}. Without --use, the command lists the versions.")
        open_model(folder / version)  # verify the files before promotion
        register(folder, version, is_promoted=True)
        print(f"{version} is in production. The next refresh scores texts with it.")
    version_dirs = sorted(folder.glob("*/"), key=lambda path: path.stat().st_mtime)
    for version_dir in version_dirs:
        print(_summary(folder, version_dir))
    if not version_dirs:
        print("There is no model yet. A refresh trains one when there is enough feedback text with a rating.")
    return 0


def _previous(folder: Path) -> str:
    archived = read_registry(folder)["archived"]
    if not archived:
        raise InputError(f"{folder}: there is no previous version to roll back to.")
    version: str = archived[-1]
    return version


def _summary(folder: Path, version_dir: Path) -> str:
    """Return the version, its stage and its test metrics on one line."""
    model = open_model(version_dir)
    test, num_examples = model.card["test"]["bert"], sum(model.card["examples"]["train"].values())
    return (
        f"{model.version}  {stage_of(folder, model.version):<10}  {test['cross_entropy_bits']:.3f} bits  "
        f"macro-F1 {test['macro_f1']:.3f} on {test['num_rows']} texts  trained on {num_examples}"
    )
