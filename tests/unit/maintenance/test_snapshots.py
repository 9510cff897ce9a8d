"""Which snapshots expire."""

from datetime import date, timedelta

from crm_spark.maintenance.lake_tables import expired


def test_of_old_snapshots_the_last_of_each_month_stays():
    days = [date(2025, 1, 30), date(2025, 1, 31), date(2025, 2, 1), date(2025, 2, 27), date(2025, 3, 31)]
    assert expired(days, keep_days=35) == [date(2025, 1, 30), date(2025, 2, 1)]


def test_a_snapshot_on_the_last_day_kept_stays():
    newest = date(2025, 3, 31)
    days = [newest - timedelta(days=n) for n in (0, 35, 36, 37)]
    # 24 February is kept as one of the last 35 days, and the ones before it are not the last of their month.
    assert expired(days, keep_days=35) == [date(2025, 2, 22), date(2025, 2, 23)]


def test_no_snapshot_no_expiry():
    assert expired([], keep_days=35) == []


def test_thinning_again_removes_nothing():
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(500)]
    kept = sorted(set(days) - set(expired(days, keep_days=100)))
    assert expired(kept, keep_days=100) == [] and len(kept) == 101 + 13
