"""Group files into sources: names that differ only in dates or numbers, and matching columns."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path, PurePosixPath

from crm_spark.core.config import read_yaml
from crm_spark.sources.files import Files
from crm_spark.stages.ingest.discovery import glob_pattern

ALIKE = 0.6
"""Minimum share of common columns, relative to the larger header, for files of one source."""
_MIN_RELATIVE_SIZE = 0.1
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ENDING = re.compile(r"(\.snappy)?(\.[A-Za-z][A-Za-z0-9]{1,8})?(\.(gz|bz2|zst|zstd))?$")
_AROUND = r"[-_.,T ]*"
_NUMBERS = re.compile(rf"(?:{_UUID}|(?<![A-Za-z])(?:[A-Za-z]{{0,2}}\d+)+[A-Za-z]?(?![A-Za-z])|\d+)")
_IN_NO_PATTERN = re.compile(r"[\\:\x00*?]")


@dataclass(frozen=True)
class SeenFile:
    """A readable file.

    Attributes:
        name: path relative to the data folder.
        num_bytes: size in bytes.
        modified_at: modification time (UTC).
        how: detected format and options.
        columns: column names in the file.
        is_ascii: whether the first bytes are ASCII, so that the encoding is undetermined.
    """

    name: str
    num_bytes: int
    modified_at: datetime
    how: Files
    columns: tuple[str, ...]
    is_ascii: bool = True


@dataclass(frozen=True)
class Group:
    """Files of one source, newest last.

    Attributes:
        name: source name.
        how: format and options; `path` matches these files and no file of another group.
        files: the files.
        same_columns_as: other sources with identical columns.
    """

    name: str
    how: Files
    files: tuple[SeenFile, ...]
    same_columns_as: tuple[str, ...] = ()

    @property
    def typical(self) -> SeenFile:
        """Newest file that is not tiny compared with the largest."""
        least = _MIN_RELATIVE_SIZE * max(file.num_bytes for file in self.files)
        return [file for file in self.files if file.num_bytes >= least][-1]

    def partial_columns(self) -> set[str]:
        """Columns missing from at least one file."""
        everywhere = set.intersection(*(set(file.columns) for file in self.files))
        return {column for file in self.files for column in file.columns} - everywhere


@dataclass(frozen=True)
class FileWords:
    """Words in file names and lines that do not describe the content.

    Attributes:
        months: month names, treated like dates.
        parts: technical words such as `export` or `part`.
        totals: labels of lines with totals.
    """

    months: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    totals: frozenset[str] = frozenset()


def known_file_words(path: Path) -> FileWords:
    """Load the file name words from a YAML file."""
    return FileWords(**{name: frozenset(words) for name, words in read_yaml(path).items()})


def name_words(name: str, noise: FileWords) -> tuple[str, ...]:
    """Words of a file or folder name that describe the content, without numbers, dates, versions and `noise`."""
    text = re.sub(_UUID, " ", name)
    text = re.sub(r"(?<=[^\W\d_A-Z])(?=[A-Z])", " ", text)  # orderItems
    bare = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    words = []
    for token in re.findall(r"[^\W_]+", re.sub(r"[\u0300-\u036f]", "", bare)):
        parts = re.findall(r"\d+|[^\W\d]+", token)
        words += [part for part in parts if not part.isdigit() and (len(parts) == 1 or len(part) > 2)]
    return tuple(word for word in words if word not in noise.months | noise.parts)


def grouped(
    files: Iterable[SeenFile], noise: FileWords, *, taken: Collection[str] = ()
) -> tuple[list[Group], list[tuple[str, str]]]:
    """Group files into sources, by name. Also returns (file, reason) for files without a unique glob pattern.

    Args:
        files: readable files.
        noise: file name words to ignore.
        taken: source names already in use.
    """
    alike = [cluster for called in _called_alike(files, noise) for cluster in _with_like_columns(called)]
    every = [file.name for cluster in alike for file in cluster]
    clusters = [part for cluster in alike for part in _with_one_pattern(cluster, every, noise)]
    names = _named([_key(cluster[0], noise) for cluster in clusters], taken)
    groups, left_over = [], []
    for name, cluster in sorted(zip(names, clusters), key=lambda pair: pair[0]):
        own = [file.name for file in cluster]
        path = pattern_of(own, sorted({*every} - {*own}), noise)
        if path is None:
            why = "no glob pattern separates it from other sources: rename it or move it to a separate folder"
            left_over += [(file, why) for file in own]
            continue
        how = _written(cluster).model_copy(update={"path": path})
        groups.append(Group(name, how, tuple(sorted(cluster, key=lambda f: (f.modified_at, f.name)))))
    return [_with_duplicates(group, groups) for group in groups], left_over


def pattern_of(names: Sequence[str], others: Sequence[str], noise: FileWords = FileWords()) -> str | None:
    """Most general glob that matches all names and none of the others, or None."""
    for candidate in _candidates(names, noise):
        fits = glob_pattern(candidate).fullmatch
        if all(map(fits, names)) and not any(map(fits, others)):
            return candidate
    return None


def _key(file: SeenFile, noise: FileWords) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words of the folders and of the file name; without words in the name, those of the innermost folder."""
    path = PurePosixPath(file.name)
    folders = [words for part in path.parent.parts if (words := name_words(part, noise))]
    own = name_words(_split(path.name)[0], noise)
    if not own and folders:
        own = folders.pop()
    return tuple(word for words in folders for word in words), own


def _called_alike(files: Iterable[SeenFile], noise: FileWords) -> list[list[SeenFile]]:
    """Files with the same name words, format and delimiter, in the same or nested folders."""
    by_format: dict[tuple[object, ...], dict[tuple[str, ...], list[SeenFile]]] = {}
    for file in sorted(files, key=lambda f: (f.modified_at, f.name), reverse=True):
        folders, own = _key(file, noise)
        how = file.how
        places = by_format.setdefault((own, how.format, how.options.delimiter, how.table.model_dump_json()), {})
        places.setdefault(folders, []).append(file)
    return [together for places in by_format.values() for together in _within(places)]


def _within(places: dict[tuple[str, ...], list[SeenFile]]) -> list[list[SeenFile]]:
    roots: dict[tuple[str, ...], list[SeenFile]] = {}
    for folders in sorted(places):
        root = next((r for r in roots if folders[: len(r)] == r), folders)
        roots.setdefault(root, []).extend(places[folders])
    return list(roots.values())


def _with_like_columns(files: list[SeenFile]) -> Iterator[list[SeenFile]]:
    """Cluster files by similar columns and compatible encoding, starting with the newest."""
    clusters: list[list[SeenFile]] = []
    newest = sorted(files, key=lambda f: (f.modified_at, f.name), reverse=True)
    for file in sorted(newest, key=lambda f: f.is_ascii):
        for cluster in clusters:
            shared, larger = (
                set(file.columns) & set(cluster[0].columns),
                max(len(file.columns), len(cluster[0].columns)),
            )
            if len(shared) >= ALIKE * larger and (file.is_ascii or _written(cluster).options == file.how.options):
                cluster.append(file)
                break
        else:
            clusters.append([file])
    yield from clusters


def _with_one_pattern(cluster: list[SeenFile], every: Sequence[str], noise: FileWords) -> list[list[SeenFile]]:
    """The cluster, or if no glob separates it from other files, its parts with the same name shape."""
    names = [file.name for file in cluster]
    if pattern_of(names, sorted({*every} - {*names}), noise):
        return [cluster]
    parts: dict[tuple[str, str], list[SeenFile]] = {}
    for file in cluster:
        stem, ending = _split(PurePosixPath(file.name).name)
        parts.setdefault((_starred(stem, noise), ending), []).append(file)
    return list(parts.values())


def _written(cluster: Sequence[SeenFile]) -> Files:
    """Format options of a group, taken from a non-ASCII file if there is one."""
    return next((file.how for file in cluster if not file.is_ascii), cluster[0].how)


def _named(keys: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], taken: Collection[str]) -> list[str]:
    """Unique source names: file words, prefixed with folder words or suffixed with a number if not unique."""
    short, long = [_name(own) for _, own in keys], [_name((*folders, *own)) for folders, own in keys]
    names: list[str] = []
    for brief, whole in zip(short, long):
        name = brief if short.count(brief) == 1 and brief not in taken else whole
        used, number = {*names, *taken}, 2
        numbered = name
        while numbered in used:
            numbered, number = f"{name}_{number}", number + 1
        names.append(numbered)
    return names


def _name(words: Sequence[str]) -> str:
    text = "_".join(filter(None, (re.sub(r"[^a-z0-9]", "", word) for word in words)))[:40].strip("_")
    return text if re.match("[a-z]", text) else f"source_{text}".rstrip("_")


def _with_duplicates(group: Group, groups: Sequence[Group]) -> Group:
    columns = set(group.typical.columns)
    same_columns = tuple(g.name for g in groups if g is not group and set(g.typical.columns) == columns)
    return Group(group.name, group.how, group.files, same_columns)


def _split(base: str) -> tuple[str, str]:
    """Split a file name into stem and extension, including a compression extension."""
    ending = match.group() if (match := _ENDING.search(base)) else ""
    return base[: len(base) - len(ending)], ending


def _candidates(names: Sequence[str], noise: FileWords) -> Iterator[str]:
    """Candidate globs, most general first."""
    split = [_split(PurePosixPath(name).name) for name in names]
    endings = {ending for _, ending in split}
    ending = endings.pop() if len(endings) == 1 else _common(endings) + "*"
    shapes = {_starred(stem, noise) for stem, _ in split}
    shape = shapes.pop() if len(shapes) == 1 else _common(shapes).split("*")[0] + "*"
    dotted = {re.sub(r"\d", "?", _safe(stem)) for stem, _ in split}
    bases = [shape if shape.endswith("*") else f"{shape}*", shape, *(dotted if len(dotted) == 1 else ())]
    is_nameless = not any(name_words(stem, noise) for stem, _ in split)
    folders = list(_folders(names, noise))
    # A name without words, such as part-0001, is identified by its folder.
    order = [*folders, ""] if is_nameless and folders else ["", *folders]
    for folder in order:
        yield from (f"{folder}**/{base}{ending}" for base in dict.fromkeys(bases))
    yield from (f"{base}{ending}" for base in dict.fromkeys(bases))
    if len(names) == 1:
        yield _safe(names[0])


def _starred(stem: str, noise: FileWords) -> str:
    """Replace numbers, dates and months with `*`."""
    text = _NUMBERS.sub("*", _IN_NO_PATTERN.sub("*", stem))
    text = re.sub(r"[^\W\d_]+", lambda word: "*" if word.group().casefold() in noise.months else word.group(), text)
    return re.sub(rf"\*(?:{_AROUND}[A-Za-z]?\*)+", "*", text)


def _common(texts: Iterable[str]) -> str:
    """Common prefix."""
    return "".join(_shared(texts))


def _shared(sequences: Iterable[Sequence[str]]) -> list[str]:
    together = takewhile(lambda items: len(set(items)) == 1, zip(*sequences))
    return [items[0] for items in together]


def _safe(name: str) -> str:
    return _IN_NO_PATTERN.sub("?", name)


def _folders(names: Sequence[str], noise: FileWords) -> Iterator[str]:
    """Folder globs: the innermost common folder with a descriptive name, then the common path."""
    parts = [PurePosixPath(name).parent.parts for name in names]
    common = [part for part in parts[0] if all(part in others for others in parts) and name_words(part, noise)]
    if common:
        yield f"**/{_starred(common[-1], noise)}/"
    shared = _shared(parts)
    if shared:
        yield "".join(f"{_safe(part)}/" for part in shared)
