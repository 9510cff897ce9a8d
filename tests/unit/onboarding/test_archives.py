"""Archives: their members are files of their own; what ingest would reject is named."""

import zipfile
from datetime import datetime
from pathlib import Path

from crm_spark.onboarding.archives import grouped_members, members_of
from crm_spark.onboarding.file_grouping import FileWords, SeenFile
from crm_spark.sources.files import Files
from crm_spark.stages.ingest.source_file import SourceFile

AT = datetime(2025, 1, 1)


def packed(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return SourceFile("x", path.name, str(path), path.stat().st_size, AT)


def test_members_are_unpacked_and_bad_archives_named(tmp_path):
    good = packed(tmp_path / "good.zip", {"a/orders.csv": "id\n1\n", "__MACOSX/._orders.csv": "x", "empty/": ""})
    unsafe = packed(tmp_path / "unsafe.zip", {"orders.csv": "id\n", "../../outside.csv": "x"})
    large = packed(tmp_path / "large.zip", {"zeros.csv": "0" * (70 << 20)})
    damaged = packed(tmp_path / "damaged.zip", {"orders.csv": "id\n" + "".join(f"{i * i}\n" for i in range(5000))})
    content = bytearray((tmp_path / "damaged.zip").read_bytes())
    content[200:400] = bytes(200)
    (tmp_path / "damaged.zip").write_bytes(content)
    none = SourceFile("x", "none.zip", str(tmp_path / "none.zip"), 3, AT)
    (tmp_path / "none.zip").write_text("no archive")
    found, left_over = members_of([good, unsafe, large, damaged, none], tmp_path / "scratch", max_unpacked_ratio=200)
    assert [(file.name, Path(file.path).read_text()) for file in found] == [("good.zip/a/orders.csv", "id\n1\n")]
    reasons = dict(left_over)
    assert (reasons["unsafe.zip"], reasons["large.zip"]) == (
        "archive contains unsafe paths",
        "unpacked size far above the packed size",
    )
    assert reasons["damaged.zip"].startswith("cannot be unpacked") and reasons["none.zip"].startswith(
        "cannot be unpacked"
    )
    assert not (tmp_path.parent / "outside.csv").exists()


def seen(name, *columns):
    return SeenFile(name, 100, AT, Files(path="x", format="csv"), columns)


def test_path_of_a_source_names_archives_and_members():
    files = [
        *(seen(f"in/erp_2024-0{month}.zip/data/orders_{month}.csv", "order", "customer", "day") for month in (1, 2)),
        *(seen(f"in/erp_2024-0{month}.zip/data/people.csv", "no", "name") for month in (1, 2)),
        seen("in/crm.zip/people.csv", "id", "mail", "phone"),
    ]
    groups, left_over = grouped_members(files, FileWords(), taken=["orders"])
    assert left_over == []
    paths = {group.how.path: len(group.files) for group in groups}
    assert paths == {
        "**/erp_*.zip!**/orders_*.csv": 2,
        "**/erp_*.zip!**/people*.csv": 2,
        "**/crm*.zip!**/people*.csv": 1,
    }
    assert "orders" not in {group.name for group in groups}
