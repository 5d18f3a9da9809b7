"""Files in object storage: a real S3 client, a local server that stands in for S3."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.processes import stop
from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.pipeline import ROOT, TIMEOUT
from tests.integration.tap import DAY, FIRST, bundle, event

pytestmark = pytest.mark.pipelines

TAP, LOWEST = (ROOT / ".envs" / name / "bin" / "tap-fullstory" for name in ("s3", "s3-lowest"))
SERVER = ROOT / ".envs" / "s3-server" / "bin" / "moto_server"
PYTHON = ROOT / ".envs" / "s3" / "bin" / "python"
SECRET = "kept+secret/0123456789abcdefghijklmnopq"
# Runs beside the client of the tap, in the same environment: makes a bucket, or prints what is in it.
CLIENT = """
import json, sys
import pyarrow.parquet, s3fs
bucket, order = sys.argv[1:]
files = s3fs.S3FileSystem()
if order == "make":
    files.mkdir(bucket)
else:
    found = {}
    for path in files.find(bucket):
        if path.endswith(".json"):
            found[path] = json.loads(files.cat_file(path))
        else:
            # all at once: threads of pyarrow that read through Python may abort it when it ends
            content = pyarrow.BufferReader(files.cat_file(path))
            found[path] = pyarrow.parquet.read_table(content).column("UserId").to_pylist()
    print(json.dumps(found))
"""


@contextmanager
def server(**environment: str) -> Iterator[str]:
    """A server of objects on this machine; its URL."""
    assert SERVER.exists(), f"{SERVER} is missing: `make` runs these tests in environments that it makes."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [str(SERVER), "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    try:
        end = time.monotonic() + TIMEOUT
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def objects() -> Iterator[str]:
    """A server for all tests here."""
    with server() as url:
        yield url


class Bucket:
    """A bucket, and the tap that writes into it."""

    def __init__(self, folder: Path, shop: Emulator, url: str, name: str) -> None:
        self.folder, self.shop, self.name = folder, shop, name
        self.state_path = folder / "state.json"
        self.place = f"s3://{name}/fullstory"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TAP_FULLSTORY_"))}
        self.environment = {
            **kept,
            "HOME": str(folder),
            "AWS_ACCESS_KEY_ID": "known",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
        }
        self.client("make")

    def client(self, order: str) -> str:
        """What the client prints."""
        command = [str(PYTHON), "-c", CLIENT, self.name, order]
        return subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, env=self.environment
        ).stdout

    def start(self, tap: Path = TAP, **environment: str) -> subprocess.Popen[bytes]:
        """A run of the tap into the bucket."""
        settings = {
            "api_key": self.shop.api_key,
            "api_url": self.shop.url,
            "export_url": self.shop.url,
            "start_date": "2023-11-01",
            "spool_dir": str(self.folder),
        }
        config = self.folder / "config.json"
        config.write_text(json.dumps(settings))
        command = [str(tap), "--config", str(config), "--to", self.place, "--state", str(self.state_path)]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environment, **environment},
        )

    def run(self, tap: Path = TAP, status: int = 0, **environment: str) -> str:
        """A run until its end; what it said, or its result."""
        process = self.start(tap, **environment)
        stdout, stderr = process.communicate(timeout=TIMEOUT)
        assert status == process.returncode, stderr.decode()
        assert b"Traceback" not in stderr
        assert SECRET not in stderr.decode() + stdout.decode()
        return stderr.decode() if status else stdout.decode()

    def content(self) -> tuple[list[int], list[dict[str, Any]]]:
        """The numbers in all objects of events, and the manifests, which have to name exactly these objects."""
        found = json.loads(self.client("print"))
        manifests = [value for path, value in sorted(found.items()) if path.endswith(".json")]
        files = [one for manifest in manifests for one in manifest["files"]]
        rows = {path: value for path, value in found.items() if not path.endswith(".json")}
        assert sorted(f"{self.name}/fullstory/{one['path']}" for one in files) == sorted(rows)
        assert sorted(one["url"] for one in files) == sorted(f"s3://{path}" for path in rows)
        assert all(one["rows"] == len(rows[f"{self.name}/fullstory/{one['path']}"]) for one in files)
        return [number for path in sorted(rows) for number in rows[path]], manifests

    def left(self) -> list[str]:
        """What is hidden in the folder for bundles and uploads."""
        return [path.name for path in self.folder.glob(".tap-fullstory*")]


@pytest.fixture
def bucket(tmp_path: Path, shop: Emulator, objects: str, request: pytest.FixtureRequest) -> Bucket:
    """A bucket of its own for each test."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-")
    return Bucket(tmp_path, shop, objects, name)


def random_bundle(day: int, count: int) -> Bundle:
    """A bundle that no packing makes small."""
    events = [event(100_000 * day + i, FIRST + day * DAY, EventTargetText=os.urandom(200).hex()) for i in range(count)]
    return Bundle(FIRST + day * DAY, FIRST + (day + 1) * DAY, events)


@pytest.mark.parametrize("tap", [TAP, LOWEST], ids=["newest", "lowest"])
def test_objects_are_written_gone_on_from_and_replaced(bucket: Bucket, shop: Emulator, tap: Path) -> None:
    """Object storage would hold other rows than a folder, or keep what is outdated."""
    shop.bundles = [bundle(0), bundle(1)]
    result = json.loads(bucket.run(tap))
    assert (2, 6) == (result["files"], result["rows"])
    numbers, manifests = bucket.content()
    assert [0, 1, 2, 100, 101, 102] == numbers
    assert [[one.id] for one in shop.bundles] == [one["bundle_ids"] for one in manifests]

    shop.bundles = [*shop.bundles, bundle(2)]
    assert 1 == json.loads(bucket.run(tap))["files"]
    assert [0, 1, 2, 100, 101, 102, 200, 201, 202] == bucket.content()[0]
    assert 0 == json.loads(bucket.run(tap))["files"]

    bucket.state_path.unlink()
    shop.bundles = [bundle(0, 2), bundle(1, 0), bundle(2, 4)]
    bucket.run(tap)
    assert [0, 1, 200, 201, 202, 203] == bucket.content()[0]
    assert [] == bucket.left()


def test_a_run_that_is_stopped_or_killed_while_it_uploads(bucket: Bucket, shop: Emulator) -> None:
    """Half an object would be seen, rows be lost or twice, or the disk fill up with what was to be uploaded."""
    shop.bundles = [random_bundle(day, 12_000) for day in range(4)]
    for number, pause in ((signal.SIGKILL, 0.0), (signal.SIGTERM, 0.0), (signal.SIGKILL, 0.1), (signal.SIGKILL, 0.2)):
        before = {*bucket.left()}
        process = bucket.start()
        while process.poll() is None and not {*bucket.left()} - before:
            time.sleep(0.01)
        time.sleep(pause)
        process.send_signal(number)
        process.communicate(timeout=TIMEOUT)
        assert process.returncode in (-9, 143)
        json.loads(bucket.client("print"))  # each object is whole

    bucket.run()

    assert sorted(100_000 * day + i for day in range(4) for i in range(12_000)) == sorted(bucket.content()[0])
    assert [] == bucket.left()


@pytest.mark.parametrize("how", ["no bucket", "nobody there"])
def test_a_server_that_refuses_ends_the_run_with_74(bucket: Bucket, shop: Emulator, how: str) -> None:
    """A wrong name would be reported as a bug, or taken for a failure of Fullstory."""
    shop.bundles = [bundle(0)]
    bucket.place = "s3://somebody-elses/fullstory" if how == "no bucket" else bucket.place
    endpoint = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"} if how == "nobody there" else {}

    said = bucket.run(status=74, **endpoint)

    assert bucket.place in said.splitlines()[-1]
    assert not bucket.state_path.exists()
    assert [] == bucket.left()


def test_wrong_credentials_end_the_run_with_74(tmp_path: Path, shop: Emulator) -> None:
    """They would be printed, or nobody would learn that they are wrong."""
    shop.bundles = [bundle(0)]
    with server(INITIAL_NO_AUTH_ACTION_COUNT="3") as url:  # so many requests make a bucket; then keys have to be known
        bucket = Bucket(tmp_path, shop, url, "guarded")
        said = bucket.run(status=74)

    assert bucket.place in said.splitlines()[-1]
    assert re.search("(?i)access key|forbidden|denied", said.splitlines()[-1])
    assert "AWS_" not in said and SECRET[:8] not in said
    assert not bucket.state_path.exists()
