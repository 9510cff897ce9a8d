"""Which run was a stage's last does not hang on a clock that goes on evenly."""

from datetime import timedelta

from support.company import lay_out

from crm_spark import pipeline
from crm_spark.contracts.ops import RUN
from crm_spark.core.context import utc_now
from crm_spark.core.tables import TableStore
from crm_spark.pipeline import ledger
from crm_spark.settings import load_settings


def test_clock_set_back_two_hours_does_not_make_an_older_run_the_last(spark, tmp_path, monkeypatch):
    conf = lay_out(tmp_path)

    def cleaned(fraction, *, hours):
        monkeypatch.setattr(ledger, "utc_now", lambda: utc_now() + timedelta(hours=hours))
        settings = load_settings(conf, [f"clean.max_quarantined_fraction={fraction}"])
        refresh = pipeline.Pipeline(settings, lake=str(tmp_path / "lake"))
        return refresh.run(pipeline.STAGES[:2])["clean"].status, refresh.tables

    assert cleaned(0.9, hours=0)[0] == "done"
    assert cleaned(0.8, hours=-2)[0] == "done"
    status, tables = cleaned(0.9, hours=-2)
    assert status == "done", "the run before was made with other settings"
    assert cleaned(0.9, hours=-2)[0] == "up_to_date"
    ended = [row["ended_at"] for row in tables.read(RUN).where("stage = 'clean'").collect()]
    assert len(set(ended)) == 3


def test_next_run_records_a_run_that_ended_before_its_row_was_written(spark, tmp_path, monkeypatch):
    conf, lake = lay_out(tmp_path), str(tmp_path / "lake")

    def ingested():
        result = pipeline.Pipeline(load_settings(conf, []), lake=lake).run(pipeline.STAGES[:1])["ingest"]
        return result.status

    with monkeypatch.context() as patch:
        patch.setattr(ledger.Ledger, "record", lambda *_: None)
        assert ingested() == "done"
    assert ingested() == "no_new_input"
    rows = TableStore(spark, lake).read(RUN).select("stage", "status", "num_rows").collect()
    assert [tuple(row) for row in rows] == [("ingest", "done", 0)]
    assert ingested() == "up_to_date"
