import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
import structlog

from pipeline.adapters import http
from pipeline.adapters.http import HealthServer
from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.errors import UserError


class Worker:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.live = self.ready = self.started = True
        self.detail: Mapping[str, Any] = {}

    def livez(self) -> http.Answer:
        return self.live, self.detail

    def readyz(self) -> http.Answer:
        return self.ready, {"waits": {"lane 3": "redis"}} if not self.ready else {}

    def startupz(self) -> http.Answer:
        return self.started, {}

    def status(self) -> http.Answer:
        by_number: Any = {7: "a key that is no text"}
        return self.live, {"live": self.live, "lanes": [{"partition": 3}], "by_number": by_number, "at": {1}}


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def server(worker: Worker) -> Iterator[HealthServer]:
    with HealthServer("127.0.0.1", 0, worker, PrometheusMetrics()) as server:
        yield server


def ask(server: HealthServer, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


class TestPages:
    @pytest.mark.parametrize("page", ["/livez", "/readyz", "/startupz"])
    def test_are_200_while_all_is_well(self, server: HealthServer, page: str) -> None:
        response, body = ask(server, page)
        assert (response.status, response.headers["Content-Type"]) == (200, "application/json")
        assert json.loads(body) == {"ok": True}

    def test_are_503_with_the_reason_when_not(self, server: HealthServer, worker: Worker) -> None:
        worker.ready = False
        response, body = ask(server, "/readyz")
        assert response.status == 503
        assert json.loads(body) == {"ok": False, "waits": {"lane 3": "redis"}}
        assert ask(server, "/livez")[0].status == 200

    def test_status_is_always_readable(self, server: HealthServer, worker: Worker) -> None:
        worker.live = False
        response, body = ask(server, "/status?pretty")
        assert response.status == 200
        assert json.loads(body)["lanes"] == [{"partition": 3}]

    def test_metrics_are_what_the_scraper_asks_for(self, server: HealthServer) -> None:
        response, body = ask(server, "/metrics")
        assert response.headers["Content-Type"].startswith("text/plain")
        assert b"journey_build_info{" in body
        response, body = ask(server, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")

    def test_others_are_404_and_name_those_there_are(self, server: HealthServer) -> None:
        response, body = ask(server, "/health")
        assert response.status == 404
        assert "/livez" in json.loads(body)["pages"]

    def test_head_has_no_body(self, server: HealthServer) -> None:
        response, body = ask(server, "/livez", "HEAD")
        assert (response.status, body) == (200, b"")
        assert int(response.headers["Content-Length"]) > 0

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_nothing_can_be_changed(self, server: HealthServer, method: str) -> None:
        assert ask(server, "/livez", method)[0].status == 501

    def test_say_nothing_of_what_they_run_on(self, server: HealthServer) -> None:
        assert ask(server, "/livez")[0].headers["Server"] == "journey"

    def test_a_question_that_raises_is_500_and_the_next_is_answered(
        self, server: HealthServer, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken() -> http.Answer:
            raise ZeroDivisionError("by zero")

        monkeypatch.setattr(worker, "status", broken)
        with structlog.testing.capture_logs() as logs:
            response, body = ask(server, "/status")
        assert response.status == 500
        assert json.loads(body) == {"error": "ZeroDivisionError: by zero"}
        assert [entry["event"] for entry in logs] == ["http.failed"]
        assert ask(server, "/livez")[0].status == 200


class TestThreads:
    @pytest.mark.parametrize("how", ["sleeps", "computes"])
    async def test_answers_while_the_event_loop_is_blocked(self, server: HealthServer, how: str) -> None:
        answered = threading.Event()

        def asker() -> None:
            assert ask(server, "/livez")[0].status == 200
            answered.set()

        thread = threading.Thread(target=asker)
        thread.start()
        deadline = time.monotonic() + 5
        while not answered.is_set() and time.monotonic() < deadline:  # never gives way to the loop
            if how == "sleeps":
                time.sleep(0.01)  # noqa: ASYNC251 - that is the point
        thread.join()
        assert answered.is_set()

    def test_a_client_that_says_nothing_keeps_nobody_waiting(
        self, server: HealthServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http._Handler, "timeout", 0.2)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as silent:
            assert ask(server, "/livez")[0].status == 200
            assert silent.recv(1) == b"", "it is let go"

    def test_a_client_that_hangs_up_is_no_news(self, server: HealthServer) -> None:
        with structlog.testing.capture_logs() as logs:
            for _ in range(3):
                with socket.create_connection(("127.0.0.1", server.port)) as rude:
                    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    rude.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert ask(server, "/livez")[0].status == 200
        assert logs == []


class TestListening:
    def test_a_free_port_is_told(self, worker: Worker) -> None:
        with structlog.testing.capture_logs() as logs, HealthServer("127.0.0.1", 0, worker, PrometheusMetrics()) as one:
            assert one.port > 0
            assert one.url == f"http://127.0.0.1:{one.port}"
            assert {"event": "http.listening", "url": one.url, "log_level": "info"} in logs

    def test_an_ipv6_host_is_in_brackets(self, worker: Worker) -> None:
        assert HealthServer("::1", 9464, worker, PrometheusMetrics()).url == "http://[::1]:9464"

    def test_a_busy_port_is_a_users_mistake(self, server: HealthServer, worker: Worker) -> None:
        with pytest.raises(UserError, match=f"{server.port}.*http_port") as raised:
            HealthServer("127.0.0.1", server.port, worker, PrometheusMetrics()).start()
        assert raised.value.exit_code == 2

    @pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
    def test_a_host_that_is_not_ours_is_a_users_mistake(self, worker: Worker, host: str) -> None:
        with pytest.raises(UserError, match="http_host"):
            HealthServer(host, 0, worker, PrometheusMetrics()).start()

    def test_the_port_is_free_again_afterwards(self, worker: Worker) -> None:
        with HealthServer("127.0.0.1", 0, worker, PrometheusMetrics()) as server:
            port = server.port
            ask(server, "/livez")
        with HealthServer("127.0.0.1", port, worker, PrometheusMetrics()) as again:
            assert ask(again, "/livez")[0].status == 200
        again.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "http"]

    async def test_many_at_once(self, server: HealthServer) -> None:
        answers = await asyncio.gather(*(asyncio.to_thread(ask, server, "/metrics") for _ in range(20)))
        assert {response.status for response, _ in answers} == {200}
