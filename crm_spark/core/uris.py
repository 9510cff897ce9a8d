"""What a location is: a path of this machine, or a URI of another file system."""

import os
import re


def is_remote(location: str) -> bool:
    """Whether a location is a URI with a scheme other than `file`."""
    return re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:/", location) is not None


def lake_root(lake: str) -> str:
    """The lake as Delta reads it: a URI as it is, a path absolute, because a relative one would be a table name."""
    return lake if "://" in lake else os.path.abspath(lake)
