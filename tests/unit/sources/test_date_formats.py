"""Date formats that can never give a date are rejected when the configuration is read."""

import pytest

from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import load_source

SOURCE = """files: {{path: x.csv, format: csv}}
feeds:
  interaction:
    columns: {{interaction_id: id, happened_at: {{from: at, formats: ["{format}"]}}, kind: {{value: web}}}}
"""


def load(tmp_path, format):
    (tmp_path / "shop.yaml").write_text(SOURCE.format(format=format))
    return load_source(tmp_path / "shop.yaml")


@pytest.mark.parametrize(
    ("format", "problem"),
    [
        ("YYYY-MM-dd", "the year is y (yyyy)"), ("DD.MM.YYYY", "the year is y (yyyy)"), ("%Y-%m-%d", "write yyyy for %Y"),
        ("%d/%m/%y %H:%M", "write yyyy for %Y"), ("uuuu-MM-dd", "the year is y (yyyy)"), ("yyyy-mm-dd", "M is the month"),
        ("dd.MM.", "there is no year"), ("HH:mm:ss", "there is no year"), ("yyyy", "there is no month"),
        ("DD.MM.yyyy", "the day of the month is d"), ("yyyy-MM-ddTHH:mm:ss", "quotes: 'T'"),
        ("dd.MM.yyyy hh:mm", "needs a (AM or PM)"), ("yyyy-'W'ww-dd", "weeks cannot be read"), ("tt.MM.yyyy", "t is not a letter"),
        ("dd.MM.jjjj", "j is not a letter"), ("yyyy-MMMMM-dd", "M may be repeated 4 times"), ("ddd.MM.yyyy", "d may be repeated 2"),
        ("yyyy-MM-dd'T", "a quote is not closed"), ("yyyy-MM-dd]", "must enclose optional parts"),
        ("yyyy-MM-dd[ HH:mm", "must enclose optional parts"), ("yyyy#MM#dd", "must be put in quotes"), ("", "there is no year"),
        ("unix", "n is the fraction"), ("epoch", "e is the weekday"), ("yyyyMMddHHmmssV", "a time zone id is written VV"),
    ],
)  # fmt: skip
def test_format_without_a_date_is_rejected_with_file_and_key(tmp_path, format, problem):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, format)
    message = str(caught.value)
    assert message.startswith(
        f"{tmp_path}/shop.yaml: feeds.interaction.columns.happened_at.formats: {format!r} cannot be read"
    )
    assert "Expected iso, epoch_seconds, " in message
    assert format in ("unix", "epoch") or problem in message


@pytest.mark.parametrize(
    "format",
    [
        "iso", "excel", "epoch_seconds", "epoch_milliseconds", "epoch_microseconds", "epoch_nanoseconds", "dd.MM.yyyy",
        "d.M.yy", "yyyyMMdd", "yyyyDDD", "yyyy-MM", "MM/yyyy",
        "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "EEE, dd MMM yyyy HH:mm:ss Z", "EEEE, d MMMM yyyy",
        "MM/dd/yyyy hh:mm a", "yyyy-MM-dd[ HH:mm[:ss]]", "dd MMM yyyy HH:mm z", "yyyy-MM-dd HH:mm VV", "dd 'de' MMMM 'de' yyyy",
        "yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSS'Z'", "yyyy年MM月dd日",
    ],
)  # fmt: skip
def test_format_with_a_date_is_accepted(tmp_path, format):
    assert load(tmp_path, format)
