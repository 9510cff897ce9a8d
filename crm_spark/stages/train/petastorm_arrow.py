"""Compatibility layer: run the unmodified petastorm 0.13.1 on pyarrow >= 18 and numpy >= 2.

Import this module once per process, before petastorm::

    from crm_spark.stages.train import petastorm_arrow  # noqa: F401
    from petastorm import make_batch_reader

petastorm 0.13.1 uses names that pyarrow and numpy have removed: the legacy local file system, the legacy
``ParquetDataset`` (``pieces``, ``partitions``, ``common_metadata``), ``ParquetDatasetPiece`` and some numpy aliases.
This module puts replacements into petastorm's own modules.  ``pyarrow`` and ``numpy`` themselves stay as they are,
except that two stub modules and one attribute exist while petastorm is being imported.

Any fsspec or ``pyarrow.fs`` file system can be passed to petastorm as ``filesystem=``; hdfs:// URLs do not work.
"""

import contextlib
import importlib
import pickle
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from urllib.parse import unquote

import fsspec.implementations.local
import numpy
import pyarrow
from fsspec.implementations.arrow import ArrowFSWrapper
from pyarrow import fs as pyarrow_fs
from pyarrow import parquet
from pyarrow.parquet import read_metadata  # petastorm finds it here as ``pq.read_metadata``

SUPPORTED_PETASTORM = "0.13.1"


# --- what pyarrow removed ---------------------------------------------------------------------------------
class LocalFileSystem(fsspec.implementations.local.LocalFileSystem):
    """fsspec's local file system with native Arrow files, so that reading does not hold the GIL."""

    def open(self, path, mode="rb", **kwargs):
        """A native Arrow file for plain reading and writing."""
        if mode in ("rb", "wb"):
            return pyarrow.OSFile(self._strip_protocol(path), mode)
        return super().open(path, mode, **kwargs)


localfs = LocalFileSystem()  # petastorm finds it here as ``pyarrow.localfs``


class ParquetDatasetPiece:
    """A Parquet file, or one row group of it, and the hive partition values of its directory."""

    def __init__(self, path, open_file_func, row_group=None, partition_keys=()):
        self.path = path
        self.open_file_func = open_file_func
        self.row_group = row_group
        self.partition_keys = list(partition_keys)  # (partition name, position in the values of that level)

    def get_metadata(self):
        """The file's footer."""
        with self.open_file_func(self.path) as source:
            return read_metadata(source)

    def read(self, columns, partitions):
        """The row group as a table, partition columns behind."""
        with self.open_file_func(self.path) as source:
            table = parquet.ParquetFile(source).read_row_group(self.row_group, columns=sorted(columns))
        for level, (name, position) in enumerate(self.partition_keys):
            value = partitions[level].dictionary[position]
            table = table.append_column(name, pyarrow.repeat(value, table.num_rows))
        return table


class _PartitionLevel:
    """The values of one hive partition column, sorted."""

    def __init__(self, name, values):
        self.name = name
        self.keys = sorted(values)
        try:
            self.dictionary = pyarrow.array([int(key) for key in self.keys], pyarrow.int64())
        except ValueError:
            self.dictionary = pyarrow.array(self.keys, pyarrow.string())


class _Partitions(list):
    @property
    def partition_names(self):
        return {level.name for level in self}


class ParquetDataset:
    """The part of the legacy ``pyarrow.parquet.ParquetDataset`` that petastorm uses.

    Lists the files and reads ``_metadata`` and ``_common_metadata``; no data file is opened.
    """

    def __init__(self, path_or_paths, filesystem=None, filters=None, validate_schema=False, metadata_nthreads=1):
        fs = filesystem or localfs
        self.fs = ArrowFSWrapper(fs) if isinstance(fs, pyarrow_fs.FileSystem) else fs
        self.fs.invalidate_cache()
        self.paths = path_or_paths
        self.metadata = self.metadata_path = self.common_metadata = self.common_metadata_path = None
        if isinstance(path_or_paths, str) and self.fs.isdir(path_or_paths):
            files = self._list_directory(path_or_paths)
        else:  # a file or a list of files has neither partitions nor metadata files
            files = [(path, []) for path in ([path_or_paths] if isinstance(path_or_paths, str) else path_or_paths)]
            for path, _ in files:
                if not self.fs.isfile(path):
                    raise FileNotFoundError(f"no such Parquet file or directory: {path}")
        names = [name for name, _ in files[0][1]] if files else []
        if any([name for name, _ in keys] != names for _, keys in files):
            raise ValueError(f"the files of {self.paths} do not have the same partition columns")
        self.partitions = _Partitions(
            _PartitionLevel(name, {keys[level][1] for _, keys in files}) for level, name in enumerate(names)
        )
        self.pieces = [
            ParquetDatasetPiece(
                path,
                self.fs.open,
                None,
                [(level.name, level.keys.index(value)) for level, (_, value) in zip(self.partitions, keys)],
            )
            for path, keys in files
        ]
        if filters is not None:
            self.pieces = self._filter(filters)

    def _list_directory(self, directory):
        base = self.fs._strip_protocol(directory).rstrip("/")
        files = []
        for path in sorted(self.fs.find(base)):
            *parents, name = path[len(base) :].strip("/").split("/")
            if name in ("_metadata", "_common_metadata") and not parents:
                with self.fs.open(path) as source:
                    setattr(self, name[1:], read_metadata(source))
                setattr(self, name[1:] + "_path", path)
            if name.startswith(("_", ".")) or name.endswith((".crc", "_$folder$")):
                continue
            if any(part.startswith(("_", ".")) and "=" not in part for part in parents):
                continue
            if not all("=" in part for part in parents):
                raise ValueError(f"{path} is in a directory that is not named column=value")
            files.append((path, [tuple(unquote(text) for text in part.split("=", 1)) for part in parents]))
        if self.common_metadata is None:
            self.common_metadata, self.common_metadata_path = self.metadata, self.metadata_path
        return files

    def _filter(self, filters):
        """The pieces whose partition values match; filters on other columns are an error."""
        columns = {"": list(range(len(self.pieces)))}
        for level, partition in enumerate(self.partitions):
            positions = [piece.partition_keys[level][1] for piece in self.pieces]
            columns[partition.name] = partition.dictionary.take(pyarrow.array(positions, pyarrow.int64()))
        matching = pyarrow.table(columns).filter(parquet.filters_to_expression(filters))
        return [self.pieces[index] for index in matching[""].to_pylist()]


def ParquetFile(source):
    """The workers open every row group's file one time more than they need: do not read its footer again."""
    source.close()


# --- what numpy removed -----------------------------------------------------------------------------------
class _Numpy:
    unicode_ = numpy.str_
    string_ = numpy.bytes_
    float = float
    in1d = staticmethod(numpy.isin)

    def __getattr__(self, name):
        return getattr(numpy, name)


# --- installation -----------------------------------------------------------------------------------------
@contextlib.contextmanager
def _stubs_for_import() -> Iterator[None]:
    stubs: dict[str, dict[str, Any]] = {
        "pyarrow.filesystem": {"LocalFileSystem": LocalFileSystem},
        "pyarrow.hdfs": {"HadoopFileSystem": type("HadoopFileSystem", (), {})},
    }
    for name, members in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(members)
    pyarrow.LocalFileSystem = LocalFileSystem
    try:
        yield
    finally:
        del pyarrow.LocalFileSystem
        for name in stubs:
            del sys.modules[name]


class _Subprocess:
    """For the process pool: a worker process has to import this module before it imports petastorm."""

    @staticmethod
    def Popen(args, executable):
        _, _, entry_point, argument = args
        code = f"import runpy, {__name__}; runpy.run_module({entry_point!r}, run_name='__main__')"
        return subprocess.Popen([executable, "-c", code, argument])


_SELF = sys.modules[__name__]
_PATCHES = {  # module of petastorm: names in it that are replaced
    "fs_utils": {"pyarrow": _SELF},
    "reader": {"pq": _SELF},
    "arrow_reader_worker": {"pq": _SELF, "np": _Numpy(), "ParquetFile": ParquetFile},
    "py_dict_reader_worker": {"pq": _SELF, "ParquetFile": ParquetFile},
    "etl.dataset_metadata": {"pq": _SELF},
    "etl.rowgroup_indexing": {"pq": _SELF},
    "unischema": {"np": _Numpy()},
    "predicates": {"np": _Numpy()},
    "weighted_sampling_reader": {"np": _Numpy()},
    "workers_pool.exec_in_new_process": {"subprocess": _Subprocess},
}
_SPARK_PATCHES = {"etl.petastorm_generate_metadata": {"pq": _SELF}, "spark.spark_dataset_converter": {}}


def _import_and_patch(patches):
    with _stubs_for_import():
        for name, replacements in patches.items():
            module = importlib.import_module("petastorm." + name)
            for attribute, value in replacements.items():
                getattr(module, attribute)  # fails loudly if petastorm is not what this module was written for
                setattr(module, attribute, value)


def enable_spark_tools():
    """Makes ``petastorm.spark`` and ``petastorm.etl.petastorm_generate_metadata`` (which import pyspark) work."""
    _import_and_patch(_SPARK_PATCHES)


def _in_order(current_worker_done):
    """Repairs a race in petastorm's thread pool.

    The pool takes a worker without outstanding work for finished even if the ventilator thread has not handed out all
    row groups yet.  It then skips that worker, so that a fixed seed gives no fixed order; or, if the ventilator
    finishes at that moment, it ends the epoch early: rows are missing, without any error.  A worker is finished only
    if everything had been handed out before its outstanding work was counted.
    """

    def current_worker_done_in_order(pool, worker_id):
        handed_out = pool._ventilator is None or pool._ventilator.completed()
        return handed_out and current_worker_done(pool, worker_id)

    return current_worker_done_in_order


_PICKLED_NAMES = {
    "builtins": {"set"},
    "collections": {"OrderedDict", "defaultdict"},
    "decimal": {"Decimal"},
    "numpy": {"dtype", "ndarray"}
    | {
        name
        for name in dir(numpy)
        if isinstance(getattr(numpy, name), type) and issubclass(getattr(numpy, name), numpy.generic)
    },
    "numpy.core.multiarray": {"scalar", "_reconstruct"},
    "numpy._core.multiarray": {"scalar", "_reconstruct"},
    "petastorm.codecs": {"ScalarCodec", "NdarrayCodec", "CompressedNdarrayCodec", "CompressedImageCodec"},
    "petastorm.etl.rowgroup_indexers": {"SingleFieldIndexer", "FieldNotNullIndexer"},
    "petastorm.unischema": {"Unischema", "UnischemaField"},
}


def _find_class(unpickler, module, name):
    """The names that a Unischema or a row group index in ``_common_metadata`` needs, and no others.

    petastorm's own list admits whole packages, ``builtins.eval`` among them: opening a data set could run code.
    """
    if name in _PICKLED_NAMES.get(module, ()) or (module == "pyspark.sql.types" and re.fullmatch(r"\w+Type", name)):
        return pickle.Unpickler.find_class(unpickler, module, name)
    raise pickle.UnpicklingError(f"{module}.{name} is not allowed in _common_metadata")


if version("petastorm") != SUPPORTED_PETASTORM:
    raise ImportError("petastorm_arrow is for petastorm {}, not {}".format(SUPPORTED_PETASTORM, version("petastorm")))
_import_and_patch(_PATCHES)
_thread_pool = importlib.import_module("petastorm.workers_pool.thread_pool").ThreadPool
_thread_pool.current_worker_done = _in_order(_thread_pool.current_worker_done)
importlib.import_module("petastorm.etl.legacy").RestrictedUnpickler.find_class = _find_class
