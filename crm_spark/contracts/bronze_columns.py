"""Column names in bronze: unchanged where Delta supports them, percent-encoded otherwise."""

import re
from urllib.parse import unquote

_UNSUPPORTED = re.compile(r"[ ,;{}()\n\t=%`.]|^_")


def encoded(name: str, position: int) -> str:
    """Encode a source column name for Delta. A column without a name becomes `c<position>`."""
    if not name:
        return f"c{position}"
    return _UNSUPPORTED.sub(lambda match: f"%{ord(match.group()):02X}", name)


def decoded(name: str) -> str:
    """Decode a bronze column name to the source's name."""
    return unquote(name)
