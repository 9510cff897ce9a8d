"""`crm-spark preview`: what the mappings make of a company's files, before a lake is filled."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from crm_spark.cli.options import DEFAULT_CONF, Conf, Overrides
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger

if TYPE_CHECKING:
    from crm_spark.onboarding.preview import Preview
    from crm_spark.settings import Settings
    from crm_spark.sources.config import Source

Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Markdown file; default: preview.md beside --conf.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    help = (
        "Read a company's files into a temporary lake and show what its mappings make of them: rows by status, reasons for "
        "quarantine, matches between sources, revenue by month, and records before and after mapping, with personal values masked."
    )
    app.command("preview", help=help)(_preview)


def _preview(conf: Conf = DEFAULT_CONF, out: Out = None, overrides: Overrides = None) -> None:
    raise typer.Exit(exit_code_of(lambda: run(conf, overrides or [], out or conf.parent / "preview.md")))


def run(conf: Path, overrides: list[str], out: Path) -> int:
    """Write the preview and print all of it but the records.

    Raises:
        ConfigError: the configuration is invalid.
    """
    from crm_spark.onboarding.preview import markdown

    print(markdown(written_preview(conf, overrides, out), with_records=False))
    return 0


def written_preview(conf: Path, overrides: list[str], out: Path) -> "Preview":
    """Preview a company's files, and write it as Markdown.

    Raises:
        ConfigError: the configuration of the company is invalid.
    """
    from crm_spark.onboarding.preview import markdown

    shown = previewed(conf, overrides)
    out.write_text(markdown(shown), encoding="utf-8")
    get_logger().info("wrote %s", out)
    return shown


def previewed(conf: Path, overrides: list[str]) -> "Preview":
    """Preview a company's files; sources that fail are left out and named in its notes.

    Raises:
        ConfigError: the configuration of the company is invalid.
    """
    from crm_spark.onboarding.file_samples import sampled
    from crm_spark.settings import load_settings

    settings = load_settings(conf, overrides)
    sources, notes = _valid_sources(Path(settings.ingest.sources_dir))
    if settings.ingest.data_dir is None:  # database tables only
        return _preview_of(settings, sources).with_notes(notes)
    with TemporaryDirectory() as scratch:
        files = sampled(sources, settings.ingest.data_dir, Path(scratch))
        ingest = settings.ingest.model_copy(update={"data_dir": files.data_dir})
        settings = settings.model_copy(update={"ingest": ingest})
        return _preview_of(settings, sources).with_notes([*notes, *files.notes])


def _valid_sources(folder: Path) -> tuple[list["Source"], list[str]]:
    """Valid sources, and a note on each of the others."""
    from crm_spark.core.errors import ConfigError
    from crm_spark.sources.config import load_source, load_sources

    sources, notes = [], []
    for path in sorted(folder.glob("*.yaml")):
        try:
            sources.append(load_source(path))
        except ConfigError as error:
            notes.append(f"{path.stem}: left out: {error}")
    if not sources:
        load_sources(folder)  # raises
    return _with_lookups(sources, notes), notes


def _with_lookups(sources: Sequence["Source"], notes: list[str]) -> list["Source"]:
    """Sources whose lookups are among them; adds a note on each of the others."""
    names = {source.name for source in sources}
    kept = [source for source in sources if source.lookups <= names]
    notes += [
        f"{source.name}: left out: it looks up values in {', '.join(sorted(source.lookups - names))}"
        for source in sources
        if source not in kept
    ]
    return kept if len(kept) == len(sources) else _with_lookups(kept, notes)


def _preview_of(settings: "Settings", sources: Sequence["Source"]) -> "Preview":
    """Preview the sources together; if that fails, those that succeed alone."""
    from crm_spark.core.failures import describe
    from crm_spark.onboarding.preview import Preview

    try:
        return _run(settings, sources)
    except Exception as error:
        failure = describe(error)[0]
    good, notes = [], []
    for source in sources if len(sources) > 1 else ():
        try:
            _run(settings, [source])
            good.append(source)
        except Exception as error:
            notes.append(f"{source.name}: left out: {describe(error)[0]}")
    if not good or len(good) == len(sources):
        return Preview(None, (*notes, f"There is no preview: {failure}"))
    return _preview_of(settings, _with_lookups(good, notes)).with_notes(notes)


def _run(settings: "Settings", sources: Sequence["Source"]) -> "Preview":
    """Read and clean the files of the sources in a temporary lake, and preview it."""
    from crm_spark.onboarding.preview import preview
    from crm_spark.pipeline import Pipeline
    from crm_spark.quality.rules import load_rules

    rules = load_rules(settings.clean.rules_dir, settings.clean.more_rules_dir).rules
    folder = Path(settings.ingest.sources_dir)
    with TemporaryDirectory() as lake, TemporaryDirectory() as chosen:
        for source in sources:
            path = folder / f"{source.name}.yaml"
            (Path(chosen) / path.name).write_bytes(path.read_bytes())
        ingest = settings.ingest.model_copy(update={"sources_dir": chosen})
        pipeline = Pipeline(settings.model_copy(update={"ingest": ingest}), lake=lake)
        pipeline.run(("ingest", "clean"))
        company = settings.company
        return preview(pipeline.tables, sources, rules, currency=company.currency, zone=company.time_zone)
