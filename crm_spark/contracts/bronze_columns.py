"""How a source's column name is spelled in bronze: verbatim where Delta can store it, percent-encoded where not."""

import re
from urllib.parse import unquote

_NOT_STORABLE = re.compile(r"[ ,;{}()\n\t=%`.]|^_")


def encoded(name: str, position: int) -> str:
    """The stored spelling; a column without a name is called by its position, `c0`."""
    if not name:
        return f"c{position}"
    return _NOT_STORABLE.sub(lambda match: f"%{ord(match.group()):02X}", name)


def decoded(name: str) -> str:
    """The source's own spelling."""
    return unquote(name)
