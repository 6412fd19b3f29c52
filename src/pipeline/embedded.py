"""The embedded AWS: MiniStack in a process of its own, on a loopback port, with TLS and IAM enforced.

TLS, because the buckets' policies refuse anything else; IAM, so that each function has only its own role.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from pipeline import ROOT
from pipeline.errors import CliError

LOCAL = ROOT / ".local"
"""Where `make local-up` keeps its server and Terraform its state of it."""

REGION = "eu-central-1"
_HOST = "127.0.0.1"
_START_SECONDS = 30
_STOP_SECONDS = 5


@dataclass(frozen=True)
class Server:
    """A running embedded AWS."""

    pid: int
    port: int
    home: Path

    @property
    def certificate(self) -> Path:
        return self.home / "ca.pem"

    def environment(self) -> dict[str, str]:
        """What a client needs in its environment: endpoint, certificate and the emulator's credentials."""
        return {
            "AWS_ENDPOINT_URL": f"https://{_HOST}:{self.port}",
            "AWS_CA_BUNDLE": str(self.certificate),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def is_running(self) -> bool:
        """Whether the server answers."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        try:
            with urllib.request.urlopen(f"https://{_HOST}:{self.port}/_ministack/health", timeout=2, context=context):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def stop(self) -> None:
        """Stop the server and the functions that it started, and remove its files."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not _group_exists(self.pid):
                break
            os.killpg(self.pid, sign)
            _wait_until(lambda: not _group_exists(self.pid), _STOP_SECONDS)
        shutil.rmtree(self.home, ignore_errors=True)


def start(home: Path, **environment: str) -> Server:
    """Start a server that keeps its files in `home`; raises CliError where it does not come up.

    `environment` overrides MiniStack's settings, for tests.
    """
    home.mkdir(parents=True, exist_ok=True)
    _make_certificate(home)
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    port = _free_port()
    server = Server(0, port, home)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env={
                **inherited,
                **server.environment(),
                "GATEWAY_PORT": str(port),
                "BIND_HOST": _HOST,
                "MINISTACK_HOST": _HOST,
                "MINISTACK_REGION": REGION,
                "MINISTACK_SSL_CERT": str(home / "server.pem"),
                "MINISTACK_SSL_KEY": str(home / "server.key"),
                "USE_SSL": "1",
                "AUTH": "true",
                "IOT_MTLS_ENABLED": "0",
                "SFTP_ENABLED": "0",
                "TMPDIR": str(temporary),
                "LOG_LEVEL": "WARNING",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home,
        )
    server = Server(process.pid, port, home)
    if (
        not _wait_until(lambda: process.poll() is not None or server.is_running(), _START_SECONDS)
        or process.poll() is not None
    ):
        tail = (home / "server.log").read_text(errors="replace").strip().splitlines()[-5:]
        server.stop()
        raise CliError(
            "The embedded AWS did not start:\n" + "\n".join(tail), "Try again; if it stays so, report the lines above."
        )
    return server


def _make_certificate(home: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(home / "ca.pem"))
    certificate = authority.issue_cert(_HOST, "localhost")
    certificate.private_key_pem.write_to_path(str(home / "server.key"))
    (home / "server.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _group_exists(pid: int) -> bool:
    """Whether any process of the group is alive; the dead child of this process is reaped on the way."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def local_server() -> Server | None:
    """The server that `make local-up` started, if it is running."""
    try:
        state = json.loads((LOCAL / "server.json").read_text())
        server = Server(state["pid"], state["port"], LOCAL / "server")
    except (OSError, ValueError, KeyError):
        return None
    return server if server.certificate.is_file() and server.is_running() else None


def local_up() -> tuple[Server, bool]:
    """The local server, and whether it was started now."""
    if running := local_server():
        return running, False
    shutil.rmtree(LOCAL, ignore_errors=True)
    server = start(LOCAL / "server")
    (LOCAL / "server.json").write_text(json.dumps({"pid": server.pid, "port": server.port}))
    return server, True


def local_down() -> bool:
    """Stop the local server and forget all that was on it; answers whether one was running."""
    server = local_server()
    if server:
        server.stop()
    shutil.rmtree(LOCAL, ignore_errors=True)
    return server is not None
