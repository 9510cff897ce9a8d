"""The database password appears in no log, event log, table or message of a run."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from support.lake import ROOT
from support.postgresql import postgresql, programs

CANARY = "canary 7f3a/+9?&=\u00fc"
SOURCE = """
system: erp
jdbc: {{url: "{url}", table: {table}, user: canary, password_env: ERP_PASSWORD}}
feeds:
  person:
    columns: {{person_id: id, given_name: name}}
"""
RUN = """
import sys
from crm_spark.cli.app import run as main
sys.exit(main("ingest", sys.argv[1:]))
"""


def forms(secret: str) -> set[bytes]:
    """Possible encodings of the secret, at any byte alignment."""
    raw = secret.encode()
    coded = {base64.b64encode(b"\0" * n + raw)[(8 * n + 5) // 6 : -4] for n in range(3)}
    spelled = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), ascii(secret)[1:-1]}
    return {raw, raw.hex().encode(), raw.hex().upper().encode(), *coded, *(text.encode() for text in spelled)}


def hits(folder: Path, *texts: str) -> list[str]:
    """Files that contain the secret in any encoding."""
    places = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    places |= {f"output {number}": text.encode() for number, text in enumerate(texts)}
    return [name for name, content in places.items() if any(form in content for form in forms(CANARY))]


def test_scan_finds_every_encoding_of_the_secret(tmp_path):
    raw = CANARY.encode()
    for number in range(3):
        (tmp_path / f"base64-{number}").write_bytes(base64.b64encode(b"x" * number + raw + b"tail"))
    (tmp_path / "hex").write_text(raw.hex())
    (tmp_path / "url").write_text(f"jdbc:x?password={quote_plus(CANARY)}")
    (tmp_path / "none").write_text("canary")
    assert sorted(Path(name).name for name in hits(tmp_path, f"said {CANARY}")) == [
        "base64-0", "base64-1", "base64-2", "hex", "output 0", "url",
    ]  # fmt: skip


@pytest.mark.slow
def test_password_does_not_appear_in_any_output_of_successful_or_failed_runs(tmp_path):
    if programs() is None:
        pytest.skip("no PostgreSQL on this machine (Debian: apt install postgresql)")
    out = tmp_path / "out"
    for name in ("events", "lake", "sources"):
        (out / name).mkdir(parents=True)
    conf = out / "company.yaml"
    conf.write_text(
        f"extends: {ROOT / 'conf' / 'local.yaml'}\ningest: {{sources_dir: ./sources}}\n"
        "session: {settings: {spark.eventLog.enabled: 'true', spark.eventLog.compress: 'false', "
        f"spark.eventLog.dir: 'file://{out / 'events'}'}}}}\n"
    )

    def ingested(url, table, lake):
        (out / "sources" / "client.yaml").write_text(SOURCE.format(url=url, table=table))
        command = [sys.executable, "-c", RUN, "--conf", str(conf), "--lake", str(lake)]
        environment = {**os.environ, "ERP_PASSWORD": CANARY}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    with postgresql(programs()) as server:
        server.run(
            "postgres", f"CREATE ROLE canary LOGIN PASSWORD '{CANARY}'", "CREATE TABLE client (id int, name text)"
        )
        server.run("postgres", "INSERT INTO client VALUES (1, 'Ada')", "GRANT SELECT ON client TO canary")
        url = server.url("postgres")
        good = ingested(url, "client", out / "lake")
        assert good.returncode == 0, good.stderr
        no_table = ingested(url, "nowhere", out / "lake")
        no_server = ingested(url.replace(str(server.port), "1"), "client", out / "lake")
        (out / "spoilt" / "bronze").mkdir(parents=True)
        (out / "spoilt" / "bronze" / "client").write_text("no table")
        failed = ingested(url, "client", out / "spoilt")
    runs = (good, no_table, no_server, failed)
    assert [run.returncode for run in runs] == [0, 2, 2, 1]
    assert len(list((out / "events").rglob("*local-*"))) >= 4, "there is an event log of each run"
    assert hits(out, *(run.stdout + run.stderr for run in runs)) == []
