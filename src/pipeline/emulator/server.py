"""Starts and stops the local emulator, MiniStack, in its own process, with TLS and IAM on a loopback port.

TLS is on because the bucket policies require it. With IAM, each function has only the permissions of its role.
"""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trustme

from pipeline import ROOT
from pipeline.errors import CliError
from pipeline.waiting import wait_for

LOCAL = ROOT / ".local"
"""The folder for the server that `make local-up` starts, and for its Terraform state."""

REGION = "eu-central-1"
_HOST = "127.0.0.1"
_START_SECONDS = 30
_STOP_SECONDS = 5
_ANSWER_SECONDS = 10
_PAUSE_SECONDS = 0.05
_PROC = Path("/proc")


@dataclass(frozen=True)
class Server:
    """A running local emulator."""

    pid: int
    port: int
    home: Path

    @property
    def certificate(self) -> Path:
        return self.home / "ca.pem"

    def environment(self) -> dict[str, str]:
        """Return the environment variables for clients: endpoint, certificate and credentials of the emulator."""
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
        """Return whether the server responds."""
        try:
            context = ssl.create_default_context(cafile=str(self.certificate))
            with urllib.request.urlopen(f"https://{_HOST}:{self.port}/_ministack/health", timeout=2, context=context):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def is_alive(self) -> bool:
        """Return whether the server's processes exist.

        If another process got the pid, its environment contains no path in `home`.
        """
        mark = os.fsencode(self.home) + b"/"
        return _group_exists(self.pid) and (
            not _PROC.is_dir() or any(mark in environment for environment in _environments(self.pid))
        )

    def stop(self) -> None:
        """Stop the server and its functions, and delete its files, even after an interrupt."""
        try:
            _signal_group(self.pid, signal.SIGTERM)
        finally:
            _signal_group(self.pid, signal.SIGKILL)
            shutil.rmtree(self.home, ignore_errors=True)


def start(home: Path, **environment: str) -> Server:
    """Start a server with its files in `home`. After a failure, clean up and raise CliError.

    Tests use `environment` to override MiniStack's settings.
    """
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    _make_certificate(home)
    port = _free_port()
    process = _launch(Server(0, port, home), environment)
    server = Server(process.pid, port, home)
    try:
        wait_for(lambda: process.poll() is not None or server.is_running(), _START_SECONDS, _PAUSE_SECONDS)
        if process.poll() is not None or not server.is_running():
            tail = (home / "server.log").read_text(errors="replace").strip().splitlines()[-5:]
            raise CliError(
                "The local emulator did not start:\n" + "\n".join(tail),
                "Run the command again. If the error persists, report the lines above.",
            )
    except BaseException:
        server.stop()
        raise
    return server


def _launch(server: Server, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start MiniStack in its own process group. `server` has no pid yet."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    settings = {
        "GATEWAY_PORT": str(server.port),
        "BIND_HOST": _HOST,
        "MINISTACK_HOST": _HOST,
        "MINISTACK_REGION": REGION,
        "MINISTACK_SSL_CERT": str(server.home / "server.pem"),
        "MINISTACK_SSL_KEY": str(server.home / "server.key"),
        "USE_SSL": "1",
        "AUTH": "true",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(server.home / "tmp"),
        "LOG_LEVEL": "WARNING",
    }
    with (server.home / "server.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "ministack"],
            env={**inherited, **server.environment(), **settings, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=server.home,
        )


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
    """Return whether a process of the group exists. Reaps the group's leader if it is a dead child process."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.killpg(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal_group(pid: int, sent: signal.Signals) -> None:
    """Send a signal to a process group, if it exists, and wait up to 5 seconds until the group has ended."""
    if _group_exists(pid):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, sent)
        wait_for(lambda: not _group_exists(pid), _STOP_SECONDS, _PAUSE_SECONDS)


def _environments(group: int) -> Iterator[bytes]:
    """Yield the environment of each readable process in a group."""
    for process in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(process.name)) == group:
                yield (process / "environ").read_bytes()


def local_server() -> Server | None:
    """Return the server that `make local-up` started, or None if it doesn't respond within 10 seconds."""
    server = _recorded()
    return server if server and wait_for(server.is_running, _ANSWER_SECONDS, _PAUSE_SECONDS) else None


def absence() -> CliError | None:
    """Return an error that explains why no local server responds, or None if one does."""
    if local_server():
        return None
    start = "make local-up. Then deploy to it: make deploy-infra TARGET=local."
    if not (LOCAL / "server.json").exists():
        return CliError("The local emulator is not running.", f"Start it: {start}")
    if _recorded() is None:
        return CliError("The local emulator has stopped, and all its data is lost.", f"Start a new one: {start}")
    return CliError(
        "The local emulator does not respond.",
        f"Wait a minute, then run the command again. If the error persists, start a new, empty emulator: {start}",
    )


def local_up() -> tuple[Server, bool]:
    """Return the local server and whether it was started now. Replaces a server that doesn't respond."""
    if running := local_server():
        return running, False
    local_down()
    server = start(LOCAL / "server")
    try:
        (LOCAL / "server.json").write_text(json.dumps({"pid": server.pid, "port": server.port}))
    except BaseException:
        server.stop()
        raise
    return server, True


def local_down() -> bool:
    """Stop the local server, delete its data, and return whether the server was running."""
    server = _recorded()
    if server:
        server.stop()
    shutil.rmtree(LOCAL, ignore_errors=True)
    return server is not None


def _recorded() -> Server | None:
    """Return the server that `make local-up` started, or None if its processes don't exist."""
    try:
        state = json.loads((LOCAL / "server.json").read_text())
        server = Server(state["pid"], state["port"], LOCAL / "server")
    except (OSError, ValueError, KeyError):
        return None
    return server if server.is_alive() else None
