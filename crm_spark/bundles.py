"""What `jobs/bundles.py` does: which text models a lake has, how good each is, and which is in use."""

import argparse
from pathlib import Path

from crm_spark.core.errors import InputError
from crm_spark.core.exits import exit_code_of
from crm_spark.text.bundle import bundles_dir, open_bundle, read_registry, register, stage_of


def main(argv: list[str] | None = None) -> int:
    """Puts a bundle in use if one is named, and lists all.

    Returns:
        0 done, 1 a bundle that was altered, 2 no such bundle.
    """
    parser = argparse.ArgumentParser(description="Lists the text models of a lake, or puts another in use.")
    parser.add_argument("--lake", required=True, help="folder of the lake")
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--use", metavar="VERSION", help="the bundle that is to read texts from now on")
    wanted.add_argument("--rollback", action="store_true", help="use the one that was in use before the present one")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    bundles = bundles_dir(Path(arguments.lake) / "files")
    if arguments.use or arguments.rollback:
        version = arguments.use or _before(bundles)
        if not (bundles / version).is_dir():
            raise InputError(f"{bundles}: holds no bundle {version}. Without --use it lists those that are there.")
        open_bundle(bundles / version)  # nothing that is missing or altered is put in use
        register(bundles, version, is_promoted=True)
        print(f"{version} is in use. The next refresh reads with it what it has not read yet.")
    for folder in sorted(bundles.glob("*/"), key=lambda folder: folder.stat().st_mtime):
        print(_line(bundles, folder))
    return 0


def _before(bundles: Path) -> str:
    retired = read_registry(bundles)["retired"]
    if not retired:
        raise InputError(f"{bundles}: no bundle was in use before the present one.")
    version: str = retired[-1]
    return version


def _line(bundles: Path, folder: Path) -> str:
    bundle = open_bundle(folder)
    test, size = bundle.card["test"]["bert"], sum(bundle.card["examples"]["train"].values())
    return (
        f"{bundle.version}  {stage_of(bundles, bundle.version):<9}  {test['cross_entropy_bits']:.3f} bits  "
        f"macro-F1 {test['macro_f1']:.3f} on {test['num_rows']} texts  learned from {size}"
    )
