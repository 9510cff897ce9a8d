"""Globs of files and of members of archives."""

import re


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Compile a glob: `*` and `?` match within a name, `**` across folders."""
    parts = re.split(r"(\*\*/|\*|\?)", glob)
    spelled = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(spelled.get(part, re.escape(part)) for part in parts))
