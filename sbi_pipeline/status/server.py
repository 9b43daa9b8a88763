"""The live page: for browsers on this machine, or at the other end of an SSH tunnel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

from .page import inner_page, page
from .tables import StudyStatus

LOOPBACK = "127.0.0.1"
HERE = (LOOPBACK, "localhost", "::1")
"""What a browser calls this machine; another name would be that of a page that means harm."""
SECONDS = 2.0
"""For which a look at the files serves all who ask."""
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StatusServer(ThreadingHTTPServer):
    """Serves the page on the loopback interface.

    Args:
        look: Returns how far the study is.
        port: Where; 0 takes a free one.

    Raises:
        ValueError: The port cannot be had.
    """

    daemon_threads = True

    def __init__(self, look: Callable[[], StudyStatus], port: int) -> None:
        self._look, self._lock = look, threading.Lock()
        self._seen: tuple[float, StudyStatus] | None = None
        try:
            super().__init__((LOOPBACK, port), _Answers)
        except (OSError, OverflowError) as error:
            raise ValueError(f"port {port} of {LOOPBACK} cannot be had: {error}") from error

    def server_bind(self) -> None:
        """Take the port, without asking for the name of this machine, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = LOOPBACK, self.server_address[1]

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def status(self) -> StudyStatus:
        """Return how far the study is, seen a moment ago."""
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > SECONDS:
                status = self._look()
                self._seen = time.monotonic(), status
            return self._seen[1]


class _Answers(BaseHTTPRequestHandler):
    server: StatusServer

    def do_GET(self) -> None:
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        if host not in HERE:
            self.send_error(HTTPStatus.FORBIDDEN, "only for browsers on this machine")
            return
        render = {"/": page, "/now": inner_page}.get(self.path)
        if render is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            content = render(self.server.status()).encode()
        except (ValueError, OSError) as error:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain=str(error))
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Say nothing of each request."""
