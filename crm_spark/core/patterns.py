"""Regular expressions of the configuration, which Spark runs with the syntax of Java."""

import re


def require_pattern(pattern: str) -> int:
    """Check a regular expression of Java; return its number of groups.

    Raises:
        ValueError: it cannot be compiled.
    """
    # Python knows neither Java's character classes nor its spelling of named groups.
    comparable = re.sub(r"\\[pP](\{\w+\}|[A-Z])", "a", pattern)
    try:
        return re.compile(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", comparable)).groups
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None
