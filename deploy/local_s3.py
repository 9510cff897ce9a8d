"""An S3 server on this machine, for tests: SeaweedFS, built by `make s3-server`. It listens on 127.0.0.1 only."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from install import ROOT, STATE, fetch_jars
from local_cluster import Processes, free_port, wait_for_port

from crm_spark.core.java import find_java

SERVER = STATE / "bin" / "weed"
JAR_LOCK = ROOT / "deploy" / "s3_jars.sha256"
_KEYS = {"accessKey": "crm", "secretKey": "crm-secret"}


@dataclass(frozen=True)
class Bucket:
    """A bucket, and how Spark reaches it.

    Attributes:
        uri: of the bucket.
        settings: of Spark.
    """

    uri: str
    settings: dict[str, str]


@contextmanager
def s3(folder: Path) -> Iterator[Bucket]:
    """Start the server with one bucket.

    Args:
        folder: for logs and data.

    Raises:
        FileNotFoundError: it was not built.
    """
    if not SERVER.exists():
        raise FileNotFoundError("there is no S3 server here: run `make s3-server`")
    (folder / "s3-data").mkdir(parents=True)
    user = {"name": "crm", "credentials": [_KEYS], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [user]}))
    parts = ("master", "volume", "filer", "s3")
    ports = {f"{part}.{kind}": free_port() for part in parts for kind in ("port", "port.grpc")}
    where = ["-ip=127.0.0.1", f"-dir={folder / 's3-data'}", f"-s3.config={folder / 's3.json'}"]
    options = [*where, "-master.volumeSizeLimitMB=512", *(f"-{name}={port}" for name, port in ports.items())]
    with Processes(folder) as processes:
        processes.start("s3", str(SERVER), "server", "-s3", *options)
        for part in parts:
            wait_for_port(ports[f"{part}.port"])
        _create_bucket(f"127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}", "lake")
        endpoint = f"http://127.0.0.1:{ports['s3.port']}"
        yield Bucket("s3a://lake", {name: value.format(endpoint=endpoint) for name, value in _SETTINGS.items()})


_SETTINGS = {
    "spark.hadoop.fs.s3a.endpoint": "{endpoint}",
    "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
    "spark.hadoop.fs.s3a.path.style.access": "true",
    "spark.hadoop.fs.s3a.access.key": _KEYS["accessKey"],
    "spark.hadoop.fs.s3a.secret.key": _KEYS["secretKey"],
}


def s3_jars() -> list[Path]:
    """The JARs that Spark needs for `s3a://`, fetched if they are not here: 0.7 GB."""
    return fetch_jars(find_java(), JAR_LOCK)


def _create_bucket(master: str, name: str) -> None:
    command = [str(SERVER), "shell", f"-master={master}"]
    for _ in range(60):  # the volume server registers some seconds after it listens
        done = subprocess.run(command, input=f"s3.bucket.create -name {name}\n", capture_output=True, text=True)
        listed = subprocess.run(command, input="s3.bucket.list\n", capture_output=True, text=True)
        if name in listed.stdout:
            return
        time.sleep(1)
    raise RuntimeError(f"the bucket was not created:\n{done.stdout}{done.stderr}")
