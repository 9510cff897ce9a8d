"""The documentation names what exists, and the generated reference is up to date."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from crm_spark.cli.app import app
from crm_spark.core import errors
from crm_spark.core.config import read_yaml
from crm_spark.quality.checks import CHECKS
from crm_spark.settings import Settings
from crm_spark.stages.decide.config import FACTS
from crm_spark.world.spec import WorldSpec

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
MADE_BY_A_USER = ("conf/examples/mine", "conf/company")
COMMANDS = typer.main.get_command(app).commands
OPTIONS_OF_OTHER_TOOLS = {
    *("--master", "--jars", "--py-files", "--driver-java-options", "--conf", "--nproc-per-node", "--nnodes"),
    *("--rdzv-backend", "--rdzv-endpoint", "--rdzv-id", "--deploy-mode", "--name", "--archives", "--num-executors"),
    *("--executor-cores", "--executor-memory", "--file", "--tag"),
}
"""Options of spark-submit, torchrun and docker."""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


@pytest.fixture(scope="module")
def reference():
    """deploy/generate_reference.py as a module."""
    spec = importlib.util.spec_from_file_location("generate_reference", ROOT / "deploy" / "generate_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def code_spans(text):
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


@every_page
def test_pages_are_short(page):
    assert len(page.read_text().splitlines()) <= (160 if page.name == "README.md" else 200)


def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    pytest.importorskip("material", reason="mkdocs-material is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "index.html").exists()


def test_the_generated_reference_is_up_to_date(reference):
    written = {path.name: path.read_text() for path in (DOCS / "reference").glob("*.md")}
    assert written == reference.pages(), "run .venv/bin/python deploy/generate_reference.py"


def test_every_rule_and_metric_has_a_description(reference):
    texts = reference.texts
    assert {rule[0] for rule in reference.rules_in_configuration()} == set(texts.RULE_CODES)
    assert set(reference.metrics_in_code()) == set(texts.METRICS)


def test_every_described_code_is_in_the_code(reference):
    texts = reference.texts
    constants = set()
    for path in (ROOT / "crm_spark" / "stages").rglob("*.py"):
        if "report" not in path.parts:
            nodes = ast.walk(ast.parse(path.read_text()))
            constants |= {
                node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    # bad_<column> is composed from the column's name.
    described = {*texts.FILE_CODES, *texts.ROW_CODES, *texts.DECISION_CODES}
    assert {code for code in described - constants if not code.startswith("bad_")} == set()


@every_page
def test_relative_links_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path = target.split("#")[0]
        if path and "://" not in path:
            assert (page.parent / path).exists(), target


@every_page
def test_named_files_exist(page):
    text = page.read_text()
    for job in set(re.findall(r"jobs/(\w+)\.py", text)) - {"NAME"}:
        assert (ROOT / "jobs" / f"{job}.py").exists(), job
    for path in re.findall(r"(?<![\w/.])((?:conf|crm_spark|deploy|tests|notebooks)/[\w/.-]*[\w/])", text):
        is_placeholder = "NAME" in path or path.startswith(MADE_BY_A_USER[0])
        assert is_placeholder or (ROOT / path).exists() or list(ROOT.glob(f"{path}*")), path


@every_page
def test_named_settings_exist(page):
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    for span in code_spans(page.read_text()):
        match = re.match(r"([a-z]+)\.([a-z_0-9]+)(?:[:=. ]|$)", span)
        fields = getattr(sections.get(match[1]), "model_fields", None) if match else None
        # `company.yaml` and `report.html` are files.
        if fields is not None and match[2] not in ("yaml", "py", "html"):
            assert match[2] in fields, span


@every_page
def test_overrides_in_commands_exist(page):
    for name, key in re.findall(r"--set (\w+)\.(\w+)=", page.read_text()):
        if name.lower() == "section":  # a placeholder
            continue
        section = Settings.model_fields[name].annotation
        assert key in section.model_fields, f"{name}.{key}"


@every_page
def test_named_options_exist(page):
    known = {option for command in COMMANDS.values() for param in command.params for option in param.opts}
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", page.read_text()))
    assert named <= known | OPTIONS_OF_OTHER_TOOLS


@every_page
def test_options_belong_to_their_command(page):
    joined = page.read_text().replace("\\\n", " ")
    for command, rest in re.findall(r"^[ $]*\.venv/bin/python jobs/(\w+)\.py([^\n`#]*)", joined, flags=re.M):
        known = {option for param in COMMANDS[command].params for option in param.opts}
        assert set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", rest)) <= known


@every_page
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    text = page.read_text()
    assert set(re.findall(r"(?:`|^ *)make ([a-z0-9-]+)", text, flags=re.M)) <= targets


def test_facts_of_the_strategy_are_listed():
    page = (DOCS / "contributing.md").read_text()
    assert all(f"`{fact}`" in page for fact in FACTS)


def test_yaml_examples_use_known_checks():
    for page in PAGES:
        assert set(re.findall(r"check: (\w+)", page.read_text())) <= set(CHECKS)


def test_the_quickstart_names_the_size_of_the_demo():
    assert WorldSpec.model_validate(read_yaml(ROOT / "conf" / "world.yaml")).customers == 2000
    assert "2,000 customers" in (DOCS / "quickstart.md").read_text()


def test_every_error_family_and_exit_code_is_explained():
    page, runbook = (DOCS / "errors.md").read_text(), (DOCS / "operator.md").read_text()
    families = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.CrmError)]
    assert len(families) >= 7
    for family in families:
        assert f"| `{family.__name__}` | {int(family.exit_code)} |" in page, family.__name__
    assert all(f"| {int(code)} |" in runbook for code in errors.ExitCode)


def test_messages_in_the_runbook_are_those_of_the_code():
    texts = []
    for path in (ROOT / "crm_spark").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "<value>" for part in node.values)
                texts.append("".join(parts))
    code = "\n".join(" ".join(text.split()) for text in texts)
    lines = (DOCS / "errors.md").read_text().split("## Error messages")[1].splitlines()
    unknown = []
    for message in (span for line in lines if line.startswith("| `") for span in code_spans(line.split("|")[1])):
        # Words in capitals and `...` stand for values.
        fragments = [part.strip(" :();=+?") for part in re.split(r"\.\.\.|\b[A-Z_]{1,10}\b", message)]
        unknown += [message for part in fragments if len(part) > 3 and part not in code]
    assert unknown == []


def test_commands_of_the_makefile_run_something():
    modules = set(re.findall(r"-m ((?:crm_spark|benchmarks)[\w.]*)", (ROOT / "Makefile").read_text()))
    assert "crm_spark.cli.app" in modules
    for module in modules:
        path = ROOT / module.replace(".", "/")
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        # Without this block Python imports the module, does nothing, and succeeds.
        assert '__name__ == "__main__"' in source.read_text(), module
