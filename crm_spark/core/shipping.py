"""What executors need of the files of a lake at a URI, which the driver holds as a copy on its own machine.

The executors of a lake in a directory, and those of a session in local mode, see the driver's files; nothing is copied then.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from pyspark import SparkFiles

from crm_spark.core.context import JobContext
from crm_spark.core.hadoop_files import HadoopFolder
from crm_spark.core.uris import is_remote

_ARCHIVE = "archive:"


def sees_files(ctx: JobContext) -> bool:
    """Whether executors see the directory `ctx.files_root`."""
    return not is_remote(ctx.tables.root) or str(ctx.spark.sparkContext.master).startswith("local")


def shipped(ctx: JobContext, folder: Path) -> str:
    """Location of a folder for `located` in a Python worker; copied to the executors if they do not see it.

    Args:
        ctx: context of the stage.
        folder: below `ctx.files_root`; its name identifies its content.
    """
    if sees_files(ctx):
        return str(folder.resolve())
    context = ctx.spark.sparkContext
    if not any(name.endswith(f"#{folder.name}") for name in context.listArchives):
        with TemporaryDirectory() as scratch:
            archive = shutil.make_archive(str(Path(scratch) / folder.name), "zip", folder)
            target = Path(ctx.files_root).parent / Path(archive).name  # executors fetch it from here when they start
            used = {Path(urlsplit(name).path) for name in context.listArchives}
            for former in set(target.parent.glob("*.zip")) - used:  # of an earlier run
                former.unlink()
            shutil.move(archive, target)
        context.addArchive(f"{target}#{folder.name}")
    return f"{_ARCHIVE}{folder.name}"


def located(location: str) -> Path:
    """The folder that `shipped` gave the location of."""
    if location.startswith(_ARCHIVE):
        return Path(SparkFiles.get(location.removeprefix(_ARCHIVE)))
    return Path(location)


def located_by_process(location: str) -> Path:
    """As `located`, in a process that a Spark task has started: Spark unpacks archives in its working directory."""
    return Path(location.removeprefix(_ARCHIVE)).resolve()


@contextmanager
def visible(ctx: JobContext, paths: Iterable[str], name: str) -> Iterator[dict[str, str]]:
    """Yield for each path the one by which executors read it: files of the driver are copied into the lake for the block.

    Args:
        ctx: context of the stage.
        paths: files, below `ctx.files_root` or on storage that every node mounts.
        name: of the folder for copies.
    """
    listed = list(paths)
    own = [path for path in listed if Path(path).is_relative_to(ctx.files_root)]
    if not own or sees_files(ctx):
        yield {path: path for path in listed}
        return
    folder = HadoopFolder(ctx.spark, f"{ctx.tables.root}/_scratch/{name}")
    copies = {path: f"{number}{Path(path).suffix}" for number, path in enumerate(own)}
    try:
        for path, copy in copies.items():
            folder.upload(Path(path), copy)
        yield {path: f"{folder.uri}/{copies[path]}" if path in copies else path for path in listed}
    finally:
        folder.delete()


def save_by_executors(ctx: JobContext, save: Callable[[str], None], folder: Path) -> None:
    """Let executors write a folder below `ctx.files_root`; `save` gets the URI to write to."""
    if sees_files(ctx):
        save(folder.resolve().as_uri())
        return
    scratch = HadoopFolder(ctx.spark, f"{ctx.tables.root}/_scratch/saved")
    try:
        save(scratch.uri)
        for file in scratch.files():
            scratch.download(file.name, folder / file.name)
    finally:
        scratch.delete()


def uri_for_executors(ctx: JobContext, path: Path) -> str:
    """URI by which executors read a published file or folder below `ctx.files_root`."""
    if sees_files(ctx):
        return path.resolve().as_uri()
    return f"{ctx.tables.root}/files/{path.relative_to(ctx.files_root).as_posix()}"
