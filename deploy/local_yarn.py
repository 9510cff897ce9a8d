"""A YARN of this machine, for tests: a ResourceManager and a NodeManager that listen on 127.0.0.1 only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_cluster import Processes, free_port, hadoop, wait_for_port, write_settings

_SERVER = "org.apache.hadoop.yarn.server"


@contextmanager
def yarn(folder: Path, *, memory_mb: int = 8192) -> Iterator[Path]:
    """Start YARN, and yield the folder with the client's settings (`HADOOP_CONF_DIR`).

    Args:
        folder: for logs, settings and containers.
        memory_mb: of the node, for containers.
    """
    conf = folder / "hadoop-conf"
    conf.mkdir(parents=True)
    names = ("address", "scheduler.address", "resource-tracker.address", "admin.address", "webapp.address")
    ports = {f"yarn.resourcemanager.{name}": free_port() for name in names}
    nodes = ("address", "localizer.address", "webapp.address")
    others = {f"yarn.nodemanager.{name}": free_port() for name in nodes}
    settings = {
        **{name: f"127.0.0.1:{port}" for name, port in {**ports, **others}.items()},
        "yarn.resourcemanager.hostname": "127.0.0.1",
        "yarn.nodemanager.hostname": "127.0.0.1",
        "yarn.nodemanager.resource.memory-mb": str(memory_mb),
        "yarn.nodemanager.resource.cpu-vcores": "8",
        "yarn.nodemanager.vmem-check-enabled": "false",
        "yarn.nodemanager.disk-health-checker.enable": "false",
        "yarn.nodemanager.local-dirs": str(folder / "containers"),
        "yarn.nodemanager.log-dirs": str(folder / "logs"),
        "yarn.scheduler.minimum-allocation-mb": "256",
        "yarn.scheduler.maximum-allocation-mb": str(memory_mb),
        "yarn.application.classpath": "",  # Spark brings Hadoop's classes
    }
    queue = {"root.queues": "default", "root.default.capacity": "100", "maximum-am-resource-percent": "0.8"}
    write_settings(conf / "yarn-site.xml", settings)
    write_settings(conf / "core-site.xml", {"hadoop.tmp.dir": str(folder / "tmp"), "fs.defaultFS": "file:///"})
    write_settings(
        conf / "capacity-scheduler.xml", {f"yarn.scheduler.capacity.{name}": value for name, value in queue.items()}
    )
    java = hadoop(folder)
    with Processes(folder) as processes:
        processes.start("resourcemanager", *java, f"{_SERVER}.resourcemanager.ResourceManager")
        wait_for_port(ports["yarn.resourcemanager.resource-tracker.address"])
        processes.start("nodemanager", *java, f"{_SERVER}.nodemanager.NodeManager")
        for port in (*ports.values(), *others.values()):
            wait_for_port(port)
        yield conf
