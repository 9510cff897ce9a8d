"""A small lake that code of layout 1 wrote: 220 generated customers, one full refresh."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

from support.refreshed import FAST, ROOT

ARCHIVE = ROOT / "tests" / "data" / "lake_layout_1.tar.xz"


@dataclass(frozen=True)
class OldLake:
    """The unpacked archive: the lake, the files it was made from, the next delivery, and the text encoder."""

    root: Path

    @property
    def lake(self) -> Path:
        return self.root / "lake"

    def settings(self, *overrides: str):
        from crm_spark.settings import load_settings

        fixed = [
            f"ingest.data_dir={self.root / 'drops'}",
            f"shard.encoder={self.root / 'encoder'}",
            "train.max_examples=200",
            "train.baselines=[]",
            "predict.min_customers=50",
        ]
        return load_settings(ROOT / "conf" / "demo.yaml", [*FAST, *fixed, *overrides])

    def deliver_next(self) -> None:
        """Make the delivery of the next day available."""
        (self.root / "next_delivery").rename(self.root / "drops" / "2025-02-26")


def unpack(root: Path) -> OldLake:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root, filter="data")
    return OldLake(root)
