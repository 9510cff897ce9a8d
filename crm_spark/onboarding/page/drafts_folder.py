"""The folder of the drafts: written as a whole, and never over changes made elsewhere."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from crm_spark.core.errors import ConfigError

_SUFFIX = ".tmp"


@dataclass
class DraftsFolder:
    """Folder of drafts.

    Attributes:
        path: the folder.
        check_company: validates a company's file; raises ConfigError.
        known: file -> its content as last read or written.
    """

    path: Path
    check_company: Callable[[Path], None]
    known: dict[str, str] = field(default_factory=dict)

    def write(self, texts: Mapping[str, str]) -> None:
        """Write files: all are written beside their targets and validated before the first is replaced.

        Raises:
            ConfigError: the company's file is invalid, or a file has changed since it was last written. Nothing is replaced.
        """
        changed = [name for name in texts if name in self.known and self._content(name) != self.known[name]]
        if changed:
            raise ConfigError(
                f"{', '.join(changed)}: changed by another program since this page was opened. Nothing was replaced. "
                "Run the command again to start from the files as they are."
            )
        staged = {name: (self.path / name).with_name(f".{Path(name).name}{_SUFFIX}") for name in texts}
        try:
            for name, target in staged.items():
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("w", encoding="utf-8") as file:
                    file.write(texts[name])
                    file.flush()
                    os.fsync(file.fileno())
            if "company.yaml" in staged:
                self._check_company(staged["company.yaml"])
            for name, target in staged.items():
                os.replace(target, self.path / name)
                self.known[name] = texts[name]
        finally:
            for target in staged.values():
                with suppress(FileNotFoundError):
                    target.unlink()

    def _check_company(self, staged: Path) -> None:
        try:
            self.check_company(staged)
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"{staged}: ", "")) from None

    def _content(self, name: str) -> str | None:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
