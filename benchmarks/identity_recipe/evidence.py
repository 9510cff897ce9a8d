"""Evidence for identity: the columns by which records are blocked and compared.

The kind of a column decides how it makes blocking keys and how two of its values are compared.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["name", "date", "email", "code", "place", "category", "text"]
NAME: Final = "name"
DATE: Final = "date"
EMAIL: Final = "email"
CODE: Final = "code"
PLACE: Final = "place"
CATEGORY: Final = "category"
TEXT: Final = "text"


@dataclass(frozen=True)
class Evidence:
    """A column of evidence, in lower case; null is no evidence.

    Attributes:
        column: its name.
        kind: name: part of a person's name; date: digits YYYYMMDD, also of dates that cannot be; email; code: identifier such as
            a phone number or postcode; place: street, city; category: a word of few; text: several words.
    """

    column: str
    kind: Kind
