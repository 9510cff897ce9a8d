"""Unreadable files are reported by name, other sources are ingested, and no partial data is written."""

import sys
from pathlib import Path

import pytest
from support.company import lay_out
from support.jobs import unprivileged

KINDS = ("mode_000", "dangling_link", "folder")


def spoil(path: Path, kind: str) -> None:
    """Make the file unreadable."""
    path.unlink(missing_ok=True)
    if kind == "mode_000":
        path.write_text("x")
        path.chmod(0)
    elif kind == "dangling_link":
        path.symlink_to(path.parent / "nowhere")
    else:
        path.mkdir()


LOAD = """
import sys
from pathlib import Path
from crm_spark.sources.config import load_sources
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.quality.rules import load_rules
load = load_sources if sys.argv[1] == "sources" else load_rules
sys.exit(exit_code_of(lambda: load(Path(sys.argv[2])) and 0))
"""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["sources", "rules"])
def test_unreadable_configuration_is_named_and_stops_the_run(tmp_path, what, kind):
    path = tmp_path / "broken.yaml"
    spoil(path, kind)
    done = unprivileged(sys.executable, "-c", LOAD, what, str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}: cannot be read (") and done.stderr.count("\n") == 1


RUN = """
import sys
from crm_spark.cli.app import run as main
sys.exit(main("ingest", sys.argv[1:]))
"""


def test_unreadable_files_are_named_and_other_sources_are_ingested(spark, tmp_path):
    from crm_spark.contracts.bronze import bronze
    from crm_spark.contracts.ops import DELIVERY
    from crm_spark.core.tables import TableStore

    conf = lay_out(tmp_path)
    for kind in KINDS:
        spoil(tmp_path / "data" / "1" / f"orders-{kind}.csv", kind)
    spoil(tmp_path / "data" / "1" / "reviews-gone.csv", "dangling_link")
    lake = tmp_path / "lake"
    done = unprivileged(sys.executable, "-c", RUN, "--conf", str(conf), "--lake", str(lake))
    assert done.returncode == 0, done.stderr
    store = TableStore(spark, str(lake))
    statuses = {
        (r["file"], r["status"], r["reason"]) for r in store.read(DELIVERY).where("status <> 'planned'").collect()
    }
    assert statuses == {
        ("1/orders.csv", "ingested", None), ("1/reviews.csv", "ingested", None),
        ("1/orders-mode_000.csv", "rejected", "not_readable"), ("1/orders-dangling_link.csv", "rejected", "not_readable"),
        ("1/orders-folder.csv", "rejected", "not_readable"), ("1/reviews-gone.csv", "rejected", "not_readable"),
    }  # fmt: skip
    for kind in KINDS:
        assert f"orders: file 1/orders-{kind}.csv rejected: not_readable" in done.stderr
    assert (store.read(bronze("orders")).count(), store.read(bronze("reviews")).count()) == (12, 4)
