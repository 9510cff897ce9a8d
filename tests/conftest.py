"""One JVM per test process; everything else is made anew for each test.

`make test` runs two processes (pytest-xdist), each with one Spark thread. Tests that share an expensive fixture run in
the same process: all tests of a module, and all tests of the generated company.
"""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests/support
sys.path.append(str(Path(__file__).parent.parent / "deploy"))

ROOT = Path(__file__).resolve().parent.parent
IS_PARALLEL = "PYTEST_XDIST_WORKER" in os.environ
if IS_PARALLEL:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch and BLAS would take all cores in each process


@pytest.fixture
def project_log(caplog):
    """What the project logs during the test; libraries may remove the handlers of the root logger, raise the level of loggers, or
    disable those that exist when they configure their own."""
    import logging

    from crm_spark.core.log import LOGGER_NAME, get_logger

    caplog.set_level(logging.INFO, logger=LOGGER_NAME)
    get_logger().disabled = False
    get_logger().addHandler(caplog.handler)
    yield caplog
    get_logger().removeHandler(caplog.handler)


@pytest.fixture(scope="session")
def spark():
    """A failed task is retried, as on a cluster (`,4`). No UI."""
    from crm_spark.core.session import SessionConfig, build_session

    config = SessionConfig(
        master="local[1,4]" if IS_PARALLEL else "local[2,4]",
        driver_memory="2g",
        shuffle_partitions=2,
        java_options="-XX:+UseSerialGC -Xmn600m -XX:ReservedCodeCacheSize=256m",
        # Adaptive execution pays off on large tables; tests/e2e/test_production_session.py runs with it.
        settings={"spark.sql.adaptive.enabled": "false"},
    )
    session = build_session(config, app_name="tests")
    yield session
    session.stop()


@pytest.fixture(autouse=True)
def nothing_stays_cached(request):
    """A frame one test cached is compared with every plan of all later ones."""
    yield
    if "spark" in request.fixturenames:
        request.getfixturevalue("spark").catalog.clearCache()


@pytest.fixture(autouse=True, scope="module")
def no_table_stays_known():
    """Delta keeps the state of every table it has seen for an hour, and tests make hundreds."""
    yield
    if "pyspark.sql" in sys.modules and (active := sys.modules["pyspark.sql"].SparkSession.getActiveSession()):
        active._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


@pytest.fixture
def store(spark, tmp_path):
    """An empty lake."""
    from crm_spark.core.tables import TableStore

    return TableStore(spark, str(tmp_path / "lake"))


@pytest.fixture
def make_context(spark, tmp_path):
    """A context for a stage on an empty lake; the settings are those of conf/local.yaml with overrides."""
    from support.lake import lake_context

    def make(*overrides: str, **changes):
        return lake_context(spark, tmp_path / "lake", *overrides, **changes)

    return make


@pytest.fixture(scope="session")
def generated(spark, tmp_path_factory):
    """A generated company of 1,000 customers after one whole refresh: what the tests of whole runs look at."""
    from support.refreshed import refreshed_company

    return refreshed_company(spark, tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="session")
def cleaned_company(spark, tmp_path_factory):
    """Directory of the hand-made company with its lake after ingest and clean; tests that change it copy it."""
    from dataclasses import replace

    from support.company import lay_out
    from support.lake import lake_context

    from crm_spark.settings import load_settings
    from crm_spark.stages.clean import stage as clean
    from crm_spark.stages.ingest import stage as ingest

    root = tmp_path_factory.mktemp("cleaned")
    ctx = lake_context(spark, root / "lake", fingerprint="1" * 64)
    ctx = replace(ctx, settings=load_settings(lay_out(root), []))
    ingest.run(ctx)
    clean.run(ctx)
    return root


def _chromium() -> str | None:
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a real Chromium."""
    path = _chromium()
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt install chromium)")
    return path


def pytest_collection_modifyitems(items):
    """Mark tests by folder."""
    for item in items:
        folder = Path(item.fspath).relative_to(ROOT / "tests").parts[0]
        if folder in ("spark", "torch", "e2e", "browser", "faults"):
            item.add_marker(getattr(pytest.mark, folder))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """One process per file, and one for all files that use the generated company."""
    from xdist.scheduler import LoadScopeScheduling

    class ByExpensiveFixture(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            path = nodeid.split("::")[0]
            uses_company = re.search(r"def \w+\([^)]*\bgenerated\b", (ROOT / path).read_text())
            return "generated" if uses_company else path

    return ByExpensiveFixture(config, log)


def pytest_make_parametrize_id(val, argname):
    """Bytes have no place in a test's name: archives contain times, and both processes must collect the same names."""
    return argname if isinstance(val, bytes) else None
