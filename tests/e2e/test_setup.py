"""Set-up: what is missing is said in a sentence, and a finished set-up costs nothing."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.refreshed import ROOT

NEEDED = (
    "deploy",
    "crm_spark/core/java.py",
    "crm_spark/core/__init__.py",
    "crm_spark/__init__.py",
    "requirements.lock",
)


@pytest.fixture
def fresh(tmp_path):
    """The set-up's own files in an empty folder."""
    return copied(tmp_path / "fresh")


def copied(folder):
    for name in NEEDED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            shutil.copytree(source, target)
        elif source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return folder


def set_up(folder, **environment):
    command = [sys.executable, str(folder / "deploy" / "install.py")]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)


def sentences(result):
    return [line for line in result.stderr.splitlines() if line.startswith("setup: ") and not line.endswith("...")]


@pytest.mark.skipif(
    not (ROOT / ".setup" / "spark.done").exists(), reason="the packages were not installed by make setup"
)
def test_repeated_setup_returns_in_three_seconds():
    started = time.monotonic()
    result = subprocess.run(["sh", str(ROOT / "deploy" / "setup.sh")], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "") and time.monotonic() - started < 3


def test_missing_python_3_11_is_reported_in_one_sentence(tmp_path, fresh):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname"):
        os.symlink(shutil.which(name), tools / name)
    old = tools / "python3"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit 0\nexit 1\n")
    old.chmod(0o755)
    command = [shutil.which("sh"), str(fresh / "deploy" / "setup.sh")]
    result = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(tools)})
    assert result.returncode == 2 and "Python 3.11 is needed and Python 3.9.2 was found" in result.stderr


def test_missing_network_is_reported_in_one_sentence_and_a_rerun_resumes(fresh):
    unreachable = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for _ in range(2):
        result = set_up(fresh, **unreachable, PIP_NO_CACHE_DIR="1", PIP_CONFIG_FILE=os.devnull)
        assert result.returncode == 2, result.stderr
        assert len(sentences(result)) == 1 and "could not be fetched" in sentences(result)[0]
        assert "Traceback" not in result.stderr
    assert not (fresh / ".setup" / "environment.done").exists()


def test_small_disk_is_reported_in_one_sentence(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        result = set_up(copied(disk / "fresh"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert result.returncode == 2
    assert sentences(result) == ["setup: 0.0 GB are free and 10 GB are needed. Make room on this disk."]


def test_missing_java_is_reported_with_installation_commands():
    code = (
        "import crm_spark.core.java as java; java._USUAL_PLACES = ()\n"
        "try: java.find_java()\nexcept java.JavaNotFoundError as error: print(error)"
    )
    environment = {"PATH": "/nowhere", "JAVA_HOME": "/nowhere", "PYTHONPATH": str(ROOT)}
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout
    assert "apt install" in output and "dnf install" in output and "brew install" in output


def test_java_home_takes_precedence():
    from crm_spark.core.java import find_java

    home = find_java()
    code = "from crm_spark.core.java import find_java; print(find_java())"
    environment = {"PATH": os.environ["PATH"], "JAVA_HOME": home, "PYTHONPATH": str(ROOT)}
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout
    assert Path(output.strip()) == Path(home)
