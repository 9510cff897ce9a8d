"""What `jobs/onboard.py` does: looks at new files and drafts their configuration, of one kind or of a whole folder."""

import argparse
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger

if TYPE_CHECKING:  # a mistake in the arguments is told before Spark is imported
    from crm_spark.onboarding.folder_profile import Folder
    from crm_spark.sources.config import Source
    from crm_spark.stages.ingest.source_file import SourceFile

DOMAINS, TEMPLATE = Path("conf/domains"), Path("conf/examples/new/company.yaml")
_GIVEN = ("time_zone", "country", "currency")
_MOST_LINES = 30


def main(argv: list[str] | None = None) -> int:
    """Drafts one source, or without `--source` the whole company, below `--out`, and says what it saw.

    Returns:
        0 done, 2 bad arguments or input.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if (arguments.source is None) != (arguments.path is None):
        parser.error("give --source and --path for one kind of file, or neither for the whole folder")
    if arguments.source is None and arguments.system:
        parser.error("--system is of one source; for a whole folder it is told from the ids")
    if arguments.source is None and arguments.out is None:
        parser.error("--out: say which folder is to be the company's, such as conf/examples/mine")
    return exit_code_of(lambda: _draft_folder(arguments) if arguments.source is None else _draft_source(arguments))


def _draft_source(arguments: argparse.Namespace) -> int:
    from pyarrow import fs

    from crm_spark.core.config import validated
    from crm_spark.core.session import build_session
    from crm_spark.onboarding import folder_profile as folder
    from crm_spark.onboarding import source_draft as draft
    from crm_spark.onboarding.format_detection import sniffed
    from crm_spark.settings import load_settings
    from crm_spark.sources.config import Source
    from crm_spark.stages.ingest.file_validation import examine
    from crm_spark.stages.ingest.reader import read_records, readable_paths

    name, out = arguments.source, Path(arguments.out or "conf")
    targets = [out / "sources" / f"{name}.yaml", out / "quality" / f"{name}.yaml"]
    _require_new(targets, arguments)
    _require_local(arguments)
    system, settings = fs.LocalFileSystem(), load_settings(Path(arguments.conf), arguments.set)
    given = {key: value for key in ("system", *_GIVEN) if (value := getattr(arguments, key))}
    anything = validated(
        Source,
        {"name": name, "system": name, **given, "files": {"path": arguments.path, "format": "csv"}},
        origin="inspect_source",
    )
    newest = _newest(anything, arguments)
    how = sniffed(system, newest.path, arguments.path)
    (seen, *_) = examine(system, newest.path, newest.name, how, max_unpacked_ratio=settings.ingest.max_unpacked_ratio)
    if seen.damage:
        raise InputError(f"{newest.name}: {seen.damage}. Give a file that is whole.")
    spark = build_session(settings.session, app_name="crm_spark inspect")
    newest = replace(newest, columns=seen.columns, has_lone_surrogates=seen.has_lone_surrogates)
    with TemporaryDirectory() as scratch, readable_paths([newest], how, Path(scratch)) as files:
        profiles, proposal = folder.profiled_and_proposed(read_records(spark, how, files), name, folder.known(DOMAINS))
    texts = [draft.source_yaml(name, how, profiles, proposal, given), draft.rules_yaml(name, proposal.feeds)]
    for path, text in zip(targets, texts):
        _write(path, text)
    print(texts[0])
    print("Its rules hold once the company says `clean: {more_rules_dir: ./quality}`.")
    return 0


def _newest(source: "Source", arguments: argparse.Namespace) -> "SourceFile":
    from crm_spark.stages.ingest.discovery import list_files

    found = [file for file in list_files(None, source, arguments.data) if file.blocked is None]
    if not found:
        raise InputError(
            f"{arguments.path}: no such file below {arguments.data}. `*` stands for a part of one name, `**/` for any folders."
        )
    return max(found, key=lambda file: (file.modified_at, file.name))


def _draft_folder(arguments: argparse.Namespace) -> int:
    from crm_spark.core.config import validated
    from crm_spark.core.session import build_session
    from crm_spark.onboarding import folder_profile as folders
    from crm_spark.onboarding.company_draft import company_draft
    from crm_spark.onboarding.locale_hints import guesses
    from crm_spark.settings import load_settings
    from crm_spark.sources.config import Source, load_sources

    out, knowledge = Path(arguments.out), folders.known(DOMAINS)
    _require_local(arguments)
    has_sources = any((out / "sources").glob("*.yaml")) and not arguments.force
    described = load_sources(out / "sources") if has_sources else ()
    settings = load_settings(Path(arguments.conf), arguments.set)
    given = {key: value for key in _GIVEN if (value := getattr(arguments, key))}
    anything = {"name": "x", "system": "x", **given, "files": {"path": "x", "format": "csv"}}
    validated(Source, anything, origin="inspect_source")
    folders.require_files(arguments.data)
    spark = build_session(settings.session, app_name="crm_spark inspect")
    ratio = settings.ingest.max_unpacked_ratio
    found = folders.profile_folder(spark, arguments.data, knowledge, described, max_unpacked_ratio=ratio)
    data_dir = Path(arguments.data).resolve()
    draft = company_draft(
        found,
        given,
        guesses([source.hints for source in found.sources], given, knowledge.countries),
        template=TEMPLATE.read_text(encoding="utf-8"),
        extends=_extends(Path(arguments.conf), out),
        lake=_lake(data_dir, out),
        data_dir=str(data_dir),
    )
    has_company = (out / "company.yaml").exists() and not arguments.force
    if has_company:
        del draft.texts["company.yaml"]
        draft.questions = [question for question in draft.questions if question.file != "company.yaml"]
    _require_new([out / path for path in draft.texts], arguments)
    for path, text in draft.texts.items():
        _write(out / path, text)
    if has_company:
        print(f"{out / 'company.yaml'} is there already and stays as it is.")
    _print_sources(found)
    _print_left_over(found)
    _print_next(draft.asked(out), out / "company.yaml")
    return 0


def _print_sources(found: "Folder") -> None:
    if found.num_described:
        print(f"{found.num_described} files are of sources that are described already.")
    for source in found.sources:
        group, entities = source.group, ", ".join(source.proposal.feeds) or "nothing that is known: kept in bronze"
        system = found.systems.of[group.name]
        print(f"{group.name} ({len(group.files)} files, {group.how.path}), system {system}: {entities}")


def _print_left_over(found: "Folder") -> None:
    if not found.left_over:
        return
    print(f"\nNot drafted ({len(found.left_over)} files):")
    for name, why in found.left_over[:_MOST_LINES]:
        print(f"  {name}: {why}")
    more = Counter(why for _, why in found.left_over[_MOST_LINES:])
    for why, number in more.items():
        print(f"  and {number} more: {why}")


def _print_next(questions: list[str], company: Path) -> None:
    print(f"\nTo decide ({len(questions)}):" if questions else "\nNothing is left to decide.")
    for number, question in enumerate(questions, 1):
        print(f"  {number}. {question}")
    python, conf = ".venv/bin/python", f"--conf {company}"
    print(f"\nThen look at what would be read:  {python} jobs/ingest.py {conf} --dry-run")
    print(f"and do everything:                {python} jobs/refresh.py {conf}")


def _require_local(arguments: argparse.Namespace) -> None:
    from crm_spark.stages.ingest.staging import is_remote

    if is_remote(arguments.data):
        raise InputError(
            f"{arguments.data}: one file of a kind is enough to draft from: copy it to a folder and give that."
        )


def _require_new(targets: list[Path], arguments: argparse.Namespace) -> None:
    if taken := [str(path) for path in targets if path.exists() and not arguments.force]:
        raise ConfigError(f"{', '.join(taken)}: is there already. Edit it, or give --force to write it anew.")


def _extends(conf: Path, out: Path) -> str:
    """The configuration that the company's stands on: relative within one project, absolute elsewhere."""
    here = Path.cwd().resolve()
    is_inside = out.resolve().is_relative_to(here) and conf.resolve().is_relative_to(here)
    return os.path.relpath(conf.resolve(), out.resolve()) if is_inside else str(conf.resolve())


def _lake(data_dir: Path, out: Path) -> str:
    """Beside the files, or the configuration where nothing can be written there."""
    return str((data_dir.parent if os.access(data_dir.parent, os.W_OK) else out.resolve()) / "lake")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    get_logger().info("wrote %s", path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Looks at new files and drafts their configuration: of all below --data, or of one kind with --source and --path."
    )
    parser.add_argument("--source", help="name of the one source: lower case, digits, underscores")
    parser.add_argument("--data", required=True, help="folder below which the files lie")
    parser.add_argument("--path", help="the one source's files below that folder: `*` within a name, `**` over folders")
    parser.add_argument(
        "--out", help="folder that gets company.yaml, sources/ and quality/; of one source: default conf"
    )
    parser.add_argument("--system", help="name space of the one source's ids: give files that share ids the same")
    parser.add_argument("--time-zone", help="zone of times that carry none, such as Europe/Berlin")
    parser.add_argument("--country", help="of phone numbers and addresses that name none, such as DE")
    parser.add_argument("--currency", help="of amounts, such as EUR; without: the company's")
    parser.add_argument("--conf", default="conf/local.yaml", help="configuration of the session")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="overrides one setting")
    parser.add_argument("--force", action="store_true", help="write over drafts that are there, and draft all anew")
    return parser
