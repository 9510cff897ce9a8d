"""The tutorial docs/your-own-company.md: its commands run, and print the lines that the page shows."""

import io
import logging
import re
import shlex
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.refreshed import ROOT

from crm_spark.cli.app import run
from crm_spark.core.config import read_yaml
from crm_spark.core.log import get_logger

pytestmark = [pytest.mark.e2e, pytest.mark.spark]
PAGE = ROOT / "docs" / "your-own-company.md"
_BLOCK = re.compile(r'^```(?:console|diff title="(?P<file>[^"]+)")\n(?P<content>.*?)^```$', re.M | re.S)
_SHELL = ("mkdir", "cp", "cat")


@dataclass
class Command:
    """A command and the lines that the page shows of its output."""

    text: str
    expected: list[str] = field(default_factory=list)


@dataclass
class Edit:
    """Lines of a file and their replacement."""

    file: str
    before: str
    after: str


def steps():
    """Commands and edits of the page, in order."""
    actions = []
    for block in _BLOCK.finditer(PAGE.read_text()):
        lines = block["content"].splitlines()
        if block["file"]:
            before, after = ("".join(f"{line[1:]}\n" for line in lines if line[0] in signs) for signs in (" -", " +"))
            actions.append(Edit(block["file"], before, after))
            continue
        for line in lines:
            if line.startswith("$ "):
                actions.append(Command(line[2:]))
            elif line.strip() != "...":
                actions[-1].expected.append(line)
    return actions


def output_of(command):
    """What a command prints, with its log lines."""
    words = shlex.split(command)
    if words[0] in _SHELL:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert words[0] == ".venv/bin/python", command
    printed = io.StringIO()
    handler = logging.StreamHandler(printed)
    get_logger().addHandler(handler)
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            code = run(Path(words[1]).stem, words[2:])
    finally:
        get_logger().removeHandler(handler)
    assert code == 0, printed.getvalue()
    return printed.getvalue()


def pattern(line):
    """An expected line as a pattern: any time of day, any seconds, any spaces, and any text for `...`."""
    text = re.sub(r"^\d\d:\d\d:\d\d\s+", "", line)
    text = re.sub(r"\d+\.\d s\b", "<seconds> s", text)
    escaped = re.escape(text).replace(re.escape("<seconds>"), r"[\d.]+").replace(re.escape("..."), ".*")
    return re.compile(re.sub(r"(\\ )+", r"\\s+", escaped))


class Tutorial:
    """Runs the steps of the page up to a given one, each once."""

    def __init__(self):
        self.steps, self.num_done = steps(), 0

    def run_until(self, last):
        while self.num_done < last:
            step = self.steps[self.num_done]
            self.num_done += 1
            if isinstance(step, Edit):
                path = Path(step.file)
                content = path.read_text()
                assert content.count(step.before) == 1, f"{step.file}: {step.before!r}"
                path.write_text(content.replace(step.before, step.after))
                continue
            printed = output_of(step.text).splitlines()
            missing = [line for line in step.expected if not any(pattern(line).fullmatch(p) for p in printed)]
            assert missing == [], f"{step.text}\nprinted:\n" + "\n".join(printed)

    def position(self, text):
        """Index of the first step that runs this job."""
        return next(i for i, step in enumerate(self.steps) if isinstance(step, Command) and text in step.text)


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory, spark):
    root = tmp_path_factory.mktemp("tutorial")
    shutil.copytree(ROOT / "conf", root / "conf")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield Tutorial()


@pytest.mark.slow
def test_a_company_is_onboarded_ingested_and_cleaned(tutorial):
    tutorial.run_until(tutorial.position("jobs/refresh.py"))
    for folder in ("sources", "quality"):
        drafted = {path.name: path.read_text() for path in Path("build/tea_shop/conf", folder).glob("*.yaml")}
        shipped = {path.name: path.read_text() for path in Path("conf/examples/tea_shop", folder).glob("*.yaml")}
        assert drafted == shipped
    names = [
        read_yaml(Path(folder, "company.yaml"))["company"]["name"]
        for folder in ("build/tea_shop/conf", "conf/examples/tea_shop")
    ]
    assert names == ["Teehaus Lindenhof"] * 2


@pytest.mark.slow
def test_refresh_writes_the_report(tutorial):
    tutorial.run_until(len(tutorial.steps))
    assert "Teehaus Lindenhof" in Path("build/tea_shop/lake/files/report.html").read_text()


def test_expected_line_matches_any_time_but_no_other_count():
    line = "20:48:19  ingest     done           144 rows    36.0 s  3 files"
    assert pattern(line).fullmatch("ingest     done           144 rows     1.5 s  3 files")
    assert not pattern(line).fullmatch("ingest     done           145 rows     1.5 s  3 files")
    assert pattern("decide  done  34 rows  4.4 s  ...").fullmatch("decide  done  34 rows  9.1 s  8 actions")
