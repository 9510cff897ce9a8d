"""Options that several commands share, each declared once."""

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_CONF = Path("conf/local.yaml")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"expected a day such as 2026-01-31, got {text!r}") from None


Conf = Annotated[Path, typer.Option("--conf", metavar="FILE", help="Configuration file.")]
Lake = Annotated[str, typer.Option("--lake", metavar="DIR", help="Directory or URI of the lake.")]
ConfiguredLake = Annotated[
    str | None,
    typer.Option("--lake", metavar="DIR", help="Directory or URI of the lake; default: the configuration's."),
]
AsOf = Annotated[
    date | None,
    typer.Option("--as-of", parser=_day, metavar="DATE", help="Logical date; default: the day of the newest event."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Plan and check, write nothing.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable.")
]
Overwrite = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]
