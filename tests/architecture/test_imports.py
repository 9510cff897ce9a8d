"""Who may import whom. An edge that is not listed here fails."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "crm_spark"
FILES = sorted(PACKAGE.rglob("*.py"))

_BELOW_STAGES = {"core", "contracts", "customers", "sources", "features", "quality", "governance", "text", "models"}
ALLOWED = {
    "core": {"core"},
    "contracts": {"core", "contracts"},
    "customers": {"core", "contracts", "customers"},
    "sources": {"core", "contracts", "sources"},
    "features": {"core", "contracts", "sources", "features"},
    "quality": {"core", "contracts", "quality"},
    "governance": {"core", "contracts", "governance"},
    "models": {"core", "contracts", "models", "text"},
    "text": {"core", "contracts", "customers", "governance", "models", "text"},
    "stages": {*_BELOW_STAGES, "stages"},
    "local_page": {"core", "local_page"},
    "onboarding": {"core", "contracts", "sources", "quality", "stages", "local_page", "onboarding"},
    "review": {"core", "contracts", "stages", "local_page", "review"},
    "world": {"core", "contracts", "world"},
    "maintenance": {"core", "contracts", "models", "text", "maintenance"},
    "telemetry": {"core", "contracts", "telemetry"},
    "settings": {"core", "customers", "maintenance", "stages", "telemetry"},
    "migrations": {"models", "core", "contracts", "migrations"},
    "pipeline": {"core", "contracts", "settings", "stages", "telemetry", "migrations", "pipeline"},
    # Commands combine packages: they may import any of them.
    "cli": {
        *_BELOW_STAGES,
        "stages",
        "onboarding",
        "local_page",
        "review",
        "settings",
        "pipeline",
        "world",
        "maintenance",
        "telemetry",
        "migrations",
        "cli",
    },
    "__init__": set(),
}
ONLY_IN = {
    "delta": {"core/tables/"},
    "splink": {"stages/resolve"},
    "petastorm": {"stages/train/petastorm_reader.py", "stages/train/petastorm_arrow.py"},
    "torch": {
        "text/model.py",
        "text/block_embedding.py",
        "text/cpu_layers.py",
        "text/attributions.py",
        "text/hardware.py",
        "stages/train",
        "stages/score/backends.py",
    },
    "xgboost": {"stages/predict"},
    "plotly": {"stages/report"},
    "openlineage": {"telemetry/lineage.py"},
    "prometheus_client": {"telemetry/prometheus.py"},
}


def running_nodes(tree):
    """Every node but those of `if TYPE_CHECKING:` blocks: names in annotations are no dependency."""
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING"):
            yield child
            yield from running_nodes(child)


def imported(path):
    """The dotted names a module imports, at its top or inside a function."""
    for node in running_nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def offences(path):
    place = path.relative_to(PACKAGE).as_posix()
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "crm_spark" and len(parts) > 1 and parts[1] not in ALLOWED[room(path)]:
            yield f"{place} imports {name}"
        if parts[:2] == ["crm_spark", "stages"] and room(path) == "stages" and parts[2] != place.split("/")[1]:
            yield f"{place} imports another stage: {name}"
        if parts[0] in ONLY_IN and not any(place.startswith(home) for home in ONLY_IN[parts[0]]):
            yield f"{place} imports {parts[0]}"
        in_training = place.startswith("stages/train/") and place != "stages/train/spark_tasks.py"
        if parts[0] == "pyspark" and in_training:
            yield f"{place} imports pyspark: training runs without a JVM"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path):
    assert list(offences(path)) == []


def test_forbidden_imports_are_reported(tmp_path, monkeypatch):
    bad = tmp_path / "stages" / "clean" / "x.py"
    bad.parent.mkdir(parents=True)
    bad.write_text("def f():\n    from crm_spark.stages.ingest import reader\n    import delta\n")
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    assert list(offences(bad)) == [
        "stages/clean/x.py imports another stage: crm_spark.stages.ingest",
        "stages/clean/x.py imports delta",
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "jobs").glob("*.py")), ids=lambda p: p.name)
def test_jobs_are_short(path):
    assert len(path.read_text().splitlines()) <= 30


def test_every_stage_has_a_job():
    from crm_spark.pipeline import ON_REQUEST, STAGES

    jobs = {path.stem for path in (ROOT / "jobs").glob("*.py")}
    assert {*STAGES, *ON_REQUEST} | {
        "refresh",
        "generate",
        "onboard",
        "preview",
        "export",
        "status",
        "maintain",
        "models",
        "explain",
        "review",
    } == jobs
