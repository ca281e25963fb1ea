"""Two servers that speak S3, as real processes: moto believes any secret, rclone ignores conditions on a write."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from shutil import which
from typing import Final

from bandwatch.artifacts.s3_blobs import S3Place
from infra.local.ports import LOOPBACK, free_port

BUCKET: Final = "bandwatch"
KEY_ID: Final = "observatory"
SECRET: Final = "a-secret-that-no-log-shows"  # noqa: S105 - of a server that lives as long as its test
_START_S: Final = 60.0


@dataclass(frozen=True)
class S3Server:
    """A server with one bucket."""

    kind: str
    port: int

    def place(self, prefix: str, *, secret: str = SECRET, bucket: str = BUCKET) -> S3Place:
        """Return a folder in the server's bucket."""
        return S3Place(
            bucket,
            prefix,
            endpoint=f"http://{LOOPBACK}:{self.port}",
            region="us-east-1",
            access_key_id=KEY_ID,
            secret_access_key=secret,
        )


@contextmanager
def moto(log: Path, port: int = 0) -> Iterator[S3Server]:
    """Run moto's server, which keeps everything in memory."""
    server = S3Server("moto", port or free_port())
    command = [sys.executable, "-m", "moto.server", "--host", LOOPBACK, "--port", str(server.port)]
    with _served(server, command, log):
        assert _status(server, "PUT", f"/{BUCKET}") == 200
        yield server


@contextmanager
def rclone(log: Path, folder: Path, port: int = 0) -> Iterator[S3Server]:
    """Run rclone's server on a folder, whose subfolders are the buckets."""
    (folder / BUCKET).mkdir(parents=True, exist_ok=True)
    server = S3Server("rclone", port or free_port())
    binary = which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    command = [binary, "serve", "s3", "--addr", f"{LOOPBACK}:{server.port}", "--auth-key", f"{KEY_ID},{SECRET}"]
    with _served(server, [*command, str(folder)], log):
        yield server


@contextmanager
def _served(server: S3Server, command: list[str], log: Path) -> Iterator[None]:
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            pause = threading.Event()
            for _ in range(round(_START_S / 0.05)):
                if process.poll() is not None or _status(server, "GET", "/") is not None:
                    break
                pause.wait(0.05)
            assert process.poll() is None, log.read_text()[-2000:]
            yield
        finally:
            process.kill()


def _status(server: S3Server, method: str, path: str) -> int | None:
    """Return how the server answers, or nothing where it does not."""
    connection = HTTPConnection(LOOPBACK, server.port, timeout=5)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
