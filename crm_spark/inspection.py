"""What `jobs/inspect_source.py` does: looks at a new kind of file and drafts its configuration."""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.exits import exit_code_of
from crm_spark.core.log import get_logger

NAMES, STATUS_WORDS = Path("conf/domains/column_names.yaml"), Path("conf/domains/status_words.yaml")
_GIVEN = ("system", "time_zone", "country", "currency")


def main(argv: list[str] | None = None) -> int:
    """Writes `<out>/sources/<source>.yaml` and `<out>/quality/<source>.yaml`, and says what it saw.

    Returns:
        0 done, 2 bad arguments or input.
    """
    arguments = _parser().parse_args(argv)
    return exit_code_of(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    from pyarrow import fs

    from crm_spark.contracts.source import Source
    from crm_spark.core.config import validated
    from crm_spark.core.session import build_session
    from crm_spark.settings import load_settings
    from crm_spark.stages.ingest import draft
    from crm_spark.stages.ingest.discovery import list_files
    from crm_spark.stages.ingest.examine import examine
    from crm_spark.stages.ingest.profile import num_divided, profiled, sniffed, words_of
    from crm_spark.stages.ingest.reading import laid_out, read_records
    from crm_spark.stages.ingest.remote import is_remote

    name, out = arguments.source, Path(arguments.out)
    targets = [out / "sources" / f"{name}.yaml", out / "quality" / f"{name}.yaml"]
    if taken := [str(path) for path in targets if path.exists() and not arguments.force]:
        raise ConfigError(f"{', '.join(taken)}: is there already. Edit it, or give --force to write it anew.")
    if is_remote(arguments.data):
        raise InputError(f"{arguments.data}: one file is enough to draft from: copy it to a folder and give that.")
    system, settings = fs.LocalFileSystem(), load_settings(Path(arguments.conf), arguments.set)
    given = {key: value for key in _GIVEN if (value := getattr(arguments, key))}
    anything = validated(
        Source,
        {"name": name, "system": name, **given, "files": {"path": arguments.path, "format": "csv"}},
        origin="inspect_source",
    )
    found = [file for file in list_files(None, anything, arguments.data) if file.refusal is None]
    if not found:
        raise InputError(
            f"{arguments.path}: no such file below {arguments.data}. `*` stands for a part of one name, `**/` for any folders."
        )
    newest = max(found, key=lambda file: (file.modified_at, file.name))
    how = sniffed(system, newest.path, arguments.path)
    (seen, *_) = examine(system, newest.path, newest.name, how, max_unpacked_ratio=settings.ingest.max_unpacked_ratio)
    if seen.damage:
        raise InputError(f"{newest.name}: {seen.damage}. Give a file that is whole.")
    spark = build_session(settings.session, app_name="crm_spark inspect")
    newest = replace(newest, columns=seen.columns, has_lone_surrogates=seen.has_lone_surrogates)
    with TemporaryDirectory() as scratch, laid_out([newest], how, Path(scratch)) as files:
        records = read_records(spark, how, files)
        profiles = profiled(records)
        proposal = draft.proposal_of(
            profiles,
            draft.known_names(NAMES),
            draft.known_words(STATUS_WORDS),
            words_of=lambda column: words_of(records, column),
            num_divided=lambda key, column: num_divided(records, key, column),
        )
    texts = [draft.source_yaml(name, how, profiles, proposal, given), draft.rules_yaml(name, proposal.feeds)]
    for path, text in zip(targets, texts):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        get_logger().info("wrote %s", path)
    print(texts[0])
    print("Its rules hold once the company says `clean: {more_rules_dir: ./quality}`.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Looks at a new kind of file and drafts its configuration.")
    parser.add_argument("--source", required=True, help="name of the source: lower case, digits, underscores")
    parser.add_argument("--data", required=True, help="folder below which its files lie")
    parser.add_argument(
        "--path", required=True, help="its files below that folder: `*` within a name, `**` over folders"
    )
    parser.add_argument(
        "--out", default="conf", help="folder whose sources/ and quality/ get the drafts (default conf)"
    )
    parser.add_argument("--system", help="name space of its ids: give files that share ids the same")
    parser.add_argument("--time-zone", help="zone of times that carry none, such as Europe/Berlin")
    parser.add_argument("--country", help="of phone numbers and addresses that name none, such as DE")
    parser.add_argument("--currency", help="of amounts, such as EUR; without: the company's")
    parser.add_argument("--conf", default="conf/local.yaml", help="configuration of the session")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="overrides one setting")
    parser.add_argument("--force", action="store_true", help="write over a draft that is there")
    return parser
