import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import faust
import pytest
import structlog

from pipeline import log


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's: each test leaves it as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:], _ = before
    root.setLevel(before[1])
    for name in log.LIBRARIES:
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


class TestJson:
    def test_a_line_an_event_with_what_matters_first(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        structlog.get_logger("any").warning("lane.doubt", reason="redis", lane=3, detail='no "answer"\nyet')
        (line,) = out.getvalue().splitlines()
        assert list(json.loads(line)) == ["timestamp", "level", "event", "lane", "reason", "detail"]
        assert json.loads(line) | {"timestamp": ""} == {
            "timestamp": "",
            "level": "warning",
            "event": "lane.doubt",
            "lane": 3,
            "reason": "redis",
            "detail": 'no "answer"\nyet',
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", json.loads(line)["timestamp"])

    def test_loggers_made_before_are_configured_too(self, out: io.StringIO) -> None:
        early = structlog.get_logger(__name__)
        log.configure("json", "info", out)
        early.info("hello")
        assert lines(out)[0]["event"] == "hello"

    def test_the_level_counts(self, out: io.StringIO) -> None:
        log.configure("json", "warning", out)
        structlog.get_logger().info("quiet")
        logging.getLogger("some.library").info("quiet")
        structlog.get_logger().error("loud")
        assert [line["event"] for line in lines(out)] == ["loud"]

    def test_an_exception_is_text_without_the_values_of_variables(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        secret = "c:" + "4711"
        try:
            raise ValueError(f"{len(secret)} characters")
        except ValueError:
            structlog.get_logger().exception("failed")
        (line,) = lines(out)
        assert "ValueError: 6 characters" in line["exception"]
        assert secret not in out.getvalue()

    def test_values_that_json_does_not_know_do_not_break_a_line(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        structlog.get_logger().info("odd", positions={1: b"x"}, error=KeyError("k"))
        assert lines(out)[0]["event"] == "odd"

    def test_libraries_come_through_the_same_door(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        logging.getLogger("aiokafka.cluster").warning("Topic %s is not available", "raw.web")
        logging.getLogger("aiokafka.cluster").info("hidden")
        (line,) = lines(out)
        assert (line["level"], line["logger"]) == ("warning", "aiokafka.cluster")
        assert line["event"] == "Topic raw.web is not available"


class TestPretty:
    @pytest.mark.parametrize(("format_", "pretty"), [("pretty", True), ("json", False), ("auto", False)])
    def test_auto_is_json_where_there_is_no_terminal(self, out: io.StringIO, format_: Any, pretty: bool) -> None:
        log.configure(format_, "info", out)
        structlog.get_logger().info("lane.taken", lane=3)
        assert out.getvalue().startswith("{") is not pretty
        assert "lane.taken" in out.getvalue()

    def test_auto_is_pretty_on_a_terminal(self) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        out = Terminal()
        log.configure("auto", "info", out)
        structlog.get_logger().info("lane.taken", lane=3)
        assert "\x1b[" in out.getvalue()


class TestReclaim:
    def test_undoes_what_fausts_worker_does(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        app = faust.App("log-test", broker="kafka://127.0.0.1:1")
        # Redirected, sys.stdout would come back whenever the worker is collected: in the middle of another test.
        worker = faust.Worker(app, loglevel="WARN", redirect_stdouts=False)
        worker._setup_logging()
        assert logging.getLogger().level == logging.DEBUG
        log.reclaim()
        logging.getLogger("faust").debug("dropped")
        logging.getLogger("some.library").debug("dropped")
        logging.getLogger("mode.services").error("kept")
        assert [line["event"] for line in lines(out)] == ["kept"]
        assert not logging.getLogger("aiokafka").isEnabledFor(logging.INFO)
        assert not logging.getLogger().isEnabledFor(logging.DEBUG)


class TestIdentities:
    def test_are_short_hashes_that_stay_the_same(self) -> None:
        assert log.anonymised("c:4711") == log.anonymised("c:4711")
        assert log.anonymised("c:4711") != log.anonymised("c:4712")
        assert re.fullmatch(r"~[0-9a-f]{12}", log.anonymised("c:4711"))
        assert log.anonymised(log.anonymised("c:4711")) == log.anonymised("c:4711")

    def test_a_key_makes_them_the_same_everywhere(self, out: io.StringIO) -> None:
        found = []
        for key in (b"one", b"two", b"one"):
            log.configure("json", "info", out, key=key)
            found.append(log.anonymised("c:4711"))
        assert found[0] == found[2] != found[1]

    def test_fields_that_name_a_person_are_never_written(self, out: io.StringIO) -> None:
        log.configure("json", "info", out)
        structlog.get_logger().info("stage", customer="c:4711", identity=log.anonymised("c:4711"), customer_id=4711)
        assert "4711" not in out.getvalue().replace(log.anonymised("4711"), "").replace(log.anonymised("c:4711"), "")
        assert lines(out)[0]["customer"] == lines(out)[0]["identity"] == log.anonymised("c:4711")


class TestRepeats:
    def test_passes_a_burst_then_counts(self) -> None:
        now = 0.0
        repeats = log.Repeats(window_s=10, burst=3, clock=lambda: now)
        assert [repeats.pass_on("a") for _ in range(6)] == [0, 0, 0, None, None, None]
        assert repeats.pass_on("b") == 0
        now = 10.0
        assert [repeats.pass_on("a") for _ in range(4)] == [3, 0, 0, None]

    def test_keeps_no_more_than_so_many(self) -> None:
        now = 0.0
        repeats = log.Repeats(window_s=10, burst=1, clock=lambda: now, most=100)
        for number in range(1_000):
            assert repeats.pass_on(number) == 0
        assert len(repeats._seen) == 100
        now = 11.0
        assert repeats.pass_on("new") == 0
        assert len(repeats._seen) == 1

    def test_lanes_are_apart_and_the_next_line_says_how_many_were_held_back(
        self, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: now)
        monkeypatch.setattr(log.Repeats.__init__, "__defaults__", (10.0, 2, lambda: now, 1_000))
        log.configure("json", "info", out)
        logger, library = structlog.get_logger(), logging.getLogger("some.library")
        for number in range(5):
            logger.warning("lane.doubt", lane=3, wait=number)
            library.warning("retrying in %d", number)
        logger.warning("lane.doubt", lane=4)
        now = 10.0
        logger.warning("lane.doubt", lane=3)
        library.warning("retrying in %d", 9)
        seen = [(line.get("lane"), line["event"], line.get("suppressed")) for line in lines(out)]
        assert seen == [
            (3, "lane.doubt", None),
            (None, "retrying in 0", None),
            (3, "lane.doubt", None),
            (None, "retrying in 1", None),
            (4, "lane.doubt", None),
            (3, "lane.doubt", 3),
            (None, "retrying in 9", 3),
        ]
