"""Health and metrics over HTTP, answered by threads of their own: also while the event loop hangs.

with HealthServer(host, port, health, metrics) as server:
    server.url
"""

import errno
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Protocol, Self, cast

import orjson
import structlog

from pipeline.adapters.debug import DebugPages
from pipeline.errors import UserError

log = structlog.get_logger(__name__)

IDLE_S: Final = 5.0
"""A client that sends nothing for so long is let go."""

POLL_S: Final = 0.1
"""How long `close` may have to wait."""

JSON: Final = "application/json"

Answer = tuple[bool, Mapping[str, Any]]
Page = Callable[[str], tuple[HTTPStatus, bytes, str]]
"""From the Accept header to status, body and content type."""


class Health(Protocol):
    """What is asked of a worker, from any thread; False is answered with 503."""

    def livez(self) -> Answer: ...
    def readyz(self) -> Answer: ...
    def startupz(self) -> Answer: ...
    def status(self) -> Answer: ...


class Exposition(Protocol):
    """What /metrics shows: the series in the format that the Accept header prefers, and its content type."""

    def exposition(self, accept: str) -> tuple[bytes, str]: ...


class HealthServer:
    """Serves /livez, /readyz, /startupz, /status and /metrics on host:port, port 0 being a free one.

    Only GET and HEAD; nothing is changed by asking. There is no login: the default host is the loopback, another one
    is for a network that you trust. `debug`, with a token of its own, answers under /debug; without it there is none.
    """

    def __init__(
        self, host: str, port: int, health: Health, metrics: Exposition, debug: DebugPages | None = None
    ) -> None:
        self._host, self._port = host, port
        self._debug = debug
        self._pages: dict[str, Page] = {
            "/livez": _checked(health.livez),
            "/readyz": _checked(health.readyz),
            "/startupz": _checked(health.startupz),
            "/status": lambda _: (HTTPStatus.OK, _json(health.status()[1]), JSON),
            "/metrics": lambda accept: (HTTPStatus.OK, *metrics.exposition(accept)),
        }
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; before it is started, the one asked for."""
        return int(self._server.server_address[1]) if self._server else self._port

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def start(self) -> Self:
        """Listens from now on; UserError that names the setting if the address cannot be had."""
        try:
            self._server = _Server(self._host, self._port, self._pages, self._debug)
        except OSError as error:
            host_is_wrong = isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL
            raise UserError(
                f"cannot serve health and metrics on {self.url}: {error.strerror}; "
                f"choose another {'http_host' if host_is_wrong else 'http_port'} in the settings"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=[POLL_S], name="http", daemon=True)
        self._thread.start()
        log.info("http.listening", url=self.url)
        return self

    def close(self) -> None:
        """Stops listening; answers under way are not waited for."""
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
        self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def __init__(self, host: str, port: int, pages: Mapping[str, Page], debug: DebugPages | None) -> None:
        self.pages = pages
        self.debug = debug
        self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without HTTPServer's look-up of the host's full name, which may wait for DNS."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is a mistake of ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            log.error("http.failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    timeout = IDLE_S

    def do_GET(self) -> None:
        server = cast(_Server, self.server)
        pages, debug = server.pages, server.debug
        path, _, query = self.path.partition("?")
        page = pages.get(path)
        if debug is not None and (path == debug.root or path.startswith(f"{debug.root}/")):
            authorization = self.headers.get("Authorization", "")
            page = lambda _: debug.answer(path, query, authorization)  # noqa: E731 - as the other pages are
        if page is None:
            self._answer(HTTPStatus.NOT_FOUND, _json({"error": "no such page", "pages": sorted(pages)}), JSON)
            return
        try:
            status, body, content_type = page(self.headers.get("Accept", ""))
        except Exception as error:
            log.exception("http.failed", page=self.path)
            status, content_type = HTTPStatus.INTERNAL_SERVER_ERROR, JSON
            body = _json({"error": f"{type(error).__name__}: {error}"})
        self._answer(status, body, content_type)

    do_HEAD = do_GET  # noqa: N815 - the name that the base class looks for

    def version_string(self) -> str:
        """Nobody needs to know which Python this is."""
        return "journey"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name in the base class
        """Probes come every few seconds: they are not logged."""

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _checked(question: Callable[[], Answer]) -> Page:
    """200 or 503, with what there is to say."""

    def page(_: str) -> tuple[HTTPStatus, bytes, str]:
        good, detail = question()
        status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
        return status, _json({"ok": good, **detail}), JSON

    return page


def _json(value: object) -> bytes:
    return orjson.dumps(
        value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS, default=str
    )
