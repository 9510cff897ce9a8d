"""`crm-spark onboard`: profile new files and draft their configuration, for one source or a whole company."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from crm_spark.cli.options import DEFAULT_CONF, Conf, Overrides
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger, number_of

if TYPE_CHECKING:
    from crm_spark.onboarding.company_draft import CompanyDraft
    from crm_spark.onboarding.folder_profile import Folder, Knowledge
    from crm_spark.onboarding.preview import Preview
    from crm_spark.sources.config import Source
    from crm_spark.stages.ingest.source_file import SourceFile

DOMAINS, TEMPLATE = Path("conf/domains"), Path("conf/examples/new/company.yaml")
_MAX_LINES = 30


@dataclass(frozen=True)
class _Arguments:
    data: str
    conf: Path
    overrides: list[str]
    out: Path | None
    source: str | None
    path: str | None
    system: str | None
    defaults: dict[str, str]
    """Values for what the files do not say: time_zone, country, currency."""
    is_forced: bool
    answers: Path | None = None
    has_preview: bool = True
    has_page: bool = False


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    help = (
        "Profile new files and draft their configuration: all files below --data, or one source with --source and --path. For a "
        "whole directory it ends with a preview of what the drafts make of the files."
    )
    app.command("onboard", help=help)(_onboard)


def _onboard(
    data: Annotated[str, typer.Option(metavar="DIR", help="Directory of the files.")],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Gets company.yaml, sources/ and quality/; of one source: default conf."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of one source: lower case, digits, underscores.")
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            metavar="GLOB", help="Files of the source below --data: `*` within a name, `**` over directories."
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="NAME", help="Namespace of the source's ids: sources that share ids share it.")
    ] = None,
    time_zone: Annotated[str | None, typer.Option(help="Zone of times without one, such as Europe/Berlin.")] = None,
    country: Annotated[
        str | None, typer.Option(help="Country of phone numbers and addresses without one, such as DE.")
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="Currency of amounts, such as EUR; default: the company's.")
    ] = None,
    conf: Conf = DEFAULT_CONF,
    overrides: Overrides = None,
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Answers to the questions of an earlier draft; each draft comes with an answers.yaml."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Draft everything again and overwrite existing drafts.")
    ] = False,
    no_preview: Annotated[
        bool, typer.Option("--no-preview", help="Leave out the preview, which reads the files a second time.")
    ] = False,
    page: Annotated[
        bool,
        typer.Option("--page", help="Serve a page on this machine on which the mappings and decisions can be changed."),
    ] = False,
) -> None:
    if (source is None) != (path is None):
        raise typer.BadParameter("give --source and --path for one source, or neither for the whole directory")
    if source is None and system:
        raise typer.BadParameter("--system needs --source; for a whole directory systems are derived from the ids")
    if source is not None and answers is not None:
        raise typer.BadParameter("--answers is for a whole directory: leave out --source and --path")
    if source is not None and page:
        raise typer.BadParameter("--page is for a whole directory: leave out --source and --path")
    if source is None and out is None:
        raise typer.BadParameter("--out is required for a whole directory, such as conf/examples/mine")
    defaults = {"time_zone": time_zone, "country": country, "currency": currency}
    given = {name: value for name, value in defaults.items() if value}
    arguments = _Arguments(
        data, conf, overrides or [], out, source, path, system, given, force, answers, not no_preview, page
    )
    raise typer.Exit(exit_code_of(lambda: _draft_folder(arguments) if source is None else _draft_source(arguments)))


def _draft_source(arguments: _Arguments) -> int:
    from pyarrow import fs

    from crm_spark.core.config import validated
    from crm_spark.core.session import build_session
    from crm_spark.onboarding import folder_profile as folder
    from crm_spark.onboarding import source_draft as draft
    from crm_spark.onboarding.format_detection import sniffed
    from crm_spark.settings import load_settings
    from crm_spark.sources.config import Source
    from crm_spark.stages.ingest.file_copies import readable_paths
    from crm_spark.stages.ingest.file_validation import examine, validated_file
    from crm_spark.stages.ingest.reader import read_records

    assert arguments.source is not None and arguments.path is not None
    name, out = arguments.source, arguments.out or Path("conf")
    targets = [out / "sources" / f"{name}.yaml", out / "quality" / f"{name}.yaml"]
    _require_new(targets, arguments)
    _require_local(arguments)
    system, settings = fs.LocalFileSystem(), load_settings(arguments.conf, arguments.overrides)
    given = {**({"system": arguments.system} if arguments.system else {}), **arguments.defaults}
    anything = validated(
        Source,
        {"name": name, "system": name, **given, "files": {"path": arguments.path, "format": "csv"}},
        origin="onboard",
    )
    newest = _newest(anything, arguments)
    how = sniffed(system, newest.path, arguments.path)
    (report, *_) = examine(system, newest.path, newest.name, how, max_unpacked_ratio=settings.ingest.max_unpacked_ratio)
    if report.damage:
        where = f" ({report.position})" if report.position else ""
        raise InputError(f"{newest.name}: {report.damage}{where}. {report.hint}")
    spark = build_session(settings.session, app_name="crm_spark onboard")
    newest = validated_file(newest, report)
    with TemporaryDirectory() as scratch, readable_paths([newest], how, Path(scratch)) as files:
        records = read_records(spark, how, files)
        _, profiles, proposal = folder.profiled_and_proposed(records, name, how, folder.known(DOMAINS))
    texts = [draft.source_yaml(name, how, profiles, proposal, given), draft.rules_yaml(name, proposal.feeds)]
    for path, text in zip(targets, texts):
        _write(path, text)
    print(texts[0])
    print("To apply its rules, set `clean: {more_rules_dir: ./quality}` in the company's configuration.")
    return 0


def _newest(source: "Source", arguments: _Arguments) -> "SourceFile":
    from crm_spark.stages.ingest.discovery import list_files

    files = [file for file in list_files(None, source, arguments.data) if file.blocked is None]
    if not files:
        raise InputError(
            f"{arguments.path}: no file below {arguments.data} matches. `*` matches part of a name, `**/` any directories."
        )
    return max(files, key=lambda file: (file.modified_at, file.name))


def _draft_folder(arguments: _Arguments) -> int:
    from crm_spark.core.config import validated
    from crm_spark.core.session import build_session
    from crm_spark.onboarding import folder_profile as folders
    from crm_spark.onboarding.answers import answers_yaml, apply_answers, load_answers
    from crm_spark.onboarding.company_draft import company_draft
    from crm_spark.onboarding.locale_hints import guesses
    from crm_spark.settings import load_settings
    from crm_spark.sources.config import Source, load_sources

    assert arguments.out is not None
    out, knowledge = arguments.out, folders.known(DOMAINS)
    _require_local(arguments)
    has_sources = any((out / "sources").glob("*.yaml")) and not arguments.is_forced
    described = load_sources(out / "sources") if has_sources else ()
    settings = load_settings(arguments.conf, arguments.overrides)
    given = arguments.defaults
    anything = {"name": "x", "system": "x", **given, "files": {"path": "x", "format": "csv"}}
    validated(Source, anything, origin="onboard")
    folders.require_files(arguments.data)
    spark = build_session(settings.session, app_name="crm_spark onboard")
    ratio = settings.ingest.max_unpacked_ratio
    folder = folders.profile_folder(spark, arguments.data, knowledge, described, max_unpacked_ratio=ratio)
    data_dir = Path(arguments.data).resolve()
    draft = company_draft(
        folder,
        given,
        guesses([source.hints for source in folder.sources], given, knowledge.countries),
        template=TEMPLATE.read_text(encoding="utf-8"),
        extends=_extends(arguments.conf, out),
        lake=_lake(data_dir, out),
        data_dir=str(data_dir),
    )
    if arguments.answers is not None:
        apply_answers(draft, load_answers(arguments.answers), origin=str(arguments.answers))
    has_company = (out / "company.yaml").exists() and not arguments.is_forced
    if has_company:
        del draft.texts["company.yaml"]
        draft.questions = [question for question in draft.questions if question.file != "company.yaml"]
    _require_new([out / path for path in draft.texts], arguments)
    texts = dict(draft.texts)
    if draft.questions and (out / "answers.yaml") != arguments.answers:
        texts["answers.yaml"] = answers_yaml(draft.questions)
    for path, text in texts.items():
        _write(out / path, text)
    if has_company:
        print(f"{out / 'company.yaml'} exists and was not changed.")
    _print_sources(folder)
    _print_left_over(folder)
    shown = _print_preview(arguments) if arguments.has_preview else None
    _print_next(draft.asked(out), out / "company.yaml", has_preview=shown is not None)
    if arguments.has_page:
        _serve_page(arguments, draft, folder, knowledge, texts, shown)
    return 0


def _print_preview(arguments: _Arguments) -> "Preview | None":
    """Write the preview and print all of it but the records; None if it fails, which is printed."""
    from crm_spark.cli.preview import written_preview
    from crm_spark.core.failures import describe
    from crm_spark.onboarding.preview import markdown

    assert arguments.out is not None
    try:
        shown = written_preview(arguments.out / "company.yaml", arguments.overrides, arguments.out / "preview.md")
    except Exception as error:  # the drafts are written
        print(f"\nThere is no preview: {describe(error)[0]}")
        return None
    print("\n" + markdown(shown, with_records=False))
    print(f"The first records of each source before and after mapping are in {arguments.out / 'preview.md'}.")
    return shown


def _serve_page(
    arguments: _Arguments,
    draft: "CompanyDraft",
    folder: "Folder",
    knowledge: "Knowledge",
    texts: dict[str, str],
    shown: "Preview | None",
) -> None:
    """Serve the onboarding page until it is closed."""
    from crm_spark.cli.preview import written_preview
    from crm_spark.local_page.server import LocalServer
    from crm_spark.onboarding.page.app import Onboarding, Page
    from crm_spark.onboarding.page.columns import columns_of
    from crm_spark.onboarding.page.drafts_folder import DraftsFolder
    from crm_spark.settings import load_settings

    out = arguments.out
    assert out is not None

    def check_company(path: Path) -> None:
        load_settings(path, arguments.overrides)

    def make_preview() -> "Preview":
        return written_preview(out / "company.yaml", arguments.overrides, out / "preview.md")

    columns = columns_of(folder.sources, draft.texts, knowledge.vocabulary)
    drafts = DraftsFolder(out, check_company, texts)
    onboarding = Onboarding(drafts, draft, columns, make_preview if arguments.has_preview else None, shown)
    server = LocalServer(lambda access: Page(onboarding, access))
    print(f"\nOpen this page in a browser on this machine; Ctrl-C ends it:  {server.page.address}", flush=True)
    server.serve()


def _print_sources(folder: "Folder") -> None:
    if folder.num_described:
        verb = "belongs" if folder.num_described == 1 else "belong"
        print(f"{number_of(folder.num_described, 'file')} {verb} to sources that are configured already.")
    for source in folder.sources:
        group, entities = source.group, ", ".join(source.proposal.feeds) or "no known entity: kept in bronze"
        system = folder.systems.of[group.name]
        print(f"{group.name} ({number_of(len(group.files), 'file')}, {group.how.path}), system {system}: {entities}")


def _print_left_over(folder: "Folder") -> None:
    if not folder.left_over:
        return
    print(f"\nNot drafted ({number_of(len(folder.left_over), 'file')}):")
    for name, why in folder.left_over[:_MAX_LINES]:
        print(f"  {name}: {why}")
    more = Counter(why for _, why in folder.left_over[_MAX_LINES:])
    for why, number in more.items():
        print(f"  {number} more: {why}")


def _print_next(questions: list[tuple[str, str]], company: Path, *, has_preview: bool) -> None:
    print(f"\nTo decide ({len(questions)}):" if questions else "\nNo decisions are left.")
    for number, (question, recommended) in enumerate(questions, 1):
        print(f"  {number}. {question}")
        print(f"     Recommended: {recommended}")
    python, conf = ".venv/bin/python", f"--conf {company}"
    print()
    if not has_preview:
        print(f"To see what the mappings make of the files:  {python} jobs/preview.py {conf}")
    print(f"To run all stages:                           {python} jobs/refresh.py {conf}")


def _require_local(arguments: _Arguments) -> None:
    from crm_spark.core.uris import is_remote

    if is_remote(arguments.data):
        raise InputError(
            f"{arguments.data}: drafting needs local files. Copy one file of each kind to a directory and give that."
        )


def _require_new(targets: list[Path], arguments: _Arguments) -> None:
    if existing := [str(path) for path in targets if path.exists() and not arguments.is_forced]:
        raise ConfigError(f"{', '.join(existing)}: exists already. Edit it, or give --force to overwrite it.")


def _extends(conf: Path, out: Path) -> str:
    """Path of the configuration that the company extends: relative within one project, else absolute."""
    here = Path.cwd().resolve()
    is_inside = out.resolve().is_relative_to(here) and conf.resolve().is_relative_to(here)
    return os.path.relpath(conf.resolve(), out.resolve()) if is_inside else str(conf.resolve())


def _lake(data_dir: Path, out: Path) -> str:
    """Path of the lake: beside the files, or beside the configuration if the files' directory is read-only."""
    return str((data_dir.parent if os.access(data_dir.parent, os.W_OK) else out.resolve()) / "lake")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    get_logger().info("wrote %s", path)
