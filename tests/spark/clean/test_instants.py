"""Dates and times as exports, logs and spreadsheets write them."""

from datetime import date, datetime

from crm_spark.stages.clean.mapping import CompanyDefaults

BERLIN, NEW_YORK = "time_zone: Europe/Berlin", "time_zone: America/New_York"
EIGHT = datetime(2024, 7, 1, 8)


def test_time_with_zone_is_converted_once(read):
    cells = [
        "2024-07-01T08:00:00Z", "2024-07-01 08:00:00z", "2024-07-01 10:00:00+02", "2024-07-01 10:00:00+0200",
        "2024-07-01 10:00:00 +02:00", "2024-07-01T10:00+2:00", "2024-07-01 03:30:00.000-04:30", "2024-07-01 13:30:00 UTC+5:30",
        "2024-07-01 10:00:00 Europe/Berlin", "2024-07-01T10:00:00+02:00[Europe/Berlin]", "2024-07-01T10:00:00[Europe/Berlin]",
        "2024-07-01 08:00:00 UTC", "2024-07-01 08:00:00 GMT", "2024-07-01 01:00:00 PDT", "2024-07-01 10:00:00 CEST",
        "20240701T080000Z", "2024-07-01 17:00 JST", "2024-07-01 04:00:00 America/New_York", "2024-07-01 10:00:00",
        "2024-07-01T08:00:00,000Z", "2024-07-01 10:00:00−02:00", "2024-07-01 10:00:00 Mars/Olympus", "2024-07-01 10:00:00 +99:00",
    ]  # fmt: skip
    assert read("order", "ordered_at", "c", cells, BERLIN) == {
        **dict.fromkeys(cells, EIGHT),
        "2024-07-01 10:00:00−02:00": datetime(2024, 7, 1, 12),
        "2024-07-01 10:00:00 Mars/Olympus": "bad_date",
        "2024-07-01 10:00:00 +99:00": "bad_date",
    }


def test_zone_is_read_with_every_pattern(read):
    mapping = (
        "{from: c, formats: ['EEE MMM dd yyyy HH:mm:ss', 'EEE MMM d HH:mm:ss zzz yyyy', 'dd/MM/yyyy HH:mm:ss XXX',"
        " \"yyyy/MM/dd'T'HH:mm:ss'Z'\", 'MM-dd-yyyy h:mm a z', 'dd.MM.yyyy HH:mm', 'yyyyMMddHHmmssX']}"
    )
    cells = [
        "Mon Jul 01 2024 10:00:00 GMT+0200 (Central European Summer Time)", "Mon Jul  1 10:00:00 CEST 2024",
        "Mon Jul 01 08:00:00 +0000 2024", "01/07/2024 10:00:00 +02:00", "2024/07/01T08:00:00Z", "07-01-2024 4:00 AM EDT",
        "01.07.2024 10:00", "01.07.2024 08:00 UTC", "20240701100000+0200", "01/07/2024 10:00:00", "01-07-2024",
    ]  # fmt: skip
    assert read("order", "ordered_at", mapping, cells, BERLIN) == {
        **dict.fromkeys(cells, EIGHT),
        "01/07/2024 10:00:00": "bad_date",  # its pattern says that a zone is named
        "01-07-2024": "bad_date",  # -2024 is no offset
    }


def test_words_in_dates_are_read_in_ten_languages(read):
    mapping = (
        "{from: c, formats: ['EEEE, d. MMMM yyyy HH:mm', 'd. MMM yyyy HH:mm', \"d 'de' MMMM 'de' yyyy HH:mm\", 'd MMM yyyy HH:mm',"
        " 'MMM d, yyyy h:mm a', \"MMM. d, yyyy 'at' h:mma\", 'EEE d MMM yyyy HH:mm', \"d. MMM yyyy 'um' HH:mm 'Uhr'\", 'd-MMM-yyyy HH:mm']}"
    )
    cells = [
        "Sonntag, 3. März 2024 14:05", "3. Mär. 2024 14:05", "3 de marzo de 2024 14:05", "3 mars 2024 14:05", "3 marca 2024 14:05",
        "3 maart 2024 14:05", "Mar 3, 2024 2:05 PM", "Mar 3, 2024 2:05 p.m.", "Mar. 3, 2024 at 2:05pm", "dim. 3 mars 2024 14:05",
        "3. März 2024 um 14:05 Uhr", "3-MAR-2024 14:05", "3 março 2024 14:05", "3 marzo 2024 14:05", "3 Foo 2024 14:05",
        "Mar 3, 2024 14:05 PM",
    ]  # fmt: skip
    assert read("order", "ordered_at", mapping, cells) == {
        **dict.fromkeys(cells, datetime(2024, 3, 3, 14, 5)),
        "3 Foo 2024 14:05": "bad_date",
        "Mar 3, 2024 14:05 PM": "bad_date",
    }
    cells = ["5 août 2024", "5 sierpnia 2024", "5 Sept. 2024", "mar. 5 nov. 2024", "Sunday 3 déc. 2023", "30 fev 2024"]
    assert read("person", "birth_on", "{from: c, formats: [d MMM yyyy, EEE d MMM yyyy]}", cells) == {
        "5 août 2024": date(2024, 8, 5), "5 sierpnia 2024": date(2024, 8, 5), "5 Sept. 2024": date(2024, 9, 5),
        "mar. 5 nov. 2024": date(2024, 11, 5), "Sunday 3 déc. 2023": date(2023, 12, 3), "30 fev 2024": "bad_date",
    }  # fmt: skip


def test_iso_week_ordinal_and_basic_dates_are_read(read):
    cells = [
        "2023-W35-7", "2023W357", "2023-246", "20230903", "2023-09-03", "2023-09-03T00:00", "20230903T000000", "2020-W53-7",
        "2023-W53-1", "2023-366", "2024-366", "10:00", "T10:00", "2023-09-03T24:30",
    ]  # fmt: skip
    at = datetime(2023, 9, 3)
    assert read("order", "ordered_at", "c", cells) == {
        **dict.fromkeys(cells[:7], at), "2020-W53-7": datetime(2021, 1, 3), "2023-W53-1": "bad_date", "2023-366": "bad_date",
        "2024-366": datetime(2024, 12, 31), "10:00": "bad_date", "T10:00": "bad_date", "2023-09-03T24:30": "bad_date",
    }  # fmt: skip


def test_epochs_are_in_utc_whatever_the_zone(read):
    formats = "epoch_seconds, epoch_milliseconds, epoch_microseconds, epoch_nanoseconds"
    cells = [
        "1693757112", "1693757112000", "1693757112000000", "1693757112000000000", "1.693757112E9", "1693757112.25", "-1", "x",
        "9999999999999999999999",
    ]  # fmt: skip
    at = datetime(2023, 9, 3, 16, 5, 12)
    assert read("order", "ordered_at", f"{{from: c, formats: [{formats}]}}", cells, BERLIN) == {
        **dict.fromkeys(cells[:5], at), "1693757112.25": at.replace(microsecond=250_000),
        "-1": datetime(1969, 12, 31, 23, 59, 59), "x": "bad_date", "9999999999999999999999": "bad_date",
    }  # fmt: skip


def test_formats_are_tried_in_order(read):
    day, epoch = datetime(2024, 7, 1), datetime(1970, 8, 23, 6, 25, 1)
    for formats, at in (
        ("yyyyMMdd, epoch_seconds", day),
        ("epoch_seconds, yyyyMMdd", epoch),
        ("epoch_seconds, iso", epoch),
    ):
        assert read("order", "ordered_at", f"{{from: c, formats: [{formats}]}}", ["20240701"]) == {"20240701": at}


def test_skipped_and_repeated_hours_get_a_note(notes):
    mapping = "{from: c, formats: [iso, yyyy/MM/dd HH:mm]}"
    cells = [
        "2024-03-10 01:59", "2024-03-10 02:30", "2024/03/10 02:30", "2024-03-10T02:30:00-05:00", "2024-11-03 01:30", "2024-11-03 02:00",
        "2024-11-03 01:30 EST", "2024-11-03",
    ]  # fmt: skip
    assert notes("order", "ordered_at", mapping, cells, NEW_YORK) == {
        "2024-03-10 01:59": (datetime(2024, 3, 10, 6, 59), None),
        "2024-03-10 02:30": (datetime(2024, 3, 10, 7, 30), "nonexistent_local_time"),
        "2024/03/10 02:30": (datetime(2024, 3, 10, 7, 30), "nonexistent_local_time"),
        "2024-03-10T02:30:00-05:00": (datetime(2024, 3, 10, 7, 30), None),
        "2024-11-03 01:30": (datetime(2024, 11, 3, 5, 30), "ambiguous_local_time"),
        "2024-11-03 02:00": (datetime(2024, 11, 3, 7), None),
        "2024-11-03 01:30 EST": (datetime(2024, 11, 3, 6, 30), None),
        "2024-11-03": (datetime(2024, 11, 3), None),  # a day of the company, whose zone is UTC here
    }
    assert notes("order", "ordered_at", mapping, ["2024-04-07 01:45"], "time_zone: Australia/Lord_Howe") == {
        "2024-04-07 01:45": (datetime(2024, 4, 6, 14, 45), "ambiguous_local_time")
    }


def test_date_of_birth_is_the_day_as_written(read):
    cells = [
        "1980-05-01", "1980-05-01T00:00:00+02:00", "1980-05-01T23:30:00-08:00", "1980-05-01T00:00:00Z", "1980-04-30T22:00:00Z",
        "1980-05-01 10:00",
    ]  # fmt: skip
    assert read("person", "birth_on", "c", cells, BERLIN) == dict.fromkeys(cells, date(1980, 5, 1))


def test_date_without_a_time_is_a_day_of_the_company(convert):
    mapping = "{from: c, formats: [iso, dd.MM.yyyy, yyyyMMddHHmmss]}"
    cells = ["2024-07-01", "01.07.2024", "2024-07-01 00:00", "2024-07-01 10:00", "20240701000000", "2024-07-01Z"]
    company = CompanyDefaults(time_zone="America/New_York")
    at = [
        row["ordered_at"][0]
        for row in convert("order", {"ordered_at": mapping}, [{"c": c} for c in cells], BERLIN, company=company)
    ]
    day, night = datetime(2024, 7, 1, 4), datetime(2024, 6, 30, 22)
    assert at == [day, day, night, EIGHT, night, datetime(2024, 7, 1)]
    without_own = convert("order", {"ordered_at": mapping}, [{"c": "2024-07-01 04:00"}], company=company)
    assert without_own[0]["ordered_at"][0] == EIGHT


def test_fraction_of_a_second_is_told_from_dots_in_the_date(read):
    formats = "dd.MM.yyyy HH:mm:ss.SSS, 'dd.MM.yyyy HH:mm:ss[,SSS]', yyyy-MM-dd-HH.mm.ss.SSSSSS, yyyyMMddHHmmss.SSS"
    cells = {
        "01.03.2025 10:00:00.123": 123_000, "01.03.2025 10:00:00,1234567": 123_456, "01.03.2025 10:00:00": 0,
        "2025-03-01-10.00.00.5": 500_000, "20250301100000.25": 250_000,
    }  # fmt: skip
    assert read("order", "ordered_at", f"{{from: c, formats: [{formats}]}}", list(cells)) == {
        cell: datetime(2025, 3, 1, 10, 0, 0, micros) for cell, micros in cells.items()
    }


def test_weekday_may_follow_the_date(read):
    mapping = "{from: c, formats: ['MMMM d, yyyy, EEEE', 'd MMM yyyy (EEE)']}"
    cells = ["March 3, 2025, Monday", "3 Mar 2025 (Mon)", "3. März 2025 (Mo)"]
    assert read("person", "birth_on", mapping, cells[:2]) == dict.fromkeys(cells[:2], date(2025, 3, 3))


def test_epoch_of_a_finer_unit_is_read_by_its_digits(read):
    at = datetime(2023, 9, 3, 16, 5, 12)
    cells = ["1693757112", "1693757112000", "1693757112000000", "1693757112000000000"]
    assert read("order", "ordered_at", "{from: c, formats: [epoch_seconds]}", cells) == dict.fromkeys(cells, at)
    compact = {"20230903160512": at, "1693757112": at}
    assert read("order", "ordered_at", "{from: c, formats: [epoch_seconds, yyyyMMddHHmmss]}", list(compact)) == compact


def test_epoch_of_a_date_is_a_day_of_the_source(read):
    cells = {"325980000000": date(1980, 5, 1), "325987200000": date(1980, 5, 1)}
    assert read("person", "birth_on", "{from: c, formats: [epoch_milliseconds]}", list(cells), BERLIN) == cells
