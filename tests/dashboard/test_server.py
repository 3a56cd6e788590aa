"""The dashboard as a server: this machine alone reaches it, and no page of another site can talk to it."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dashboard.browser import server
from tests.synthetic_results import make_run, store

pytest.importorskip("streamlit", reason="the extra `dashboard` is not installed")

OWN = "http://127.0.0.1:{port}"
FOREIGN = "http://attacker.example"


@pytest.fixture(scope="module")
def port(tmp_path_factory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("served")
    results = store(folder / "results", make_run("good"))
    with server(results, cache=folder / "cache") as address:
        yield int(address.rsplit(":", 1)[1])


def answer(port: int, request: str) -> str:
    """What the server says to a raw request: its status line and headers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        connection.settimeout(10)
        return connection.recv(65536).decode(errors="replace").split("\r\n\r\n")[0]


def handshake(port: int, origin: str) -> str:
    """The answer to a page of `origin` that opens the dashboard's WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    return answer(
        port,
        f"GET /_stcore/stream HTTP/1.1\nHost: 127.0.0.1:{port}\nUpgrade: websocket\nConnection: Upgrade\n"
        f"Sec-WebSocket-Key: {key}\nSec-WebSocket-Version: 13\nOrigin: {origin.format(port=port)}",
    )


@pytest.mark.faults
def test_a_foreign_page_cannot_open_the_stream(port):
    assert handshake(port, OWN).startswith("HTTP/1.1 101")
    assert handshake(port, FOREIGN).split()[1] == "403"


@pytest.mark.faults
@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/_stcore/host-config"])
def test_a_foreign_page_may_not_read_an_answer(port, path):
    said = answer(port, f"GET {path} HTTP/1.1\nHost: 127.0.0.1:{port}\nOrigin: {FOREIGN}\nConnection: close")
    assert said.startswith("HTTP/1.1 200")
    allowed = [line for line in said.lower().splitlines() if line.startswith("access-control-allow-origin")]
    assert not any("*" in line or "attacker" in line for line in allowed), allowed


@pytest.mark.faults
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="listening sockets are read from /proc/net/tcp")
def test_it_listens_on_this_machine_only(port):
    local = [
        line.split()[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in (Path(table).read_text().splitlines()[1:] if Path(table).exists() else [])
        if line.split()[3] == "0A" and int(line.split()[1].rsplit(":", 1)[1], 16) == port
    ]
    assert [address.split(":")[0] for address in local] == ["0100007F"], "127.0.0.1, and nothing else"


@pytest.mark.faults
@pytest.mark.parametrize("path", ["/../pyproject.toml", "/static/../../pyproject.toml", "/app/static/%2e%2e/app.py"])
def test_no_file_of_the_machine_is_served(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        said = connection.makefile("rb").read()
    assert said.startswith(b"HTTP/1.1")
    assert b"requires-python" not in said
    assert b"import streamlit" not in said
