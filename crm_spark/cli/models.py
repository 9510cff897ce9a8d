"""What `jobs/models.py` does: which text models a lake has, how good each is, and which is in use."""

import argparse
from pathlib import Path

from crm_spark.core.errors import InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.models.registry import models_dir, open_model, read_registry, register, stage_of


def main(argv: list[str] | None = None) -> int:
    """Puts a model in use if one is named, and lists all.

    Returns:
        0 done, 1 a model that was altered, 2 no such model.
    """
    parser = argparse.ArgumentParser(description="Lists the text models of a lake, or puts another in use.")
    parser.add_argument("--lake", required=True, help="folder of the lake")
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--use", metavar="VERSION", help="the model that is to read texts from now on")
    wanted.add_argument("--rollback", action="store_true", help="use the one that was in use before the present one")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    model_dir = models_dir(Path(arguments.lake) / "files")
    if arguments.use or arguments.rollback:
        version = arguments.use or _before(model_dir)
        if not (model_dir / version).is_dir():
            raise InputError(f"{model_dir}: holds no model {version}. Without --use it lists those that are there.")
        open_model(model_dir / version)  # nothing that is missing or altered is put in use
        register(model_dir, version, is_promoted=True)
        print(f"{version} is in use. The next refresh reads with it what it has not read yet.")
    for folder in sorted(model_dir.glob("*/"), key=lambda folder: folder.stat().st_mtime):
        print(_line(model_dir, folder))
    return 0


def _before(model_dir: Path) -> str:
    archived = read_registry(model_dir)["archived"]
    if not archived:
        raise InputError(f"{model_dir}: no model was in use before the present one.")
    version: str = archived[-1]
    return version


def _line(model_dir: Path, folder: Path) -> str:
    model = open_model(folder)
    test, size = model.card["test"]["bert"], sum(model.card["examples"]["train"].values())
    return (
        f"{model.version}  {stage_of(model_dir, model.version):<9}  {test['cross_entropy_bits']:.3f} bits  "
        f"macro-F1 {test['macro_f1']:.3f} on {test['num_rows']} texts  learned from {size}"
    )
