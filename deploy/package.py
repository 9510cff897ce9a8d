"""What `spark-submit` needs besides Java and the Python packages: `build/package/crm_spark.zip` and the JARs.

Also the list of those packages and the multilingual encoder, from which an image is built.
"""

import shutil
import sysconfig
import zipfile
from pathlib import Path

from install import ENCODER, jar_paths
from pack_environment import write_lock

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "package"
_TIME = (1980, 1, 1, 0, 0, 0)
"""Time of every entry: equal code gives an equal archive."""


def main() -> None:
    """Write the archive and copy the JARs."""
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "jars").mkdir(parents=True)
    write_archive(OUT / "crm_spark.zip")
    for jar in jar_paths():
        shutil.copy2(jar, OUT / "jars")
    shutil.copytree(Path(sysconfig.get_path("purelib")) / ENCODER, OUT / ENCODER)
    write_lock(OUT)
    print(f"{OUT.relative_to(ROOT)}: crm_spark.zip, an encoder and {len(list((OUT / 'jars').iterdir()))} JARs")


def write_archive(target: Path) -> None:
    """Write the package with its data files, without compiled code."""
    files = [path for path in sorted((ROOT / "crm_spark").rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(ROOT).as_posix(), _TIME)
            archive.writestr(entry, path.read_bytes(), compress_type=zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
