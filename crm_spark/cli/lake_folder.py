"""The models of a lake for commands that work without Spark."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crm_spark.core.uris import is_remote


@contextmanager
def lake_folder(lake: str) -> Iterator[Path]:
    """Yield the lake's directory; of a lake at a URI, a folder with a copy of its files, in which changes are written back."""
    if not is_remote(lake):
        yield Path(lake)
        return
    from crm_spark.core.files import LakeFiles
    from crm_spark.core.session import SessionConfig, build_session

    spark = build_session(SessionConfig(master="local[1]", driver_memory="1g"), app_name="crm_spark files")
    files = LakeFiles(spark, lake, is_reading=True)
    files.fetch()
    yield files.folder.parent
    files.publish()
