import asyncio
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipeline.adapters import debug
from pipeline.adapters.debug import DebugPages
from pipeline.adapters.http import HealthServer
from pipeline.adapters.prometheus import PrometheusMetrics
from pipeline.config import load
from pipeline.errors import UserError

TOKEN = "a token that nobody guesses"
HEALTH: Any = SimpleNamespace(livez=lambda: (True, {}), readyz=dict, startupz=dict, status=dict)


@pytest.fixture
def pages() -> DebugPages:
    return DebugPages(TOKEN, dict)


@pytest.fixture
def server(pages: DebugPages) -> Iterator[HealthServer]:
    with HealthServer("127.0.0.1", 0, HEALTH, PrometheusMetrics(), pages) as server:
        yield server


def ask(server: HealthServer, path: str, authorization: str | None = f"Bearer {TOKEN}") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path, headers={"Authorization": authorization} if authorization is not None else {})
    response = connection.getresponse()
    return response.status, response.read().decode()


class TestToken:
    @pytest.mark.parametrize(
        "authorization",
        [None, "", TOKEN, f"bearer {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", "Bearer ä"],
    )
    @pytest.mark.parametrize("path", ["/debug", "/debug/stacks", "/debug/none"])
    def test_nothing_without_it(self, server: HealthServer, path: str, authorization: str | None) -> None:
        with capture_logs() as logs:
            status, body = ask(server, path, authorization and authorization.encode().decode("latin-1"))
        assert status == 401
        assert "Traceback" not in body
        assert "thread" not in body.lower()
        assert [line["event"] for line in logs] == ["debug.refused"]
        assert TOKEN not in json.dumps(logs)

    def test_who_has_it_is_in_the_log_without_it(self, server: HealthServer) -> None:
        with capture_logs() as logs:
            assert ask(server, "/debug/memory")[0] == 200
        assert logs == [{"event": "debug.asked", "page": "/debug/memory", "log_level": "warning"}]

    def test_is_compared_in_constant_time(self, pages: DebugPages, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = []
        monkeypatch.setattr(hmac, "compare_digest", lambda *both: compared.append(both))
        assert pages.answer("/debug", "", "Bearer guess")[0] == 401
        assert compared == [(b"Bearer guess", b"Bearer " + TOKEN.encode())]

    def test_without_one_in_the_settings_there_is_nothing(self) -> None:
        with HealthServer("127.0.0.1", 0, HEALTH, PrometheusMetrics()) as bare:
            assert [ask(bare, path)[0] for path in ("/debug", "/debug/stacks", "/debug/profile")] == [404, 404, 404]

    def test_a_short_one_is_refused_and_none_is_ever_shown(self) -> None:
        with pytest.raises(UserError, match="JOURNEY_DEBUG_TOKEN: debug_token must have at least 16"):
            load(None, {"JOURNEY_DEBUG_TOKEN": "short"})
        settings = load(None, {"JOURNEY_DEBUG_TOKEN": TOKEN})
        assert settings.debug_token.get_secret_value() == TOKEN
        assert TOKEN not in repr(settings) + settings.model_dump_json()


def test_the_first_page_lists_the_others(server: HealthServer) -> None:
    status, body = ask(server, "/debug")
    assert status == 200
    assert [line.partition(":")[0] for line in body.splitlines()] == [
        "/debug/stacks",
        "/debug/tasks",
        "/debug/memory",
        "/debug/profile",
    ]
    assert ask(server, "/debug/none") == (404, body)
    assert ask(server, "/debugger")[0] == 404


def test_every_page_is_there_while_the_event_loop_is_blocked() -> None:
    async def waits_for_redis() -> None:
        await asyncio.Event().wait()

    async def blocked() -> dict[str, tuple[int, str]]:
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(waits_for_redis(), name="lane 3")
        await asyncio.sleep(0)
        found: dict[str, tuple[int, str]] = {}
        with HealthServer(
            "127.0.0.1", 0, HEALTH, PrometheusMetrics(), DebugPages(TOKEN, lambda: {"main": loop})
        ) as one:

            def asker() -> None:
                for page in ("/debug/stacks", "/debug/tasks", "/debug/memory?objects=1", "/debug/profile?seconds=0.2"):
                    found[page.partition("?")[0]] = ask(one, page)

            with ThreadPoolExecutor(1) as pool:
                asking = pool.submit(asker)
                blocks_the_loop(asking.done)  # never gives way to the loop
                asking.result()
        waiting.cancel()
        return found

    found = asyncio.run(blocked())
    assert {status for status, _ in found.values()} == {200}
    assert "blocks_the_loop" in found["/debug/stacks"][1]
    assert "--- MainThread" in found["/debug/stacks"][1]
    tasks = found["/debug/tasks"][1]
    assert tasks.startswith("=== main: 2 tasks")
    assert "--- lane 3\n" in tasks
    assert "waits_for_redis" in tasks.partition("--- lane 3")[2]
    assert "resident" in found["/debug/memory"][1]
    assert "builtins.dict" in found["/debug/memory"][1]
    stack, _, count = found["/debug/profile"][1].splitlines()[0].rpartition(" ")
    assert int(count) > 2
    main = [line for line in found["/debug/profile"][1].splitlines() if line.startswith("MainThread;")]
    assert any("blocks_the_loop (unit/test_debug.py:" in line for line in main)
    assert ";" in stack


def blocks_the_loop(done: Any) -> None:
    deadline = time.monotonic() + 30
    while not done() and time.monotonic() < deadline:
        time.sleep(0.001)


class TestProfile:
    @pytest.mark.parametrize("seconds", ["0", "-1", "61", "nan", "soon"])
    def test_takes_a_sensible_time_only(self, server: HealthServer, seconds: str) -> None:
        assert ask(server, f"/debug/profile?seconds={seconds}")[0] == 400

    def test_is_one_at_a_time(self, pages: DebugPages, server: HealthServer) -> None:
        with pages._profiling:
            assert ask(server, "/debug/profile?seconds=0.1")[0] == 409
        assert ask(server, "/debug/profile?seconds=0.1")[0] == 200

    def test_holds_what_a_thread_does_and_not_itself(self) -> None:
        stop = threading.Event()

        def works_hard() -> None:
            while not stop.is_set():
                sum(range(100))

        worker = threading.Thread(target=works_hard, name="worker")
        worker.start()
        seen = debug.sample(0.3)
        stop.set()
        worker.join()
        of_worker = sum(count for stack, count in seen.items() if stack.startswith("worker;") and "works_hard" in stack)
        assert of_worker > 3
        assert not any("sample (adapters/debug.py" in stack for stack in seen)
        counts = [int(line.rpartition(" ")[2]) for line in debug.folded(seen).splitlines()]
        assert counts == sorted(counts, reverse=True)
        assert sum(counts) == seen.total()
