"""Profile a folder of unknown files: group them into sources, propose mappings, and find shared ids."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pyarrow import fs
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded
from crm_spark.core.errors import InputError
from crm_spark.onboarding.archives import grouped_members, is_archive, members_of
from crm_spark.onboarding.column_profile import ColumnProfile, num_divided, profiled, words_of
from crm_spark.onboarding.file_grouping import FileWords, Group, SeenFile, grouped, known_file_words, name_words
from crm_spark.onboarding.format_detection import head_of, sniffed, why_no_table
from crm_spark.onboarding.id_overlap import ids_in, overlaps
from crm_spark.onboarding.id_systems import Systems, systems_of
from crm_spark.onboarding.locale_hints import Countries, Hints, hints_in, known_countries
from crm_spark.onboarding.mapping_proposal import Proposal, Vocabulary, known_vocabulary, proposal_of
from crm_spark.onboarding.nested_columns import FlatRecords, flat
from crm_spark.onboarding.totals import totals_in, without_totals
from crm_spark.sources.config import Source
from crm_spark.sources.files import Files
from crm_spark.stages.ingest.discovery import hidden_files, list_files
from crm_spark.stages.ingest.file_copies import readable_paths
from crm_spark.stages.ingest.file_reasons import WRONG_ENCODING
from crm_spark.stages.ingest.file_validation import FileReport, examine_files, validated_file
from crm_spark.stages.ingest.globs import glob_pattern
from crm_spark.stages.ingest.reader import read_records
from crm_spark.stages.ingest.source_file import SourceFile

_IDS = ("person_id", "order_id", "product_id", "subscription_id", "location_id")
_MAX_FILES = 12
"""Number of newest files per source that are read for id overlaps."""
_FALLBACK = "windows-1252"
_NUM_SAMPLED, _NUM_SAMPLES = 200, 3
_EVERYTHING = Source(name="inspected", system="inspected", files=Files(path="**/*", format="csv"))


@dataclass(frozen=True)
class Knowledge:
    """Domain knowledge loaded from `conf/domains`."""

    vocabulary: Vocabulary
    file_words: FileWords
    countries: Countries


@dataclass(frozen=True)
class Drafted:
    """A source with its column profiles and proposed mapping.

    Attributes:
        group: files of the source.
        profiles: column profiles of its typical file.
        proposal: proposed mapping.
        hints: country and currency counts.
        samples: column -> some of its values, which may be personal.
    """

    group: Group
    profiles: list[ColumnProfile]
    proposal: Proposal
    hints: Hints
    samples: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Folder:
    """Profile of a folder.

    Attributes:
        sources: one source per kind of file.
        systems: system (id namespace) of each source.
        left_over: (file, reason) for files without a source.
        num_described: number of files that belong to existing sources.
    """

    sources: list[Drafted]
    systems: Systems
    left_over: list[tuple[str, str]]
    num_described: int


def known(domains: Path) -> Knowledge:
    """Load the domain knowledge from `conf/domains`."""
    return Knowledge(known_vocabulary(domains), known_file_words(domains / "file_words.yaml"), known_countries(domains))


def require_files(data_dir: str) -> None:
    """Check that the folder contains files, before Spark is started.

    Raises:
        InputError: the folder does not exist or is empty.
    """
    if not list_files(None, _EVERYTHING, data_dir):
        raise InputError(f"{data_dir}: the folder contains no files. Give the folder with the source files.")


def profile_folder(
    spark: SparkSession, data_dir: str, knowledge: Knowledge, described: Sequence[Source], *, max_unpacked_ratio: float
) -> Folder:
    """Profile all files of the folder except those of the `described` sources.

    Unreadable files are listed in `left_over` instead of raising an error.
    """
    files = {file.name: file for file in list_files(None, _EVERYTHING, data_dir)}
    ours = [glob_pattern(source.files.file_path) for source in described if source.files is not None]
    fresh = [file for file in files.values() if not any(pattern.fullmatch(file.name) for pattern in ours)]
    num_described = len(files) - len(fresh)
    archives = [file for file in fresh if is_archive(file.name) and not file.blocked]
    hidden = [(name, "hidden or temporary file") for name in hidden_files(_EVERYTHING, data_dir)]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        members, not_unpacked = members_of(archives, scratch, max_unpacked_ratio=max_unpacked_ratio)
        files |= {file.name: file for file in members}
        plain = [file for file in fresh if file not in archives]
        readable, left_over = _readable_files(spark, [*plain, *members], max_unpacked_ratio=max_unpacked_ratio)
        examined = {name: report for name, (_, report) in readable.items()}
        seen = [[readable[file.name][0] for file in part if file.name in readable] for part in (plain, members)]
        groups, unfit = grouped(seen[0], knowledge.file_words, taken={source.name for source in described})
        taken = {*(source.name for source in described), *(group.name for group in groups)}
        of_archives, unfit_members = grouped_members(seen[1], knowledge.file_words, taken=taken)
        groups += of_archives
        drafts, ids = [], []
        for group in groups:
            sample = [validated_file(files[f.name], examined[f.name]) for f in group.files[-_MAX_FILES:]]
            typical = validated_file(files[group.typical.name], examined[group.typical.name])
            draft = drafted(_read(spark, group.how, [typical], stack), group, knowledge)
            drafts.append(draft)
            if columns := _id_columns(draft.proposal):
                email = draft.proposal.feeds.get("person", {}).get("email")
                records = without_totals(_read(spark, group.how, sample, stack), draft.proposal.totals)
                records = flat(records).elements
                ids.append(ids_in(records, group.name, columns, email.name if email else None))
        places = {group.name: _places(group, knowledge.file_words) for group in groups}
        systems = systems_of(places, overlaps(ids) if ids else [])
    return Folder(drafts, systems, sorted([*left_over, *unfit, *unfit_members, *not_unpacked, *hidden]), num_described)


def drafted(records: DataFrame, group: Group, knowledge: Knowledge) -> Drafted:
    """Profile the records of a source's typical file and propose a mapping."""
    found, profiles, proposal = profiled_and_proposed(records, group.name, group.how, knowledge)
    hints = hints_in(found.elements, profiles, proposal, knowledge.vocabulary, knowledge.countries)
    return Drafted(group, profiles, proposal, hints, _samples(found.elements, profiles))


def _samples(records: DataFrame, profiles: Iterable[ColumnProfile]) -> dict[str, list[str]]:
    """Some different values of each column."""
    names = {decoded(name): name for name in records.columns if not name.startswith("_")}
    known = [profile.name for profile in profiles if profile.name in names]
    rows = records.select(*(F.col(f"`{names[name]}`") for name in known)).limit(_NUM_SAMPLED).collect()
    columns = {name: dict.fromkeys(row[i] for row in rows if row[i] and row[i].strip()) for i, name in enumerate(known)}
    return {name: list(values)[:_NUM_SAMPLES] for name, values in columns.items()}


def profiled_and_proposed(
    records: DataFrame, name: str, how: Files, knowledge: Knowledge
) -> tuple[FlatRecords, list[ColumnProfile], Proposal]:
    """A source's records without lines of totals, their column profiles and the proposed mapping."""
    totals = totals_in(records, knowledge.file_words.totals) if how.is_table else None
    found = flat(without_totals(records, totals))
    profiles = profiled(found.records)
    if found.element_columns:
        profiles += profiled(found.elements.select(*(F.col(f"`{column}`") for column in found.element_columns)))
    proposal = proposal_of(
        profiles,
        knowledge.vocabulary,
        words_of=lambda column: words_of(found.elements, column),
        num_divided=lambda key, column: num_divided(found.elements, key, column),
        called=name,
        each=found.each,
    )
    return found, profiles, replace(proposal, totals=totals)


def _readable_files(
    spark: SparkSession, files: Iterable[SourceFile], *, max_unpacked_ratio: float
) -> tuple[dict[str, tuple[SeenFile, FileReport]], list[tuple[str, str]]]:
    """Readable files by name, and (file, reason) for the others."""
    system, left_over = fs.LocalFileSystem(), list[tuple[str, str]]()
    heads: dict[str, tuple[SourceFile, Files, tuple[str, ...], bool]] = {}
    for file in files:
        try:
            if why := file.blocked or why_no_table(file.name):
                raise InputError(why.replace("_", " "))
            how = sniffed(system, file.path, "x")
            columns, is_ascii = ((), True) if how.format == "parquet" else head_of(system, file.path, how)
            heads[file.name] = file, how, columns, is_ascii
        except InputError as error:
            left_over.append((file.name, str(error).replace(file.path, "it")))
    reports = _examined(spark, heads.values(), max_unpacked_ratio=max_unpacked_ratio)
    readable: dict[str, tuple[SeenFile, FileReport]] = {}
    for name, (file, how, columns, is_ascii) in heads.items():
        report, how = reports[name]
        if report.damage:
            left_over.append((name, report.damage.replace("_", " ")))
            continue
        names = columns or tuple(map(decoded, report.columns))
        is_plain = is_ascii and how.options.encoding != _FALLBACK
        readable[name] = SeenFile(name, file.num_bytes, file.modified_at, how, names, is_plain), report
    return readable, left_over


def _examined(
    spark: SparkSession, heads: Iterable[tuple[SourceFile, Files, tuple[str, ...], bool]], *, max_unpacked_ratio: float
) -> dict[str, tuple[FileReport, Files]]:
    """Validate the files; CSV files that are not valid UTF-8 are validated again in the fallback encoding."""
    readable = [(file, how) for file, how, *_ in heads]
    if not readable:
        return {}
    first = examine_files(spark, readable, max_unpacked_ratio=max_unpacked_ratio)
    reports = {file.name: (first[file.source, file.name][0], how) for file, how in readable}
    wrong = [(f, how) for f, how in readable if reports[f.name][0].damage == WRONG_ENCODING and how.format == "csv"]
    if wrong:
        again = [(f, _in_encoding(how, _FALLBACK)) for f, how in wrong]
        second = examine_files(spark, again, max_unpacked_ratio=max_unpacked_ratio)
        reports |= {file.name: (second[file.source, file.name][0], how) for file, how in again}
    return reports


def _in_encoding(how: Files, encoding: str) -> Files:
    return how.model_copy(update={"options": how.options.model_copy(update={"encoding": encoding})})


def _read(spark: SparkSession, how: Files, files: list[SourceFile], stack: ExitStack) -> DataFrame:
    """Read the records; the result is valid until the stack is closed."""
    scratch = Path(stack.enter_context(TemporaryDirectory())) / "files"
    return read_records(spark, how, stack.enter_context(readable_paths(files, how, scratch)))


def _id_columns(proposal: Proposal) -> dict[str, str]:
    """Id kind -> source column."""
    return {kind: columns[kind].name for kind in _IDS for columns in proposal.feeds.values() if kind in columns}


def _places(group: Group, words: FileWords) -> Sequence[str]:
    """Words of the folders common to all files of a group."""
    each = [[word for part in Path(file.name).parent.parts for word in name_words(part, words)] for file in group.files]
    return [word for word in each[0] if all(word in others for others in each)]


def columns_missing_in_older_files(draft: Drafted) -> Mapping[str, list[str]]:
    """Mapped columns missing from older files: `added` later, or `renamed` if older files have other columns instead."""
    newest = set(draft.group.typical.columns)
    mapped = {profile.name for columns in draft.proposal.feeds.values() for profile in columns.values()}
    absent = sorted(mapped & draft.group.partial_columns())
    has_old_columns = any(set(file.columns) - newest for file in draft.group.files)
    return {"renamed": absent, "added": []} if has_old_columns else {"renamed": [], "added": absent}
