"""Column names in bronze: unchanged where Delta supports them, percent-encoded otherwise."""

import re
from urllib.parse import unquote

_UNSUPPORTED = re.compile(r"[ ,;{}()\n\t=%`.]|^_")


def encoded(name: str, position: int) -> str:
    """Encode a source column name for Delta; an empty name becomes `c<position>`."""
    if not name:
        return f"c{position}"
    return _UNSUPPORTED.sub(lambda match: f"%{ord(match.group()):02X}", name)


def decoded(name: str) -> str:
    """Return the source column name of a bronze column."""
    return unquote(name)
