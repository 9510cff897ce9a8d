"""Calendar days of times: silver stores times in UTC, a company counts days on its own clocks."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from pyspark.sql import Column
from pyspark.sql import functions as F


def day_of(time: str | Column, zone: str) -> Column:
    """Calendar day of a UTC timestamp in an IANA time zone."""
    return F.to_date(local_time(time, zone))


def local_time(time: str | Column, zone: str) -> Column:
    """Time on the clocks of an IANA time zone of a UTC timestamp."""
    column = F.col(time) if isinstance(time, str) else time
    return column if zone == "UTC" else F.from_utc_timestamp(column, zone)


def local_day(time: datetime, zone: str) -> date:
    """Calendar day of a UTC time without zone in an IANA time zone."""
    return time.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).date()
