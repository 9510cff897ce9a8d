"""Which of a folder's files are one source: those called alike once dates and numbers are taken away, with the same columns."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path, PurePosixPath

from crm_spark.core.config import read_yaml
from crm_spark.sources.config import Files
from crm_spark.stages.ingest.discovery import glob_pattern

ALIKE = 0.6
"""Two headers are of one source when they share so much of the larger."""
_A_SCRAP = 0.1
_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ENDING = re.compile(r"(\.snappy)?(\.[A-Za-z][A-Za-z0-9]{1,8})?(\.(gz|bz2|zst|zstd))?$")
_AROUND = r"[-_.,T ]*"
_NUMBERS = re.compile(rf"(?:{_UUID}|(?<![A-Za-z])(?:[A-Za-z]{{0,2}}\d+)+[A-Za-z]?(?![A-Za-z])|\d+)")
_IN_NO_PATTERN = re.compile(r"[\\:\x00*?]")


@dataclass(frozen=True)
class SeenFile:
    """A file that was looked at and can be read.

    Attributes:
        name: below the data folder.
        num_bytes: its size.
        modified_at: the file system's time of change.
        how: how it is written.
        columns: their names, as the file spells them.
        is_ascii: nothing at its head tells one encoding from another.
    """

    name: str
    num_bytes: int
    modified_at: datetime
    how: Files
    columns: tuple[str, ...]
    is_ascii: bool = True


@dataclass(frozen=True)
class Group:
    """The files of one source, the newest last.

    Attributes:
        name: what to call the source.
        how: how its files are written; `path` fits them and none of another group.
        files: what it has today.
        twins: sources of another name whose files have the very same columns.
    """

    name: str
    how: Files
    files: tuple[SeenFile, ...]
    twins: tuple[str, ...] = ()

    @property
    def typical(self) -> SeenFile:
        """The newest file that is no mere scrap beside the largest."""
        least = _A_SCRAP * max(file.num_bytes for file in self.files)
        return [file for file in self.files if file.num_bytes >= least][-1]

    def lacked(self) -> set[str]:
        """The columns that some of the files come without."""
        everywhere = set.intersection(*(set(file.columns) for file in self.files))
        return {column for file in self.files for column in file.columns} - everywhere


@dataclass(frozen=True)
class FileWords:
    """Words in the names of files that do not say what is in them.

    Attributes:
        months: they say when, as digits do.
        parts: they say how it was written.
    """

    months: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()


def known_file_words(path: Path) -> FileWords:
    """The words in file names that say when or how, and not what."""
    return FileWords(**{name: frozenset(words) for name, words in read_yaml(path).items()})


def name_words(name: str, noise: FileWords) -> tuple[str, ...]:
    """The words of a file's or folder's name that say what is in it: no numbers, dates, versions, and none of `noise`."""
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
    """The sources that the files make up, by name, and the files for which no pattern was found, with the reason.

    Args:
        files: all that can be read.
        noise: words of file names that say nothing of the content.
        taken: names that sources have already.
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
            why = "no pattern fits it and not the files of another kind: give it another name, or a folder of its own"
            left_over += [(file, why) for file in own]
            continue
        how = _written(cluster).model_copy(update={"path": path})
        groups.append(Group(name, how, tuple(sorted(cluster, key=lambda f: (f.modified_at, f.name)))))
    return [_with_duplicates(group, groups) for group in groups], left_over


def pattern_of(names: Sequence[str], others: Sequence[str], noise: FileWords = FileWords()) -> str | None:
    """The most general pattern that fits all the names and none of the others; null: there is none."""
    for candidate in _candidates(names, noise):
        fits = glob_pattern(candidate).fullmatch
        if all(map(fits, names)) and not any(map(fits, others)):
            return candidate
    return None


def _key(file: SeenFile, noise: FileWords) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of the folders, and of the name; of a name without words the innermost folder's stand for it."""
    path = PurePosixPath(file.name)
    folders = [words for part in path.parent.parts if (words := name_words(part, noise))]
    own = name_words(_split(path.name)[0], noise)
    if not own and folders:
        own = folders.pop()
    return tuple(word for words in folders for word in words), own


def _called_alike(files: Iterable[SeenFile], noise: FileWords) -> list[list[SeenFile]]:
    """Files whose names say the same; of folders one may lie within the other's."""
    found: dict[tuple[object, ...], dict[tuple[str, ...], list[SeenFile]]] = {}
    for file in sorted(files, key=lambda f: (f.modified_at, f.name), reverse=True):
        folders, own = _key(file, noise)
        places = found.setdefault((own, file.how.format, file.how.options.delimiter), {})
        places.setdefault(folders, []).append(file)
    return [together for places in found.values() for together in _within(places)]


def _within(places: dict[tuple[str, ...], list[SeenFile]]) -> list[list[SeenFile]]:
    roots: dict[tuple[str, ...], list[SeenFile]] = {}
    for folders in sorted(places):
        root = next((r for r in roots if folders[: len(r)] == r), folders)
        roots.setdefault(root, []).extend(places[folders])
    return list(roots.values())


def _with_like_columns(files: list[SeenFile]) -> Iterator[list[SeenFile]]:
    """The files, newest first, beside the first whose columns are much the same, and whose encoding is no other."""
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
    """The cluster; where no pattern tells it from the other files, its parts that are called in one way."""
    names = [file.name for file in cluster]
    if pattern_of(names, sorted({*every} - {*names}), noise):
        return [cluster]
    parts: dict[tuple[str, str], list[SeenFile]] = {}
    for file in cluster:
        stem, ending = _split(PurePosixPath(file.name).name)
        parts.setdefault((_starred(stem, noise), ending), []).append(file)
    return list(parts.values())


def _written(cluster: Sequence[SeenFile]) -> Files:
    """How the group is written: as the file says that uses more than ASCII, if one does."""
    return next((file.how for file in cluster if not file.is_ascii), cluster[0].how)


def _named(keys: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], taken: Collection[str]) -> list[str]:
    """A name for each: the file's words, the folder's before them where those alone are not one's own, else a number."""
    short, long = [_name(own) for _, own in keys], [_name((*folders, *own)) for folders, own in keys]
    names: list[str] = []
    for brief, whole in zip(short, long):
        name = brief if short.count(brief) == 1 and brief not in taken else whole
        baselines, number = {*names, *taken}, 2
        numbered = name
        while numbered in baselines:
            numbered, number = f"{name}_{number}", number + 1
        names.append(numbered)
    return names


def _name(words: Sequence[str]) -> str:
    text = "_".join(filter(None, (re.sub(r"[^a-z0-9]", "", word) for word in words)))[:40].strip("_")
    return text if re.match("[a-z]", text) else f"source_{text}".rstrip("_")


def _with_duplicates(group: Group, groups: Sequence[Group]) -> Group:
    columns = set(group.typical.columns)
    twins = tuple(g.name for g in groups if g is not group and set(g.typical.columns) == columns)
    return Group(group.name, group.how, group.files, twins)


def _split(base: str) -> tuple[str, str]:
    """A file's name, and its ending with that of its compression."""
    ending = match.group() if (match := _ENDING.search(base)) else ""
    return base[: len(base) - len(ending)], ending


def _candidates(names: Sequence[str], noise: FileWords) -> Iterator[str]:
    """Patterns, the most general first."""
    split = [_split(PurePosixPath(name).name) for name in names]
    endings = {ending for _, ending in split}
    ending = endings.pop() if len(endings) == 1 else _common(endings) + "*"
    shapes = {_starred(stem, noise) for stem, _ in split}
    shape = shapes.pop() if len(shapes) == 1 else _common(shapes).split("*")[0] + "*"
    dotted = {re.sub(r"\d", "?", _safe(stem)) for stem, _ in split}
    bases = [shape if shape.endswith("*") else f"{shape}*", shape, *(dotted if len(dotted) == 1 else ())]
    is_nameless = not any(name_words(stem, noise) for stem, _ in split)
    folders = list(_folders(names, noise))
    # A name that says nothing, as part-0001, is known by its folder alone.
    order = [*folders, ""] if is_nameless and folders else ["", *folders]
    for folder in order:
        yield from (f"{folder}**/{base}{ending}" for base in dict.fromkeys(bases))
    yield from (f"{base}{ending}" for base in dict.fromkeys(bases))
    if len(names) == 1:
        yield _safe(names[0])


def _starred(stem: str, noise: FileWords) -> str:
    """A `*` for each number, date and month."""
    text = _NUMBERS.sub("*", _IN_NO_PATTERN.sub("*", stem))
    text = re.sub(r"[^\W\d_]+", lambda word: "*" if word.group().casefold() in noise.months else word.group(), text)
    return re.sub(rf"\*(?:{_AROUND}[A-Za-z]?\*)+", "*", text)


def _common(texts: Iterable[str]) -> str:
    """What all begin with."""
    return "".join(_shared(texts))


def _shared(sequences: Iterable[Sequence[str]]) -> list[str]:
    together = takewhile(lambda items: len(set(items)) == 1, zip(*sequences))
    return [items[0] for items in together]


def _safe(name: str) -> str:
    return _IN_NO_PATTERN.sub("?", name)


def _folders(names: Sequence[str], noise: FileWords) -> Iterator[str]:
    """The innermost folder that all lie in and whose name says something, wherever it is; then the way to it."""
    parts = [PurePosixPath(name).parent.parts for name in names]
    common = [part for part in parts[0] if all(part in others for others in parts) and name_words(part, noise)]
    if common:
        yield f"**/{_starred(common[-1], noise)}/"
    shared = _shared(parts)
    if shared:
        yield "".join(f"{_safe(part)}/" for part in shared)
