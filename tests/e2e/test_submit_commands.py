"""The documented submit commands for YARN and Kubernetes, given to the real client; and the image's file."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyspark
import pytest
from cluster_demo import submit_environment
from local_yarn import yarn

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def documented_command(heading):
    """The last code block of a section of the cluster page, without what builds packages."""
    section = (ROOT / "docs" / "cluster.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    block = re.findall(r"```\n(.*?)```", section, flags=re.S)[-1]
    return "\n".join(line for line in block.splitlines() if not line.startswith("make "))


def submit(command, folder):
    done = subprocess.run(
        ["sh", "-ec", command], cwd=ROOT, env=submit_environment(folder), capture_output=True, text=True, timeout=120
    )
    return done.stdout + done.stderr


def test_kubernetes_is_asked_for_a_driver_with_the_documented_options(tmp_path):
    """A server that answers as the API server of a cluster and keeps what it is sent."""
    sent = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            sent[content["kind"]] = content
            content["metadata"] |= {"uid": "1", "resourceVersion": "1", "namespace": "default"}
            content["status"] = {"phase": "Succeeded"}
            self._answer(201, content)

        do_PATCH = do_PUT = do_POST

        def do_GET(self):
            pod = sent.get("Pod") if "/pods" in self.path else None
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod] if pod else []})

        def _answer(self, code, content):
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = documented_command("Kubernetes").replace(
        "https://api.example.com:6443", f"http://127.0.0.1:{server.server_port}"
    )
    quick = "--conf spark.kubernetes.submission.waitAppCompletion=false"  # the pod never runs
    output = submit(command.replace("--name", f"{quick} --name"), tmp_path)
    server.shutdown()
    (container,) = sent["Pod"]["spec"]["containers"]
    assert container["image"] == "registry.example.com/crm-spark", output
    assert sent["Pod"]["spec"]["serviceAccountName"] == "spark"
    arguments = container["args"]
    assert arguments[0] == "driver"
    job = arguments.index("local:///opt/crm_spark/jobs/refresh.py")
    assert arguments[job + 1 :] == [
        *("--conf", "/opt/crm_spark/conf/base.yaml", "--lake", "s3a://bucket/lake"),
        *("--set", "ingest.data_dir=s3a://bucket/drops"),
    ]
    settings = sent["ConfigMap"]["data"]["spark.properties"]
    assert "spark.executor.instances=4" in settings and "DontCompileHugeMethods" in settings


def test_the_image_copies_what_exists():
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    subprocess.run([sys.executable, "deploy/package.py"], cwd=ROOT, check=True, capture_output=True)
    copied = re.findall(r"^COPY (?!--from)(\S+)", text, flags=re.M)
    assert copied and all((ROOT / path).exists() for path in copied)


def test_the_documented_yarn_command_runs_a_refresh_with_packed_packages(tmp_path):
    example = ROOT / "conf" / "examples" / "tea_shop"
    subprocess.run([sys.executable, "deploy/package.py"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run([sys.executable, "deploy/pack_environment.py"], cwd=ROOT, check=True, capture_output=True)
    command = documented_command("YARN").replace("conf/base.yaml", "conf/demo.yaml --set session.master=null")
    command = command.replace("hdfs:///lake", str(tmp_path / "lake")).replace("hdfs:///drops", str(example / "data"))
    small = {"--num-executors 4": "--num-executors 2", "--executor-cores 4": "--executor-cores 1"}
    for wanted, here in {**small, "--executor-memory 12g": "--executor-memory 1500m"}.items():
        assert wanted in command
        command = command.replace(wanted, here)
    command += f" --set ingest.sources_dir={example / 'sources'}"
    with yarn(tmp_path) as conf:
        jars = f"--conf spark.yarn.jars=local:{Path(pyspark.__file__).parent / 'jars'}/*"  # else 0.4 GB are copied
        command = command.replace("jobs/refresh.py", f"{jars} jobs/refresh.py")
        env = submit_environment(tmp_path) | {"HADOOP_CONF_DIR": str(conf)}
        env.pop("PYSPARK_PYTHON")
        done = subprocess.run(["sh", "-ec", command], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "refresh done" in done.stdout + done.stderr
    assert (tmp_path / "lake" / "files" / "report.html").stat().st_size > 10_000
